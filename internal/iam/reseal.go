package iam

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/millrace/millrace/internal/db"
)

// Reseal seals the secrets in a store's database, which nobody has open as a [Store],
// under the wrapping key to instead of from, all of them or none. If they are sealed
// under to already nothing changes.
func Reseal(ctx context.Context, d *db.DB, from, to []byte) error {
	before, err := newSealer(from)
	if err != nil {
		return err
	}
	after, err := newSealer(to)
	if err != nil {
		return err
	}
	return d.Write(ctx, func(tx *sql.Tx) error {
		var check []byte
		err := tx.QueryRow("SELECT value FROM meta WHERE name = $1", checkName).Scan(&check)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return nil // nothing was sealed yet
		case err != nil:
			return err
		case after.matches(check, "") == nil:
			return nil
		case before.matches(check, "") != nil:
			return errors.New("the secrets of the access keys were sealed under another key than that in the key file; " + putBack)
		}
		if _, err := tx.Exec("UPDATE meta SET value = $2 WHERE name = $1", checkName, after.seal(checkName, checkText)); err != nil {
			return err
		}
		return resealKeys(tx, before, after)
	})
}

func resealKeys(tx *sql.Tx, before, after sealer) error {
	sealed, err := secrets(tx)
	if err != nil {
		return err
	}
	for id, secret := range sealed {
		plain, err := before.open(id, secret)
		if err != nil {
			return fmt.Errorf("the secret of access key %s cannot be opened: %w", id, err)
		}
		if _, err := tx.Exec("UPDATE access_key SET secret = $2 WHERE id = $1", id, after.seal(id, plain)); err != nil {
			return err
		}
	}
	return nil
}

// secrets are all sealed secrets by the ids of their keys.
func secrets(tx *sql.Tx) (sealed map[string][]byte, err error) {
	rows, err := tx.Query("SELECT id, secret FROM access_key")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	sealed = map[string][]byte{}
	for rows.Next() {
		var id string
		var secret []byte
		if err := rows.Scan(&id, &secret); err != nil {
			return nil, err
		}
		sealed[id] = secret
	}
	return sealed, rows.Err()
}
