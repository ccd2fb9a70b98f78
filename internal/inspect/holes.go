package inspect

import (
	"bytes"
	"errors"
	"os"
	"sort"

	"golang.org/x/sys/unix"
)

// hole is a stretch of a file that takes no room on the disk.
type hole struct{ from, to int64 }

// pageSize is what holes are made of.
const pageSize = 4096

// holes asks the file system for the holes of a file. One that cannot tell says that there
// are none; then only the zeros in their place are seen.
func holes(f *os.File, size int64) (all []hole, err error) {
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
		all = append(all, hole{from, min(at, size)})
	}
	return all, nil
}

// touched says whether a hole has a byte of what lies from here to there. Files of version 1
// are never punched; some file systems make holes of their zeros.
func (s *inspection) touched(from, to int64) bool {
	if s.head.Version == 1 {
		return false
	}
	i := sort.Search(len(s.holes), func(i int) bool { return s.holes[i].to > from })
	return i < len(s.holes) && s.holes[i].from < to
}

// zeros says whether there is a whole page of zeros between two bytes.
func (s *inspection) zeros(from, to int64) bool {
	var page, zero [pageSize]byte
	for at := (from + pageSize - 1) / pageSize * pageSize; at+pageSize <= to; at += pageSize {
		if n, _ := s.f.ReadAt(page[:], at); n == pageSize && bytes.Equal(page[:], zero[:]) {
			return true
		}
	}
	return false
}

// reached says whether a page of zeros has a byte between these two: a file system that
// does not tell of holes has only zeros in their place, and a hole that takes away the
// head of a record begins in the record before.
func (s *inspection) reached(from, to int64) bool {
	return s.head.Version != 1 && s.zeros(from/pageSize*pageSize, (to+pageSize-1)/pageSize*pageSize)
}
