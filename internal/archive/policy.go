package archive

import (
	"context"
	"math"
	"slices"

	"github.com/millrace/millrace/internal/kvs"
)

// Policy says what a stream keeps. It is asked for again before anything is removed, so
// that a change holds from the next look on.
type Policy struct {
	Hours int             // retention; 0 = nothing is kept
	Bytes int64           // records beyond this many bytes go, the oldest first; 0 = no limit
	Tier  kvs.StorageTier // of the segments that new fragments go to; "" = HOT
	Holds []Hold          // what stays whatever the other members say
}

// Hold keeps fragments from being removed: by expiry, by limits and by erasure.
type Hold struct {
	Clock kvs.Clock
	Range kvs.TimeRange // both ends inclusive
}

// Covers reports whether some of the fragment lies in the range. An instant belongs to
// the fragment that begins there, not to the one that ends there.
func (h Hold) Covers(f *kvs.Fragment) bool {
	from := f.At(h.Clock)
	return from <= h.Range.End && (from >= h.Range.Start || from+kvs.Millis(f.Duration) > h.Range.Start)
}

// held reports whether a hold covers the fragment.
func (p *Policy) held(f *kvs.Fragment) bool {
	return slices.ContainsFunc(p.Holds, func(h Hold) bool { return h.Covers(f) })
}

// horizon is the oldest server timestamp that the retention still covers.
func (p *Policy) horizon(now kvs.Millis) kvs.Millis {
	return kvs.Stream{Retention: p.Hours}.Horizon(now)
}

// lookup returns the policy of a stream and the horizon it means now. gone says that
// the stream was deleted: then everything is behind the horizon.
func (a *Archive) lookup(ctx context.Context, id kvs.StreamID) (p Policy, horizon kvs.Millis, gone bool, err error) {
	p, err = a.policy(ctx, id)
	if err != nil && kvs.KindOf(err) == kvs.NotFound {
		return Policy{}, math.MaxInt64, true, nil
	}
	return p, p.horizon(kvs.MillisOf(a.now())), false, err
}

// Erasure selects stored fragments of a stream that lie in a range of time, or partly.
type Erasure struct {
	Clock   kvs.Clock
	Range   kvs.TimeRange // both ends inclusive
	Through int64         // counter of the last fragment that is meant
}

// covers reports whether the fragment is meant.
func (e Erasure) covers(f *kvs.Fragment) bool {
	return f.Number.N <= e.Through && Hold{Clock: e.Clock, Range: e.Range}.Covers(f)
}

// Toll says what an erasure takes, or would take.
type Toll struct {
	Fragments int64
	Bytes     int64 // of their records
	Held      int64 // those of them that a hold covers
}

// Weigh says what an erasure would remove. What it costs grows with that.
func (a *Archive) Weigh(ctx context.Context, id kvs.StreamID, e Erasure) (toll Toll, err error) {
	p, _, gone, err := a.lookup(ctx, id)
	if err != nil || gone {
		return toll, err
	}
	for after := (Position{N: math.MinInt64}); ; {
		page, last, err := a.page(ctx, id, e, after)
		if err != nil || len(page) == 0 {
			return toll, err
		}
		after = last
		for i := range page {
			if !e.covers(&page[i].Fragment) {
				continue
			}
			toll.Fragments++
			toll.Bytes += page[i].length
			if p.held(&page[i].Fragment) {
				toll.Held++
			}
		}
	}
}

// Erase removes what an erasure means, whatever is on hold: the caller has asked [Archive.Weigh].
func (a *Archive) Erase(ctx context.Context, id kvs.StreamID, e Erasure) (toll Toll, err error) {
	after := Position{N: math.MinInt64}
	for more := true; more && err == nil; {
		var taken share
		taken, after, more, err = a.eraseSome(ctx, id, e, after)
		toll.Fragments += taken.rows
		toll.Bytes += taken.bytes
	}
	return toll, err
}

// page returns the next rows that may lie in the range of an erasure, in order of their
// start, and the position of the last.
func (a *Archive) page(ctx context.Context, id kvs.StreamID, e Erasure, after Position) (page []Stored, last Position, err error) {
	column := [...]string{kvs.ServerClock: "server", kvs.ProducerClock: "producer"}[e.Clock]
	if first := e.Range.Start - kvs.Millis(a.longest.Load()); after.Time < first {
		after = Position{Time: first, N: math.MinInt64}
	}
	page, err = a.selectRows(ctx, `SELECT `+columns+` FROM fragments WHERE stream = $1 AND (`+column+`, n) > ($2, $3) AND `+column+` <= $4
		ORDER BY `+column+`, n LIMIT $5`, int64(id), int64(after.Time), after.N, int64(e.Range.End), maxDeletes)
	if len(page) > 0 {
		s := &page[len(page)-1]
		last = Position{Time: s.At(e.Clock), N: s.Number.N}
	}
	return page, last, err
}

// eraseSome removes those behind a position that are meant, a few hundred at most.
func (a *Archive) eraseSome(ctx context.Context, id kvs.StreamID, e Erasure, after Position) (taken share, last Position, more bool, err error) {
	a.maintenance.Lock()
	defer a.maintenance.Unlock()
	page, last, err := a.page(ctx, id, e, after)
	if err != nil {
		return taken, last, false, err
	}
	var victims []victim
	for i := range page {
		if s := &page[i]; e.covers(&s.Fragment) {
			victims = append(victims, victim{id, s.Number.N, s.segment, s.length, erased})
			taken.rows++
			taken.bytes += s.length
		}
	}
	if err := a.bury(ctx, victims); err != nil {
		return share{}, last, false, err
	}
	return taken, last, len(page) > 0, nil
}

// Settle waits until nothing is being removed by a policy older than the call.
func (a *Archive) Settle(context.Context) error {
	a.maintenance.Lock()
	defer a.maintenance.Unlock()
	return nil
}
