package segment

import (
	"encoding/binary"
	"io"
	"sync"
)

// verifier is the memory of one verification.
type verifier struct {
	table []byte
	buf   []byte
}

// verifyBytes is how much of a record is read at once.
const verifyBytes = 4 * SealedChunk

var verifiers = sync.Pool{New: func() any { return &verifier{buf: make([]byte, verifyBytes)} }}

// Verify checks body and frame table of the record at position against their checksums,
// which needs no key. An error is one of reading, never of what was read; a file that
// ends within the record is an error. Any number of goroutines may call it.
func Verify(r io.ReaderAt, position int64, rec *Record) (ok bool, err error) {
	v := verifiers.Get().(*verifier)
	defer verifiers.Put(v)
	if rec.Version != 1 && rec.Kind == EndRecord {
		return true, nil
	}
	if ok, err := v.readTable(r, position, rec); err != nil || !ok {
		return false, err
	}
	table := v.table
	at := position + rec.BodyAt()
	for _, size := range []int64{rec.Body, rec.FrameTable} {
		n := chunksOf(size)
		ok, err := v.verifyPart(r, at, rec.sealedSize(size), rec.chunkSize(), table[:4*n])
		if err != nil || !ok {
			return false, err
		}
		at, table = at+rec.sealedSize(size), table[4*n:]
	}
	return true, nil
}

// chunkSize is the length of a whole chunk on the disk.
func (r *Record) chunkSize() int {
	if r.Key == 0 {
		return ChunkSize
	}
	return SealedChunk
}

// readTable reads the checksums of all chunks and reports whether they are intact.
func (v *verifier) readTable(r io.ReaderAt, position int64, rec *Record) (bool, error) {
	size := 4 * rec.checksums()
	if rec.Version == 1 {
		v.room(size)
		if err := readFull(r, v.table, position+headSize1); err != nil {
			return false, err
		}
		return checksum(v.table) == rec.table, nil
	}
	v.room(size + 4)
	if err := readFull(r, v.table, position+rec.Size()-size-4); err != nil {
		return false, err
	}
	return checksum(v.table[:size]) == binary.LittleEndian.Uint32(v.table[size:]), nil
}

// room makes the table n bytes long. n is at most 128 KiB, whatever a head says.
func (v *verifier) room(n int64) {
	if int64(cap(v.table)) < n {
		v.table = make([]byte, n)
	}
	v.table = v.table[:n]
}

// verifyPart checks n bytes in chunks of this size against sums.
func (v *verifier) verifyPart(r io.ReaderAt, at, n int64, chunk int, sums []byte) (bool, error) {
	run := int64(len(v.buf) / chunk * chunk)
	for ; n > 0; n -= run {
		b := v.buf[:min(run, n)]
		if err := readFull(r, b, at); err != nil {
			return false, err
		}
		at += int64(len(b))
		for len(b) > 0 {
			c := b[:min(chunk, len(b))]
			if checksum(c) != binary.LittleEndian.Uint32(sums) {
				return false, nil
			}
			b, sums = b[len(c):], sums[4:]
		}
	}
	return true, nil
}

// Checksums1 reads the checksums of the chunks of a body of version 1, 4 bytes each. It
// reports false when they are damaged.
func Checksums1(r io.ReaderAt, position int64, rec *Record) (sums []byte, ok bool, err error) {
	var v verifier
	ok, err = v.readTable(r, position, rec)
	return v.table, ok, err
}

// Intact1 reports whether b is chunk number n of a body with these checksums.
func Intact1(sums []byte, n int64, b []byte) bool {
	return binary.LittleEndian.Uint32(sums[4*n:]) == checksum(b)
}
