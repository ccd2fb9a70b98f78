package archive

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// The layout of a segment, as drawn in docs/design/archive-format.md. All numbers are
// little-endian, all checksums are CRC-32C.
const (
	segmentHeadSize = 64
	recordHeadSize  = 96
	chunkSize       = 64 << 10 // a body is checked in pieces of this size
	maxBody         = 1 << 30  // larger bodies are refused

	segmentMagic = "MLRCSEG\n"
	recordMagic  = "\xa7MRr"
	version      = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encodeHead returns the first bytes of a segment of version 1.
func encodeHead(h segment.Head) []byte {
	b := make([]byte, segmentHeadSize)
	copy(b, segmentMagic)
	binary.LittleEndian.PutUint32(b[8:], version)
	binary.LittleEndian.PutUint32(b[12:], uint32(h.Class))
	binary.LittleEndian.PutUint64(b[16:], uint64(h.ID))
	binary.LittleEndian.PutUint64(b[24:], h.Salt)
	binary.LittleEndian.PutUint64(b[32:], uint64(h.Created))
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	return b
}

// kind says what a record holds.
type kind uint8

const (
	headerRecord   kind = 1 // the bytes before the clusters, shared by many fragments
	fragmentRecord kind = 2
	endRecord      kind = 3 // the last record of a sealed segment; no body
)

// recordHead is the fixed part of a record. Behind it come the checksums of the body's
// chunks (the table), then the body.
type recordHead struct {
	kind     kind
	body     int64
	fragment kvs.Fragment // of a fragment record
	timecode int64        // of a fragment record
	header   int64        // of a fragment record: where its header record is
	table    uint32       // checksum of the table
}

// bodyAt is the distance from the start of the record to its body.
func (h *recordHead) bodyAt() int64 { return recordHeadSize + tableSize(h.body) }

// recordSize is the length of the whole record.
func (h *recordHead) recordSize() int64 { return h.bodyAt() + h.body }

// tableSize is the length of the table of a body.
func tableSize(body int64) int64 { return 4 * ((body + chunkSize - 1) / chunkSize) }

// put writes the head over the first bytes of b. Its checksum covers the segment's
// salt and the record's position too, so bytes copied from elsewhere never pass.
func (h *recordHead) put(b []byte, salt uint64, position int64) {
	b = b[:recordHeadSize]
	clear(b)
	copy(b, recordMagic)
	b[4] = byte(h.kind)
	binary.LittleEndian.PutUint64(b[8:], uint64(h.body))
	binary.LittleEndian.PutUint64(b[16:], uint64(h.fragment.Stream))
	binary.LittleEndian.PutUint64(b[24:], uint64(h.fragment.Number.N))
	binary.LittleEndian.PutUint64(b[32:], uint64(h.fragment.Number.Server))
	binary.LittleEndian.PutUint64(b[40:], uint64(h.fragment.Producer))
	binary.LittleEndian.PutUint64(b[48:], uint64(h.fragment.Duration))
	binary.LittleEndian.PutUint64(b[56:], uint64(h.timecode))
	binary.LittleEndian.PutUint64(b[64:], uint64(h.fragment.Size))
	binary.LittleEndian.PutUint64(b[72:], uint64(h.header))
	binary.LittleEndian.PutUint32(b[80:], h.fragment.Number.Random)
	binary.LittleEndian.PutUint32(b[84:], h.table)
	binary.LittleEndian.PutUint32(b[92:], headChecksum(b, salt, position))
}

// parseRecordHead reports false unless put wrote b for this segment and position.
func parseRecordHead(b []byte, salt uint64, position int64) (h recordHead, ok bool) {
	if len(b) < recordHeadSize || string(b[:4]) != recordMagic ||
		binary.LittleEndian.Uint32(b[92:]) != headChecksum(b, salt, position) {
		return h, false
	}
	h.kind = kind(b[4])
	h.body = int64(binary.LittleEndian.Uint64(b[8:]))
	h.fragment = kvs.Fragment{
		Stream: kvs.StreamID(binary.LittleEndian.Uint64(b[16:])),
		Number: kvs.FragmentNumber{
			N:      int64(binary.LittleEndian.Uint64(b[24:])),
			Server: kvs.Millis(binary.LittleEndian.Uint64(b[32:])),
			Random: binary.LittleEndian.Uint32(b[80:]),
		},
		Producer: kvs.Millis(binary.LittleEndian.Uint64(b[40:])),
		Duration: int64(binary.LittleEndian.Uint64(b[48:])),
		Size:     int64(binary.LittleEndian.Uint64(b[64:])),
	}
	h.timecode = int64(binary.LittleEndian.Uint64(b[56:]))
	h.header = int64(binary.LittleEndian.Uint64(b[72:]))
	h.table = binary.LittleEndian.Uint32(b[84:])
	known := h.kind >= headerRecord && h.kind <= endRecord
	return h, known && h.body >= 0 && h.body <= maxBody
}

func headChecksum(b []byte, salt uint64, position int64) uint32 {
	var place [16]byte
	binary.LittleEndian.PutUint64(place[:], salt)
	binary.LittleEndian.PutUint64(place[8:], uint64(position))
	return crc32.Update(crc32.Checksum(place[:], castagnoli), castagnoli, b[:92])
}

// appendTable appends the checksums of the chunks of a body given in pieces.
func appendTable(b []byte, pieces [][]byte) []byte {
	sum, room := uint32(0), chunkSize
	for _, p := range pieces {
		for len(p) > 0 {
			k := min(len(p), room)
			sum = crc32.Update(sum, castagnoli, p[:k])
			p, room = p[k:], room-k
			if room == 0 {
				b = binary.LittleEndian.AppendUint32(b, sum)
				sum, room = 0, chunkSize
			}
		}
	}
	if room < chunkSize {
		b = binary.LittleEndian.AppendUint32(b, sum)
	}
	return b
}

// chunkIntact reports whether chunk, number i of its body, has the checksum the table says.
func chunkIntact(table []byte, i int64, chunk []byte) bool {
	return binary.LittleEndian.Uint32(table[4*i:]) == crc32.Checksum(chunk, castagnoli)
}
