package codec

import (
	"fmt"

	"github.com/millrace/millrace/mkv"
)

// Audio object types (ISO/IEC 14496-3, table 1.17).
const (
	aacLTP   = 4 // Main, LC and SSR are 1 to 3
	aacSBR   = 5 // HE-AAC
	aacPS    = 29
	aacOther = 31 // six more bits tell
)

// aacRates are the sampling rates by index (table 1.18).
var aacRates = [...]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}

// aacChannels is how many channels a configuration has (table 1.19); 0 = not said there.
var aacChannels = [16]int{0, 1, 2, 3, 4, 5, 6, 8, 0, 0, 0, 7, 8, 0, 8, 0}

// readAAC reads an AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1).
func readAAC(c *Track, t *mkv.Track) fault {
	c.Kind, c.Config = AAC, t.CodecPrivate
	if b := c.Config; len(b) >= 2 && b[0] == 0xFF && b[1]&0xF0 == 0xF0 {
		return invalid("an ADTS header where an AudioSpecificConfig must be")
	}
	r := &bitReader{b: c.Config}
	kind := aacType(r)
	core := kind
	c.SampleRate = aacRate(r)
	channels := r.u(4)
	if kind == aacSBR || kind == aacPS {
		aacRate(r) // what is heard
		core = aacType(r)
	}
	c.FrameSamples = 1024
	if r.flag() {
		c.FrameSamples = 960
	}
	if c.Channels = aacChannels[channels]; channels == 0 {
		c.Channels = aacElements(r)
	}
	switch {
	case r.short:
		return invalid("an AudioSpecificConfig that ends too soon")
	case kind == 0 || c.SampleRate == 0:
		return invalid("an AudioSpecificConfig of an unknown type or sampling rate")
	case core < 1 || core > aacLTP:
		return fault{Unsupported, fmt.Sprintf("AAC of audio object type %d", core)}
	case c.Channels == 0:
		return invalid("an AudioSpecificConfig with the channel configuration %d", channels)
	}
	c.String = fmt.Sprintf("mp4a.40.%d", kind)
	return fault{}
}

func aacType(r *bitReader) uint32 {
	if kind := r.u(5); kind != aacOther {
		return kind
	}
	return 32 + r.u(6)
}

// aacRate reads a sampling rate, by index or as it is; 0 = none that can be.
func aacRate(r *bitReader) int {
	i := r.u(4)
	if i == 15 {
		return int(r.u(24))
	}
	if int(i) >= len(aacRates) {
		return 0
	}
	return aacRates[i]
}

// aacElements counts the channels that a program_config_element lists (4.4.1.1). It
// follows two more flags of the GASpecificConfig.
func aacElements(r *bitReader) (channels int) {
	if r.flag() {
		r.u(14)
	}
	r.u(11) // flag, instance, object type, sampling rate
	pairs := r.u(4) + r.u(4) + r.u(4)
	low, data, coupled := r.u(2), r.u(3), r.u(4)
	for _, n := range []int{4, 4, 3} { // how to mix down
		if r.flag() {
			r.u(n)
		}
	}
	for range pairs {
		channels += 1 + int(r.u(1))
		r.u(4)
	}
	r.skip(int(4*low + 4*data + 5*coupled))
	return channels + int(low)
}
