package directory

import (
	"context"
	"database/sql"

	"github.com/millrace/millrace/internal/iam/naming"
	"github.com/millrace/millrace/internal/kvs"
)

// User is somebody, or something, with access keys.
type User struct {
	ID, Name, Path string
	Account        kvs.AccountID
	Created        kvs.Millis
	Boundary       string     // ARN of the policy that bounds it, "" = none
	Tags           []Tag      // not in lists
	NotBefore      kvs.Millis // temporary credentials issued before are refused; 0 = none was revoked
}

// ARN is the name of the user in policies.
func (u User) ARN() string {
	return naming.Name{Account: u.Account, Kind: naming.User, Path: u.Path, Name: u.Name}.ARN()
}

// Owner names the user to what belongs to it.
func (u User) Owner() Owner { return Owner{UserOwner, u.ID} }

func userOf(r row) User {
	return User{ID: r.id, Name: r.Name.Name, Path: r.Path, Account: r.Account, Created: r.created, Boundary: r.bounds, NotBefore: r.notBefore}
}

// CreateUser makes a user; of u it takes name, path ("" = /), boundary and tags.
func (d *Directory) CreateUser(ctx context.Context, account kvs.AccountID, u User) (User, error) {
	r := d.newRow(account, naming.User, u.Name, u.Path)
	err := d.db.Write(ctx, func(tx *sql.Tx) error {
		if err := insert(tx, r); err != nil {
			return err
		}
		return furnish(tx, account, Owner{UserOwner, r.id}, u.Boundary, u.Tags)
	})
	if err != nil {
		return User{}, err
	}
	made := userOf(r)
	made.Boundary, made.Tags = u.Boundary, u.Tags
	return made, nil
}

// newRow is a new entity without a place yet.
func (d *Directory) newRow(account kvs.AccountID, kind OwnerKind, name, path string) row {
	if path == "" {
		path = "/"
	}
	now := d.millis()
	return row{Name: naming.Name{Account: account, Kind: kind, Path: path, Name: name}, id: naming.NewID(kind), created: now, updated: now}
}

// furnish gives a new entity its boundary and its tags.
func furnish(tx *sql.Tx, account kvs.AccountID, o Owner, boundary string, tags []Tag) error {
	if boundary != "" {
		if err := bound(tx, account, o, boundary); err != nil {
			return err
		}
	}
	return putTags(tx, o, tags)
}

// User describes a user by name.
func (d *Directory) User(ctx context.Context, account kvs.AccountID, name string) (User, error) {
	r, err := find(d.read(ctx), account, naming.User, name)
	return d.fullUser(ctx, r, err)
}

// UserByID describes a user by unique id, in whichever account it is.
func (d *Directory) UserByID(ctx context.Context, id string) (User, error) {
	r, err := byKind(d.read(ctx), naming.User, id)
	return d.fullUser(ctx, r, err)
}

func (d *Directory) fullUser(ctx context.Context, r row, err error) (User, error) {
	if err != nil {
		return User{}, err
	}
	u := userOf(r)
	u.Tags, err = allTags(d.read(ctx), r.id)
	return u, err
}

// byKind looks for an entity of a kind by unique id, in all accounts.
func byKind(q reader, kind OwnerKind, id string) (row, error) {
	r, err := byID(q, id)
	if err == nil && r.Kind != kind {
		return row{}, unknown(kind, id)
	}
	return r, err
}

// Users lists up to limit users whose paths begin with prefix, "" for all, by path and
// name. after is what an earlier page gave as next, "" at the beginning; next is "" at
// the end.
func (d *Directory) Users(ctx context.Context, account kvs.AccountID, prefix, after string, limit int) (users []User, next string, err error) {
	rows, next, err := d.page(ctx, account, naming.User, prefix, after, limit)
	return each(rows, userOf), next, err
}

func each[T any](rows []row, f func(row) T) []T {
	all := make([]T, len(rows))
	for i, r := range rows {
		all[i] = f(r)
	}
	return all
}

// UpdateUser renames or moves a user. Its keys and its rights stay.
func (d *Directory) UpdateUser(ctx context.Context, account kvs.AccountID, name string, to Rename) (User, error) {
	r, err := d.rename(ctx, account, naming.User, name, to)
	return userOf(r), err
}

// DeleteUser removes a user; Conflict while it has keys, groups or policies.
func (d *Directory) DeleteUser(ctx context.Context, account kvs.AccountID, name string) error {
	return d.remove(ctx, account, naming.User, name, inGroups, hasKeys, hasAttached, hasInline)
}
