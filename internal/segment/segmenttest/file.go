// Package segmenttest lays out segments in memory, of version 2 and of version 1, which
// nothing else writes any more. It is for tests.
package segmenttest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"slices"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// File is a segment that grows record by record. It is an io.ReaderAt and a
// segment.Writer.
type File struct {
	Head  segment.Head
	Bytes []byte
}

// New begins a segment of the head's version.
func New(h segment.Head) *File {
	f := &File{Head: h, Bytes: h.Encode()}
	if h.Version == 1 {
		f.Bytes[8], f.Bytes[13] = 1, 0
		binary.LittleEndian.PutUint32(f.Bytes[60:], checksum(f.Bytes[:60]))
	}
	return f
}

// Key is a data key whose secret follows from its id.
func Key(id uint64) segment.DataKey {
	return segment.DataKey{ID: id, Secret: sha256.Sum256(binary.LittleEndian.AppendUint64(nil, id))}
}

// Header appends a header record and returns its position. Version 1 has no stream and
// no key.
func (f *File) Header(stream kvs.StreamID, key segment.DataKey, header []byte) int64 {
	r := segment.Record{Kind: segment.HeaderRecord, Fragment: kvs.Fragment{Stream: stream}, Fingerprint: segment.Fingerprint(key, header)}
	return f.add(&r, key, header, nil)
}

// Fragment appends a fragment record and returns its position. r needs its fragment,
// timecode, position of the header record and facts.
func (f *File) Fragment(r segment.Record, key segment.DataKey, body, frames []byte) int64 {
	r.Kind = segment.FragmentRecord
	return f.add(&r, key, body, frames)
}

func (f *File) add(r *segment.Record, key segment.DataKey, body, frames []byte) int64 {
	at := int64(len(f.Bytes))
	r.Body, r.FrameTable, r.Key = int64(len(body)), int64(len(frames)), key.ID
	sum := sha256.Sum256(binary.LittleEndian.AppendUint64(nil, uint64(at)))
	r.Salt = [16]byte(sum[:])
	if f.Head.Version == 1 {
		f.add1(r, body)
		return at
	}
	b := r.Append(f.Bytes, f.Head.Salt, at)
	var s segment.Sealer
	if err := s.Start(key, r); err != nil {
		panic(err)
	}
	b = slices.Grow(b, int(at+r.Size())-len(b))
	b, _ = s.Body(b, body)
	b, _ = s.Frames(b, frames)
	f.Bytes = s.Checksums(b)
	return at
}

// add1 appends a record of version 1.
func (f *File) add1(r *segment.Record, body []byte) {
	var table []byte
	for b := body; len(b) > 0; {
		n := min(len(b), segment.ChunkSize)
		table = binary.LittleEndian.AppendUint32(table, checksum(b[:n]))
		b = b[n:]
	}
	h := make([]byte, 92, 96)
	copy(h, "\xa7MRr")
	h[4] = byte(r.Kind)
	numbers := []int64{r.Body, 0, 0, 0, 0, 0, 0, 0, r.Header}
	if r.Kind == segment.FragmentRecord {
		g := r.Fragment
		numbers = []int64{r.Body, int64(g.Stream), g.Number.N, int64(g.Number.Server), int64(g.Producer), g.Duration, r.Timecode, g.Size, r.Header}
	}
	for i, n := range numbers {
		binary.LittleEndian.PutUint64(h[8+8*i:], uint64(n))
	}
	binary.LittleEndian.PutUint32(h[80:], r.Fragment.Number.Random)
	binary.LittleEndian.PutUint32(h[84:], checksum(table))
	place := binary.LittleEndian.AppendUint64(nil, f.Head.Salt)
	place = binary.LittleEndian.AppendUint64(place, uint64(len(f.Bytes)))
	h = binary.LittleEndian.AppendUint32(h, checksum(append(place, h...)))
	f.Bytes = append(append(append(f.Bytes, h...), table...), body...)
}

// Seal ends the segment.
func (f *File) Seal() {
	if f.Head.Version == 1 {
		f.add1(&segment.Record{Kind: segment.EndRecord}, nil)
		return
	}
	if _, err := segment.Seal(f, f.Head, int64(len(f.Bytes))); err != nil {
		panic(err)
	}
}

// ReadAt implements io.ReaderAt.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(f.Bytes).ReadAt(p, off)
}

// Write implements segment.Writer.
func (f *File) Write(pieces [][]byte, off int64) error {
	for _, p := range pieces {
		if missing := off + int64(len(p)) - int64(len(f.Bytes)); missing > 0 {
			f.Bytes = append(f.Bytes, make([]byte, missing)...)
		}
		off += int64(copy(f.Bytes[off:], p))
	}
	return nil
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }
