package ingest

import (
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/frames"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/mkv"
)

// timeline measures the frames of one fragment. All times are nanoseconds on the
// cluster's own clock.
type timeline struct {
	tracks map[uint64]*trackTime
	order  []*trackTime
	rows   []frames.Track // the same tracks, for frame tables
	scale  int64          // nanoseconds of one timecode unit
	begin  kvs.Millis     // the fragment's producer timestamp
}

// trackTime is what one track brought in the fragment now arriving.
type trackTime struct {
	number   uint64
	place    int   // among the tracks
	fixed    int64 // duration of a frame by header or codec, 0 = unknown
	declared bool  // by the header
	codec    codec
	previous int64 // distance of the last two frames before this fragment, 0 = unknown

	accepted bool       // a fragment before this one was accepted
	latest   kvs.Millis // the latest start of a frame in it, on the producer's clock

	frames      int
	first, last int64
	newest      int64 // latest start of a block
	second      int64 // latest one before newest, in presentation order
	explicit    int64 // BlockDuration of the last frame, -1 = none
}

func newTimeline(tracks []mkv.Track, scale uint64) *timeline {
	t := &timeline{tracks: map[uint64]*trackTime{}, scale: int64(min(scale, math.MaxInt32))}
	for i := range tracks {
		tt := &trackTime{number: tracks[i].Number, place: len(t.order), fixed: frameDuration(&tracks[i]), declared: tracks[i].DefaultDuration > 0, codec: codecOf(&tracks[i])}
		if t.tracks[tt.number] == nil {
			t.tracks[tt.number] = tt
			t.order = append(t.order, tt)
			t.rows = append(t.rows, frames.TrackOf(tt.number, tracks[i].CodecID, tracks[i].CodecPrivate))
		}
	}
	return t
}

// frameDuration is the duration of one frame as the header or the codec fixes it, in
// nanoseconds; 0 when it does not.
func frameDuration(t *mkv.Track) int64 {
	if t.DefaultDuration > 0 && t.DefaultDuration < math.MaxInt64/256 {
		return int64(t.DefaultDuration)
	}
	if t.CodecID == "A_AAC" && t.Audio != nil && t.Audio.SamplingFrequency >= 1 {
		return int64(1024 * 1e9 / t.Audio.SamplingFrequency)
	}
	return 0
}

// start forgets the fragment before, but how far apart its frames were. begin is the
// producer timestamp of the new one.
func (t *timeline) start(begin kvs.Millis) {
	t.begin = begin
	for _, tt := range t.order {
		if tt.frames > 0 && tt.newest > tt.second {
			tt.previous = tt.newest - tt.second
		}
		tt.frames, tt.explicit = 0, -1
	}
}

// block adds a block of the given number of laced frames. It reports false for a
// track the header does not declare.
func (t *timeline) block(b *mkv.BlockHeader, raw []byte) (*trackTime, bool) {
	tt := t.tracks[b.Track]
	if tt == nil {
		return nil, false
	}
	at := int64(b.Time) * t.scale
	if d := tt.codec.duration(b, raw); d > 0 && !tt.declared {
		tt.fixed = d
	}
	if tt.frames == 0 {
		tt.first, tt.last, tt.newest, tt.second = at, at, at, at
	}
	tt.first = min(tt.first, at)
	tt.frames += b.Frames
	tt.starts(at)
	if end := at + int64(b.Frames-1)*tt.fixed; end >= tt.last {
		tt.last, tt.explicit = end, -1
	}
	return tt, true
}

// starts keeps the two latest starts apart, whatever the order they come in: frames that
// refer to later ones come after those.
func (tt *trackTime) starts(at int64) {
	switch {
	case at > tt.newest:
		tt.newest, tt.second = at, tt.newest
	case at < tt.newest && (at > tt.second || tt.second == tt.newest):
		tt.second = at
	}
}

// duration is the fragment's length in nanoseconds: per track from the first frame's
// start to the last frame's end, the longest of all tracks.
func (t *timeline) duration() int64 {
	var longest int64
	for _, tt := range t.order {
		if tt.frames > 0 {
			longest = max(longest, tt.last-tt.first+tt.lastFrame(t.begin))
		}
	}
	return longest
}

// span is the distance from the earliest to the latest start of a frame of any track
// so far: what is certain of the duration while the fragment arrives.
func (t *timeline) span() int64 {
	var longest int64
	for _, tt := range t.order {
		if tt.frames > 0 {
			longest = max(longest, tt.last-tt.first)
		}
	}
	return longest
}

// overlap returns a track whose earliest frame is not later than its latest frame in
// the fragment accepted before. Tracks are compared with themselves: interleaved sound
// begins a little before the picture that a fragment begins with.
func (t *timeline) overlap(cluster kvs.Millis) (*trackTime, bool) {
	for _, tt := range t.order {
		if tt.frames > 0 && tt.accepted && cluster+kvs.Millis(tt.first/1e6) <= tt.latest {
			return tt, true
		}
	}
	return nil, false
}

// declared lists the tracks of the header, for a message.
func (t *timeline) declared() string {
	text := "track"
	for i, tt := range t.order {
		if i > 0 {
			text += ","
		}
		text += " " + strconv.FormatUint(tt.number, 10)
	}
	return text + " only"
}

// accept keeps what the next fragment is compared with.
func (t *timeline) accept(cluster kvs.Millis) {
	for _, tt := range t.order {
		if tt.frames > 0 {
			if d := tt.sinceLatest(cluster); tt.newest == tt.second && d > 0 {
				tt.previous = d
			}
			tt.accepted, tt.latest = true, cluster+kvs.Millis(tt.last/1e6)
		}
	}
}

// empty reports whether no track has a frame.
func (t *timeline) empty() bool {
	return !slices.ContainsFunc(t.order, func(tt *trackTime) bool { return tt.frames > 0 })
}

// missing returns a declared track without a frame.
func (t *timeline) missing() (uint64, bool) {
	for _, tt := range t.order {
		if tt.frames == 0 {
			return tt.number, true
		}
	}
	return 0, false
}

// lastFrame is how long the track's last frame lasts.
func (tt *trackTime) lastFrame(begin kvs.Millis) int64 {
	switch {
	case tt.explicit >= 0:
		return tt.explicit
	case tt.fixed > 0:
		return tt.fixed
	case tt.newest > tt.second:
		return tt.newest - tt.second
	}
	// A single frame: as long as the one before lasted. The shorter guess counts, because
	// a pause is no frame.
	if d := tt.sinceLatest(begin); d > 0 && (tt.previous == 0 || d < tt.previous) {
		return d
	}
	return tt.previous
}

// pause is the distance of frames from which on they say nothing about their duration.
const pause = 10 * time.Second

// sinceLatest is the distance of the track's first frame from its last one in the fragment
// accepted before, which began at its producer timestamp; 0 = unknown.
func (tt *trackTime) sinceLatest(begin kvs.Millis) int64 {
	d := int64(begin+kvs.Millis(tt.first/1e6)-tt.latest) * 1e6
	if !tt.accepted || d <= 0 || d > int64(pause) {
		return 0
	}
	return d
}
