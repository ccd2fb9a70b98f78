package playback

import (
	"context"
	"slices"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
)

const (
	// fallen is how far a start on the producer's clock may lie behind the greatest before it
	// until another collection begins.
	fallen = 10_000
	// settled is how long before a session began a late fragment must have ended to be in its
	// ON_DEMAND list. It may have been stored at any time after its end, and what comes
	// after the beginning must not get into the list.
	settled = 10_000
)

// collection gathers the rows of an ON_DEMAND list.
type collection struct {
	clock    kvs.Clock
	rows     []archive.Stored
	greatest kvs.Millis // start so far
}

// add takes the next row by number. It reports false for the first one of another
// collection.
func (c *collection) add(s *archive.Stored) bool {
	at := s.At(c.clock)
	if c.clock == kvs.ProducerClock && len(c.rows) > 0 {
		if at < c.greatest-fallen {
			return false
		}
		if at <= c.greatest { // there may be a twin, of which the greater number counts
			c.rows = slices.DeleteFunc(c.rows, func(r archive.Stored) bool { return r.Producer == at })
		}
	}
	c.greatest = max(c.greatest, at)
	c.rows = append(c.rows, *s)
	return true
}

// settledBy reports whether a fragment counts in an ON_DEMAND list that was begun then.
func settledBy(s *archive.Stored, created kvs.Millis) bool {
	return s.Facts.LiveSeq > 0 || s.Number.Server+kvs.Millis(s.Duration)+settled <= created
}

// oldest returns the oldest fragments of a range, at most maximum, in the order of their
// numbers; on the producer's clock the oldest collection, without twins.
func (b *Board) oldest(ctx context.Context, ses *Session, maximum int, horizon kvs.Millis) ([]archive.Stored, error) {
	c := collection{clock: ses.Clock}
	for after, more := int64(0), true; more; {
		rows, again, err := b.o.Archive.Range(ctx, ses.Stream, ses.Clock, ses.Range, after, min(rangePage, maximum-len(c.rows)), horizon)
		if err != nil {
			return nil, err
		}
		more = again
		for i := range rows {
			after = rows[i].Number.N
			if settledBy(&rows[i], ses.Created) && !c.add(&rows[i]) {
				return c.rows, nil
			}
		}
		more = more && len(c.rows) < maximum
	}
	return c.rows, nil
}

func (b *Board) beginStatic(ctx context.Context, want Session, horizon kvs.Millis) (Session, archive.Stored, error) {
	rows, err := b.oldest(ctx, &want, want.Max, horizon)
	if err != nil {
		return want, archive.Stored{}, err
	}
	if len(rows) == 0 {
		return want, archive.Stored{}, noFragments()
	}
	all, last := totals(rows, want.Clock), &rows[len(rows)-1]
	want.Base = Base{
		LiveSeq: int64(len(rows)), Changes: all.changes, Gaps: all.gaps, Millis: all.begin + last.Duration,
		First: rows[0].Number.N, Last: last.Number.N,
	}
	return want, rows[0], nil
}

// static returns the list of an ON_DEMAND session: what is left of what there was when it
// began.
func (b *Board) static(ctx context.Context, ses *Session, horizon kvs.Millis) (*Timeline, error) {
	most := int(min(ses.Base.LiveSeq, rangePage)) + 1
	c := collection{clock: ses.Clock, rows: make([]archive.Stored, 0, most)}
	for first := ses.Base.First; first <= ses.Base.Last; {
		rows, err := b.o.Archive.Span(ctx, ses.Stream, first, ses.Base.Last, most, horizon)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			first = rows[i].Number.N + 1
			at := rows[i].At(ses.Clock)
			if at >= ses.Range.Start && at <= ses.Range.End && settledBy(&rows[i], ses.Created) {
				c.add(&rows[i])
			}
		}
		if len(rows) < most {
			break
		}
	}
	if len(c.rows) == 0 {
		return nil, noFragments()
	}
	ms, err := b.longest(ctx, ses.Stream)
	if err != nil {
		return nil, err
	}
	t := static(c.rows, ses)
	t.Target = t.target(ms)
	return t, nil
}
