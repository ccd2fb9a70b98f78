package codec

import (
	"encoding/binary"
	"fmt"

	"github.com/millrace/millrace/mkv"
)

// Format tags of a WAVEFORMATEX.
const (
	waveALaw       = 6
	waveULaw       = 7
	waveExtensible = 0xFFFE // the tag stands in the sub-format
)

// readACM reads the WAVEFORMATEX of a sound track in one of Microsoft's formats: tag,
// channels, samples a second, bytes a second, bytes per block, bits per sample, all
// little-endian.
func readACM(c *Track, t *mkv.Track) fault {
	b := t.CodecPrivate
	if len(b) < 16 {
		return invalid("a WAVEFORMATEX has 16 bytes or more, there are %d", len(b))
	}
	tag := binary.LittleEndian.Uint16(b)
	if tag == waveExtensible && len(b) >= 40 {
		tag = binary.LittleEndian.Uint16(b[24:])
	}
	switch tag {
	case waveALaw:
		c.Kind = ALaw
	case waveULaw:
		c.Kind = ULaw
	default:
		return fault{Unsupported, fmt.Sprintf("the WAVEFORMATEX has the format tag %d", tag)}
	}
	channels, hertz, size := binary.LittleEndian.Uint16(b[2:]), binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint16(b[14:])
	if channels < 1 || channels > 8 || hertz < 1 || hertz > 192_000 || size != 8 && size != 0 {
		return invalid("G.711 of %d channels, %d samples a second and %d bits", channels, hertz, size)
	}
	c.Channels, c.SampleRate = int(channels), int(hertz)
	return fault{}
}
