package disk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"syscall"
	"unsafe"
)

// FS is what stores ask of a file system. Tests put in one whose operations fail, or one
// that forgets what was not synced (package disktest). Names are paths.
type FS interface {
	// MakeDir makes a folder with its parents, for the owner alone.
	MakeDir(name string) error
	// List returns the names in a folder, in no order.
	List(dir string) ([]string, error)
	// Create makes a file for the owner alone and opens it. It must not exist.
	Create(name string) (File, error)
	// Open opens a file for reading and writing. Where the file system is read-only, writing
	// to it fails.
	Open(name string) (File, error)
	// Rename gives a file another name; what had that name is gone.
	Rename(from, to string) error
	// Remove takes a name away. That it is not there is no error.
	Remove(name string) error
	// SyncDir makes created, renamed and removed names in a folder durable.
	SyncDir(name string) error
	// Free returns the bytes that users without privileges may still write to the file
	// system of dir, and the bytes that it has in all.
	Free(dir string) (free, total int64, err error)
	// Shared reports whether two folders lie on one file system.
	Shared(dir, other string) (bool, error)
}

// File is an open file.
type File interface {
	io.ReaderAt
	// Write writes the pieces one after the other from off on; an error may leave any
	// part of them written.
	Write(pieces [][]byte, off int64) error
	// Sync makes the bytes and the size durable. After an error nobody knows which are.
	Sync() error
	// Truncate cuts the file, or adds zeros.
	Truncate(size int64) error
	// Punch gives back the whole pages of [PageBytes] within n bytes from off on; they
	// read as zeros. The size stays. Where the system cannot, the error is
	// errors.ErrUnsupported.
	Punch(off, n int64) error
	// Size returns how many bytes can be read.
	Size() (int64, error)
	// Allocated returns how many bytes the file takes on the disk.
	Allocated() (int64, error)
	// Holes returns the stretches that take no room, in order: none where the system
	// cannot say.
	Holes() (Holes, error)
	Close() error
}

// PageBytes is the unit in which space within a file is given back, and in which long
// writes are fastest.
const PageBytes = 4096

// Aligned returns n bytes of memory that begin a page. A long piece that begins there, or
// as far behind it as in the file behind a page, is written without a copy where the
// system can.
func Aligned(n int) []byte {
	b := make([]byte, n+PageBytes)
	at := -uintptr(unsafe.Pointer(unsafe.SliceData(b))) % PageBytes
	return b[at:][:n:n]
}

// Hole is a stretch of a file that takes no room on the disk.
type Hole struct{ From, To int64 }

// Holes are those of a file, in order.
type Holes []Hole

// Touch reports whether one of them has a byte of what lies from here to there.
func (h Holes) Touch(from, to int64) bool {
	i := sort.Search(len(h), func(i int) bool { return h[i].To > from })
	return i < len(h) && h[i].From < to
}

// System is the operating system's file system.
type System struct{}

// MakeDir is like the function of that name.
func (System) MakeDir(name string) error { return MakeDir(name) }

// List returns the names in a folder.
func (System) List(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }()
	return d.Readdirnames(-1)
}

// Create makes a file that does not exist.
func (System) Create(name string) (File, error) {
	return openFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

// Open opens a file that exists.
func (System) Open(name string) (File, error) {
	f, err := openFile(name, os.O_RDWR)
	if !errors.Is(err, syscall.EROFS) {
		return f, err
	}
	if f, err = openFile(name, os.O_RDONLY); err != nil {
		return nil, err
	}
	return readOnly{f, &fs.PathError{Op: "write", Path: name, Err: syscall.EROFS}}, nil
}

// readOnly is a file on a file system that became read-only: what is there can still be read.
type readOnly struct {
	File
	err error
}

func (f readOnly) Write([][]byte, int64) error { return f.err }
func (f readOnly) Truncate(int64) error        { return f.err }
func (f readOnly) Punch(int64, int64) error    { return f.err }

func openFile(name string, flag int) (File, error) {
	f, err := os.OpenFile(filepath.Clean(name), flag, 0o600)
	if err != nil {
		return nil, err
	}
	if flag&os.O_CREATE != 0 {
		Give(f)
	}
	return newFile(f), nil
}

// Rename replaces what has the name.
func (System) Rename(from, to string) error { return os.Rename(from, to) }

// Remove takes a name away.
func (System) Remove(name string) error {
	if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// SyncDir makes the names in a folder durable.
func (System) SyncDir(name string) error {
	d, err := os.Open(filepath.Clean(name))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// file adds to os.File what differs between systems (the rest is in fs_linux.go and
// fs_other.go).
type file struct {
	*os.File
	direct *direct
}

func newFile(f *os.File) file { return file{File: f, direct: new(direct)} }

func (f file) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// inward is the whole pages within n bytes from off on.
func inward(off, n int64) (from, length int64) {
	from = (off + PageBytes - 1) / PageBytes * PageBytes
	return from, (off+n)/PageBytes*PageBytes - from
}
