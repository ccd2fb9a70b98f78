package segment

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
)

// Writer is what a footer is written to; files of internal/disk are.
type Writer interface {
	// Write writes the pieces one after the other from off on.
	Write(pieces [][]byte, off int64) error
}

// ErrFooterTooLong says that a segment has more fragments than its footer can list.
var ErrFooterTooLong = errors.New("the segment has too many fragments for a footer")

// AppendFooterEntry appends what a footer lists of a fragment record: its position, and
// head and facts as [Record.Append] made them.
func AppendFooterEntry(b []byte, position int64, headAndFacts []byte) []byte {
	return append(binary.LittleEndian.AppendUint64(b, uint64(position)), headAndFacts...)
}

// Footer writes the footer and the end record of a segment: Add for all fragment records
// in order, then Close. It needs the memory of one chunk. Nothing is synced.
type Footer struct {
	w    Writer
	head Head
	at   int64
	body int64  // bytes added
	buf  []byte // the chunk that is not full yet
	sums []byte
}

// NewFooter makes the footer of a segment with this head, at the end of its last record.
func NewFooter(w Writer, h Head, at int64) *Footer {
	return &Footer{w: w, head: h, at: at, buf: make([]byte, 0, ChunkSize)}
}

// Add appends entries made by [AppendFooterEntry].
func (f *Footer) Add(entries []byte) error {
	if f.body+int64(len(entries)) > MaxBody {
		return ErrFooterTooLong
	}
	f.body += int64(len(entries))
	for len(entries) > 0 {
		n := min(len(entries), ChunkSize-len(f.buf))
		f.buf = append(f.buf, entries[:n]...)
		entries = entries[n:]
		if len(f.buf) < ChunkSize {
			break
		}
		at := f.at + RecordHeadSize + chunksOf(f.body-int64(len(entries)))*ChunkSize - ChunkSize
		f.sum()
		if err := f.w.Write([][]byte{f.buf}, at); err != nil {
			return err
		}
		f.buf = f.buf[:0]
	}
	return nil
}

func (f *Footer) sum() { f.sums = binary.LittleEndian.AppendUint32(f.sums, checksum(f.buf)) }

// Close writes what is left and returns the length of the whole segment. The head of the
// footer comes last.
func (f *Footer) Close() (size int64, err error) {
	r := Record{Kind: FooterRecord, Body: f.body}
	tail := f.at + RecordHeadSize + f.body - int64(len(f.buf))
	if len(f.buf) > 0 {
		f.sum()
	}
	end := f.at + r.Size()
	e := Record{Kind: EndRecord, Header: f.at}
	pieces := [][]byte{f.buf, appendSums(nil, f.sums), e.Append(nil, f.head.Salt, end)}
	if err := f.w.Write(pieces, tail); err != nil {
		return 0, err
	}
	if err := f.w.Write([][]byte{r.Append(nil, f.head.Salt, f.at)}, f.at); err != nil {
		return 0, err
	}
	return end + RecordHeadSize, nil
}

// File is a segment to be sealed.
type File interface {
	io.ReaderAt
	Writer
}

// Seal writes footer and end record behind the last record, which ends at end. It reads
// the heads of all records for that, and needs a fixed amount of memory.
func Seal(f File, h Head, end int64) (size int64, err error) {
	footer := NewFooter(f, h, end)
	s := NewScanner(f, h, HeadSize, end, false)
	var b, head []byte
	for {
		ok, err := s.Next()
		switch {
		case err != nil:
			return 0, err
		case !ok:
			return footer.Close()
		case s.Finding == Garbage || s.Record.Kind != FragmentRecord:
			continue
		}
		head = s.Record.Append(head[:0], h.Salt, s.Position)
		b = AppendFooterEntry(b[:0], s.Position, head)
		if err := footer.Add(b); err != nil {
			return 0, err
		}
	}
}

// EndsSealed reports whether the last bytes of a segment of size bytes are its end record
// and, in version 2, where its footer is. Whether that is intact is not looked at.
func EndsSealed(r io.ReaderAt, h Head, size int64) (footer int64, ok bool, err error) {
	at := size - RecordHeadSize
	if h.Version == 1 {
		at = size - headSize1
	}
	rec, ok, err := ReadRecord(r, h, at, size)
	if err != nil || !ok || rec.Kind != EndRecord {
		return 0, false, err
	}
	return rec.Header, h.Version == 1 || rec.Header >= HeadSize && rec.Header < at, nil
}

// ReadFooter calls each for all fragment records that the footer of a sealed segment of
// version 2 lists, in order. rec is valid during the call only. It reports false when the
// segment does not end in an intact footer; each was then called for some of the records
// or none. The error is that of each, or one of reading.
func ReadFooter(r io.ReaderAt, h Head, size int64, each func(position int64, rec *Record) error) (ok bool, err error) {
	if h.Version == 1 {
		return false, nil
	}
	at, ok, err := EndsSealed(r, h, size)
	if err != nil || !ok {
		return false, err
	}
	footer, ok, err := ReadRecord(r, h, at, size)
	if err != nil || !ok || footer.Kind != FooterRecord || footer.Key != 0 || at+footer.Size() != size-RecordHeadSize {
		return false, err
	}
	if ok, err := Verify(r, at, &footer); err != nil || !ok {
		return false, err
	}
	return readEntries(r, h, at, footer.Body, each)
}

// readEntries reads the body of the footer at footer.
func readEntries(r io.ReaderAt, h Head, footer, size int64, each func(int64, *Record) error) (bool, error) {
	const entry = 8 + RecordHeadSize
	b := bufio.NewReaderSize(io.NewSectionReader(r, footer+RecordHeadSize, size), 2*(8+largestHead))
	var rec Record
	for least := int64(HeadSize); size > 0; {
		if size < entry {
			return false, nil
		}
		p, err := b.Peek(entry)
		if err != nil {
			return false, err
		}
		n := entry + int(binary.LittleEndian.Uint16(p[8+6:]))
		if int64(n) > size {
			return false, nil
		}
		if p, err = b.Peek(n); err != nil {
			return false, err
		}
		position := int64(binary.LittleEndian.Uint64(p))
		if position < least || !ParseRecord(p[8:], h, position, &rec) || rec.Kind != FragmentRecord || position > footer-rec.Size() {
			return false, nil
		}
		if err := each(position, &rec); err != nil {
			return false, err
		}
		least = position + rec.Size()
		size -= int64(n)
		if _, err := b.Discard(n); err != nil {
			return false, err
		}
	}
	return true, nil
}
