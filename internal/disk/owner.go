package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// Open opens a file for reading and writing, and makes it, for the owner alone, when it is
// not there.
func Open(path string) (*os.File, error) {
	path = filepath.Clean(path)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	}
	if err == nil {
		Give(f)
	}
	return f, err
}

// MakeDir makes a folder with its parents, for the owner alone.
func MakeDir(path string) error {
	var missing []string
	for dir := filepath.Clean(path); ; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(dir); err == nil || dir == filepath.Dir(dir) {
			break
		}
		missing = append(missing, dir)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	for _, dir := range slices.Backward(missing) {
		if f, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0); err == nil {
			Give(f)
			_ = f.Close() // only for its owner
		}
	}
	return nil
}

// Give hands a file or folder that root has just made to the owner of the folder it is in:
// what a command of root left to itself in a data directory, its server could not open.
// It does nothing for other users, nor where the system does not let root do so.
func Give(f *os.File) {
	if os.Geteuid() != 0 {
		return
	}
	if uid, gid, ok := heir(f); ok {
		_ = f.Chown(uid, gid) // as it was before, root keeps it
	}
}

// heir is the owner of the folder that f is in, unless f is theirs already. A file with a
// second name may be somebody else's.
func heir(f *os.File) (uid, gid int, ok bool) {
	info, err := f.Stat()
	if err != nil {
		return 0, 0, false
	}
	folder, err := os.Stat(filepath.Dir(f.Name()))
	if err != nil {
		return 0, 0, false
	}
	own, is := info.Sys().(*syscall.Stat_t)
	above, has := folder.Sys().(*syscall.Stat_t)
	if !is || !has || own.Uid == above.Uid || !info.IsDir() && own.Nlink != 1 {
		return 0, 0, false
	}
	return int(above.Uid), int(above.Gid), true
}

// SameOwner says whether two files or folders belong to one user.
func SameOwner(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	other, err := os.Stat(b)
	if err != nil {
		return false
	}
	s, is := one.Sys().(*syscall.Stat_t)
	t, has := other.Sys().(*syscall.Stat_t)
	return is && has && s.Uid == t.Uid
}
