package disktest

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/millrace/millrace/internal/disk"
)

// Quota is a disk of limited size: the files below Root, also those that others write
// there, may take Limit bytes together. What goes beyond fails as on a full disk, with as
// much of it written as fits. Only writes through the Quota fail; [Quota.Used] tells whether
// others would have.
type Quota struct {
	disk.FS
	Root  string
	Limit int64

	mu sync.Mutex // one write at a time is weighed
}

// Used returns how many bytes the files below Root take.
func (q *Quota) Used() (bytes int64, err error) {
	err = filepath.WalkDir(q.Root, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return gone(err)
		}
		f, err := q.FS.Open(name)
		if err != nil {
			return gone(err)
		}
		n, err := f.Allocated()
		bytes += n
		return errors.Join(err, f.Close())
	})
	return bytes, err
}

// gone takes a file that was removed meanwhile for none.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Free says how much of the limit is left.
func (q *Quota) Free(string) (free, total int64, err error) {
	used, err := q.Used()
	return max(0, q.Limit-used), q.Limit, err
}

// Create makes a file; the name takes nothing.
func (q *Quota) Create(name string) (disk.File, error) {
	f, err := q.FS.Create(name)
	return q.file(f, err)
}

// Open opens a file.
func (q *Quota) Open(name string) (disk.File, error) {
	f, err := q.FS.Open(name)
	return q.file(f, err)
}

func (q *Quota) file(f disk.File, err error) (disk.File, error) {
	if err != nil {
		return nil, err
	}
	return &limited{f, q}, nil
}

type limited struct {
	disk.File
	quota *Quota
}

func (f *limited) Write(pieces [][]byte, off int64) error {
	f.quota.mu.Lock()
	defer f.quota.mu.Unlock()
	size, err := f.Size()
	if err != nil {
		return err
	}
	room, _, err := f.quota.Free("")
	if err != nil {
		return err
	}
	room += max(0, size-off) // what is written over takes nothing more
	for _, p := range pieces {
		n := min(int64(len(p)), room)
		if err := f.File.Write([][]byte{p[:n]}, off); err != nil {
			return err
		}
		if n < int64(len(p)) {
			return fmt.Errorf("write: %w", syscall.ENOSPC)
		}
		off, room = off+n, room-n
	}
	return nil
}
