package cut

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"io"
	"strconv"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/remux"
)

// piece is a segment as it is kept. Nobody writes to it after it was made.
type piece struct {
	head []byte // of fMP4, with the decode time zero at tfdt
	tfdt int
	body []byte
	part remux.Part // scale and first decode time of fMP4
	tag  string     // what the bytes follow from, hashed
}

// size is what the piece counts in the cache.
func (p *piece) size() int64 {
	const rest = 512 // it, its key and its place
	if p == nil {
		return 0
	}
	return int64(cap(p.head)+cap(p.body)) + rest
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sum sets the tag: a hash over the fragment's number, the track, the head, which has the
// size and time of each sample, and a checksum of the body.
func (p *piece) sum(s *archive.Stored, track uint64) {
	b := s.Number.Append(nil)
	b = binary.BigEndian.AppendUint64(b, track)
	b = binary.BigEndian.AppendUint64(b, uint64(len(p.body)))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(p.body, castagnoli))
	sum := sha256.Sum256(append(b, p.head...))
	p.tag = hex.EncodeToString(sum[:10])
}

// at is the piece with the decode time of that start.
func (p *piece) at(start Start) *Segment {
	s := &Segment{body: p.body, tag: p.tag}
	if p.head == nil {
		return s
	}
	decode := p.part.Decode(start)
	s.head = append(make([]byte, 0, len(p.head)), p.head...)
	binary.BigEndian.PutUint64(s.head[p.tfdt:], decode)
	s.tag += "-" + strconv.FormatUint(decode, 36)
	return s
}

// Segment is one segment, ready to be sent to any number of players.
type Segment struct {
	head, body []byte
	tag        string
	close      func() // nil when it was not lent
}

// Close gives a segment back that was lent. Its readers must not be used afterwards.
func (s *Segment) Close() {
	if s.close != nil {
		s.close()
		s.close = nil
	}
}

// Size returns its length in bytes.
func (s *Segment) Size() int64 { return int64(len(s.head) + len(s.body)) }

// ETag returns an entity tag of its bytes, in quotes: the same in every process, and
// another one for other bytes.
func (s *Segment) ETag() string { return `"` + s.tag + `"` }

// Reader returns a reader of its own over the bytes, which are shared. It is an
// [io.WriterTo], too.
func (s *Segment) Reader() io.ReadSeeker { return &reader{segment: s} }

type reader struct {
	segment *Segment
	at      int64
}

// rest returns what follows in one piece.
func (r *reader) rest() []byte {
	head := int64(len(r.segment.head))
	if r.at < head {
		return r.segment.head[r.at:]
	}
	return r.segment.body[min(r.at-head, int64(len(r.segment.body))):]
}

func (r *reader) Read(b []byte) (int, error) {
	rest := r.rest()
	if len(rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, rest)
	r.at += int64(n)
	return n, nil
}

func (r *reader) WriteTo(w io.Writer) (n int64, err error) {
	for rest := r.rest(); len(rest) > 0 && err == nil; rest = r.rest() {
		var m int
		m, err = w.Write(rest)
		n, r.at = n+int64(m), r.at+int64(m)
	}
	return n, err
}

var errSeek = errors.New("a place before the beginning of the segment")

func (r *reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.segment.Size()
	}
	if offset < 0 {
		return 0, errSeek
	}
	r.at = offset
	return offset, nil
}
