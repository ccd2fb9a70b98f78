package mp4

import (
	"errors"
	"math"

	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/kvs"
)

// ErrMovie says that media do not fit into an MP4 file: a pause of a track of more than
// half a day, or more than 2^32 frames.
var ErrMovie = errors.New("the media do not fit into one MP4 file")

// Movie lays out a progressive MP4 file (ISO/IEC 14496-12): ftyp, moov, mdat. It is told
// the samples of all tracks, in the order in which they will lie in mdat, and then knows
// the file up to the media, whatever their length. A frame costs about ten bytes of
// memory, no more than in the file. It serves one goroutine.
type Movie struct {
	created kvs.Millis
	begin   int64 // of what is shown, milliseconds of the timeline; see Begin
	edited  bool
	tracks  []*movieTrack
	payload int64 // bytes of all samples
}

// NewMovie makes a movie without tracks. Created is the time of recording that it bears.
func NewMovie(created kvs.Millis) *Movie { return &Movie{created: created} }

// Track adds a track and returns its index; in the file tracks are numbered from 1. The
// error is that of a track which cannot be played.
func (m *Movie) Track(t *codec.Track) (int, error) {
	mt := &movieTrack{scale: Timescale(t), video: t.Kind.Video()}
	m.tracks = append(m.tracks, mt)
	return len(m.tracks) - 1, mt.describe(t)
}

// Codec says what the samples of a track from here on are coded with. Another
// configuration is another sample description; one that was there before is used again.
func (m *Movie) Codec(track int, t *codec.Track) error { return m.tracks[track].describe(t) }

// Chunk adds samples that lie in mdat one after the other, behind all others. Decode is
// when the first is decoded, in units of the track, counted from the timeline's start; it may be negative. A pause
// after the samples before is waited for, and an overlap is taken from the last of them. Sound that comes up to 3 ms
// early or late, because stamps are rounded, goes on at once. The error is [ErrMovie].
func (m *Movie) Chunk(track int, decode int64, samples []Sample) error {
	if len(samples) == 0 {
		return nil
	}
	t := m.tracks[track]
	if err := t.meet(decode); err != nil {
		return err
	}
	t.chunk(m.payload, uint32(len(samples)))
	for i := range samples {
		if err := t.add(&samples[i]); err != nil {
			return err
		}
		m.payload += int64(samples[i].Size)
	}
	return nil
}

// Begin says that players show the movie from this moment of the timeline on, which is in
// milliseconds: an edit list leaves out what is before, which decoders need.
func (m *Movie) Begin(at int64) { m.begin, m.edited = at, true }

// Payload is how many bytes of media were added.
func (m *Movie) Payload() int64 { return m.payload }

// movieTrack is what is known of a track: the tables of its stbl box, as they will be
// written.
type movieTrack struct {
	scale         uint32
	video         bool
	width, height int

	entries [][]byte // of stsd
	prints  []uint64 // of their codecs
	entry   uint32   // of the next chunk, from 1

	first   int64 // when the first sample is decoded, units of the timeline
	end     int64 // when the last one ends, units from the first
	samples uint32
	last    uint32 // duration of the last sample, not among the runs yet

	durations runs
	offsets   runs
	least     int32 // of the offsets
	greatest  int32

	keys    table // numbers of samples, of video
	sizes   table
	chunks  []int64 // where each begins, from the first byte of media
	perRun  table   // of stsc
	per     [2]uint32
	perRuns uint32
	places  table // of stco, being written
}

// describe sets the sample description of what follows.
func (t *movieTrack) describe(c *codec.Track) error {
	t.width, t.height = max(t.width, c.Width), max(t.height, c.Height)
	for i, print := range t.prints {
		if print == c.Fingerprint {
			t.entry = uint32(i + 1)
			return nil
		}
	}
	b, err := appendEntry(nil, c)
	if err != nil {
		return err
	}
	t.entries, t.prints = append(t.entries, b), append(t.prints, c.Fingerprint)
	t.entry = uint32(len(t.entries))
	return nil
}

// snap is within how many parts of a second sound is taken to go on without a pause.
const snap = 1000 / 3

// meet lets the last sample reach to where the next begins.
func (t *movieTrack) meet(decode int64) error {
	if t.samples == 0 {
		t.first = decode
		return nil
	}
	gap := decode - t.first - t.end
	if near := int64(t.scale/snap) + 1; !t.video && -near <= gap && gap <= near {
		return nil
	}
	gap = max(gap, 1-int64(t.last)) // what overlaps further moves
	if gap > math.MaxUint32-int64(t.last) {
		return ErrMovie
	}
	t.last = uint32(int64(t.last) + gap)
	t.end += gap
	return nil
}

// add adds a sample.
func (t *movieTrack) add(s *Sample) error {
	if t.samples == math.MaxUint32 {
		return ErrMovie
	}
	if t.samples > 0 {
		t.durations.add(t.last)
	}
	if t.samples == 0 || s.Offset < t.least {
		t.least = s.Offset
	}
	if t.samples == 0 || s.Offset > t.greatest {
		t.greatest = s.Offset
	}
	t.samples++
	t.last = s.Duration
	t.end += int64(s.Duration)
	t.offsets.add(uint32(s.Offset))
	t.sizes.add(s.Size)
	if t.video && s.Key {
		t.keys.add(t.samples)
	}
	return nil
}

// chunk begins one of so many samples.
func (t *movieTrack) chunk(at int64, samples uint32) {
	t.chunks = append(t.chunks, at)
	if now := [2]uint32{samples, t.entry}; now != t.per {
		t.per = now
		t.perRuns++
		t.perRun.add(uint32(len(t.chunks)))
		t.perRun.add(samples)
		t.perRun.add(t.entry)
	}
}
