package iam

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKeyFileIsPrivate(t *testing.T) {
	h := newHouse(t)
	info, err := os.Stat(h.keyFile())
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	text, err := os.ReadFile(h.keyFile())
	if err != nil || !strings.HasPrefix(string(text), "millrace wrapping key 1\n") {
		t.Errorf("%v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(h.dir, ".key-*")); left != nil {
		t.Errorf("left behind: %v", left)
	}
}

// TestKeyFileProblems: each says what is wrong and what to do, and none is repaired by
// making another key, which would cost all secrets.
func TestKeyFileProblems(t *testing.T) {
	other := newHouse(t)
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, path string)
		want  string
	}{
		{"missing", func(t *testing.T, path string) { must(t, os.Remove(path)) }, "key-file export"},
		{"of another store", func(t *testing.T, path string) {
			b, err := os.ReadFile(other.keyFile())
			must(t, err)
			must(t, os.WriteFile(path, b, 0o600))
		}, "is not the one the secrets of the access keys were sealed under"},
		{"readable by others", func(t *testing.T, path string) { must(t, os.Chmod(path, 0o640)) }, "run chmod 600"},
		{"something else", func(t *testing.T, path string) { must(t, os.WriteFile(path, []byte("hello"), 0o600)) }, "it is no key file"},
		{"cut off", func(t *testing.T, path string) { must(t, os.Truncate(path, 40)) }, "is damaged"},
		{"a folder", func(t *testing.T, path string) {
			must(t, os.Remove(path))
			must(t, os.Mkdir(path, 0o700))
		}, "directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t)
			h.bootstrap()
			c.spoil(t, h.keyFile())
			err := h.reopen()
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), h.keyFile()) {
				t.Errorf("%v, want %q and the path", err, c.want)
			}
		})
	}
}

// A copy on a file system without modes, like that of most sticks, is as good as any; it
// is only warned of. The file in use must be private, see TestKeyFileProblems.
func TestCopiesMayHaveAnyMode(t *testing.T) {
	h, other := newHouse(t), newHouse(t)
	h.bootstrap()
	text, err := os.ReadFile(h.keyFile())
	must(t, err)
	copied := filepath.Join(t.TempDir(), "copy")
	must(t, os.WriteFile(copied, text, 0o600))
	if warning, err := CheckKeyFile(t.Context(), h.db.Read(), copied); err != nil || warning != "" {
		t.Errorf("a private copy: %q, %v", warning, err)
	}
	must(t, os.Chmod(copied, 0o755))
	if warning, err := CheckKeyFile(t.Context(), h.db.Read(), copied); err != nil || !strings.Contains(warning, copied+" has mode 0755") {
		t.Errorf("a copy that others can read: %q, %v", warning, err)
	}
	other.bootstrap()
	_, err = CheckKeyFile(t.Context(), other.db.Read(), copied)
	if err == nil || !strings.Contains(err.Error(), "put back the copy that millrace key-file export made") {
		t.Errorf("the copy of another store's: %v", err)
	}
}

// TestKeptKeyFile: a crash between the key file and the database is harmless.
func TestKeptKeyFile(t *testing.T) {
	h := newHouse(t)
	tamper(t, h.db, "DELETE FROM meta")
	before, err := os.ReadFile(h.keyFile())
	must(t, err)
	must(t, h.reopen())
	after, err := os.ReadFile(h.keyFile())
	must(t, err)
	if string(before) != string(after) {
		t.Error("the key file was replaced")
	}
	h.bootstrap()
	must(t, h.reopen())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
