package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Running reports whether a server has the data directory, as far as this user can tell.
func Running(data string) bool {
	f, err := os.Open(filepath.Join(data, LockFile))
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	defer func() { _ = f.Close() }() // gives up the lock, too
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

// Examine looks whether a data directory is one for this kind of server, or can be made. It
// changes nothing.
func Examine(root string, dev bool) error {
	root, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	info, err := os.Stat(root)
	for above := filepath.Dir(root); errors.Is(err, fs.ErrNotExist); above = filepath.Dir(above) {
		info, err = os.Stat(above)
		if err == nil && info.IsDir() {
			return writable(above)
		}
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", root)
	}
	if err := writable(root); err != nil {
		return err
	}
	d := &Dir{Root: root}
	if err := d.ExamineFormat(); err != nil {
		return err
	}
	return d.ExamineOwner(dev)
}

// writable makes and removes a file.
func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".format-check-*")
	if err != nil {
		if wrong, ok := errors.AsType[*fs.PathError](err); ok { // the name of the try says nothing
			err = wrong.Err
		}
		return fmt.Errorf("nothing can be written to %s: %w", dir, err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
