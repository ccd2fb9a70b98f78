package playback

import (
	"context"
	"math"
	"slices"
	"sort"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
)

// fallen is how far a start on the producer's clock may lie behind the greatest before it
// until another collection begins.
const fallen = 10_000

// collection gathers the rows of an ON_DEMAND list.
type collection struct {
	clock    kvs.Clock
	rows     []archive.Stored
	greatest kvs.Millis // start so far
	replaced int64      // counter of the last row that took the place of a twin
}

// add takes the next row by number. It reports false for the first one of another
// collection.
func (c *collection) add(s *archive.Stored) bool {
	at := s.At(c.clock)
	if c.clock == kvs.ProducerClock && len(c.rows) > 0 {
		if at < c.greatest-fallen {
			return false
		}
		if at <= c.greatest && c.dropTwin(at) {
			c.replaced = s.Number.N
		}
	}
	c.greatest = max(c.greatest, at)
	c.rows = append(c.rows, *s)
	return true
}

// dropTwin removes the row with that start, and reports whether there is one: of twins the greater number
// counts. No row begins more than fallen behind one in front of it, so what it looks at are some 20 s at the end.
func (c *collection) dropTwin(at kvs.Millis) bool {
	for i := len(c.rows) - 1; i >= 0 && c.rows[i].Producer >= at-fallen; i-- {
		if c.rows[i].Producer == at {
			c.rows = slices.Delete(c.rows, i, i+1)
			return true // the others of them went before
		}
	}
	return false
}

// settledAt returns the moment from which on new ON_DEMAND lists have a fragment: any, unless
// it came late. When a late one was stored nobody knows, and what comes after a session
// began must not get into its list: it counts when it cannot have come since.
func settledAt(s *archive.Stored) kvs.Millis {
	if s.Facts.LiveSeq > 0 {
		return 0
	}
	return s.Number.Server + straggle
}

// settledBy reports whether a fragment counts in an ON_DEMAND list that was begun then.
func settledBy(s *archive.Stored, created kvs.Millis) bool { return settledAt(s) <= created }

// full reports whether nothing that comes can change the first so many rows. On the producer's
// clock another fragment may have the start of one of them as long as none begins more
// than fallen behind all of these: what comes then belongs to another collection.
func (c *collection) full(maximum int) bool {
	if len(c.rows) < maximum || c.clock != kvs.ProducerClock {
		return len(c.rows) >= maximum
	}
	listed := kvs.Millis(math.MinInt64)
	for i := range c.rows[:maximum] {
		listed = max(listed, c.rows[i].Producer)
	}
	return c.greatest-fallen > listed
}

// maxLooked is how many fragments an ON_DEMAND list looks at beside those that it has: others
// were sent again with the same start on the producer's clock, or are late.
const maxLooked = MaxSelected

// lookPage is how many rows are read at once behind the maximum.
const lookPage = 64

// oldest returns the oldest fragments of a range, at most maximum, in the order of their
// numbers; on the producer's clock the oldest collection, without twins. The last one that has
// a say in it has the counter through: it may be behind the maximum, and have the start of a twin. The error has the
// kind InvalidArgument when too many must be looked at.
func (b *Board) oldest(ctx context.Context, ses *Session, maximum int, horizon kvs.Millis) (rows []archive.Stored, through int64, err error) {
	c := collection{clock: ses.Clock}
	looked := 0
	for after, more := int64(0), true; more && !c.full(maximum); {
		page, again, err := b.o.Archive.Range(ctx, ses.Stream, ses.Clock, ses.Range, after, min(rangePage, max(maximum-len(c.rows), lookPage)), horizon)
		if err != nil {
			return nil, 0, err
		}
		more = again
		for i := range page {
			after = page[i].Number.N
			if settledBy(&page[i], ses.Created) && !c.add(&page[i]) {
				more = false
				break
			}
		}
		if looked += len(page); looked-len(c.rows) > maxLooked {
			return nil, 0, kvs.Errorf(kvs.InvalidArgument, "Of the first %d fragments in the range only %d begin at a time of their own; ask for a shorter range, or with FragmentSelectorType SERVER_TIMESTAMP.",
				looked, len(c.rows))
		}
	}
	if rows = c.rows[:min(len(c.rows), maximum)]; len(rows) > 0 {
		through = max(c.replaced, rows[len(rows)-1].Number.N)
	}
	return rows, through, nil
}

func (b *Board) beginStatic(ctx context.Context, want Session, horizon kvs.Millis) (Session, archive.Stored, error) {
	rows, through, err := b.oldest(ctx, &want, want.Max, horizon)
	if err != nil {
		return want, archive.Stored{}, err
	}
	if len(rows) == 0 {
		return want, archive.Stored{}, noFragments()
	}
	all, last := totals(rows, want.Clock), &rows[len(rows)-1]
	want.Base = Base{
		LiveSeq: int64(len(rows)), Changes: all.changes, Gaps: all.gaps, Millis: all.begin + last.Duration,
		First: rows[0].Number.N, Last: last.Number.N, Through: through,
	}
	return want, rows[0], nil
}

