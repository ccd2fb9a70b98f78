package archive

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"sync/atomic"

	"github.com/millrace/millrace/internal/kvs"
)

// changes counts what happens to the rows of streams. Streams that share a counter look
// again when there was no need to, which is all that can go wrong.
type changes [changeCounters]atomic.Uint64

const changeCounters = 16384 // a power of two

func (c *changes) of(id kvs.StreamID) *atomic.Uint64 {
	return &c[uint64(id)%changeCounters]
}

// Changed returns a count that differs when rows of the stream were added, removed or
// moved since. Who asks before reading knows whether what was read is still so.
func (a *Archive) Changed(id kvs.StreamID) uint64 { return a.changes.of(id).Load() }

// Removed is [Archive.Changed] without what was added: while it is the same, every row that
// was read is still there, and points to its fragment.
func (a *Archive) Removed(id kvs.StreamID) uint64 { return a.removals.of(id).Load() }

// noteChange comes after the commit that changed rows of the stream.
func (a *Archive) noteChange(id kvs.StreamID) { a.changes.of(id).Add(1) }

// noteRemoved is noteChange for rows that are gone, or not what they were.
func (a *Archive) noteRemoved(id kvs.StreamID) {
	a.removals.of(id).Add(1)
	a.noteChange(id)
}

// noteMoved is noteRemoved for rows that point to copies now.
func (a *Archive) noteMoved(some []arrival) {
	for i := range some {
		a.noteRemoved(some[i].stream)
	}
}

// Top returns the greatest counter of a fragment of the stream that was removed, as far as
// it matters: while nothing with a greater one is stored. Else it may be any smaller one.
func (a *Archive) Top(id kvs.StreamID) int64 { return a.upkeep.tops.of(id) }

// Measure is what never falls from a fragment that has a LiveSeq to the next.
type Measure uint8

// The measured.
const (
	ByLiveSeq Measure = iota
	ByChanges
	ByMillis
	ByServer // timestamp
)

const (
	measured = `SELECT n, server, live_seq, changes, ms FROM fragments WHERE stream = $1 AND `
	// oldest is where the rows begin that the horizon $2 has not reached. Numbers and server
	// timestamps of a stream grow together.
	oldest = `(SELECT n FROM fragments WHERE stream = $1 AND server >= $2 ORDER BY server, n LIMIT 1)`
	kept   = `n >= ` + oldest
)

// lists are the prepared statements of those who list fragments in order.
type lists struct {
	latest, span, probe, bounds, longest *sql.Stmt
	begin                                [2]*sql.Stmt // per clock
}

func (q *lists) statements(all map[**sql.Stmt]string) {
	const from = `SELECT ` + columns + ` FROM fragments WHERE stream = $1 AND `
	all[&q.latest] = from + kept + ` AND n <= $3 AND live_seq > 0 ORDER BY n DESC LIMIT $4`
	all[&q.span] = from + `n >= $3 AND n <= $4 AND server >= $2 ORDER BY n LIMIT $5` // one lower bound: only one is searched for
	all[&q.probe] = measured + `n >= $2 AND n < $3 AND live_seq > 0 ORDER BY n LIMIT 1`
	all[&q.bounds] = `SELECT (SELECT n FROM fragments WHERE stream = $1 AND server >= $2 ORDER BY server, n LIMIT 1),
		(SELECT n FROM fragments WHERE stream = $1 ORDER BY n DESC LIMIT 1)`

	all[&q.longest] = `SELECT longest FROM streams WHERE stream = $1`
	all[&q.begin[kvs.ServerClock]] = from + `n >= (SELECT n FROM fragments WHERE stream = $1 AND server >= MAX($2, $3) ORDER BY server, n LIMIT 1)
		AND n <= (SELECT n FROM fragments WHERE stream = $1 AND server <= $4 ORDER BY server DESC, n DESC LIMIT 1) ORDER BY n LIMIT $5`
	// Without the + 0 all older rows would be looked at, in the order of their numbers.
	all[&q.begin[kvs.ProducerClock]] = from + `n >= (SELECT MIN(n) FROM (SELECT n FROM fragments WHERE stream = $1
		AND producer >= $3 AND producer <= $4 AND n + 0 >= ` + oldest + ` ORDER BY producer, n LIMIT $6))
		ORDER BY n LIMIT $5`
}

// maxStarts is how many starts on the producer's clock are looked at to find the fragment that was
// stored first: those of nearly three days when fragments last a second, in some 0.1 s.
const maxStarts = 250_000

