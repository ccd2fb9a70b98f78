package remux

import (
	"math"
	"time"

	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/flac"
	"github.com/millrace/millrace/internal/frames"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/mp4"
)

// maxTime bounds how far a frame is from its fragment's start: all sums in a track's
// time scale stay far inside 64 bits.
const maxTime = 10 * time.Hour

// maxScale bounds time scales, for the same reason.
const maxScale = 1 << 24

// Part is what one track has of a fragment.
type Part struct {
	Track *codec.Track
	Scale uint32 // units of time in a second, see [mp4.Timescale]

	// First is when the first sample is decoded, in units from the fragment's start. It
	// may be negative. Each further one is decoded when the one before has lasted.
	First   int64
	Samples []mp4.Sample
	Length  int64 // sum of the durations, units
	Bytes   int64 // sum of the sizes: of the payload
}

// Decode returns when the first sample is decoded if the fragment starts at that time:
// units since 1970, or since whatever start counts from. It is never negative.
func (p *Part) Decode(start kvs.Millis) uint64 {
	at := Units(start, p.Scale) + p.First
	return uint64(max(0, at))
}

// Units returns a time in units of the scale, rounded to the nearest.
func Units(at kvs.Millis, scale uint32) int64 {
	seconds, rest := int64(at)/1000, int64(at)%1000
	return seconds*int64(scale) + (rest*int64(scale)+500)/1000
}

// units returns a time from the fragment's start in units of the scale.
func units(at time.Duration, scale uint32) int64 {
	n := at.Microseconds() * int64(scale)
	if n < 0 {
		return (n - 500_000) / 1_000_000
	}
	return (n + 500_000) / 1_000_000
}

// Samples lists the samples of a track, appending to those in memory, which may be nil.
// A declared track without frames has none.
func (f *Fragment) Samples(memory []mp4.Sample, number uint64) (Part, error) {
	t, err := f.track(number)
	if err != nil {
		return Part{}, err
	}
	c, err := newClock(t, memory)
	if err != nil {
		return Part{}, err
	}
	for r, err := range f.frames(t) {
		if err == nil {
			err = c.add(&r)
		}
		if err != nil {
			return Part{}, err
		}
	}
	err = c.end(f.source.Length)
	return c.Part, err
}

// clock gives samples their times.
type clock struct {
	Part
	sound bool
	near  int64 // how far a stamp may be from where the sound before ends, units
	sizer *sizer

	decode int64 // of the last sample, units from the start
	usual  int64 // how long it lasts if nobody says anything else, units; 0 unknown
}

func newClock(t *codec.Track, memory []mp4.Sample) (*clock, error) {
	c := &clock{Part: Part{Track: t, Scale: mp4.Timescale(t), Samples: memory[:0:cap(memory)]}}
	if c.Scale == 0 || c.Scale > maxScale {
		return nil, broken("track %d has an impossible sampling rate", t.Number)
	}
	var err error
	switch t.Kind {
	case codec.H264, codec.H265:
		if t.FrameRate > 0.001 {
			c.usual = int64(math.Round(float64(c.Scale) / t.FrameRate))
		}
		return c, nil
	case codec.AAC:
		c.usual = int64(t.FrameSamples)
	case codec.ALaw, codec.ULaw:
		c.sizer, err = newSizer(t)
	default:
		err = broken("frames of track %d are of no known codec", t.Number)
	}
	c.sound, c.near = true, int64(c.Scale/1000)+1
	return c, err
}

// add takes the next frame.
func (c *clock) add(r *frames.Frame) error {
	s := mp4.Sample{Size: uint32(r.Converted), Key: r.Key || c.sound || len(c.Samples) == 0}
	at, shown := units(r.Decode, c.Scale), units(r.Presentation, c.Scale)
	lasts := c.usual
	if c.sound {
		at = shown
	}
	if c.sizer != nil {
		var err error
		if s.Size, lasts, err = c.sizer.size(r); err != nil {
			return err
		}
	}
	if r.Converted > math.MaxUint32 {
		return broken("the frame at byte %d is too long for MP4", r.Offset)
	}
	if len(c.Samples) == 0 {
		c.First = at
	} else if err := c.follow(&at); err != nil {
		return err
	}
	if !c.sound {
		s.Offset = int32(shown - at)
		if int64(s.Offset) != shown-at {
			return broken("the frame at byte %d is shown hours from when it is decoded", r.Offset)
		}
	}
	c.decode, c.usual = at, lasts
	c.Samples = append(c.Samples, s)
	c.Bytes += int64(s.Size)
	return nil
}

// follow lets the last sample last until the next one begins, at the latest then. It
// moves that to where sound ends if it is near, and behind the last in any case.
func (c *clock) follow(at *int64) error {
	if end := c.decode + c.usual; c.sound && -c.near <= *at-end && *at-end <= c.near {
		*at = end
	}
	*at = max(*at, c.decode+1)
	d := *at - c.decode
	return c.last(d)
}

// last sets the duration of the last sample.
func (c *clock) last(d int64) error {
	if d > math.MaxUint32 {
		return broken("a frame of track %d lasts for hours", c.Track.Number)
	}
	c.Samples[len(c.Samples)-1].Duration = uint32(d)
	c.Length += d
	return nil
}

// end gives the last sample its duration: of the codec for sound, else to the end of the
// fragment if that is near, else as long as usual.
func (c *clock) end(length int64) error {
	n := len(c.Samples)
	if n == 0 {
		return nil
	}
	if c.sound {
		return c.last(max(1, c.usual))
	}
	rest := Units(kvs.Millis(length), c.Scale) - c.decode
	if n > 1 {
		c.usual = int64(c.Samples[n-2].Duration)
	}
	switch {
	case n == 1 && rest > 0, 2*max(rest-c.usual, c.usual-rest) <= c.usual:
		return c.last(max(1, min(rest, math.MaxUint32)))
	}
	return c.last(max(1, c.usual))
}

// sizer computes what frames of G.711 will be.
type sizer struct {
	encoder  *flac.Encoder
	channels int64
	number   uint64
	samples  uint64 // of each channel so far
}

func newSizer(t *codec.Track) (*sizer, error) {
	law := flac.ALaw
	if t.Kind == codec.ULaw {
		law = flac.ULaw
	}
	e, err := flac.New(law, t.SampleRate, t.Channels)
	if err != nil {
		return nil, broken("track %d: %v", t.Number, err)
	}
	return &sizer{encoder: e, channels: int64(t.Channels), number: t.Number}, nil
}

// size returns the bytes of the FLAC frame and how many samples it has.
func (z *sizer) size(r *frames.Frame) (uint32, int64, error) {
	n, err := z.encoder.Size(int(r.Length), z.samples)
	if err != nil {
		return 0, 0, broken("the frame at byte %d of track %d: %v", r.Offset, z.number, err)
	}
	samples := r.Length / z.channels
	z.samples += uint64(samples)
	return uint32(n), samples, nil
}
