package iam

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"

	"github.com/millrace/millrace/internal/keyfile"
)

// CheckKeyFile says whether a key file or a copy of it is the one that the secrets in a
// store's database were sealed under; a nil error means it is, or that there are none yet.
// pool may be a copy of the database, or the one that another process is using. A copy
// that others can read is as good as any, and cannot be helped on a file system without
// modes: then there is a warning.
func CheckKeyFile(ctx context.Context, pool *sql.DB, path string) (warning string, err error) {
	key, err := keyfile.Parse(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("there is no key file: %w", err)
	}
	if err != nil {
		return "", err
	}
	check, err := readCheck(ctx, pool)
	if err != nil {
		return "", err
	}
	if check != nil {
		s, err := newSealer(key)
		if err == nil {
			err = s.matches(check, path)
		}
		if err != nil {
			return "", err
		}
	}
	return keyfile.Exposed(path)
}
