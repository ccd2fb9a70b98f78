package inspect

import "bytes"

// pageSize is what holes are made of.
const pageSize = 4096

// touched says whether a hole has a byte of what lies from here to there. Files of version 1
// are never punched; some file systems make holes of their zeros.
func (s *inspection) touched(from, to int64) bool {
	return s.head.Version != 1 && s.holes.Touch(from, to)
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
