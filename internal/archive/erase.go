package archive

import (
	"context"
	"math"

	"github.com/millrace/millrace/internal/kvs"
)

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
	if toll.Fragments > 0 {
		a.observer.Expired(int(toll.Fragments), 0)
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
	if err := a.remove(ctx, victims); err != nil {
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
