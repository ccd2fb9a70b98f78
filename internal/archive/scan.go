package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"hash/crc32"
)

// scanner reads the records of a segment in order and steps over damaged places: a
// damaged body by its length, a damaged head by looking for the next place that holds
// a valid one. It needs a fixed amount of memory whatever the bytes claim.
type scanner struct {
	r    io.ReaderAt
	size int64
	salt uint64
	pos  int64 // the next record is looked for here
	deep bool  // check bodies too; without it media is never read

	at   int64 // position of the current record
	head recordHead

	good    int64 // end of the last intact record
	damaged int   // damaged places so far
	sealed  bool  // an end record was seen

	buf       []byte
	table     []byte
	goodShare int64 // header record last found intact
}

func newScanner(r io.ReaderAt, size int64, salt uint64, from int64, deep bool) *scanner {
	return &scanner{r: r, size: size, salt: salt, pos: from, good: from, deep: deep, buf: make([]byte, chunkSize)}
}

// next goes to the next intact fragment. It returns false at the end. An error is one
// of reading, never of what was read.
func (s *scanner) next() (bool, error) {
	for s.pos+recordHeadSize <= s.size {
		h, ok, err := s.readHead(s.pos)
		if err != nil {
			return false, err
		}
		if !ok {
			s.damaged++
			if err := s.resync(); err != nil {
				return false, err
			}
			continue
		}
		s.at, s.head = s.pos, h
		s.pos += h.recordSize()
		ok, err = s.intact()
		if err != nil {
			return false, err
		}
		if !ok {
			s.damaged++
			continue
		}
		s.good = s.pos
		s.sealed = h.kind == endRecord
		if h.kind == fragmentRecord {
			return true, nil
		}
	}
	return false, nil
}

// readHead reads the head at pos. It reports false if there is none or if its record
// would go beyond the end of the file.
func (s *scanner) readHead(pos int64) (h recordHead, ok bool, err error) {
	var b [recordHeadSize]byte
	if pos < segmentHeadSize || pos+recordHeadSize > s.size {
		return h, false, nil
	}
	if err := readFull(s.r, b[:], pos); err != nil {
		return h, false, err
	}
	h, ok = parseRecordHead(b[:], s.salt, pos)
	return h, ok && pos+h.recordSize() <= s.size, nil
}

// resync looks behind pos for the next valid head and moves there, or to the end.
func (s *scanner) resync() error {
	for from := s.pos + 1; from+recordHeadSize <= s.size; {
		b := s.buf[:min(int64(len(s.buf)), s.size-from)]
		if err := readFull(s.r, b, from); err != nil {
			return err
		}
		i := bytes.Index(b, []byte(recordMagic))
		if i < 0 {
			from += int64(len(b) - len(recordMagic) + 1) // the magic may lie across two reads
			continue
		}
		_, ok, err := s.readHead(from + int64(i))
		if ok || err != nil {
			s.pos = from + int64(i)
			return err
		}
		from += int64(i) + 1
	}
	s.pos = s.size
	return nil
}

// intact checks the current record as far as the scan is deep. A fragment needs an
// intact header record as well.
func (s *scanner) intact() (bool, error) {
	if s.head.kind == fragmentRecord && s.head.header != s.goodShare {
		h, ok, err := s.readHead(s.head.header)
		if err != nil || !ok || h.kind != headerRecord || s.head.header >= s.at {
			return false, err
		}
		if ok, err := s.bodyIntact(s.head.header, h); err != nil || !ok {
			return false, err
		}
		s.goodShare = s.head.header
	}
	if !s.deep {
		return true, nil
	}
	return s.bodyIntact(s.at, s.head)
}

// bodyIntact checks the table and every chunk of a record.
func (s *scanner) bodyIntact(at int64, h recordHead) (bool, error) {
	s.table = append(s.table[:0], make([]byte, tableSize(h.body))...)
	if err := readFull(s.r, s.table, at+recordHeadSize); err != nil {
		return false, err
	}
	if crc32.Checksum(s.table, castagnoli) != h.table {
		return false, nil
	}
	at += h.bodyAt()
	for i, rest := int64(0), h.body; rest > 0; i++ {
		b := s.buf[:min(chunkSize, rest)]
		if err := readFull(s.r, b, at); err != nil {
			return false, err
		}
		if !chunkIntact(s.table, i, b) {
			return false, nil
		}
		at, rest = at+int64(len(b)), rest-int64(len(b))
	}
	return true, nil
}

// stored returns the current fragment as the index keeps it.
func (s *scanner) stored(segment int64) Stored {
	return Stored{
		Fragment: s.head.fragment, Timecode: s.head.timecode,
		segment: segment, position: s.at, length: s.head.recordSize(), header: s.head.header,
	}
}

// readFull fills b from off on. A file that ends before is an error here, because its
// size was asked first.
func readFull(r io.ReaderAt, b []byte, off int64) error {
	n, err := r.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read %d bytes at %d: %w", len(b), off, err)
}

// endsSealed reports whether the last bytes of a segment are its end record.
func endsSealed(r io.ReaderAt, size int64, salt uint64) (bool, error) {
	at := size - recordHeadSize
	if at < segmentHeadSize {
		return false, nil
	}
	var b [recordHeadSize]byte
	if err := readFull(r, b[:], at); err != nil {
		return false, err
	}
	h, ok := parseRecordHead(b[:], salt, at)
	return ok && h.kind == endRecord, nil
}
