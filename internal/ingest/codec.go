package ingest

import (
	"encoding/binary"

	"github.com/millrace/millrace/mkv"
)

// codec is one whose frames tell how long they last.
type codec struct {
	opus bool
	g711 int64 // bytes a second of G.711, 0 = another codec
}

// The formats of a WAVEFORMATEX that have one byte per sample.
const (
	waveALaw  = 6
	waveMuLaw = 7
)

func codecOf(t *mkv.Track) (c codec) {
	c.opus = t.CodecID == "A_OPUS"
	if p := t.CodecPrivate; t.CodecID == "A_MS/ACM" && len(p) >= 8 {
		if f := binary.LittleEndian.Uint16(p); f == waveALaw || f == waveMuLaw {
			c.g711 = int64(binary.LittleEndian.Uint16(p[2:])) * int64(binary.LittleEndian.Uint32(p[4:]))
		}
	}
	return c
}

// defaultOpus is how long a packet lasts that does not say it here, in nanoseconds.
const defaultOpus = 20_000_000

// duration is how long the first frame of a block lasts, in nanoseconds; 0 = unknown.
// The others of a lace last as long in practice.
func (c codec) duration(b *mkv.BlockHeader, raw []byte) int64 {
	switch {
	case c.opus && len(raw) > b.HeaderLen:
		return opusDuration(raw[b.HeaderLen:])
	case c.opus:
		return defaultOpus
	case c.g711 > 0 && len(b.Sizes) > 0 && b.Sizes[0] < 1<<24:
		return int64(b.Sizes[0]) * 1e9 / c.g711
	}
	return 0
}

// opusDuration reads the first bytes of an Opus packet (RFC 6716 sections 3.1 and 3.2).
func opusDuration(packet []byte) int64 {
	const ms = 1_000_000
	toc := packet[0]
	frame := []int64{2.5 * ms, 5 * ms, 10 * ms, 20 * ms}[toc>>3&3] // CELT
	switch config := toc >> 3; {
	case config < 12: // SILK
		frame = []int64{10 * ms, 20 * ms, 40 * ms, 60 * ms}[config&3]
	case config < 16: // hybrid
		frame = []int64{10 * ms, 20 * ms}[config&1]
	}
	switch toc & 3 {
	case 0:
		return frame
	case 1, 2:
		return 2 * frame
	}
	if len(packet) < 2 || packet[1]&0x3F == 0 {
		return defaultOpus
	}
	return int64(packet[1]&0x3F) * frame
}
