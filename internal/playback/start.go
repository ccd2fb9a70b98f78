package playback

import (
	"context"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/live"
)

// start translates a selector into the number after which the consumer begins.
func (f *follower) start(ctx context.Context, sel kvs.Selector) (kvs.FragmentNumber, error) {
	switch sel.Type {
	case kvs.StartEarliest:
		return kvs.FragmentNumber{}, nil
	case kvs.StartAfter:
		return sel.Number, nil
	case kvs.StartAt:
		return f.startAt(ctx, sel)
	}
	return f.startNow(ctx)
}

// startNow begins with the fragment now arriving, from its first byte, else with the
// newest one.
func (f *follower) startNow(ctx context.Context) (kvs.FragmentNumber, error) {
	if a, ok := f.live.Arriving(); ok {
		return a.Info().Number.Before(), nil
	}
	newest, err := f.newest(ctx)
	if err != nil || newest.N == 0 {
		return kvs.FragmentNumber{}, err
	}
	return newest.Before(), nil
}

// newest is the greatest number that can be read; zero if there is none. With several
// sessions a late fragment may be live when a greater number is archived already.
func (f *follower) newest(ctx context.Context) (n kvs.FragmentNumber, err error) {
	// The live buffer is asked first: what it evicts meanwhile is in the archive by then.
	if all := f.live.All(); len(all) > 0 {
		n = all[len(all)-1].Info().Number
	}
	s, ok, err := f.p.o.Archive.Newest(ctx, f.id, f.p.horizon(f.stream))
	if err == nil && ok && n.Less(s.Number) {
		n = s.Number
	}
	return n, err
}

// startAt begins with the fragment that contains the time, else with the first that
// starts after it; behind all of them it waits for the next (decisions sheet, row 8).
func (f *follower) startAt(ctx context.Context, sel kvs.Selector) (kvs.FragmentNumber, error) {
	best := choice{clock: sel.Clock, at: sel.Time}
	// The live buffer is asked first: what it evicts meanwhile is in the archive by then.
	for _, l := range f.live.All() {
		best.consider(span(l))
	}
	s, ok, err := f.p.o.Archive.At(ctx, f.id, sel.Clock, sel.Time, f.p.horizon(f.stream))
	if err != nil {
		return kvs.FragmentNumber{}, err
	}
	if ok {
		best.consider(s.Fragment, false)
	}
	if best.found {
		return best.fragment.Number.Before(), nil
	}
	return f.newest(ctx)
}

// span returns a live fragment and whether it still grows.
func span(l *live.Fragment) (kvs.Fragment, bool) {
	st, _ := l.State()
	return l.Info(), st == live.Arriving
}

// choice keeps the best of the fragments it has seen.
type choice struct {
	clock    kvs.Clock
	at       kvs.Millis
	found    bool
	contains bool
	fragment kvs.Fragment
}

// consider takes f if it contains the time (of several that do, the one with the
// greatest number) or, while none does, if it starts first after it.
func (c *choice) consider(f kvs.Fragment, open bool) {
	start := f.At(c.clock)
	contains := start <= c.at && (open || c.at < start+kvs.Millis(f.Duration))
	better := false
	switch {
	case contains && c.contains:
		better = c.fragment.Number.Less(f.Number)
	case contains:
		better = true
	case c.contains || start < c.at:
	default:
		first := c.fragment.At(c.clock)
		better = !c.found || start < first || start == first && f.Number.Less(c.fragment.Number)
	}
	if better {
		c.found, c.contains, c.fragment = true, contains, f
	}
}
