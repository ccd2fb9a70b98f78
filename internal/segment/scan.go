package segment

import (
	"bytes"
	"io"

	"github.com/millrace/millrace/internal/kvs"
)

// Finding says what a scan found in a place.
type Finding uint8

// The findings.
const (
	Intact  Finding = iota + 1 // a record, as far as the scan is deep
	Damaged                    // a record whose head is intact and whose body is not
	Orphan                     // a fragment record whose header record is missing or damaged
	Garbage                    // bytes in which no record begins: damage, or a hole
)

// Scanner reads the records of a segment in order and steps over damaged places: a
// damaged body by its length, a damaged head by looking for the next place that holds a
// valid one. It needs a fixed amount of memory whatever the bytes claim.
type Scanner struct {
	// What the last Next found. Record is undefined for [Garbage], and its tracks are
	// valid until the next call.
	Finding  Finding
	Position int64
	End      int64 // the next thing begins here
	Record   Record
	Hole     bool // garbage that has a page of zeros: it may have been punched

	// Good is the end of the last header or fragment record that was intact.
	Good int64
	// Sealed says that behind Good there is nothing but an intact footer, in version 2,
	// and the end record.
	Sealed bool
	// Lost counts the places that were not intact.
	Lost int

	r       io.ReaderAt
	head    Head
	size    int64
	deep    bool
	small   []byte                // for heads
	large   []byte                // for looking for heads
	headers map[int64]headerState // by position
	footer  int64                 // end of an intact footer right behind Good
}

// headerState is what was found out about a header record.
type headerState struct {
	intact bool
	stream kvs.StreamID
}

// maxHeaders bounds what is remembered of the header records. Beyond it they are
// verified again.
const maxHeaders = 4096

const (
	scanBytes = 256 << 10
	pageSize  = 4096
)

// NewScanner makes a scanner of the records that begin at from or behind, up to size. A
// deep one checks bodies and frame tables; without that only heads are read, and the bodies of
// header records and footers. from must be where a record begins, or its end.
func NewScanner(r io.ReaderAt, h Head, from, size int64, deep bool) *Scanner {
	return &Scanner{
		End: from, Good: from,
		r: r, head: h, size: size, deep: deep,
		small: make([]byte, usualHead), headers: make(map[int64]headerState),
	}
}

// Next goes to what comes next. It returns false at the end. An error is one of reading,
// never of what was read.
func (s *Scanner) Next() (bool, error) {
	if s.End >= s.size {
		return false, nil
	}
	s.Position, s.Hole = s.End, false
	ok, err := readRecord(s.r, s.head, s.Position, s.size, &s.small, &s.Record)
	if err != nil {
		return false, err
	}
	if !ok {
		s.Finding, s.Sealed = Garbage, false
		s.Lost++
		return true, s.resync()
	}
	s.End = s.Position + s.Record.Size()
	if s.Finding, err = s.judge(); err != nil {
		return false, err
	}
	s.note()
	return true, nil
}

// note keeps count of what was found.
func (s *Scanner) note() {
	s.Sealed = false
	switch {
	case s.Finding != Intact:
		s.Lost++
	case s.Record.Kind == FooterRecord:
		if s.Position == s.Good {
			s.footer = s.End
		}
	case s.Record.Kind == EndRecord:
		if s.head.Version == 1 {
			s.Sealed = s.Position == s.Good && s.End == s.size
		} else {
			s.Sealed = s.Position == s.footer && s.Record.Header == s.Good && s.End == s.size
		}
	default:
		s.Good = s.End
	}
}

// judge checks the current record as far as the scan is deep. A fragment needs an intact
// header record of its stream before it as well.
func (s *Scanner) judge() (Finding, error) {
	rec := &s.Record
	if s.deep || rec.Kind == FooterRecord {
		ok, err := Verify(s.r, s.Position, rec)
		if err != nil || !ok {
			return Damaged, err
		}
	}
	switch {
	case rec.Kind == HeaderRecord && s.deep:
		s.remember(s.Position, headerState{true, rec.Fragment.Stream})
	case rec.Kind == FragmentRecord:
		ok, err := s.headerIntact()
		if err != nil || !ok {
			return Orphan, err
		}
	}
	return Intact, nil
}

// headerIntact checks the header record of the current fragment.
func (s *Scanner) headerIntact() (bool, error) {
	at := s.Record.Header
	if at >= s.Position {
		return false, nil
	}
	h, known := s.headers[at]
	if !known {
		var err error
		if h, err = s.verifyHeader(at); err != nil {
			return false, err
		}
		s.remember(at, h)
	}
	return h.intact && (s.head.Version == 1 || h.stream == s.Record.Fragment.Stream), nil
}

func (s *Scanner) verifyHeader(at int64) (headerState, error) {
	h, ok, err := ReadRecord(s.r, s.head, at, s.Position)
	if err != nil || !ok || h.Kind != HeaderRecord {
		return headerState{}, err
	}
	ok, err = Verify(s.r, at, &h)
	return headerState{ok, h.Fragment.Stream}, err
}

func (s *Scanner) remember(at int64, h headerState) {
	if len(s.headers) >= maxHeaders {
		clear(s.headers)
	}
	s.headers[at] = h
}

// resync looks behind Position for the next valid head and puts End there, or at the
// end.
func (s *Scanner) resync() error {
	if s.large == nil {
		s.large = make([]byte, scanBytes)
	}
	for from := s.Position; from < s.size; {
		// Each read ends where a page does, so that every page is in some read whole.
		b := s.large[:min(scanBytes-from%pageSize, s.size-from)]
		if err := readFull(s.r, b, from); err != nil {
			return err
		}
		s.Hole = s.Hole || hasZeroPage(b, from)
		at, err := s.findHead(b, from)
		if err != nil || at > 0 {
			s.End = at
			return err
		}
		end := from + int64(len(b))
		if from = end; end < s.size {
			from -= RecordHeadSize - 1 // a head may lie across two reads
		}
	}
	s.End = s.size
	return nil
}

// findHead returns the position of the first valid head in b, which comes from this
// position, or 0. Only what has a right checksum is read from the file, so that bytes full of
// magic cost no more than others.
func (s *Scanner) findHead(b []byte, from int64) (int64, error) {
	magic := []byte(recordMagic)
	if s.head.Version == 1 {
		magic = []byte(recordMagic1)
	}
	for i := 0; ; i++ {
		k := bytes.Index(b[i:], magic)
		if k < 0 {
			return 0, nil
		}
		i += k
		at := from + int64(i)
		if at == s.Position || !s.headAt(b[i:], at) {
			continue
		}
		ok, err := readRecord(s.r, s.head, at, s.size, &s.small, &s.Record)
		if err != nil || ok {
			return at, err
		}
	}
}

// headAt reports whether b begins with a head that is right for this position.
func (s *Scanner) headAt(b []byte, position int64) bool {
	if s.head.Version == 1 {
		return parseRecord1(b, s.head.Salt, position, &s.Record)
	}
	_, ok := parseRecordHead(b, s.head.Salt, position, &s.Record)
	return ok
}

var zeroPage [pageSize]byte

// hasZeroPage reports whether a whole page of b, which comes from this position, is zero.
func hasZeroPage(b []byte, from int64) bool {
	skip := (pageSize - from%pageSize) % pageSize
	if skip > int64(len(b)) {
		return false
	}
	for b = b[skip:]; len(b) >= pageSize; b = b[pageSize:] {
		if bytes.Equal(b[:pageSize], zeroPage[:]) {
			return true
		}
	}
	return false
}
