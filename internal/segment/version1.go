package segment

import (
	"encoding/binary"

	"github.com/millrace/millrace/internal/kvs"
)

// The differences of version 1, which is only read.
const (
	headSize1    = 96
	recordMagic1 = "\xa7MRr"
)

// parseRecord1 is [ParseRecord] for version 1.
func parseRecord1(b []byte, salt uint64, position int64, rec *Record) bool {
	if len(b) < headSize1 || string(b[:4]) != recordMagic1 ||
		binary.LittleEndian.Uint32(b[92:]) != headChecksum(b[:92], salt, position) {
		return false
	}
	tracks := rec.Facts.Tracks[:0]
	*rec = Record{
		Version: 1,
		Kind:    Kind(b[4]),
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
		Timecode: int64(binary.LittleEndian.Uint64(b[56:])),
		Header:   int64(binary.LittleEndian.Uint64(b[72:])),
		table:    binary.LittleEndian.Uint32(b[84:]),
	}
	rec.Facts.Tracks = tracks
	return rec.Kind != FooterRecord && rec.plausible()
}
