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
)

// The key file is two lines: what it is, and 32 bytes in base64.
const (
	keyFileTitle = "millrace wrapping key 1"
	keySize      = 32
)

// readKeyFile returns the wrapping key. The error is fs.ErrNotExist if there is none.
func readKeyFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("key file %s has mode %04o, so others can read it; run chmod 600", path, info.Mode().Perm())
	}
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

// CheckKeyFile says whether a key file is the one that the secrets in a store's database
// were sealed under; nil means it is, or that there are none yet. pool may be a copy of
// the database, or the one that another process is using.
func CheckKeyFile(ctx context.Context, pool *sql.DB, path string) error {
	key, err := readKeyFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no key file: %w", err)
	}
	if err != nil {
		return err
	}
	check, err := readCheck(ctx, pool)
	if err != nil || check == nil {
		return err
	}
	s, err := newSealer(key)
	if err != nil {
		return err
	}
	return s.matches(check, path)
}
