package playback

import (
	"context"
	"math"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
)

// rangePage is how many rows of a range are read at once.
const rangePage = 5000

func (b *Board) beginReplay(ctx context.Context, want Session, horizon kvs.Millis) (Session, archive.Stored, error) {
	first, err := b.firstOf(ctx, &want, horizon)
	if err != nil {
		return want, archive.Stored{}, err
	}
	want.Base = baseOf(&first, want.Clock)
	want.Base.Listed = first.Duration
	return want, first, nil
}

// firstOf returns the first fragment in live order whose start lies in the range.
func (b *Board) firstOf(ctx context.Context, ses *Session, horizon kvs.Millis) (archive.Stored, error) {
	if ses.Clock == kvs.ServerClock {
		s, ok, err := b.o.Archive.Seek(ctx, ses.Stream, archive.ByServer, int64(ses.Range.Start), horizon)
		if err == nil && (!ok || s.Number.Server > ses.Range.End) {
			err = noFragments()
		}
		return s, err
	}
	for after, more := int64(0), true; more; {
		rows, again, err := b.o.Archive.Range(ctx, ses.Stream, ses.Clock, ses.Range, after, rangePage, horizon)
		if err != nil {
			return archive.Stored{}, err
		}
		for i := range rows {
			if after = rows[i].Number.N; rows[i].Facts.LiveSeq > 0 {
				return rows[i], nil
			}
		}
		more = again
	}
	return archive.Stored{}, noFragments()
}

// replay returns the window of a LIVE_REPLAY session: it ends with the fragment that the
// media that passed since the session began have come to.
func (b *Board) replay(ctx context.Context, ses *Session, now, horizon kvs.Millis) (w window, err error) {
	if w.longest, err = b.longest(ctx, ses.Stream); err != nil {
		return w, err
	}
	passed := max(0, int64(now-ses.Created))
	last, more, err := b.o.Archive.Seek(ctx, ses.Stream, archive.ByMillis, ses.Base.Millis+passed+1, horizon)
	if err != nil {
		return w, err
	}
	if more && last.Facts.LiveSeq < ses.Base.LiveSeq { // it overlaps the first
		last, more, err = b.o.Archive.Seek(ctx, ses.Stream, archive.ByLiveSeq, ses.Base.LiveSeq, horizon)
		if err != nil {
			return w, err
		}
	}
	if w.end = last.Facts.LiveSeq; !more {
		newest, err := b.o.Archive.Latest(ctx, ses.Stream, 0, 1, horizon)
		if err != nil || len(newest) == 0 {
			return w, err
		}
		last, w.end = newest[0], b.edge(&newest[0])
		w.ended = ses.Clock == kvs.ServerClock && ses.Range.End != NoEnd && now > ses.Range.End+straggle
	}
	beyond, ok, err := b.beyond(ctx, ses, w.end, horizon)
	if err != nil {
		return w, err
	}
	if ok && beyond.Facts.LiveSeq <= w.end+1 {
		w.end, w.ended, last = beyond.Facts.LiveSeq-1, true, beyond
	}
	w.rows, err = b.o.Archive.Latest(ctx, ses.Stream, last.Number.N, ses.Max+1, horizon)
	return w, err
}

// straggle is how long after its beginning, in milliseconds, a fragment may still be stored.
// A producer that is silent for 30 s loses its connection, and no fragment lasts longer.
const straggle = 120_000

// beyond returns the first fragment behind the range of a session, as far as there is one
// not behind the one that follows end.
func (b *Board) beyond(ctx context.Context, ses *Session, end int64, horizon kvs.Millis) (archive.Stored, bool, error) {
	if ses.Clock == kvs.ProducerClock {
		return b.another(ctx, ses, end, horizon)
	}
	if ses.Range.End == NoEnd {
		return archive.Stored{}, false, nil
	}
	return b.o.Archive.Seek(ctx, ses.Stream, archive.ByServer, int64(ses.Range.End)+1, horizon)
}

// collectionKey names a collection by the session's range and first fragment.
type collectionKey struct {
	stream kvs.StreamID
	in     kvs.TimeRange
	first  int64
}

// run is how far a collection was followed.
type run struct {
	next   int64 // counter from which on nothing was looked at
	last   archive.Stored
	beyond archive.Stored
	over   bool // beyond is the first of another collection
}

// runPage is how many rows are looked at at once: a reload needs the next one mostly.
const runPage = 64

// another returns the first fragment behind a collection on the producer's clock. It looks
// at each fragment once, and not further than behind end.
func (b *Board) another(ctx context.Context, ses *Session, end int64, horizon kvs.Millis) (archive.Stored, bool, error) {
	m, err := b.collections.open(ctx, collectionKey{ses.Stream, ses.Range, ses.Base.First}, 1)
	if err != nil {
		return archive.Stored{}, false, err
	}
	defer m.close()
	c := &m.value
	if !m.known {
		*c, m.known = run{next: ses.Base.First}, true
	}
	if err := b.recheck(ctx, ses, c, horizon); err != nil {
		return archive.Stored{}, false, err
	}
	for seq := c.last.Facts.LiveSeq; !c.over && seq <= end; {
		rows, err := b.o.Archive.Span(ctx, ses.Stream, c.next, math.MaxInt64, runPage, horizon)
		if err != nil || len(rows) == 0 {
			return archive.Stored{}, false, err
		}
		for i := 0; i < len(rows) && !c.over && seq <= end; i++ {
			if s := &rows[i]; s.Facts.LiveSeq > 0 {
				seq = s.Facts.LiveSeq
				c.follow(s, ses.Range)
			}
			c.next = rows[i].Number.N + 1
		}
	}
	return c.beyond, c.over, nil
}

// recheck follows a collection on when what its end was seen by is not there any more. A
// board that never saw it does so, too.
func (b *Board) recheck(ctx context.Context, ses *Session, c *run, horizon kvs.Millis) error {
	if !c.over {
		return nil
	}
	from := c.last.Number.N
	if from == 0 { // it was followed on from something that was gone, and ended at once
		from = c.beyond.Number.N
	}
	rows, err := b.o.Archive.Span(ctx, ses.Stream, from, c.beyond.Number.N, math.MaxInt32, horizon)
	if err != nil {
		return err
	}
	if n := len(rows); n == 0 || rows[0].Number.N != from || rows[n-1].Number.N != c.beyond.Number.N {
		*c = run{next: from}
	}
	return nil
}

// follow takes the next fragment in live order. Only its neighbour says whether it falls
// behind: what is older may be gone, and then every board must still come to the same end.
func (c *run) follow(s *archive.Stored, in kvs.TimeRange) {
	falls := c.last.Facts.LiveSeq+1 == s.Facts.LiveSeq && s.Producer < c.last.Producer-fallen
	if s.Producer < in.Start || s.Producer > in.End || falls {
		c.beyond, c.over = *s, true
		return
	}
	c.last = *s
}
