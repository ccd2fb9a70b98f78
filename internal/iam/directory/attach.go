package directory

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/iam/naming"
	"github.com/millrace/millrace/internal/kvs"
)

// maxAttached is how many managed policies a user, group or role may have (IAM:
// PoliciesPerUser and so on).
const maxAttached = 10

// quotas are the names of that limit.
var quotas = map[OwnerKind]string{UserOwner: "PoliciesPerUser", GroupOwner: "PoliciesPerGroup", RoleOwner: "PoliciesPerRole"}

// Attach gives a user, group or role a managed policy, if it has not got it; LimitExceeded
// if it has ten.
func (d *Directory) Attach(ctx context.Context, account kvs.AccountID, o Owner, arn string) error {
	return d.changeOwned(ctx, account, o, func(tx *sql.Tx, _ row) error {
		p, err := resolve(tx, account, arn)
		if err != nil {
			return notAttachable(arn, err)
		}
		had, err := count(tx, "SELECT COUNT(*) FROM attachment WHERE owner = $1 AND policy = $2", o.ID, p.id)
		if err != nil || had > 0 {
			return err
		}
		n, err := count(tx, "SELECT COUNT(*) FROM attachment WHERE owner = $1", o.ID)
		if err == nil && n >= maxAttached {
			err = kvs.Errorf(kvs.LimitExceeded, "Cannot exceed quota for %s: %d", quotas[o.Kind], maxAttached)
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec("INSERT INTO attachment (owner, policy, account) VALUES ($1, $2, $3)", o.ID, p.id, string(account)); err != nil {
			return err
		}
		return use(tx, account, p.id, 1, 0)
	})
}

func notAttachable(arn string, err error) error {
	if kvs.KindOf(err) == kvs.NotFound {
		return kvs.Errorf(kvs.NotFound, "Policy %s does not exist or is not attachable.", arn)
	}
	return err
}

// Detach takes a managed policy away; NotFound if it is not attached.
func (d *Directory) Detach(ctx context.Context, account kvs.AccountID, o Owner, arn string) error {
	return d.changeOwned(ctx, account, o, func(tx *sql.Tx, _ row) error {
		p, err := resolve(tx, account, arn)
		if err != nil {
			return err
		}
		r, err := tx.Exec("DELETE FROM attachment WHERE owner = $1 AND policy = $2", o.ID, p.id)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			if err == nil {
				err = unknownPolicy(arn)
			}
			return err
		}
		return use(tx, account, p.id, -1, 0)
	})
}

// changeOwned does something with what belongs to an entity of an account, and has the
// rights of those that it concerns be read anew: those of a group are many.
func (d *Directory) changeOwned(ctx context.Context, account kvs.AccountID, o Owner, change func(tx *sql.Tx, r row) error) error {
	err := d.db.Write(ctx, func(tx *sql.Tx) error {
		r, err := owned(tx, account, o)
		if err != nil {
			return err
		}
		return change(tx, r)
	})
	if o.Kind == GroupOwner || o.Kind == PolicyOwner {
		d.memory.forgetAll()
	} else {
		d.memory.forget(o.ID)
	}
	return err
}

// Attached is a managed policy as it shows at who has it.
type Attached struct{ Name, ARN string }

const attachedTo = `SELECT t.policy, COALESCE(p.account, ''), COALESCE(p.path, ''), COALESCE(p.name, '')
	FROM attachment t LEFT JOIN entity p ON p.id = t.policy WHERE t.owner = $1 AND t.account = $2`

