package ingest

import (
	"context"
	"time"

	"github.com/millrace/millrace/internal/frames"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/mkv"
)

// maxLead bounds the bytes between the end of one fragment and the next cluster's
// timecode; they are kept in memory until the fragment has a number.
const maxLead = 64 << 10

// maxInline bounds an element behind the first cluster that must be read whole, like
// Tags: they are read through memory that nobody is charged for. (A reader that doubles
// its memory notices at twice the bound at the latest.) Ten metadata items
// have some four thousand bytes.
const maxInline = 64 << 10

// item takes one item of the body.
func (s *session) item(ctx context.Context, it *mkv.Item) error {
	switch {
	case it.Kind == mkv.ClusterStart:
		return s.clusterStart(ctx, it)
	case it.Kind == mkv.SegmentStart && s.header.segments > 0:
		return fault(secondDocument, "a second Segment at byte %d; one request carries one", it.Offset)
	case !s.header.clusters:
		return s.headerItem(it)
	case it.Kind == mkv.EBML:
		return fault(secondDocument, "a second EBML header at byte %d; one request carries one document", it.Offset)
	case it.Kind == mkv.TracksElement:
		return fault(secondDocument, "a second Tracks element at byte %d; it belongs in front of the first cluster", it.Offset)
	case it.Kind == mkv.ClusterTimecode:
		return s.clusterTimecode(ctx, it)
	case it.Kind == mkv.TagsElement:
		return s.tags(ctx, it)
	case it.InCluster && s.current != nil:
		return s.clusterItem(ctx, it)
	case s.current != nil:
		return s.current.append(ctx, it.Raw, !it.More)
	}
	return s.addLead(it)
}

// headerItem takes an item in front of the first cluster.
func (s *session) headerItem(it *mkv.Item) error {
	if f := s.header.element(it, s.limits.Int(quota.FragmentTracks)); f != nil {
		return f
	}
	// The Info that says whose tags these are may still follow.
	s.header.metadata.add(it, s.limits)
	return nil
}

// clusterStart ends the fragment before and prepares the next one.
func (s *session) clusterStart(ctx context.Context, it *mkv.Item) error {
	if !s.header.clusters {
		if err := s.header.close(ctx); err != nil {
			return err
		}
		s.frags = newTimeline(s.header.tracks, s.header.scale)
		s.header.tracks = nil // with all their codecs' private data
		s.holding.Store(s.header.first.Charged() > 0)
	}
	if s.current != nil {
		s.current.followed = true
		s.endFragment(ctx)
	}
	if err := s.yield(); err != nil {
		return err
	}
	s.known, s.began = it.Size >= 0, it.Offset
	return s.addLead(it)
}

// addLead keeps an item that belongs to the next fragment, whose number is not known
// before its timecode.
func (s *session) addLead(it *mkv.Item) error {
	if len(s.lead)+len(it.Raw) > maxLead {
		return fault(bigElement, "more than %d bytes in front of a cluster's timecode at byte %d", maxLead, it.Offset)
	}
	s.lead = append(s.lead, it.Raw...)
	return nil
}

// tags takes a Tags element behind the first cluster began: the mark that ends a
// fragment, or metadata of this or the next one.
func (s *session) tags(ctx context.Context, it *mkv.Item) error {
	if s.current == nil {
		s.pending.add(it, s.limits)
		return s.addLead(it)
	}
	if err := s.current.append(ctx, it.Raw, true); err != nil {
		return err
	}
	switch {
	case closes(it.Tags):
		s.current.metadata.add(it, s.limits)
		s.endFragment(ctx)
		return s.yield()
	case s.header.tagsNext && !s.entry.Stream().TagsPrevious():
		s.pending.add(it, s.limits)
	default:
		s.current.metadata.add(it, s.limits)
	}
	return nil
}

// clusterItem takes an item inside the cluster of the current fragment.
func (s *session) clusterItem(ctx context.Context, it *mkv.Item) error {
	f := s.current
	switch it.Kind {
	case mkv.BlockGroupStart:
		f.group = group{}
	case mkv.Block:
		s.block(it)
	case mkv.BlockData:
		f.frames.Data(it.Raw)
	case mkv.BlockReference:
		f.group.refers(f.frames)
	case mkv.BlockDuration:
		f.group.setDuration(it.Duration, s.header.scale)
		f.group.lasts(f.frames)
	}
	// Readers may be left with what was published, so a block of a group becomes
	// visible with the whole group only.
	if err := f.append(ctx, it.Raw, !it.More && (!it.InGroup || it.GroupEnd)); err != nil {
		return err
	}
	f.whole = f.whole || it.ClusterEnd
	return nil
}

// block accounts for a block and fails its fragment when it may not stand there.
func (s *session) block(it *mkv.Item) {
	f := s.current
	f.blocks++
	tt, ok := s.frags.block(&it.Block, it.Raw)
	if !ok {
		s.failFragment(fault(strangeTrack, "block of track %d at byte %d; the header declares %s", it.Block.Track, it.Offset, s.frags.declared()).of(it.Block.Track).at(it.Offset))
		return
	}
	at := int64(it.Block.Time) * s.frags.scale
	f.frames.Block(frames.Block{Track: tt.place, Key: it.Block.Key, Offset: f.size + int64(it.Block.HeaderLen), Sizes: it.Block.Sizes,
		Time: time.Duration(at), Each: time.Duration(tt.fixed)})
	f.frames.Data(it.Raw[it.Block.HeaderLen:])
	if it.InGroup {
		f.group.setBlock(tt, at, it.Block.Frames)
		f.group.lasts(f.frames)
	}
	if limit := s.limits.Duration(quota.FragmentDuration); limit > 0 && s.frags.span() > int64(limit) {
		s.failFragment(fault(tooLong, "fragment of %v at byte %d; %v are allowed", time.Duration(s.frags.span()), it.Offset, limit).of(tt.number).at(it.Offset))
	}
}

// group is a BlockGroup being read: its duration may come before or after its block.
type group struct {
	track    *trackTime
	at       int64
	frames   int
	duration int64 // nanoseconds
	known    bool
}

func (g *group) setBlock(t *trackTime, at int64, frames int) {
	g.track, g.at, g.frames = t, at, frames
	g.apply()
}

func (g *group) setDuration(units, scale uint64) {
	// Anything over an hour is over every limit; the bound keeps sums in range.
	const hour = 3_600_000_000_000
	g.duration, g.known = hour, true
	if units < hour/max(scale, 1) {
		g.duration = int64(units * scale)
	}
	g.apply()
}

// lasts tells the table how long the group's frames last, once block and duration are known.
func (g *group) lasts(t *frames.Table) {
	if g.track != nil && g.known {
		t.Lasts(time.Duration(g.duration))
	}
}

// refers tells the table that the group's frames are no key frames, if they are there.
// Of a reference in front of its block the reader knows itself.
func (g *group) refers(t *frames.Table) {
	if g.track != nil {
		t.NotKey()
	}
}

// apply gives the track's last frame its own duration, which is what the block's
// frames before it leave of the block's.
func (g *group) apply() {
	if g.track == nil || !g.known {
		return
	}
	before := int64(g.frames-1) * g.track.fixed
	if g.at+before >= g.track.last {
		g.track.explicit = max(0, g.duration-before)
	}
}
