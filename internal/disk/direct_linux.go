package disk

import (
	"fmt"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// direct is a file's way past the page cache. For large batches the copy into the cache
// costs more than all else that is done with their bytes, and it pushes out what is read
// often.
type direct struct {
	once sync.Once
	fd   int // a second one for the file; -1 = it has no such way
}

// open finds the way, once. The file may have another name by now, or none.
func (d *direct) open(f *os.File) (fd int, ok bool) {
	d.once.Do(func() {
		name := fmt.Sprintf("/proc/self/fd/%d", f.Fd())
		var err error
		if d.fd, err = unix.Open(name, unix.O_WRONLY|unix.O_DIRECT|unix.O_CLOEXEC, 0); err != nil {
			d.fd = -1 // some file systems have none, and there may be no /proc
		}
	})
	return d.fd, d.fd >= 0
}

// close is for when nobody writes any more.
func (d *direct) close() {
	d.once.Do(func() { d.fd = -1 })
	if d.fd >= 0 {
		_ = unix.Close(d.fd)
	}
	d.fd = -1
}

// Close closes the file.
func (f file) Close() error {
	f.direct.close()
	return f.File.Close()
}

// writeLong writes a long piece whose bytes lie in memory as their pages do in the file:
// whole pages directly, and what shares its first and last page with other bytes through
// the cache. So no page goes both ways. Like any write it proves nothing: the
// sync that must follow does.
func (f file) writeLong(piece []byte, off int64) error {
	fd, ok := f.direct.open(f.File)
	if !ok {
		return f.gather([][]byte{piece}, off)
	}
	begin, length := inward(off, int64(len(piece)))
	at := int(begin - off)
	if err := f.gather([][]byte{piece[:at]}, off); err != nil {
		return err
	}
	for end := at + int(length); at < end; {
		n, err := unix.Pwrite(fd, piece[at:end], off+int64(at))
		if err == unix.EINTR {
			continue
		}
		if err == unix.EINVAL || err == nil && (n == 0 || n%PageBytes != 0) {
			break // the device wants other pages; the cache takes any
		}
		if err != nil {
			return &os.PathError{Op: "pwrite", Path: f.Name(), Err: err}
		}
		at += n
	}
	return f.gather([][]byte{piece[at:]}, off+int64(at))
}

// lies reports whether a piece can be written by writeLong.
func lies(piece []byte, off int64) bool {
	at := int64(uintptr(unsafe.Pointer(unsafe.SliceData(piece))))
	return len(piece) >= early && (at-off)%PageBytes == 0 && os.Getpagesize() <= PageBytes
}
