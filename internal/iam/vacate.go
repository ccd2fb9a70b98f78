package iam

import (
	"context"
	"database/sql"

	"github.com/millrace/millrace/internal/kvs"
)

// Streams tells whether an account has streams or channels. The server gives it.
type Streams interface {
	Any(ctx context.Context, account kvs.AccountID) (bool, error)
}

// belongings are what goes with an account, in the order of their references.
var belongings = []string{
	"DELETE FROM access_key WHERE account = $1",
	"DELETE FROM attachment WHERE account = $1",
	"DELETE FROM policy_use WHERE account = $1",
	"DELETE FROM inline_policy WHERE owner IN (SELECT id FROM entity WHERE account = $1)",
	"DELETE FROM tag WHERE owner IN (SELECT id FROM entity WHERE account = $1)",
	"DELETE FROM membership WHERE member IN (SELECT id FROM entity WHERE account = $1 AND kind = 'user')",
	"DELETE FROM policy_version WHERE policy IN (SELECT id FROM entity WHERE account = $1 AND kind = 'policy')",
	"DELETE FROM entity WHERE account = $1",
	"DELETE FROM account WHERE id = $1",
}

// DeleteAccount removes an account with its keys, users, groups, roles and policies.
// Conflict while it has streams or channels, InvalidArgument for the home account. It is disabled
// before its streams are counted, so that no new one comes in between.
func (s *Store) DeleteAccount(ctx context.Context, id kvs.AccountID, streams Streams) error {
	if err := s.checkGuest(ctx, id, "deleted"); err != nil {
		return err
	}
	a, err := s.Tenant(ctx, id)
	if err != nil {
		return err
	}
	if err := s.setDisabled(ctx, id, true); err != nil {
		return err
	}
	left, err := streams.Any(ctx, id)
	if err == nil && left {
		err = kvs.Errorf(kvs.Conflict, "account %s has streams or channels; delete them first", id)
	}
	if err == nil {
		err = s.vacate(ctx, id)
	}
	if err != nil && !a.Disabled {
		_ = s.setDisabled(context.WithoutCancel(ctx), id, false) // as it was; the first error says why
	}
	return err
}

func (s *Store) vacate(ctx context.Context, id kvs.AccountID) error {
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		for _, statement := range belongings {
			if _, err := tx.Exec(statement, string(id)); err != nil {
				return err
			}
		}
		return nil
	})
	s.changed(id)
	if err == nil {
		s.log.Info("deleted an account", "account", id)
	}
	return err
}
