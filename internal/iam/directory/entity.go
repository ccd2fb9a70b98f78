package directory

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/millrace/millrace/internal/iam/naming"
	"github.com/millrace/millrace/internal/kvs"
)

// OwnerKind is the kind of an entity.
type OwnerKind = naming.Kind

// The kinds of entities. Policies own nothing but tags.
const (
	UserOwner   = naming.User
	GroupOwner  = naming.Group
	RoleOwner   = naming.Role
	PolicyOwner = naming.Policy
)

// Owner is who policies and tags belong to.
type Owner struct {
	Kind OwnerKind
	ID   string // unique id
}

// row is an entity as it is stored.
type row struct {
	naming.Name
	id, description      string
	boundary             string // id of a policy
	bounds               string // ARN of that policy
	trust                string
	created, updated     kvs.Millis
	notBefore            kvs.Millis
	maxSession           int64 // seconds
	version, lastVersion int64
}

const selectRow = `SELECT e.id, e.account, e.kind, e.name, e.path, e.description, e.created, e.updated, e.boundary,
	COALESCE(b.path, ''), COALESCE(b.name, ''), e.not_before, e.trust, e.max_session, e.version, e.versions
	FROM entity e LEFT JOIN entity b ON b.id = e.boundary `

// The ways to find one entity.
const (
	rowByName = selectRow + "WHERE e.account = $1 AND e.kind = $2 AND e.folded = $3"
	rowByID   = selectRow + "WHERE e.id = $1"
)

func scanRow(scan func(...any) error) (r row, err error) {
	b := naming.Name{Kind: naming.Policy}
	err = scan(&r.id, &r.Account, &r.Kind, &r.Name.Name, &r.Path, &r.description, &r.created, &r.updated, &r.boundary,
		&b.Path, &b.Name, &r.notBefore, &r.trust, &r.maxSession, &r.version, &r.lastVersion)
	if b.Name != "" {
		b.Account = r.Account
		r.bounds = b.ARN()
	} else if r.boundary != "" {
		r.bounds = builtInByID(r.boundary).arn()
	}
	return r, err
}

// find looks for an entity by its name, byte by byte.
func find(q reader, account kvs.AccountID, kind OwnerKind, name string) (row, error) {
	r, err := scanRow(q.QueryRow(rowByName, string(account), string(kind), naming.Fold(name)).Scan)
	if errors.Is(err, sql.ErrNoRows) || err == nil && r.Name.Name != name {
		return row{}, unknown(kind, name)
	}
	return r, err
}

