package disk

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// maxPieces is IOV_MAX, the most pieces one pwritev takes.
const maxPieces = 1024

// Write goes past the page cache with one long piece that lies in memory as in the file
// (see [Aligned]).
func (f file) Write(pieces [][]byte, off int64) error {
	if len(pieces) == 1 && lies(pieces[0], off) {
		return f.writeLong(pieces[0], off)
	}
	return f.gather(pieces, off)
}

// gather gathers the pieces in the kernel, so that media is never copied in the
// program: a batch of a hundred fragments is a handful of system calls.
func (f file) gather(pieces [][]byte, off int64) error {
	fd, start := int(f.Fd()), off
	pieces, _ = skip(pieces, 0)
	for len(pieces) > 0 {
		n, err := unix.Pwritev(fd, pieces[:min(len(pieces), maxPieces)], off)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return &os.PathError{Op: "pwritev", Path: f.Name(), Err: err}
		}
		off += int64(n)
		rest, done := skip(pieces, n)
		if !done && n == 0 {
			return &os.PathError{Op: "pwritev", Path: f.Name(), Err: io.ErrShortWrite}
		}
		pieces = rest
	}
	if off-start >= early {
		// What it returns is no proof of anything: the sync that must follow says what failed.
		_ = unix.SyncFileRange(fd, start, off-start, unix.SYNC_FILE_RANGE_WRITE)
	}
	return nil
}

// early is from how many bytes on the disk begins with what was written at once, while more
// is being sealed and written: otherwise it is idle until the sync, and the writer during it.
const early = 512 << 10

// skip drops the first n bytes and reports whether that was all there was. The slice
// of pieces is the writer's own; the first left may be shortened in place.
func skip(pieces [][]byte, n int) (rest [][]byte, done bool) {
	for len(pieces) > 0 && n >= len(pieces[0]) {
		n -= len(pieces[0])
		pieces = pieces[1:]
	}
	if len(pieces) > 0 {
		pieces[0] = pieces[0][n:]
	}
	return pieces, len(pieces) == 0
}

// Sync leaves out what reading the bytes back does not need, such as times.
func (f file) Sync() error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err == nil {
			return nil
		}
		if err != unix.EINTR {
			return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
	}
}

// Punch asks the file system to forget pages; filesystems without holes cannot.
func (f file) Punch(off, n int64) error {
	from, length := inward(off, n)
	if length <= 0 {
		return nil
	}
	for {
		err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, from, length)
		if err == nil {
			return nil
		}
		if err != unix.EINTR { // EOPNOTSUPP and ENOSYS are errors.ErrUnsupported
			return &os.PathError{Op: "fallocate", Path: f.Name(), Err: err}
		}
	}
}

// Allocated counts blocks of 512 bytes, whatever the file system's own blocks are.
func (f file) Allocated() (int64, error) {
	var s unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &s); err != nil {
		return 0, &os.PathError{Op: "fstat", Path: f.Name(), Err: err}
	}
	return s.Blocks * 512, nil
}

// Holes is [HolesOf] the file.
func (f file) Holes() (Holes, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	return HolesOf(f.File, size)
}

// HolesOf asks the file system for the holes of a file of a size. One that cannot tell
// says that there are none.
func HolesOf(f *os.File, size int64) (all Holes, err error) {
	for at := int64(0); at < size; {
		from, err := f.Seek(at, unix.SEEK_HOLE)
		switch {
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOTSUP), errors.Is(err, unix.ENXIO):
			return all, nil
		case err != nil:
			return nil, err
		case from >= size:
			return all, nil
		}
		at, err = f.Seek(from, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) { // up to the end
			at, err = size, nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, Hole{from, min(at, size)})
	}
	return all, nil
}

// Forget lets the kernel drop what it keeps of a file in memory, so that reading all of it
// once pushes nothing out that is read often.
func Forget(f *os.File) { _ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) }
