// Package segment reads and writes the bytes of segments, the files that hold media.
//
// The layout of both versions is drawn in docs/design/archive-format.md. Version 2 is
// written and read, version 1 only read. What is read is never trusted: no length makes
// anything here use more memory than a fixed amount, and a record is valid at its place
// in its file only. Nothing here knows the index, and only [Sealer], [Opener] and
// [Fingerprint] see a key.
//
// Values are for one goroutine at a time unless they say otherwise.
package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/kvs"
)

// Version is the version of segments that are written.
const Version = 2

// HeadSize is the length of a segment's head; the first record follows it.
const HeadSize = 64

// ChunkSize is the length of the pieces in which a body and a frame table are checked
// and sealed, before sealing.
const ChunkSize = 64 << 10

const segmentMagic = "MLRCSEG\n"

// Class groups streams whose fragments live about equally long, so that a whole segment
// dies at about the same time: up to 1 day, 7 days, 30 days, 1 year, longer.
type Class uint8

// Classes is how many classes there are.
const Classes = 5

// Tier is the storage tier of a segment's streams.
type Tier uint8

// The tiers.
const (
	Hot Tier = iota
	Warm
)

// Tiers is how many tiers there are.
const Tiers = 2

// TierOf returns the tier for the word of the API; anything but WARM is hot.
func TierOf(t kvs.StorageTier) Tier {
	if t == kvs.Warm {
		return Warm
	}
	return Hot
}

// Head is what the first bytes of a segment say.
type Head struct {
	Version int // 1 or 2
	Class   Class
	Tier    Tier // always Hot in version 1
	ID      int64
	Salt    uint64 // random; makes a record valid in this file only
	Created kvs.Millis
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is the CRC-32C of b.
func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// Encode returns the head of a segment of version 2, [HeadSize] bytes.
func (h Head) Encode() []byte {
	b := make([]byte, HeadSize)
	copy(b, segmentMagic)
	binary.LittleEndian.PutUint32(b[8:], Version)
	b[12], b[13] = byte(h.Class), byte(h.Tier)
	binary.LittleEndian.PutUint64(b[16:], uint64(h.ID))
	binary.LittleEndian.PutUint64(b[24:], h.Salt)
	binary.LittleEndian.PutUint64(b[32:], uint64(h.Created))
	binary.LittleEndian.PutUint32(b[60:], checksum(b[:60]))
	return b
}

// ParseHead reads the first [HeadSize] bytes of a segment. It reports false for
// anything that is not the head of a version it knows.
func ParseHead(b []byte) (Head, bool) {
	if len(b) < HeadSize || string(b[:8]) != segmentMagic || binary.LittleEndian.Uint32(b[60:]) != checksum(b[:60]) {
		return Head{}, false
	}
	h := Head{
		Version: int(binary.LittleEndian.Uint32(b[8:])),
		Class:   Class(b[12]),
		Tier:    Tier(b[13]),
		ID:      int64(binary.LittleEndian.Uint64(b[16:])),
		Salt:    binary.LittleEndian.Uint64(b[24:]),
		Created: kvs.Millis(binary.LittleEndian.Uint64(b[32:])),
	}
	switch {
	case h.ID <= 0, h.Class >= Classes, b[14] != 0, b[15] != 0:
		return Head{}, false
	case h.Version == 1:
		return h, h.Tier == Hot
	}
	return h, h.Version == Version && h.Tier < Tiers
}

// ErrNoSegment says that a file does not begin like a segment.
var ErrNoSegment = errors.New("the segment's first 64 bytes are damaged")

// ReadHead reads the head of a segment. The error wraps [ErrNoSegment] for a head that
// is damaged or of an unknown version, and [io.ErrUnexpectedEOF] for a file that is too
// short.
func ReadHead(r io.ReaderAt) (Head, error) {
	var b [HeadSize]byte
	if err := readFull(r, b[:], 0); err != nil {
		return Head{}, err
	}
	h, ok := ParseHead(b[:])
	if !ok {
		return Head{}, ErrNoSegment
	}
	return h, nil
}

// FileName is the name of a segment's file.
func FileName(id int64) string { return fmt.Sprintf("%012d.seg", id) }

// ParseFileName reads a name made by [FileName] and reports false for any other.
func ParseFileName(name string) (id int64, ok bool) {
	digits, ok := strings.CutSuffix(name, ".seg")
	if !ok || len(digits) < 12 {
		return 0, false
	}
	id, err := strconv.ParseInt(digits, 10, 64)
	padded := digits[0] == '0'
	return id, err == nil && id > 0 && digits[0] != '+' && padded == (len(digits) == 12 && id < 1e11)
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
