package directory

import (
	"context"
	"database/sql"
	"time"

	"github.com/millrace/millrace/internal/iam/naming"
	"github.com/millrace/millrace/internal/kvs"
)

// Role is rights that others may take on for a while.
type Role struct {
	ID, Name, Path, Description string
	Account                     kvs.AccountID
	Created                     kvs.Millis
	Boundary                    string        // ARN of the policy that bounds it, "" = none
	Tags                        []Tag         // not in lists
	NotBefore                   kvs.Millis    // sessions issued before are refused; 0 = none was revoked
	MaxSession                  time.Duration // of one session; 1 to 12 hours
	Trust                       string        // who may take it on; principals that are gone are shown by their ids
}

// ARN is the name of the role in policies.
func (r Role) ARN() string {
	return naming.Name{Account: r.Account, Kind: naming.Role, Path: r.Path, Name: r.Name}.ARN()
}

// Owner names the role to what belongs to it.
func (r Role) Owner() Owner { return Owner{RoleOwner, r.ID} }

// The bounds of MaxSession (IAM: MaxSessionDuration), and what it is if nothing is said.
const (
	leastSession   = time.Hour
	mostSession    = 12 * time.Hour
	defaultSession = time.Hour
)

func checkSession(d time.Duration) error {
	if d < leastSession || d > mostSession {
		return kvs.Errorf(kvs.Validation, "1 validation error detected: Value '%d' at 'maxSessionDuration' failed to satisfy constraint: Member must have value between %d and %d",
			int64(d/time.Second), int64(leastSession/time.Second), int64(mostSession/time.Second))
	}
	return nil
}

// CreateRole makes a role; of r it takes name, path ("" = /), description, trust policy,
// MaxSession (0 = an hour), boundary and tags.
func (d *Directory) CreateRole(ctx context.Context, account kvs.AccountID, r Role) (Role, error) {
	if r.MaxSession == 0 {
		r.MaxSession = defaultSession
	}
	if err := checkSession(r.MaxSession); err != nil {
		return Role{}, err
	}
	trust, err := parseTrust(r.Trust)
	if err != nil {
		return Role{}, err
	}
	made := d.newRow(account, naming.Role, r.Name, r.Path)
	made.description, made.maxSession = r.Description, int64(r.MaxSession/time.Second)
	err = d.db.Write(ctx, func(tx *sql.Tx) (err error) {
		if made.trust, err = trustByID(tx, trust); err != nil {
			return err
		}
		if err := insert(tx, made); err != nil {
			return err
		}
		return furnish(tx, account, Owner{RoleOwner, made.id}, r.Boundary, r.Tags)
	})
	if err != nil {
		return Role{}, err
	}
	r.ID, r.Path, r.Account, r.Created, r.NotBefore = made.id, made.Path, account, made.created, 0
	return r, nil
}

func (d *Directory) roleOf(q reader, r row) (Role, error) {
	trust, err := d.trustByName(q, r.trust)
	return Role{
		ID: r.id, Name: r.Name.Name, Path: r.Path, Description: r.description, Account: r.Account, Created: r.created, Boundary: r.bounds,
		NotBefore: r.notBefore, MaxSession: time.Duration(r.maxSession) * time.Second, Trust: trust,
	}, err
}

// Role describes a role by name.
func (d *Directory) Role(ctx context.Context, account kvs.AccountID, name string) (Role, error) {
	q := d.read(ctx)
	r, err := find(q, account, naming.Role, name)
	return d.fullRole(q, r, err)
}

// RoleByID describes a role by unique id, in whichever account it is.
func (d *Directory) RoleByID(ctx context.Context, id string) (Role, error) {
	q := d.read(ctx)
	r, err := byKind(q, naming.Role, id)
	return d.fullRole(q, r, err)
}

// RoleByARN describes a role by ARN, in whichever account it is: who may take it on is
// for its trust policy to say. NotFound also for what is no ARN of a role.
func (d *Directory) RoleByARN(ctx context.Context, arn string) (Role, error) {
	n, ok := naming.ParseARN(arn)
	if !ok || n.Kind != naming.Role {
		return Role{}, unknown(naming.Role, arn)
	}
	q := d.read(ctx)
	r, err := find(q, n.Account, naming.Role, n.Name)
	if err == nil && r.Path != n.Path {
		err = unknown(naming.Role, n.Name)
	}
	return d.fullRole(q, r, err)
}

func (d *Directory) fullRole(q reader, r row, err error) (Role, error) {
	if err != nil {
		return Role{}, err
	}
	role, err := d.roleOf(q, r)
	if err != nil {
		return Role{}, err
	}
	role.Tags, err = allTags(q, r.id)
	return role, err
}

// Roles lists up to limit roles, paged as [Directory.Users].
func (d *Directory) Roles(ctx context.Context, account kvs.AccountID, prefix, after string, limit int) (roles []Role, next string, err error) {
	rows, next, err := d.page(ctx, account, naming.Role, prefix, after, limit)
	if err != nil {
		return nil, "", err
	}
	for _, r := range rows {
		role, err := d.roleOf(d.read(ctx), r)
		if err != nil {
			return nil, "", err
		}
		roles = append(roles, role)
	}
	return roles, next, nil
}

// RoleChange is what can be changed of a role.
type RoleChange struct {
	Description *string       // nil = as it is
	MaxSession  time.Duration // 0 = as it is
}

// UpdateRole changes what a role says of itself.
func (d *Directory) UpdateRole(ctx context.Context, account kvs.AccountID, name string, c RoleChange) error {
	if c.Description != nil {
		if err := naming.CheckDescription(*c.Description); err != nil {
			return err
		}
	}
	if c.MaxSession != 0 {
		if err := checkSession(c.MaxSession); err != nil {
			return err
		}
	}
	return d.db.Write(ctx, func(tx *sql.Tx) error {
		r, err := find(tx, account, naming.Role, name)
		if err != nil {
			return err
		}
		if c.Description != nil {
			r.description = *c.Description
		}
		if c.MaxSession != 0 {
			r.maxSession = int64(c.MaxSession / time.Second)
		}
		_, err = tx.Exec("UPDATE entity SET description = $2, max_session = $3 WHERE id = $1", r.id, r.description, r.maxSession)
		return err
	})
}

// UpdateTrust replaces the trust policy of a role; MalformedPolicy if it is none or names
// somebody who is not there.
func (d *Directory) UpdateTrust(ctx context.Context, account kvs.AccountID, name, text string) error {
	trust, err := parseTrust(text)
	if err != nil {
		return err
	}
	return d.db.Write(ctx, func(tx *sql.Tx) error {
		r, err := find(tx, account, naming.Role, name)
		if err != nil {
			return err
		}
		stored, err := trustByID(tx, trust)
		if err != nil {
			return err
		}
		_, err = tx.Exec("UPDATE entity SET trust = $2 WHERE id = $1", r.id, stored)
		return err
	})
}

// DeleteRole removes a role; Conflict while it has policies. Its sessions end.
func (d *Directory) DeleteRole(ctx context.Context, account kvs.AccountID, name string) error {
	return d.remove(ctx, account, naming.Role, name, hasAttached, hasInline)
}