// Range returns fragments in the order of their numbers, late ones too: on from the one
// with the smallest counter above after whose start lies in the range, until one begins
// outside. It returns at most max of them; more says that another would follow.
//
// On the producer clock after = 0 looks at the starts of the fragments in the range to find
// the smallest number: at 250,000 from the beginning of the range on. What comes later in the range,
// behind others, is not returned.
func (a *Archive) Range(ctx context.Context, id kvs.StreamID, c kvs.Clock, r kvs.TimeRange, after int64, maximum int, horizon kvs.Millis) (all []Stored, more bool, err error) {
	within := func(s *Stored) bool { at := s.At(c); return at >= r.Start && at <= r.End }
	if after == 0 {
		args := []any{int64(id), int64(horizon), int64(r.Start), int64(r.End), maximum + 1}
		if c == kvs.ProducerClock {
			args = append(args, maxStarts)
		}
		all, err = a.list(ctx, a.queries.begin[c], maximum+1, within, args...)
	} else {
		all, err = a.list(ctx, a.queries.span, maximum+1, within, int64(id), int64(horizon), after+1, int64(math.MaxInt64), maximum+1)
	}
	if len(all) > maximum {
		return all[:maximum], true, err
	}
	return all, false, err
}

// Latest returns the newest fragments that have a LiveSeq, at most max of them and none
// with a counter above through (0 = any), in the order of their numbers.
func (a *Archive) Latest(ctx context.Context, id kvs.StreamID, through int64, maximum int, horizon kvs.Millis) ([]Stored, error) {
	if through == 0 {
		through = math.MaxInt64
	}
	all, err := a.list(ctx, a.queries.latest, maximum, nil, int64(id), int64(horizon), through, maximum)
	for i, k := 0, len(all)-1; i < k; i, k = i+1, k-1 {
		all[i], all[k] = all[k], all[i]
	}
	return all, err
}

// Span returns the fragments with counters from first to last, late ones too, in the order
// of their numbers, at most max of them.
func (a *Archive) Span(ctx context.Context, id kvs.StreamID, first, last int64, maximum int, horizon kvs.Millis) ([]Stored, error) {
	return a.list(ctx, a.queries.span, maximum, nil, int64(id), int64(horizon), first, last, maximum)
}

// list reads rows until there are no more, there are enough, or one is not wanted.
func (a *Archive) list(ctx context.Context, stmt *sql.Stmt, maximum int, wanted func(*Stored) bool, args ...any) ([]Stored, error) {
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := make([]Stored, 0, min(maximum, 1024))
	c := newCells()
	for len(all) < maximum && rows.Next() {
		var s Stored
		if err := c.scan(rows, &s, columnCount); err != nil {
			return nil, err
		}
		if wanted != nil && !wanted(&s) {
			break
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

// Seek returns the first fragment, among those that have a LiveSeq, of which a measure is
// at least value. It searches the primary key by halves.
func (a *Archive) Seek(ctx context.Context, id kvs.StreamID, by Measure, value int64, horizon kvs.Millis) (Stored, bool, error) {
	var low, high sql.NullInt64
	if err := a.queries.bounds.QueryRowContext(ctx, int64(id), int64(horizon)).Scan(&low, &high); err != nil || !low.Valid {
		return Stored{}, false, err
	}
	lo, hi, found := low.Int64, high.Int64+1, int64(math.MinInt64)
	for lo < hi {
		mid := lo + (hi-lo)/2
		s, ok, err := a.probe(ctx, id, mid, hi)
		switch {
		case err != nil:
			return Stored{}, false, err
		case !ok: // nothing from mid to hi
			hi = mid
		case by.of(&s) >= value:
			found, hi = s.Number.N, mid
		default:
			lo = s.Number.N + 1
		}
	}
	if found == math.MinInt64 {
		return Stored{}, false, nil
	}
	all, err := a.Span(ctx, id, found, found, 1, horizon)
	if err != nil || len(all) == 0 { // gone since
		return Stored{}, false, err
	}
	return all[0], true, nil
}

func (m Measure) of(s *Stored) int64 {
	switch m {
	case ByChanges:
		return int64(s.Facts.Changes)
	case ByMillis:
		return s.Facts.Millis
	case ByServer:
		return int64(s.Number.Server)
	}
	return s.Facts.LiveSeq
}

// probe returns the measured of the first fragment in a range of counters that has any.
func (a *Archive) probe(ctx context.Context, id kvs.StreamID, from, before int64) (s Stored, ok bool, err error) {
	err = a.queries.probe.QueryRowContext(ctx, int64(id), from, before).
		Scan(&s.Number.N, &s.Number.Server, &s.Facts.LiveSeq, &s.Facts.Changes, &s.Facts.Millis)
	if errors.Is(err, sql.ErrNoRows) {
		return s, false, nil
	}
	return s, err == nil, err
}

// Longest returns the milliseconds of the longest fragment that the stream stored since it
// kept nothing; 0 when it keeps nothing. The index may have been made again since: then of
// those that are left.
func (a *Archive) Longest(ctx context.Context, id kvs.StreamID) (longest int64, err error) {
	err = a.queries.longest.QueryRowContext(ctx, int64(id)).Scan(&longest)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return longest, err
}
