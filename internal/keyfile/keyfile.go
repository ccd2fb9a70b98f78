// Package keyfile reads and makes key files: text files that hold one wrapping key,
// under which secrets and data keys are sealed.
//
// A key file is two lines: what it is, and 32 bytes in base64.
package keyfile

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/millrace/millrace/internal/disk"
)

const title = "millrace wrapping key 1"

// Size is the length of a wrapping key in bytes.
const Size = 32

// Read returns the wrapping key in a file that is in use, which only its owner may read.
// The error is fs.ErrNotExist if there is none.
func Read(path string) ([]byte, error) {
	open, err := Exposed(path)
	if err != nil {
		return nil, err
	}
	if open != "" {
		return nil, fmt.Errorf("%s; run chmod 600", open)
	}
	return Parse(path)
}

// Exposed says how others can read a key file, "" if they cannot.
func Exposed(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&0o077 == 0 {
		return "", err
	}
	return fmt.Sprintf("key file %s has mode %04o, so others can read it", path, info.Mode().Perm()), nil
}

// Parse returns the wrapping key in a file of any mode.
func Parse(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	first, rest, _ := strings.Cut(string(text), "\n")
	if first != title {
		return nil, fmt.Errorf("key file %s does not begin with %q: it is no key file, or one of a newer program", path, title)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest))
	if err != nil || len(key) != Size {
		return nil, fmt.Errorf("key file %s is damaged: its second line must be %d bytes in base64", path, Size)
	}
	return key, nil
}

// Generate returns a new wrapping key.
func Generate() []byte {
	key := make([]byte, Size)
	_, _ = rand.Read(key) // never fails
	return key
}

// Format returns the text of a key file.
func Format(key []byte) []byte {
	return []byte(title + "\n" + base64.StdEncoding.EncodeToString(key) + "\n")
}

// Make makes a key file that is there whole or not at all, whatever happens
// meanwhile, and returns its key. It never replaces a file: the link fails if another
// process was faster, and then that one's key counts.
func Make(path string) ([]byte, error) {
	key := Generate()
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("make key file: %w", err)
	}
	disk.Give(f)
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(Format(key))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, fmt.Errorf("write key file: %w", err)
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make key file: %w", err)
	}
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("make key file: %w", err)
	}
	return Read(path)
}

// syncFolder makes the names in a folder durable.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
