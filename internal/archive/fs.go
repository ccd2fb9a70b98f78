package archive

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	owner "github.com/millrace/millrace/internal/disk"
)

// disk is what the archive asks of the file system. Tests put in one whose nth
// operation fails.
type disk interface {
	MakeDir(name string) error
	List(dir string) ([]string, error)
	Create(name string) (file, error) // the file must not exist
	Open(name string) (file, error)   // for reading and writing
	Remove(name string) error         // removing what does not exist is no error
	SyncDir(name string) error        // makes created and removed names durable
}

// file is an open segment.
type file interface {
	io.ReaderAt
	// Write writes the pieces one after the other from off on; an error may leave any
	// part of them written.
	Write(pieces [][]byte, off int64) error
	Sync() error // makes the bytes durable
	Truncate(size int64) error
	Size() (int64, error)
	Close() error
}

// realDisk is the operating system's.
type realDisk struct{}

func (realDisk) MakeDir(name string) error { return owner.MakeDir(name) }

func (realDisk) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

func (realDisk) Create(name string) (file, error) {
	return openFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

func (realDisk) Open(name string) (file, error) { return openFile(name, os.O_RDWR) }

func openFile(name string, flag int) (file, error) {
	f, err := os.OpenFile(filepath.Clean(name), flag, 0o600)
	if err != nil {
		return nil, err
	}
	if flag&os.O_CREATE != 0 {
		owner.Give(f)
	}
	return realFile{f}, nil
}

func (realDisk) Remove(name string) error {
	if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (realDisk) SyncDir(name string) error {
	d, err := os.Open(filepath.Clean(name))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// realFile adds to os.File what differs between systems (Write and Sync are in
// fs_linux.go and fs_other.go).
type realFile struct{ *os.File }

func (f realFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
