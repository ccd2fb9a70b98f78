// Package cut makes segments of stored fragments: one fragment is one segment of fMP4 for
// each track, or one of MPEG-TS with all tracks (docs/design/playback.md, "Segments").
//
// A segment is cut once and kept for all viewers until its room in memory is needed; who
// asks for one that is being cut waits for it. The bytes of a segment follow from the
// fragment alone: cut again they are the same. Methods may be called from any number of
// goroutines; nothing here starts one.
package cut

import (
	"context"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/mp4"
	"github.com/millrace/millrace/internal/playback"
	"github.com/millrace/millrace/internal/remux"
)

// Source opens stored fragments. [archive.Archive] is one.
type Source interface {
	OpenRecord(ctx context.Context, s archive.Stored) (*archive.Reader, error)
}

// Container is the form of a segment.
type Container = playback.Container

// The containers.
const (
	FMP4 = playback.FMP4
	TS   = playback.TS
)

// Start is what the fragment's beginning is on a player's timeline, in milliseconds: its
// timestamp on the session's clock in HLS, where it begins on the closed timeline in DASH.
type Start = kvs.Millis

// Options make a [Cutter].
type Options struct {
	Source Source // needed

	// Cache is how many bytes of segments are kept; 0 = 64 MiB, less = none. What is being
	// sent keeps its place.
	Cache int64

	// Memory is what segments that are lent and have no place in the cache are taken from; nil = no bound.
	Memory Memory

	// Share is how many bytes of segments one viewer may hold, if they are more than a few; 0 = no bound.
	Share int64

	// Work is how many bytes may be in memory for segments that are being cut, together;
	// 0 = 256 MiB. A fragment that needs more is cut alone.
	Work int64
}

// Defaults of Options.
const (
	defaultCache = 64 << 20
	defaultWork  = 256 << 20
)

// Stats are what a [Cutter] did since it was made, and what it holds.
type Stats struct {
	Asked  int64 // segments
	Cuts   int64 // begun because none was there
	Failed int64 // of these
	Kept   int64 // segments in the cache now
	Bytes  int64 // that they take
	Lent   int64 // segments that are being sent
}

// Stats returns the counts.
func (c *Cutter) Stats() Stats {
	s := Stats{Asked: c.asked.Load(), Cuts: c.cuts.Load(), Failed: c.failed.Load()}
	s.Kept, s.Bytes = c.segments.held()
	s.Lent = c.loans.lent()
	return s
}

// Cutter cuts segments. Make it with [New].
type Cutter struct {
	asked, cuts, failed atomic.Int64

	source   Source
	work     *semaphore.Weighted
	most     int64 // of work for one
	segments cache[*piece]
	loans    loans
	shares   shares
	headers  cache[[]codec.Track]
}

// New makes a cutter.
func New(o Options) *Cutter {
	if o.Cache == 0 {
		o.Cache = defaultCache
	}
	if o.Work <= 0 {
		o.Work = defaultWork
	}
	c := &Cutter{source: o.Source, work: semaphore.NewWeighted(o.Work), most: o.Work}
	c.segments.room, c.shares.most = max(0, o.Cache), o.Share
	c.loans.memory, c.loans.cache = o.Memory, &c.segments
	c.headers.room = headerRoom
	return c
}

// Segment returns the segment of a stored fragment: of the track with that number, or of all
// tracks for [TS], whatever track says. A declared track without frames has a segment
// without samples.
//
// Errors are those of [archive.Archive.OpenRecord] (NotFound: the fragment has expired), with
// the kind of [keyring.Refusal] if the stream's key is why, and
// of the media: UnsupportedMedia, also if the fragment has no such track,
// MissingPrivateData, InvalidPrivateData and InvalidFrame.
//
// What is to be sent is asked for with [Cutter.Lend], which bounds the memory.
func (c *Cutter) Segment(ctx context.Context, s archive.Stored, track uint64, kind Container, start Start) (*Segment, error) {
	c.asked.Add(1)
	p, err := c.piece(ctx, &s, keyOf(&s, track, kind, start))
	if err != nil {
		return nil, err
	}
	return p.at(start), nil
}