// AttachedTo lists up to limit managed policies of a user, group or role by ARN, behind the
// one that an earlier page gave as next. prefix is the beginning of their paths, "" for all.
func (d *Directory) AttachedTo(ctx context.Context, account kvs.AccountID, o Owner, prefix, after string, limit int) (policies []Attached, next string, err error) {
	names, err := collect(d.read(ctx), scanAttached, attachedTo, o.ID, string(account)) // at most ten
	if err != nil {
		return nil, "", err
	}
	for _, n := range names {
		if strings.HasPrefix(n.Path, prefix) && n.ARN() > after {
			policies = append(policies, Attached{n.Name, n.ARN()})
		}
	}
	slices.SortFunc(policies, func(a, b Attached) int { return strings.Compare(a.ARN, b.ARN) })
	if len(policies) > limit {
		policies = policies[:limit]
		next = policies[limit-1].ARN
	}
	return policies, next, nil
}

func scanAttached(scan func(...any) error) (naming.Name, error) {
	var id string
	n := naming.Name{Kind: naming.Policy}
	err := scan(&id, &n.Account, &n.Path, &n.Name)
	if b := builtInByID(id); b != nil {
		n = b.row().Name
	}
	return n, err
}

// The users of a policy: those it is attached to, those it bounds.
const (
	holders = `SELECT e.id, e.kind, e.path, e.name FROM attachment t JOIN entity e ON e.id = t.owner
		WHERE t.account = $1 AND t.policy = $2 AND t.owner > $3 AND t.owner < $4 ORDER BY t.owner LIMIT $5`
	bounded = `SELECT e.id, e.kind, e.path, e.name FROM entity e
		WHERE e.boundary = $2 AND e.account = $1 AND e.id > $3 AND e.id < $4 ORDER BY e.id LIMIT $5`
)

// Holder is who has a policy, or is bounded by it.
type Holder struct {
	Owner
	Path, Name string
}

// HoldersQuery says which users of a policy are wanted.
type HoldersQuery struct {
	Kind     OwnerKind // "" = all
	Bounding bool      // those it bounds instead of those it is attached to
	After    string    // what an earlier page gave as next
	Limit    int       // at least 1
}

// Holders lists the users, groups and roles of an account that have a managed policy, by
// kind and id.
func (d *Directory) Holders(ctx context.Context, account kvs.AccountID, arn string, h HoldersQuery) (all []Holder, next string, err error) {
	q := d.read(ctx)
	p, err := resolve(q, account, arn)
	if err != nil {
		return nil, "", err
	}
	query := holders
	if h.Bounding {
		query = bounded
	}
	from, to := h.Kind.Prefix(), h.Kind.Prefix()+"~" // unique ids begin with their kind
	all, err = collect(q, func(scan func(...any) error) (o Holder, err error) {
		return o, scan(&o.ID, &o.Kind, &o.Path, &o.Name)
	}, query, string(account), p.id, max(from, h.After), to, h.Limit+1)
	if err == nil && len(all) > h.Limit {
		all = all[:h.Limit]
		next = all[h.Limit-1].ID
	}
	return all, next, err
}

// SetPermissionsBoundary has a managed policy bound what a user or role may do; "" takes
// the bound away.
func (d *Directory) SetPermissionsBoundary(ctx context.Context, account kvs.AccountID, o Owner, arn string) error {
	if o.Kind != UserOwner && o.Kind != RoleOwner {
		return kvs.Errorf(kvs.InvalidArgument, "Only users and roles have permissions boundaries.")
	}
	return d.changeOwned(ctx, account, o, func(tx *sql.Tx, r row) error {
		if r.boundary != "" {
			if err := use(tx, account, r.boundary, 0, -1); err != nil {
				return err
			}
		}
		if arn == "" {
			_, err := tx.Exec("UPDATE entity SET boundary = '' WHERE id = $1", o.ID)
			return err
		}
		return bound(tx, account, o, arn)
	})
}

// bound gives an entity without a boundary one.
func bound(tx *sql.Tx, account kvs.AccountID, o Owner, arn string) error {
	p, err := resolve(tx, account, arn)
	if err != nil {
		return notAttachable(arn, err)
	}
	if _, err := tx.Exec("UPDATE entity SET boundary = $2 WHERE id = $1", o.ID, p.id); err != nil {
		return err
	}
	return use(tx, account, p.id, 0, 1)
}
