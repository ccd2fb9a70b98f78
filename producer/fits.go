package producer

import (
	"fmt"
	"io"
	"time"

	"github.com/millrace/millrace/mkv"
)

// Misfit says why media may not be sent as it is.
type Misfit struct {
	Offset int64 // of the cluster, in bytes
	Reason string
}

// Error names the cluster and the reason.
func (m *Misfit) Error() string {
	return fmt.Sprintf("the cluster at byte %d %s", m.Offset, m.Reason)
}

// Fits reads Matroska to its end and returns nil when it may be sent as it is: one
// document whose clusters begin with video key frames, the last one apart last no shorter
// than Limits.Shortest, and none is longer than Limits.Longest. A *[Misfit] says
// which cluster does not; other errors are those of [mkv.Reader.Next].
func Fits(media io.Reader, l Limits) error {
	l = l.orDefaults()
	f := fitting{limits: l, spans: l.spans(uint64(time.Millisecond), false)}
	src := mkv.NewReader(media, mkv.Options{Buffer: 256 << 10, MaxFrame: int64(l.Hold)})
	for {
		it, err := src.Next()
		if err == io.EOF {
			return f.last()
		}
		if err != nil {
			return err
		}
		if misfit := f.add(it); misfit != nil {
			return misfit
		}
	}
}

// fitting goes through the media. Of a block in a group it is known at the next item
// that is not in the group whether it is a key frame.
type fitting struct {
	limits    Limits
	spans     spans
	lead      uint64
	video     bool
	documents int
	clusters  int

	offset  int64 // of the current cluster
	start   int64 // its timecode
	timed   bool
	led     bool // its first lead block came
	key     bool // that is a key frame
	inGroup bool // that is in the group which is being read
	end     int64
	scale   uint64
}

// add takes an item and returns a *Misfit, or nil.
func (f *fitting) add(it *mkv.Item) error {
	switch it.Kind {
	case mkv.EBML:
		if f.documents++; f.documents > 1 {
			return &Misfit{it.Offset, "is in front of a second document; a session carries one"}
		}
	case mkv.InfoElement:
		f.scale = it.Info.TimecodeScale
		f.spans = f.limits.spans(f.scale, f.video)
	case mkv.TracksElement:
		f.lead, f.video = leadTrack(it.Tracks)
	case mkv.ClusterStart:
		return f.cluster(it)
	case mkv.ClusterTimecode:
		return f.timecode(it)
	case mkv.Block:
		f.block(it)
	case mkv.BlockReference:
		if f.inGroup && it.InGroup {
			f.key = false
		}
	}
	return nil
}

func (f *fitting) block(it *mkv.Item) {
	f.end = max(f.end, int64(it.Timecode)+int64(it.Block.Time))
	f.inGroup = false
	if !f.led && (f.lead == 0 || it.Block.Track == f.lead) {
		f.led, f.key = true, it.Block.Key || !f.video
		f.inGroup = it.InGroup
	}
}

// cluster judges the cluster that ends and begins the next.
func (f *fitting) cluster(it *mkv.Item) error {
	if f.clusters > 0 {
		if misfit := f.begins(); misfit != nil {
			return misfit
		}
	}
	f.clusters++
	f.offset, f.led, f.timed, f.inGroup = it.Offset, false, false, false
	return nil
}

// begins judges how the current cluster begins.
func (f *fitting) begins() error {
	switch {
	case !f.led:
		return &Misfit{f.offset, "has no frame of the first track"}
	case !f.key:
		return &Misfit{f.offset, "does not begin with a video key frame"}
	}
	return nil
}

// timecode judges the length of the cluster before.
func (f *fitting) timecode(it *mkv.Item) error {
	start := int64(it.Timecode)
	d := start - f.start
	before := f.clusters > 1
	f.start, f.end, f.timed = start, start, true
	switch {
	case before && d < 0:
		return &Misfit{f.offset, fmt.Sprintf("has timecodes that go back by %v", f.span(-d))}
	case before && d < f.spans.shortest:
		return &Misfit{f.offset, fmt.Sprintf("begins %v after the one before, want %v at least", f.span(d), f.limits.Shortest)}
	case before && d > f.spans.longest:
		return &Misfit{f.offset, fmt.Sprintf("begins %v after the one before, want %v at most", f.span(d), f.limits.Longest)}
	}
	return nil
}

// last judges the last cluster.
func (f *fitting) last() error {
	if f.clusters == 0 {
		return nil
	}
	if d := f.end - f.start; d > f.spans.longest {
		return &Misfit{f.offset, fmt.Sprintf("lasts %v, want %v at most", f.span(d), f.limits.Longest)}
	}
	return f.begins()
}

// span returns timecode units as a duration, for people.
func (f *fitting) span(units int64) time.Duration {
	return time.Duration(units) * time.Duration(max(f.scale, 1))
}
