package mp4

import (
	"fmt"
	"math"

	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/flac"
)

// maxConfig is the longest configuration a sample entry gets, in bytes: what the lengths
// of descriptors can say.
const maxConfig = 1 << 20

// appendEntry appends a track's sample entry (ISO/IEC 14496-12, 12.1.3 and 12.2.3): avc1,
// hvc1, mp4a, or fLaC for G.711, which is converted. The error is one of a track that
// codec.Of did not accept.
func appendEntry(b []byte, t *codec.Track) ([]byte, error) {
	if t.Err != nil {
		return nil, t.Err
	}
	if len(t.Config) > maxConfig || len(t.Config) == 0 && !t.Kind.G711() {
		return nil, fmt.Errorf("no sample entry for track %d (%s) with %d bytes of configuration", t.Number, t.ID, len(t.Config))
	}
	switch t.Kind {
	case codec.H264:
		return appendPicture(b, "avc1", "avcC", t), nil
	case codec.H265:
		return appendPicture(b, "hvc1", "hvcC", t), nil
	case codec.AAC:
		b, at := beginSound(b, "mp4a", t)
		return end(appendESDS(b, t.Config), at), nil
	case codec.ALaw, codec.ULaw:
		b, at := beginSound(b, "fLaC", t)
		b, box := beginFull(b, "dfLa", 0, 0) // FLAC in ISO BMFF, 3.3.2
		info := flac.StreamInfo(t.SampleRate, t.Channels)
		b = u32(b, 1<<31|uint32(len(info))) // the last metadata block, and its kind is 0
		return end(end(append(b, info...), box), at), nil
	}
	return nil, fmt.Errorf("no sample entry for track %d (%s)", t.Number, t.ID)
}

// appendPicture appends a visual sample entry with its configuration.
func appendPicture(b []byte, kind, config string, t *codec.Track) []byte {
	b, at := begin(b, kind)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 1) // data are in this file
	b = append(b, make([]byte, 16)...)
	b = u16(b, uint16(t.Width), uint16(t.Height))
	b = u32(b, 72<<16, 72<<16, 0) // pixels an inch
	b = u16(b, 1)                 // a frame in a sample
	b = append(b, make([]byte, 32)...)
	b = u16(b, 24, 0xFFFF)
	b, box := begin(b, config)
	return end(end(append(b, t.Config...), box), at)
}

// beginSound appends an audio sample entry as far as its configuration.
func beginSound(b []byte, kind string, t *codec.Track) ([]byte, int) {
	b, at := begin(b, kind)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 1)
	b = u32(b, 0, 0)
	b = u16(b, uint16(t.Channels), 16)
	rate := uint32(0) // a greater one is left to the configuration
	if t.SampleRate <= math.MaxUint16 {
		rate = uint32(t.SampleRate) << 16
	}
	return u32(b, 0, rate), at
}

// appendESDS appends the descriptors of AAC (ISO/IEC 14496-1, 7.2.6.5, and 14496-14, 5.6).
func appendESDS(b, config []byte) []byte {
	const decoder = 5 + 13 // bytes of a descriptor's head and of the decoder's fields
	n := uint32(len(config))
	b, at := beginFull(b, "esds", 0, 0)
	b = append(descriptor(b, 3, 3+decoder+5+n+6), 0, 0, 0)
	b = append(descriptor(b, 4, 13+5+n), 0x40, 0x15, 0, 0, 0) // AAC; sound, no buffer told
	b = u32(b, 0, 0)                                          // nor rates
	b = append(descriptor(b, 5, n), config...)
	b = append(descriptor(b, 6, 1), 2)
	return end(b, at)
}

// descriptor appends tag and length of a descriptor, in four bytes as most writers do.
func descriptor(b []byte, tag byte, n uint32) []byte {
	return append(b, tag, 0x80|byte(n>>21), 0x80|byte(n>>14), 0x80|byte(n>>7), byte(n)&0x7F)
}
