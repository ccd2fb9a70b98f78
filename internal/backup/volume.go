package backup

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/disk"
)

// volume is how a backup and a restore change the file system. Tests put in one that fails
// at, or never returns from, its nth operation.
type volume interface {
	MakeDir(name string) error        // with its parents, for the owner alone
	Create(name string) (sink, error) // a new file, for the owner alone
	Rename(from, to string) error     // takes the place of what is there
	Remove(name string) error         // a folder with all that is in it; what does not exist is no error
	SyncDir(name string) error        // makes names durable
	Free(name string) (int64, error)  // bytes that can be written there
	Chmod(name string, m fs.FileMode) error
	Snapshot(ctx context.Context, from, to string) error
}

// sink is a file that is being written.
type sink interface {
	io.Writer
	Sync() error
	Close() error
}

// realVolume is the operating system's. What root makes is for the owner of the folder that
// it comes into, in a folder of backups only if that is the owner of the data, too.
type realVolume struct {
	data string // the data directory of a backup; "" = a restore, which makes one
}

func (v realVolume) MakeDir(name string) error {
	if v.gives(name) {
		return disk.MakeDir(name)
	}
	return os.MkdirAll(name, 0o700)
}

func (v realVolume) Create(name string) (sink, error) {
	f, err := os.OpenFile(filepath.Clean(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil && v.gives(name) {
		disk.Give(f)
	}
	return f, err
}

func (v realVolume) gives(name string) bool {
	dir := filepath.Dir(filepath.Clean(name))
	for v.data != "" && !exists(dir) && dir != filepath.Dir(dir) { // is made with the name
		dir = filepath.Dir(dir)
	}
	return v.data == "" || disk.SameOwner(v.data, dir)
}

func (realVolume) Rename(from, to string) error           { return os.Rename(from, to) }
func (realVolume) Remove(name string) error               { return os.RemoveAll(name) }
func (realVolume) Chmod(name string, m fs.FileMode) error { return os.Chmod(name, m) }
func (realVolume) Free(name string) (int64, error)        { return free(name) }

func (realVolume) SyncDir(name string) error {
	d, err := os.Open(filepath.Clean(name))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (v realVolume) Snapshot(ctx context.Context, from, to string) error {
	if err := db.Snapshot(ctx, from, to); err != nil {
		return err
	}
	if err := os.Chmod(to, 0o600); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Clean(to), os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	if v.gives(to) {
		disk.Give(f)
	}
	return errors.Join(f.Sync(), f.Close())
}
