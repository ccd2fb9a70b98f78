package directory

import (
	"context"
	"database/sql"

	"github.com/millrace/millrace/internal/iam/naming"
	"github.com/millrace/millrace/internal/kvs"
)

// Group is a set of users that share policies.
type Group struct {
	ID, Name, Path string
	Account        kvs.AccountID
	Created        kvs.Millis
}

// ARN is the name of the group.
func (g Group) ARN() string {
	return naming.Name{Account: g.Account, Kind: naming.Group, Path: g.Path, Name: g.Name}.ARN()
}

// Owner names the group to what belongs to it.
func (g Group) Owner() Owner { return Owner{GroupOwner, g.ID} }

func groupOf(r row) Group {
	return Group{ID: r.id, Name: r.Name.Name, Path: r.Path, Account: r.Account, Created: r.created}
}

// CreateGroup makes a group; of g it takes name and path ("" = /).
func (d *Directory) CreateGroup(ctx context.Context, account kvs.AccountID, g Group) (Group, error) {
	r := d.newRow(account, naming.Group, g.Name, g.Path)
	if err := d.db.Write(ctx, func(tx *sql.Tx) error { return insert(tx, r) }); err != nil {
		return Group{}, err
	}
	return groupOf(r), nil
}

// Group describes a group by name.
func (d *Directory) Group(ctx context.Context, account kvs.AccountID, name string) (Group, error) {
	r, err := find(d.read(ctx), account, naming.Group, name)
	return groupOf(r), err
}

// Groups lists up to limit groups, paged as [Directory.Users].
func (d *Directory) Groups(ctx context.Context, account kvs.AccountID, prefix, after string, limit int) (groups []Group, next string, err error) {
	rows, next, err := d.page(ctx, account, naming.Group, prefix, after, limit)
	return each(rows, groupOf), next, err
}

// UpdateGroup renames or moves a group. Its members and policies stay.
func (d *Directory) UpdateGroup(ctx context.Context, account kvs.AccountID, name string, to Rename) (Group, error) {
	r, err := d.rename(ctx, account, naming.Group, name, to)
	return groupOf(r), err
}

// DeleteGroup removes a group; Conflict while it has members or policies.
func (d *Directory) DeleteGroup(ctx context.Context, account kvs.AccountID, name string) error {
	return d.remove(ctx, account, naming.Group, name, hasMembers, hasAttached, hasInline)
}

// maxGroups is how many groups a user may be in (IAM: GroupsPerUser).
const maxGroups = 10

// AddToGroup makes a user a member of a group, if it is none yet; LimitExceeded if it is
// in ten.
func (d *Directory) AddToGroup(ctx context.Context, account kvs.AccountID, group, user string) error {
	return d.membership(ctx, account, group, user, func(tx *sql.Tx, g, u string) error {
		others, err := count(tx, "SELECT COUNT(*) FROM membership WHERE member = $1 AND grp <> $2", u, g)
		if err == nil && others >= maxGroups {
			err = kvs.Errorf(kvs.LimitExceeded, "Cannot exceed quota for GroupsPerUser: %d", maxGroups)
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec("INSERT INTO membership (member, grp) VALUES ($1, $2) ON CONFLICT (member, grp) DO NOTHING", u, g)
		return err
	})
}

// RemoveFromGroup ends a membership, if there is one.
func (d *Directory) RemoveFromGroup(ctx context.Context, account kvs.AccountID, group, user string) error {
	return d.membership(ctx, account, group, user, func(tx *sql.Tx, g, u string) error {
		_, err := tx.Exec("DELETE FROM membership WHERE member = $1 AND grp = $2", u, g)
		return err
	})
}

// membership changes one, given the ids of group and user.
func (d *Directory) membership(ctx context.Context, account kvs.AccountID, group, user string, change func(tx *sql.Tx, g, u string) error) error {
	var member string
	err := d.db.Write(ctx, func(tx *sql.Tx) error {
		g, err := find(tx, account, naming.Group, group)
		if err != nil {
			return err
		}
		u, err := find(tx, account, naming.User, user)
		if err != nil {
			return err
		}
		member = u.id
		return change(tx, g.id, u.id)
	})
	d.memory.forget(member)
	return err
}

// The two directions of membership.
const (
	groupsOf = `SELECT e.id, e.account, e.kind, e.name, e.path, e.description, e.created, e.updated, '', '', '', 0, '', 0, 0, 0
		FROM membership m JOIN entity e ON e.id = m.grp WHERE m.member = $1 AND m.grp > $2 ORDER BY m.grp LIMIT $3`
	membersOf = `SELECT e.id, e.account, e.kind, e.name, e.path, e.description, e.created, e.updated, '', '', '', 0, '', 0, 0, 0
		FROM membership m JOIN entity e ON e.id = m.member WHERE m.grp = $1 AND m.member > $2 ORDER BY m.member LIMIT $3`
)

// GroupsOf lists up to limit groups of a user, behind the one whose id an earlier page
// gave as next.
func (d *Directory) GroupsOf(ctx context.Context, account kvs.AccountID, user, after string, limit int) (groups []Group, next string, err error) {
	rows, next, err := d.relatives(ctx, groupsOf, account, naming.User, user, after, limit)
	return each(rows, groupOf), next, err
}

// Members lists up to limit users of a group, paged as [Directory.GroupsOf].
func (d *Directory) Members(ctx context.Context, account kvs.AccountID, group, after string, limit int) (users []User, next string, err error) {
	rows, next, err := d.relatives(ctx, membersOf, account, naming.Group, group, after, limit)
	return each(rows, userOf), next, err
}

func (d *Directory) relatives(ctx context.Context, query string, account kvs.AccountID, kind OwnerKind, name, after string, limit int) (rows []row, next string, err error) {
	q := d.read(ctx)
	of, err := find(q, account, kind, name)
	if err != nil {
		return nil, "", err
	}
	rows, err = collect(q, scanRow, query, of.id, after, limit+1)
	if err == nil && len(rows) > limit {
		rows = rows[:limit]
		next = rows[limit-1].id
	}
	return rows, next, err
}
