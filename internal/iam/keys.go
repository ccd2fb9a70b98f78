package iam

import (
	"context"
	"database/sql"
	"errors"

	"github.com/millrace/millrace/internal/kvs"
)

// Create makes another key for an account, "" for the first one, with a line on what it
// is for, which may be empty; NotFound if the account does not exist, InvalidArgument if
// the note is no line of at most 256 bytes. The caller shows the key, because nobody can
// read its secret again.
func (s *Store) Create(ctx context.Context, account kvs.AccountID, note string) (*RootKey, error) {
	if err := checkNote(note); err != nil {
		return nil, err
	}
	key := newKey(account)
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		var err error
		if account == "" {
			err = tx.QueryRow("SELECT id FROM account WHERE home = 1").Scan(&key.Account)
		} else {
			err = tx.QueryRow("SELECT id FROM account WHERE id = $1", string(account)).Scan(&key.Account)
		}
		if errors.Is(err, sql.ErrNoRows) && account != "" {
			return kvs.Errorf(kvs.NotFound, "there is no account %q", string(account))
		}
		if errors.Is(err, sql.ErrNoRows) {
			return noAccount()
		}
		if err != nil {
			return err
		}
		return s.insert(tx, key, false, note)
	})
	if err != nil {
		return nil, err
	}
	s.log.Info("made an access key", "account", key.Account, "key", key.ID)
	return key, nil
}

// AddAccount adds a further account, "" for a random number; InUse if it exists.
func (s *Store) AddAccount(ctx context.Context, account kvs.AccountID) (kvs.AccountID, error) {
	if account == "" {
		var err error
		if account, err = newAccountID(); err != nil {
			return "", err
		}
	}
	if err := checkAccount(account); err != nil {
		return "", err
	}
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		r, err := tx.Exec("INSERT INTO account (id, home, created) VALUES ($1, 0, $2) ON CONFLICT (id) DO NOTHING", string(account), int64(s.millis()))
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 1 {
			return err
		}
		return kvs.Errorf(kvs.InUse, "account %q exists", string(account))
	})
	return account, err
}

// List describes the stored keys of an account, "" for all, the oldest first. The keys
// of EnsureKey are not among them.
func (s *Store) List(ctx context.Context, account kvs.AccountID) ([]KeyInfo, error) {
	rows, err := s.db.Read().QueryContext(ctx, `SELECT id, account, root, active, created, used, note FROM access_key
		WHERE account = $1 OR $1 = '' ORDER BY created, id`, string(account))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var keys []KeyInfo
	for rows.Next() {
		var k KeyInfo
		if err := rows.Scan(&k.ID, &k.Account, &k.Root, &k.Active, &k.Created, &k.Used, &k.Note); err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, rows.Err()
}

// Disable turns a key off: requests signed with it are refused from now on. NotFound
// if there is no such key.
func (s *Store) Disable(ctx context.Context, id string) error { return s.setActive(ctx, id, false) }

// Enable turns a disabled key on again.
func (s *Store) Enable(ctx context.Context, id string) error { return s.setActive(ctx, id, true) }

func (s *Store) setActive(ctx context.Context, id string, active bool) error {
	return s.change(ctx, id, "UPDATE access_key SET active = $2 WHERE id = $1", id, number(active))
}

// Delete removes a key for good.
func (s *Store) Delete(ctx context.Context, id string) error {
	return s.change(ctx, id, "DELETE FROM access_key WHERE id = $1", id)
}

// change runs a statement that must change the row of one key.
func (s *Store) change(ctx context.Context, id, statement string, args ...any) error {
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		r, err := tx.Exec(statement, args...)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 1 {
			return err
		}
		return unknownKey()
	})
	s.forget(id) // also after an error, which may leave the outcome open
	return err
}