// byID looks for an entity by its unique id, in all accounts.
func byID(q reader, id string) (row, error) {
	r, err := scanRow(q.QueryRow(rowByID, id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		kind, _ := naming.KindOf(id)
		return row{}, unknown(kind, id)
	}
	return r, err
}

// owned looks for an entity of an account by its unique id.
func owned(q reader, account kvs.AccountID, o Owner) (row, error) {
	r, err := byID(q, o.ID)
	if err == nil && (r.Account != account || r.Kind != o.Kind) {
		return row{}, unknown(o.Kind, o.ID)
	}
	return r, err
}

func unknown(kind OwnerKind, name string) error {
	return kvs.Errorf(kvs.NotFound, "The %s with name %s cannot be found.", kind, name)
}

// insert stores a new entity; InUse if there is one whose name differs in case at most.
func insert(tx *sql.Tx, r row) error {
	if err := cmp.Or(naming.CheckName(r.Kind, r.Name.Name), naming.CheckPath(r.Path), naming.CheckDescription(r.description)); err != nil {
		return err
	}
	accounts, err := count(tx, "SELECT COUNT(*) FROM account WHERE id = $1", string(r.Account))
	if err == nil && accounts == 0 {
		err = kvs.Errorf(kvs.NotFound, "there is no account %q", string(r.Account))
	}
	if err == nil {
		err = free(tx, r.Name)
	}
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO entity (id, account, kind, name, folded, path, description, created, updated, boundary,
		not_before, trust, max_session, version, versions) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, '', 0, $10, $11, $12, $12)`,
		r.id, string(r.Account), string(r.Kind), r.Name.Name, naming.Fold(r.Name.Name), r.Path, r.description, int64(r.created), int64(r.updated),
		r.trust, r.maxSession, r.version)
	return err
}

const taken = "SELECT COUNT(*) FROM entity WHERE account = $1 AND kind = $2 AND folded = $3"

// free says whether nobody has a name.
func free(tx *sql.Tx, n naming.Name) error {
	others, err := count(tx, taken, string(n.Account), string(n.Kind), naming.Fold(n.Name))
	switch {
	case err != nil || others == 0:
		return err
	case n.Kind == naming.Policy:
		return kvs.Errorf(kvs.InUse, "A policy called %s already exists. Duplicate names are not allowed.", n.Name)
	}
	kind := strings.ToUpper(string(n.Kind[:1])) + string(n.Kind[1:])
	return kvs.Errorf(kvs.InUse, "%s with name %s already exists.", kind, n.Name)
}

// The queries of a page of entities whose paths begin with something: from $3 on, or
// behind path $3 and name $4. Each is one range of an index.
const (
	firstPage = selectRow + `WHERE e.account = $1 AND e.kind = $2 AND e.path >= $3 AND e.path < $4
		ORDER BY e.path, e.folded LIMIT $5`
	laterPage = selectRow + `WHERE e.account = $1 AND e.kind = $2 AND (e.path, e.folded) > ($3, $4) AND e.path < $5
		ORDER BY e.path, e.folded LIMIT $6`
)

// page lists up to limit entities by path and name, behind a position that an earlier page
// gave as next, "" at the beginning; next is "" at the end. What is made or removed
// between two pages is seen or not, but never shifts the others.
func (d *Directory) page(ctx context.Context, account kvs.AccountID, kind OwnerKind, prefix, after string, limit int) (rows []row, next string, err error) {
	if prefix == "" {
		prefix = "/"
	}
	if err := naming.CheckPrefix(prefix); err != nil {
		return nil, "", err
	}
	end := prefix + "\x7f" // no path has a byte as large
	if after == "" {
		rows, err = collect(d.read(ctx), scanRow, firstPage, string(account), string(kind), prefix, end, limit+1)
	} else {
		slash := strings.LastIndexByte(after, '/') + 1
		rows, err = collect(d.read(ctx), scanRow, laterPage, string(account), string(kind), after[:slash], naming.Fold(after[slash:]), end, limit+1)
	}
	if err == nil && len(rows) > limit {
		rows = rows[:limit]
		next = rows[limit-1].Path + rows[limit-1].Name.Name
	}
	return rows, next, err
}

// Rename says what an entity is called from now on; "" leaves it as it is.
type Rename struct{ Name, Path string }

// rename changes the name and path of an entity.
func (d *Directory) rename(ctx context.Context, account kvs.AccountID, kind OwnerKind, name string, to Rename) (r row, err error) {
	err = d.db.Write(ctx, func(tx *sql.Tx) error {
		if r, err = find(tx, account, kind, name); err != nil {
			return err
		}
		if to.Name != "" {
			r.Name.Name = to.Name
		}
		if to.Path != "" {
			r.Path = to.Path
		}
		if err := cmp.Or(naming.CheckName(kind, r.Name.Name), naming.CheckPath(r.Path)); err != nil {
			return err
		}
		if naming.Fold(r.Name.Name) != naming.Fold(name) {
			if err := free(tx, r.Name); err != nil {
				return err
			}
		}
		_, err := tx.Exec("UPDATE entity SET name = $2, folded = $3, path = $4 WHERE id = $1", r.id, r.Name.Name, naming.Fold(r.Name.Name), r.Path)
		return err
	})
	d.memory.forgetAll()
	d.keys.Forget()
	return r, err
}

// obstacle is what keeps an entity from being deleted.
type obstacle struct{ query, words string }

var (
	hasMembers  = obstacle{"SELECT COUNT(*) FROM membership WHERE grp = $1", "Cannot delete entity, must remove users from group first."}
	inGroups    = obstacle{"SELECT COUNT(*) FROM membership WHERE member = $1", "Cannot delete entity, must remove users from group first."}
	hasAttached = obstacle{"SELECT COUNT(*) FROM attachment WHERE owner = $1", "Cannot delete entity, must detach all policies first."}
	hasInline   = obstacle{"SELECT COUNT(*) FROM inline_policy WHERE owner = $1", "Cannot delete entity, must delete policies first."}
	hasKeys     = obstacle{"SELECT COUNT(*) FROM access_key WHERE owner = $1 AND account = $2", "Cannot delete entity, must delete access keys first."}
)

// remove deletes an entity that no obstacle keeps.
func (d *Directory) remove(ctx context.Context, account kvs.AccountID, kind OwnerKind, name string, obstacles ...obstacle) error {
	var id string
	err := d.db.Write(ctx, func(tx *sql.Tx) error {
		r, err := find(tx, account, kind, name)
		if err != nil {
			return err
		}
		id = r.id
		for _, o := range obstacles {
			args := []any{r.id, string(account)}
			n, err := count(tx, o.query, args[:strings.Count(o.query, "$")]...)
			if err == nil && n > 0 {
				err = kvs.Errorf(kvs.Conflict, "%s", o.words)
			}
			if err != nil {
				return err
			}
		}
		if r.boundary != "" {
			if err := use(tx, account, r.boundary, 0, -1); err != nil {
				return err
			}
		}
		return execute(tx, []any{r.id}, "DELETE FROM tag WHERE owner = $1", "DELETE FROM entity WHERE id = $1")
	})
	d.memory.forget(id)
	return err
}

const countsOf = "SELECT kind, COUNT(*) FROM entity WHERE account = $1 GROUP BY kind"

// Counts says how many entities of each kind an account has. It reads an index of all of
// them.
func (d *Directory) Counts(ctx context.Context, account kvs.AccountID) (map[OwnerKind]int64, error) {
	type counted struct {
		kind OwnerKind
		n    int64
	}
	rows, err := collect(d.read(ctx), func(scan func(...any) error) (c counted, err error) { return c, scan(&c.kind, &c.n) }, countsOf, string(account))
	counts := map[OwnerKind]int64{}
	for _, c := range rows {
		counts[c.kind] = c.n
	}
	return counts, err
}
