package segment

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"math"

	"github.com/millrace/millrace/internal/kvs"
)

// Kind says what a record holds.
type Kind uint8

// The kinds.
const (
	HeaderRecord   Kind = 1 // the bytes before the clusters, shared by fragments of one stream
	FragmentRecord Kind = 2
	EndRecord      Kind = 3 // the last record of a sealed segment; a head alone
	FooterRecord   Kind = 4 // the heads and facts of all fragments, at the end of a sealed segment
)

// RecordHeadSize is the length of a record's head in version 2.
const RecordHeadSize = 128

// MaxBody is the longest body, and the longest frame table, before sealing.
const MaxBody = 1 << 30

const (
	recordMagic = "\xa7MRs"
	tagSize     = 16 // what sealing adds to a chunk

	flagCopied = 1
)

// Record is the head and the facts of a record. What a kind does not use is zero.
type Record struct {
	Version    int // 0 stands for 2
	Kind       Kind
	Copied     bool  // copied forward from another segment
	Body       int64 // length before sealing
	FrameTable int64 // length before sealing
	Fragment   kvs.Fragment
	Timecode   int64 // of the cluster, as the producer wrote it
	// Header is the position of a fragment's header record; of an end record's footer.
	Header      int64
	Key         uint64   // the data key's id; 0: body and frame table are not sealed
	Salt        [16]byte // random; makes the record key
	Facts       Facts    // of a fragment
	Fingerprint [16]byte // of a header record: see [Fingerprint]

	table uint32 // checksum of the checksums, version 1
}

// chunksOf is into how many chunks n bytes are cut.
func chunksOf(n int64) int64 { return (n + ChunkSize - 1) / ChunkSize }

// sealedSize is the length of n bytes as they lie on the disk.
func (r *Record) sealedSize(n int64) int64 {
	if r.Key == 0 {
		return n
	}
	return n + chunksOf(n)*tagSize
}

// factsSize is the length of the facts.
func (r *Record) factsSize() int64 {
	switch {
	case r.Version == 1:
		return 0
	case r.Kind == HeaderRecord:
		return int64(len(r.Fingerprint))
	case r.Kind == FragmentRecord:
		return int64(r.Facts.size())
	}
	return 0
}

// BodyAt is the distance from the start of the record to its body.
func (r *Record) BodyAt() int64 {
	if r.Version == 1 {
		return headSize1 + 4*chunksOf(r.Body)
	}
	return RecordHeadSize + r.factsSize()
}

// FramesAt is the distance from the start of the record to its frame table.
func (r *Record) FramesAt() int64 { return r.BodyAt() + r.sealedSize(r.Body) }

// checksums is how many chunks have a checksum.
func (r *Record) checksums() int64 { return chunksOf(r.Body) + chunksOf(r.FrameTable) }

// Size is the length of the whole record on the disk.
func (r *Record) Size() int64 {
	switch {
	case r.Version == 1:
		return r.FramesAt()
	case r.Kind == EndRecord:
		return RecordHeadSize
	}
	return r.FramesAt() + r.sealedSize(r.FrameTable) + 4*(r.checksums()+1)
}

// Append appends head and facts of a record of version 2 to b, for a segment with this
// salt and the record's position there. Tracks beyond [MaxTracks] are left out.
func (r *Record) Append(b []byte, segmentSalt uint64, position int64) []byte {
	at := len(b)
	b = append(b, make([]byte, RecordHeadSize)...)
	b = r.appendFacts(b)
	h, facts := b[at:at+RecordHeadSize], b[at+RecordHeadSize:]
	copy(h, recordMagic)
	h[4] = byte(r.Kind)
	if r.Copied {
		h[5] = flagCopied
	}
	binary.LittleEndian.PutUint16(h[6:], uint16(len(facts)))
	binary.LittleEndian.PutUint64(h[8:], uint64(r.Body))
	binary.LittleEndian.PutUint64(h[16:], uint64(r.Fragment.Stream))
	binary.LittleEndian.PutUint64(h[24:], uint64(r.Fragment.Number.N))
	binary.LittleEndian.PutUint64(h[32:], uint64(r.Fragment.Number.Server))
	binary.LittleEndian.PutUint64(h[40:], uint64(r.Fragment.Producer))
	binary.LittleEndian.PutUint64(h[48:], uint64(r.Fragment.Duration))
	binary.LittleEndian.PutUint64(h[56:], uint64(r.Timecode))
	binary.LittleEndian.PutUint64(h[64:], uint64(r.Fragment.Size))
	binary.LittleEndian.PutUint64(h[72:], uint64(r.Header))
	binary.LittleEndian.PutUint32(h[80:], r.Fragment.Number.Random)
	binary.LittleEndian.PutUint32(h[84:], uint32(r.FrameTable))
	binary.LittleEndian.PutUint64(h[88:], r.Key)
	copy(h[96:], r.Salt[:])
	binary.LittleEndian.PutUint32(h[112:], checksum(facts))
	binary.LittleEndian.PutUint32(h[124:], headChecksum(h[:124], segmentSalt, position))
	return b
}

// headChecksum is that of a record's head: of the segment's salt, the position and b.
func headChecksum(b []byte, salt uint64, position int64) uint32 {
	return crc32.Update(checksumOfNumber(checksumOfNumber(0, salt), uint64(position)), castagnoli, b)
}

