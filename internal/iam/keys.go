package iam

import (
	"cmp"
	"context"
	"database/sql"
	"errors"

	"github.com/millrace/millrace/internal/kvs"
)

// NewKey says whose key is to be made.
type NewKey struct {
	Account kvs.AccountID // "" = the first one
	User    string        // unique id of a user of the account, "" = a key of the account itself
	Note    string        // a line on what it is for, which may be empty
}

// maxKeys is how many access keys a user may have (IAM: AccessKeysPerUser).
const maxKeys = 2

// Create makes another key; NotFound if the account or the user does not exist,
// LimitExceeded if the user has two, InvalidArgument if the note is no line of at most
// 256 bytes. The caller shows the key, because nobody can read its secret again.
func (s *Store) Create(ctx context.Context, n NewKey) (*RootKey, error) {
	if err := checkNote(n.Note); err != nil {
		return nil, err
	}
	key := newKey("")
	key.User = n.User
	err := s.db.Write(ctx, func(tx *sql.Tx) (err error) {
		if key.Account, err = existing(tx, n.Account); err != nil {
			return err
		}
		if err := roomForKey(tx, key.Account, n.User); err != nil {
			return err
		}
		return s.insert(tx, key, false, n.Note)
	})
	if err != nil {
		return nil, err
	}
	s.log.Info("made an access key", "account", key.Account, "key", key.ID)
	return key, nil
}

// existing returns the account, the first one for "".
func existing(tx *sql.Tx, account kvs.AccountID) (found kvs.AccountID, err error) {
	if account == "" {
		found, err = home(tx)
	} else {
		err = tx.QueryRow("SELECT id FROM account WHERE id = $1", string(account)).Scan(&found)
	}
	switch {
	case errors.Is(err, sql.ErrNoRows) && account != "":
		return "", unknownAccount(account)
	case errors.Is(err, sql.ErrNoRows):
		return "", noAccount()
	}
	return found, err
}

// roomForKey says whether a user is there and may have one more key. An account itself
// may have any number.
func roomForKey(tx *sql.Tx, account kvs.AccountID, user string) error {
	if user == "" {
		return nil
	}
	var users, keys int
	err := tx.QueryRow("SELECT COUNT(*) FROM entity WHERE id = $1 AND account = $2 AND kind = 'user'", user, string(account)).Scan(&users)
	if err != nil {
		return err
	}
	if users == 0 {
		return kvs.Errorf(kvs.NotFound, "The user with id %s cannot be found.", user)
	}
	if err := tx.QueryRow("SELECT COUNT(*) FROM access_key WHERE account = $1 AND owner = $2", string(account), user).Scan(&keys); err != nil {
		return err
	}
	if keys >= maxKeys {
		return kvs.Errorf(kvs.LimitExceeded, "Cannot exceed quota for AccessKeysPerUser: %d", maxKeys)
	}
	return nil
}

const keyColumns = "SELECT id, account, owner, root, active, created, used, note FROM access_key "

// List describes the stored keys of an account and its users, "" for all accounts, the
// oldest first. The keys of EnsureKey are not among them.
func (s *Store) List(ctx context.Context, account kvs.AccountID) ([]KeyInfo, error) {
	if account == "" {
		return s.list(ctx, keyColumns+"ORDER BY created, id")
	}
	return s.list(ctx, keyColumns+"WHERE account = $1 ORDER BY created, id", string(account))
}

// keysOf are the keys of one user, or those of an account itself.
const keysOf = keyColumns + "WHERE account = $1 AND owner = $2 ORDER BY created, id"

// KeysOf describes the keys of a user of an account, those of the account itself for "".
func (s *Store) KeysOf(ctx context.Context, account kvs.AccountID, user string) ([]KeyInfo, error) {
	return s.list(ctx, keysOf, string(account), user)
}

// Info describes one key of an account; NotFound if the account has no such key.
func (s *Store) Info(ctx context.Context, account kvs.AccountID, id string) (KeyInfo, error) {
	keys, err := s.list(ctx, keyColumns+"WHERE id = $1 AND account = $2", id, string(account))
	if err != nil || len(keys) == 0 {
		return KeyInfo{}, cmp.Or(err, unknownKeyID(id))
	}
	return keys[0], nil
}

func (s *Store) list(ctx context.Context, query string, args ...any) ([]KeyInfo, error) {
	rows, err := s.db.Read().QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var keys []KeyInfo
	for rows.Next() {
		var k KeyInfo
		if err := rows.Scan(&k.ID, &k.Account, &k.User, &k.Root, &k.Active, &k.Created, &k.Used, &k.Note); err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, rows.Err()
}

// SetKey turns a key of a user of an account, or of the account itself for user "", on or
// off; NotFound if it has no such key.
func (s *Store) SetKey(ctx context.Context, account kvs.AccountID, user, id string, active bool) error {
	return s.change(ctx, id, unknownKeyID(id), "UPDATE access_key SET active = $4 WHERE id = $1 AND account = $2 AND owner = $3",
		id, string(account), user, number(active))
}

// DeleteKey removes a key of a user of an account, or of the account itself for user "".
func (s *Store) DeleteKey(ctx context.Context, account kvs.AccountID, user, id string) error {
	return s.change(ctx, id, unknownKeyID(id), "DELETE FROM access_key WHERE id = $1 AND account = $2 AND owner = $3", id, string(account), user)
}

// Disable turns a key off, whosever it is, for the operator: requests signed with it are
// refused from now on. NotFound if there is no such key.
func (s *Store) Disable(ctx context.Context, id string) error { return s.setActive(ctx, id, false) }

// Enable turns a disabled key on again.
func (s *Store) Enable(ctx context.Context, id string) error { return s.setActive(ctx, id, true) }

func (s *Store) setActive(ctx context.Context, id string, active bool) error {
	return s.change(ctx, id, unknownKey(), "UPDATE access_key SET active = $2 WHERE id = $1", id, number(active))
}

// Delete removes a key for good.
func (s *Store) Delete(ctx context.Context, id string) error {
	return s.change(ctx, id, unknownKey(), "DELETE FROM access_key WHERE id = $1", id)
}

// change runs a statement that must change the row of one key; else the error is missing.
func (s *Store) change(ctx context.Context, id string, missing error, statement string, args ...any) error {
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		r, err := tx.Exec(statement, args...)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 1 {
			return err
		}
		return missing
	})
	s.forget(id) // also after an error, which may leave the outcome open
	return err
}
