// Package codec reads the codec private data of Matroska tracks: what players must be told
// about H.264, H.265, AAC and G.711 before the first frame. Configuration records of MP4
// are made of raw parameter sets where a producer sent those.
//
// It reads bytes that strangers wrote: every size is checked, nothing is kept that is
// larger than what came in.
package codec

import (
	"math"

	"github.com/millrace/millrace/internal/frames"
	"github.com/millrace/millrace/mkv"
)

// Kind is a codec that playback knows.
type Kind uint8

// The codecs. Unknown is every other one.
const (
	Unknown Kind = iota
	H264
	H265
	AAC
	ALaw
	ULaw
)

// String is the codec's name.
func (k Kind) String() string {
	if k > ULaw {
		k = Unknown
	}
	return [...]string{"unknown", "H.264", "H.265", "AAC", "G.711 A-law", "G.711 µ-law"}[k]
}

// Video reports whether the codec is one of pictures.
func (k Kind) Video() bool { return k == H264 || k == H265 }

// G711 reports whether a byte of the codec is a sample (ITU-T G.711).
func (k Kind) G711() bool { return k == ALaw || k == ULaw }

// Track is what its header tells about one track. Fields that its codec does not have are
// zero.
type Track struct {
	Number      uint64 // as blocks carry it
	ID          string // the codec id as the producer wrote it
	Kind        Kind
	Fingerprint uint64 // frames.Fingerprint of the id and the private data

	// AnnexB says that frames must be converted, see frames.AnnexB. Config is for
	// converted frames.
	AnnexB bool
	// LengthSize is how many bytes stand in front of each NAL unit: 1, 2 or 4; 4 after
	// conversion.
	LengthSize int
	// Config is the avcC or hvcC record (ISO/IEC 14496-15) or the AudioSpecificConfig
	// (ISO/IEC 14496-3). It may be the private data itself: not to be written to.
	Config []byte

	Width, Height int     // of the shown picture, in pixels
	FrameRate     float64 // frames a second, 0 = unknown
	// Reorder is how many frames at most are decoded before one that is shown earlier.
	Reorder int

	// SampleRate is in hertz. With SBR (HE-AAC) it is that of the core, half of what is
	// heard, so that a frame has FrameSamples of them.
	SampleRate   int
	FrameSamples int // of an AAC frame: 1,024, rarely 960
	Channels     int

	String string // as RFC 6381 writes it; "" for G.711, which has none
	Err    error  // a [*Error] when the track cannot be played
}

// Of reads what a track's header tells. Its error is a [*Error]; it stands in the track,
// too, which has a number, an id and a fingerprint in any case.
func Of(t *mkv.Track) (Track, error) {
	c := Track{Number: t.Number, ID: t.CodecID, Fingerprint: frames.Fingerprint(t.CodecID, t.CodecPrivate)}
	var f fault
	switch {
	case readers[t.CodecID] == nil:
		f = fault{Unsupported, "no codec that playback knows"}
	case len(t.CodecPrivate) == 0:
		f = fault{Missing, "there is none"}
	default:
		f = readers[t.CodecID](&c, t)
	}
	if f.problem != None {
		c.Err = &Error{Track: t.Number, ID: t.CodecID, Problem: f.problem, Detail: f.detail}
		return c, c.Err
	}
	return c, nil
}

// readers fill in a track of a codec id. H.264 and H.265 have a second id each, which
// the guide of the service prints and no producer of ours writes.
var readers = map[string]func(*Track, *mkv.Track) fault{
	"V_MPEG4/ISO/AVC":  readAVC,
	"V_MPEG/ISO/AVC":   readAVC,
	"V_MPEGH/ISO/HEVC": readHEVC,
	"V_MPEG/ISO/HEVC":  readHEVC,
	"A_AAC":            readAAC,
	"A_MS/ACM":         readACM,
}

// Frame rates outside these are a mistake of who wrote them.
const minRate, maxRate = 1.0, 400.0

// rate is how many frames a second a video track has: what the stream says, else what the
// Matroska header does.
func rate(stream float64, t *mkv.Track) float64 {
	if stream >= minRate && stream <= maxRate {
		return stream
	}
	if r := 1e9 / float64(t.DefaultDuration); r >= minRate && r <= maxRate {
		return math.Round(r*1000) / 1000 // nanoseconds make 29.97 to 29.970000029
	}
	return 0
}

// maxSide is the longest side of a picture, in pixels; sample entries have 16 bits for it.
const maxSide = math.MaxUint16
