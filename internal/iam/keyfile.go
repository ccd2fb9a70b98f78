package iam

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/millrace/millrace/internal/disk"
)

// The key file is two lines: what it is, and 32 bytes in base64.
const (
	keyFileTitle = "millrace wrapping key 1"
	keySize      = 32
)

// readKeyFile returns the wrapping key of the file in use, which only its owner may read.
// The error is fs.ErrNotExist if there is none.
func readKeyFile(path string) ([]byte, error) {
	open, err := openToOthers(path)
	if err != nil {
		return nil, err
	}
	if open != "" {
		return nil, fmt.Errorf("%s; run chmod 600", open)
	}
	return parseKeyFile(path)
}

// openToOthers says how others can read a file, "" if they cannot.
func openToOthers(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&0o077 == 0 {
		return "", err
	}
	return fmt.Sprintf("key file %s has mode %04o, so others can read it", path, info.Mode().Perm()), nil
}

// parseKeyFile returns the wrapping key in a file of any mode.
func parseKeyFile(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	title, rest, _ := strings.Cut(string(text), "\n")
	if title != keyFileTitle {
		return nil, fmt.Errorf("key file %s does not begin with %q: it is no key file, or one of a newer program", path, keyFileTitle)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest))
	if err != nil || len(key) != keySize {
		return nil, fmt.Errorf("key file %s is damaged: its second line must be %d bytes in base64", path, keySize)
	}
	return key, nil
}

// makeKeyFile makes a key file that is there whole or not at all, whatever happens
// meanwhile, and returns its key. It never replaces a file: the link fails if another
// process was faster, and then that one's key counts.
func makeKeyFile(path string) ([]byte, error) {
	key := make([]byte, keySize)
	_, _ = rand.Read(key)                                 // never fails
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("make key file: %w", err)
	}
	disk.Give(f)
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.WriteString(keyFileTitle + "\n" + base64.StdEncoding.EncodeToString(key) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, fmt.Errorf("write key file: %w", err)
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make key file: %w", err)
	}
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("make key file: %w", err)
	}
	return readKeyFile(path)
}

// syncFolder makes the names in a folder durable.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// CheckKeyFile says whether a key file or a copy of it is the one that the secrets in a
// store's database were sealed under; a nil error means it is, or that there are none yet.
// pool may be a copy of the database, or the one that another process is using. A copy
// that others can read is as good as any, and cannot be helped on a file system without
// modes: then there is a warning.
func CheckKeyFile(ctx context.Context, pool *sql.DB, path string) (warning string, err error) {
	key, err := parseKeyFile(path)
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
	return openToOthers(path)
}