// listKey names an ON_DEMAND list. Sessions that were begun with the same one share it.
type listKey struct {
	stream        kvs.StreamID
	clock         kvs.Clock
	in            kvs.TimeRange
	discontinuity Discontinuity
	base          Base
}

// staticList is an ON_DEMAND list that was read. Nothing is ever added to it, so it is good until
// rows of the stream are removed.
type staticList struct {
	removed     uint64     // what Removed was before it was read
	horizon     kvs.Millis // nothing is left out for any that is not less
	from, until kvs.Millis // sessions begun from one until the other have the same late fragments
	*Timeline              // shared, and never changed; without a target
}

// listBytes is what a list of a session takes in memory, about.
func (s *Session) listBytes() int {
	const (
		itself = 1024
		entry  = 224
		track  = 32
	)
	return itself + int(s.Base.LiveSeq)*(entry+track*len(s.Tracks))
}

// static returns the timeline of an ON_DEMAND session: what is left of what there was when
// it began.
func (b *Board) static(ctx context.Context, ses *Session, horizon kvs.Millis) (*Timeline, error) {
	shared, err := b.list(ctx, ses, horizon)
	if err != nil {
		return nil, err
	}
	ms, err := b.longest(ctx, ses.Stream)
	if err != nil {
		return nil, err
	}
	t := *shared
	t.Target = t.target(ms)
	return &t, nil
}

// list returns the timeline of an ON_DEMAND session without its target. Others have it, too.
func (b *Board) list(ctx context.Context, ses *Session, horizon kvs.Millis) (*Timeline, error) {
	m, err := b.lists.open(ctx, listKey{ses.Stream, ses.Clock, ses.Range, ses.Discontinuity, ses.Base}, ses.listBytes())
	if err != nil {
		return nil, err
	}
	defer m.close()
	l := &m.value
	removed := b.o.Archive.Removed(ses.Stream)
	if !m.known || l.removed != removed || horizon < l.horizon || ses.Created < l.from || ses.Created >= l.until {
		fresh, err := b.readList(ctx, ses, horizon)
		if err != nil {
			return nil, err
		}
		*l, m.known = fresh, true
		l.removed = removed
	}
	if !l.expire(horizon) {
		return nil, noFragments()
	}
	return l.Timeline, nil
}

// expire leaves out what the horizon has reached. It reports false when nothing is left.
func (l *staticList) expire(horizon kvs.Millis) bool {
	k := sort.Search(len(l.Entries), func(i int) bool { return l.Entries[i].Stored.Number.Server >= horizon })
	if k > 0 && k < len(l.Entries) {
		l.horizon = l.Entries[k-1].Stored.Number.Server + 1
		l.Timeline = l.behind(k)
	}
	return k < len(l.Entries)
}

// readList reads the list of an ON_DEMAND session.
func (b *Board) readList(ctx context.Context, ses *Session, horizon kvs.Millis) (staticList, error) {
	most := int(min(ses.Base.LiveSeq, rangePage)) + 1
	c := collection{clock: ses.Clock, rows: make([]archive.Stored, 0, most)}
	l := staticList{until: kvs.MaxMillis}
	for first := ses.Base.First; first <= ses.Base.Through; {
		rows, err := b.o.Archive.Span(ctx, ses.Stream, first, ses.Base.Through, most, horizon)
		if err != nil {
			return l, err
		}
		for i := range rows {
			first = rows[i].Number.N + 1
			at := rows[i].At(ses.Clock)
			if at >= ses.Range.Start && at <= ses.Range.End && l.has(&rows[i], ses.Created) {
				c.add(&rows[i])
			}
		}
		if len(rows) < most {
			break
		}
	}
	for k := len(c.rows); k > 0 && c.rows[k-1].Number.N > ses.Base.Last; k-- {
		c.rows = c.rows[:k-1] // they only took the place of others
	}
	if len(c.rows) == 0 {
		return l, noFragments()
	}
	if c.rows[0].Number.N != ses.Base.First {
		l.horizon = horizon // those in front may be there, and hidden
	}
	l.Timeline = static(c.rows, ses)
	return l, nil
}

// has reports whether a list that is begun at a moment has the fragment, and narrows the
// time in which that is so.
func (l *staticList) has(s *archive.Stored, created kvs.Millis) bool {
	at := settledAt(s)
	if at > created {
		l.until = min(l.until, at)
		return false
	}
	l.from = max(l.from, at)
	return true
}