// Forget drops everything that is kept of a stream's media: of fragments that were erased
// nothing may stay in memory. What is being sent at this moment is sent to its end.
func (c *Cutter) Forget(id kvs.StreamID) {
	c.segments.forget(id)
	c.headers.forget(id)
}

func keyOf(s *archive.Stored, track uint64, kind Container, start Start) key {
	k := key{stream: s.Stream, number: s.Number, track: track}
	if kind == TS {
		// PES packets carry times all over; few viewers of a fragment count differently.
		k.track, k.ts, k.start = 0, true, start
	}
	return k
}

// piece returns the segment that k names, from the cache if it is there.
func (c *Cutter) piece(ctx context.Context, s *archive.Stored, k key) (*piece, error) {
	return c.segments.get(ctx, k, func(ctx context.Context) (*piece, int64, error) {
		c.cuts.Add(1)
		p, err := c.cut(ctx, s, k)
		if err != nil {
			c.failed.Add(1)
		}
		return p, p.size(), err
	})
}

// cut makes the segment that k names.
func (c *Cutter) cut(ctx context.Context, s *archive.Stored, k key) (*piece, error) {
	need := min(c.most, 3*max(0, s.Length()))
	if err := c.work.Acquire(ctx, need); err != nil {
		return nil, err
	}
	defer c.work.Release(need)
	f, closeAll, err := c.open(ctx, s)
	if err != nil {
		return nil, err
	}
	defer closeAll()
	if k.ts {
		return cutTS(f, s, k.start)
	}
	return cutFMP4(f, s, k.track)
}

// open opens the record and what is in it.
func (c *Cutter) open(ctx context.Context, s *archive.Stored) (*remux.Fragment, func(), error) {
	r, err := c.record(ctx, s)
	if err != nil {
		return nil, nil, err
	}
	closed := false
	closeRecord := func() {
		if !closed {
			closed = true
			_ = r.Close() // it was only read
		}
	}
	tracks, err := c.tracks(ctx, s, r)
	if err != nil {
		closeRecord()
		return nil, nil, err
	}
	f, err := openFragment(s, r, tracks)
	if err != nil {
		closeRecord()
		return nil, nil, err
	}
	return f, func() { f.Close(); closeRecord() }, nil
}

// record opens the record. A key that cannot be used is told as readers are told.
func (c *Cutter) record(ctx context.Context, s *archive.Stored) (*archive.Reader, error) {
	r, err := c.source.OpenRecord(ctx, *s)
	return r, keyring.Refusal(err)
}

// openFragment reads the table of the record's frames, or walks its body.
func openFragment(s *archive.Stored, r *archive.Reader, tracks []codec.Track) (*remux.Fragment, error) {
	table, err := r.Frames()
	if err != nil {
		return nil, err
	}
	src := remux.Source{Table: table, Body: r, Size: r.Size(), Length: s.Duration, Tracks: tracks}
	if len(table) == 0 {
		if src.Header, err = header(r); err != nil {
			return nil, err
		}
	}
	return remux.Open(src)
}

// cutFMP4 makes a segment of one track.
func cutFMP4(f *remux.Fragment, s *archive.Stored, number uint64) (*piece, error) {
	part, err := f.Samples(make([]mp4.Sample, 0, frameCount(s, number)), number)
	if err != nil {
		return nil, err
	}
	p := &piece{part: remux.Part{Scale: part.Scale, First: part.First}}
	p.head, p.tfdt = mp4.AppendHead(make([]byte, 0, headRoom(len(part.Samples))), uint32(s.Number.N), 0, part.Samples)
	if p.body, err = f.AppendPayload(make([]byte, 0, part.Bytes), number); err != nil {
		return nil, err
	}
	p.sum(s, number)
	return p, nil
}

// frameCount is how many frames the row says that the track has; 0 if it does not.
func frameCount(s *archive.Stored, number uint64) int {
	for _, t := range s.Facts.Tracks {
		if uint64(t.Number) == number {
			return int(min(t.Frames, 1<<16))
		}
	}
	return 0
}

// headRoom is the room of a segment's head: 16 bytes for a sample at most.
func headRoom(samples int) int { return 256 + 16*samples }
