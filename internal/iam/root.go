package iam

import (
	"context"
	"database/sql"
	"errors"

	"github.com/millrace/millrace/internal/kvs"
)

// Bootstrap makes the first account and its root key. account is its number, "" for a
// random one. Only the first call ever does so; later ones change nothing and return
// nil. The caller shows the key, because nobody can read its secret again.
func (s *Store) Bootstrap(ctx context.Context, account kvs.AccountID) (*RootKey, error) {
	if account == "" {
		var err error
		if account, err = newAccountID(); err != nil {
			return nil, err
		}
	}
	if err := checkAccount(account); err != nil {
		return nil, err
	}
	key, made := newKey(account), false
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		switch _, err := home(tx); {
		case err == nil:
			made = false
			return nil
		case !errors.Is(err, sql.ErrNoRows):
			return err
		}
		made = true
		if _, err := tx.Exec("INSERT INTO account (id, home, created) VALUES ($1, 1, $2) ON CONFLICT (id) DO UPDATE SET home = 1", string(account), int64(s.millis())); err != nil {
			return err
		}
		return s.insert(tx, key, true, "")
	})
	if err != nil || !made {
		return nil, err
	}
	s.log.Info("made the first account and its root key", "account", account, "key", key.ID)
	return key, nil
}

// Account returns the number of the account Bootstrap made; NotFound before that.
func (s *Store) Account(ctx context.Context) (kvs.AccountID, error) {
	a, err := home(readRow{ctx, s.db.Read()})
	if errors.Is(err, sql.ErrNoRows) {
		return "", noAccount()
	}
	return a, err
}

// ResetRoot replaces the root key of the first account, for an operator who lost its
// secret; other keys stay. It is for use while no server runs on the data directory: a
// running one may accept the old key for as long as a cached key lives.
func (s *Store) ResetRoot(ctx context.Context) (*RootKey, error) {
	key := newKey("")
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		account, err := home(tx)
		if errors.Is(err, sql.ErrNoRows) {
			return noAccount()
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec("DELETE FROM access_key WHERE account = $1 AND root = 1", string(account)); err != nil {
			return err
		}
		key.Account = account
		return s.insert(tx, key, true, "")
	})
	if err != nil {
		return nil, err
	}
	s.forgetAll()
	s.log.Info("replaced the root key", "account", key.Account, "key", key.ID)
	return key, nil
}

func noAccount() error {
	return kvs.Errorf(kvs.NotFound, "there is no account yet; the first start of the server makes it")
}

// rower is a transaction, or the read pool with a context.
type rower interface {
	QueryRow(query string, args ...any) *sql.Row
}

type readRow struct {
	ctx context.Context
	db  *sql.DB
}

// QueryRow asks the read pool.
func (r readRow) QueryRow(query string, args ...any) *sql.Row {
	return r.db.QueryRowContext(r.ctx, query, args...)
}

// home returns the account Bootstrap made.
func home(q rower) (account kvs.AccountID, err error) {
	err = q.QueryRow("SELECT id FROM account WHERE home = 1").Scan(&account)
	return account, err
}

// insert stores a key with its secret sealed.
func (s *Store) insert(tx *sql.Tx, k *RootKey, root bool, note string) error {
	k.Created = s.millis()
	_, err := tx.Exec("INSERT INTO access_key (id, account, owner, root, secret, active, created, used, note) VALUES ($1, $2, $3, $4, $5, 1, $6, 0, $7)",
		k.ID, string(k.Account), k.User, number(root), s.seal.seal(k.ID, k.Secret), int64(k.Created), note)
	return err
}

func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
