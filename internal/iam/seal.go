package iam

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/keyfile"
)

// sealer seals secrets under the wrapping key: a random nonce, the ciphertext, the tag.
// What a secret belongs to is its associated data, so that one row's secret opens in no
// other row.
type sealer struct{ aead cipher.AEAD }

func newSealer(key []byte) (sealer, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return sealer{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return sealer{aead}, err
}

func (s sealer) seal(owner, secret string) []byte {
	return s.aead.Seal(nil, nil, []byte(secret), []byte(owner))
}

func (s sealer) open(owner string, sealed []byte) (string, error) {
	secret, err := s.aead.Open(nil, nil, sealed, []byte(owner))
	return string(secret), err
}

// The row of meta that tells whether the wrapping key is the right one.
const (
	checkName = "key check"
	checkText = "sealed under the wrapping key of this store"
)

// putBack is what helps without the right key file. Backups hold it only if asked to.
const putBack = "put back the copy that millrace key-file export made"

// openSealer reads the wrapping key, or makes one for a store that never had any.
func openSealer(ctx context.Context, d *db.DB, path string, log *slog.Logger) (sealer, error) {
	check, err := readCheck(ctx, d.Read())
	if err != nil {
		return sealer{}, err
	}
	key, err := keyfile.Read(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && check != nil:
		return sealer{}, fmt.Errorf("key file %s is missing, and the secrets of the access keys cannot be read without it; "+putBack, path)
	case errors.Is(err, fs.ErrNotExist):
		if key, err = keyfile.Make(path); err == nil {
			log.Info("made a wrapping key", "file", path)
		}
	}
	if err != nil {
		return sealer{}, err
	}
	s, err := newSealer(key)
	if err != nil {
		return sealer{}, err
	}
	if check == nil {
		return s, s.writeCheck(ctx, d)
	}
	return s, s.matches(check, path)
}

// readCheck reads what ties the database to its wrapping key, nil if it has none yet.
func readCheck(ctx context.Context, pool *sql.DB) (check []byte, err error) {
	err = pool.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = $1", checkName).Scan(&check)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return check, err
}

// matches says whether the check was sealed under this key, from the file at path.
func (s sealer) matches(check []byte, path string) error {
	if text, err := s.open(checkName, check); err != nil || text != checkText {
		return fmt.Errorf("key file %s is not the one the secrets of the access keys were sealed under; "+putBack, path)
	}
	return nil
}

// writeCheck ties the database to the wrapping key.
func (s sealer) writeCheck(ctx context.Context, d *db.DB) error {
	check := s.seal(checkName, checkText)
	return d.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec("INSERT INTO meta (name, value) VALUES ($1, $2)", checkName, check)
		return err
	})
}
