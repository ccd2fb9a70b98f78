package backup

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A backup that root makes beside the server of another user leaves nothing that this user
// could not go on with, and gives nobody else anything.
func TestFilesBelongToTheOwnerOfTheData(t *testing.T) {
	s := newSource(t)
	s.store(4)
	server := os.Geteuid()
	if server == 0 {
		server = 4711
	}
	o := s.options()
	for _, dir := range []string{s.data, o.Dir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(dir, server, -1); err != nil {
			t.Fatal(err)
		}
	}
	s.backup(o)
	belong(t, o.Dir, server)
	info, err := os.Stat(filepath.Join(s.data, StateFile))
	if err != nil || info.Sys().(*syscall.Stat_t).Uid != uint32(server) {
		t.Errorf("the note of the backup belongs to %+v, %v", info, err)
	}
	restored := filepath.Join(t.TempDir(), "restored")
	if err := os.Mkdir(restored, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(restored, server, -1); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), RestoreOptions{Dir: o.Dir, Data: restored, KeyFile: filepath.Join(s.data, keyFile)}); err != nil {
		t.Fatal(err)
	}
	belong(t, restored, server)
	// The folder of somebody else.
	mine := s.options()
	mine.Dir = t.TempDir()
	s.backup(mine)
	belong(t, mine.Dir, os.Geteuid())
}

// belong fails unless all that is in a folder is a user's.
func belong(t *testing.T, dir string, uid int) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Sys().(*syscall.Stat_t).Uid != uint32(uid) {
			t.Errorf("%s belongs to %d, want %d", path, info.Sys().(*syscall.Stat_t).Uid, uid)
		}
		n++
		return err
	})
	if err != nil || n < 5 {
		t.Errorf("%d files in %s, %v", n, dir, err)
	}
}