// checksumOfNumber goes on with a checksum over 8 bytes, without the memory that the
// standard library's way costs.
func checksumOfNumber(sum uint32, n uint64) uint32 {
	sum = ^sum
	for range 8 {
		sum = castagnoli[byte(sum)^byte(n)] ^ sum>>8
		n >>= 8
	}
	return ^sum
}

// ParseRecord reads the head and facts at the beginning of b, which come from this
// position of the segment with the head h, into rec. It reports false, and leaves rec
// undefined, unless both are whole and were written for that place. The tracks of rec
// are kept in the memory they have.
func ParseRecord(b []byte, h Head, position int64, rec *Record) bool {
	if h.Version == 1 {
		return parseRecord1(b, h.Salt, position, rec)
	}
	facts, ok := parseRecordHead(b, h.Salt, position, rec)
	if !ok || len(b) < RecordHeadSize+facts {
		return false
	}
	f := b[RecordHeadSize : RecordHeadSize+facts]
	return binary.LittleEndian.Uint32(b[112:]) == checksum(f) && rec.parseFacts(f)
}

// parseRecordHead reads a head alone and returns the length of the facts behind it.
func parseRecordHead(b []byte, salt uint64, position int64, rec *Record) (facts int, ok bool) {
	if len(b) < RecordHeadSize || string(b[:4]) != recordMagic ||
		binary.LittleEndian.Uint32(b[124:]) != headChecksum(b[:124], salt, position) {
		return 0, false
	}
	tracks := rec.Facts.Tracks[:0]
	*rec = Record{
		Version: Version,
		Kind:    Kind(b[4]),
		Copied:  b[5]&flagCopied != 0,
		Body:    int64(binary.LittleEndian.Uint64(b[8:])),
		Fragment: kvs.Fragment{
			Stream: kvs.StreamID(binary.LittleEndian.Uint64(b[16:])),
			Number: kvs.FragmentNumber{
				N:      int64(binary.LittleEndian.Uint64(b[24:])),
				Server: kvs.Millis(binary.LittleEndian.Uint64(b[32:])),
				Random: binary.LittleEndian.Uint32(b[80:]),
			},
			Producer: kvs.Millis(binary.LittleEndian.Uint64(b[40:])),
			Duration: int64(binary.LittleEndian.Uint64(b[48:])),
			Size:     int64(binary.LittleEndian.Uint64(b[64:])),
		},
		Timecode:   int64(binary.LittleEndian.Uint64(b[56:])),
		Header:     int64(binary.LittleEndian.Uint64(b[72:])),
		FrameTable: int64(binary.LittleEndian.Uint32(b[84:])),
		Key:        binary.LittleEndian.Uint64(b[88:]),
		Salt:       [16]byte(b[96:]),
	}
	rec.Facts.Tracks = tracks
	return int(binary.LittleEndian.Uint16(b[6:])), rec.plausible()
}

// plausible reports whether the lengths of the record can be worked with.
func (r *Record) plausible() bool {
	known := r.Kind >= HeaderRecord && r.Kind <= FooterRecord
	empty := r.Kind != EndRecord || r.Body == 0 && r.FrameTable == 0
	return known && empty && r.Body >= 0 && r.Body <= MaxBody && r.FrameTable <= MaxBody
}

// largestHead is the longest head with its facts.
const largestHead = RecordHeadSize + math.MaxUint16

// usualHead is a length that holds head and facts of most records, so that one read
// does.
const usualHead = 512

// ReadRecord reads head and facts of the record at position of a segment of size bytes.
// It reports false when there is none that is whole and valid there, or when it would go
// beyond the end. An error is one of reading, never of what was read.
func ReadRecord(r io.ReaderAt, h Head, position, size int64) (rec Record, ok bool, err error) {
	buf := make([]byte, usualHead)
	ok, err = readRecord(r, h, position, size, &buf, &rec)
	return rec, ok, err
}

// readRecord is [ReadRecord] with memory that is used again: *buf has at least usualHead
// bytes and grows up to largestHead.
func readRecord(r io.ReaderAt, h Head, position, size int64, buf *[]byte, rec *Record) (ok bool, err error) {
	if position < HeadSize || position > size-headSize1 {
		return false, nil
	}
	b := (*buf)[:min(usualHead, size-position)]
	if err := readFull(r, b, position); err != nil {
		return false, err
	}
	if h.Version != 1 {
		if b, ok, err = readFacts(r, h, position, size, b, buf, rec); err != nil || !ok {
			return false, err
		}
	}
	return ParseRecord(b, h, position, rec) && rec.Size() <= size-position, nil
}

// readFacts makes sure that b, which begins with a head, has all of its facts.
func readFacts(r io.ReaderAt, h Head, position, size int64, b []byte, buf *[]byte, rec *Record) ([]byte, bool, error) {
	facts, ok := parseRecordHead(b, h.Salt, position, rec)
	whole := RecordHeadSize + facts
	if !ok || int64(whole) > size-position {
		return b, false, nil
	}
	if whole <= len(b) {
		return b, true, nil
	}
	if len(*buf) < whole {
		*buf = make([]byte, largestHead)
	}
	b = (*buf)[:whole]
	return b, true, readFull(r, b, position)
}
