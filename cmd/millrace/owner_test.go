package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A file that a command of another user left in a data directory is found and named.
func TestBarredFilesAreNamed(t *testing.T) {
	data := t.TempDir()
	sub := filepath.Join(data, "archive", "segments")
	if err := os.MkdirAll(sub, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{filepath.Dir(sub), sub} { // whatever the umask
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	lock := filepath.Join(sub, "lock")
	if err := os.WriteFile(lock, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(lock)
	if err != nil {
		t.Fatal(err)
	}
	group := int(info.Sys().(*syscall.Stat_t).Gid)
	owner, other := ownerUID(info), ownerUID(info)+4711
	for name, c := range map[string]struct {
		mode   fs.FileMode
		who    login
		barred bool
	}{
		"another user":           {0o600, login{uid: other}, true},
		"the owner":              {0o400, login{uid: owner}, false},
		"root":                   {0o600, login{}, false},
		"everybody may":          {0o666, login{uid: other}, false},
		"the group may":          {0o660, login{uid: other, groups: []int{group}}, false},
		"another group may not":  {0o660, login{uid: other, groups: []int{group + 1}}, true},
		"everybody may read":     {0o644, login{uid: other}, true},
		"the group only may not": {0o606, login{uid: other, groups: []int{group}}, true},
	} {
		if err := os.Chmod(lock, c.mode); err != nil {
			t.Fatal(err)
		}
		got, uid := c.who.barred(data)
		if (got == lock) != c.barred || c.barred && uid != owner || !c.barred && got != "" {
			t.Errorf("%s: %q of %d", name, got, uid)
		}
	}
}

func TestPermissionDeniedSaysWhatToDo(t *testing.T) {
	data := t.TempDir()
	denied := &fs.PathError{Op: "open", Path: filepath.Join(data, "lock"), Err: fs.ErrPermission}
	if got := readable(data, denied); !errors.Is(got, fs.ErrPermission) || !strings.HasSuffix(got.Error(), "run the command as the user of the server") {
		t.Errorf("%v", got)
	}
	full := errors.New("the disk is full")
	if got := readable(data, full); got.Error() != full.Error() {
		t.Errorf("%v", got)
	}
	if readable(data, nil) != nil {
		t.Error("an error out of nothing")
	}
}
