package ingest

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/quota"
)

// Three hundred producers share the memory of a dozen fragments with some that stop in the
// middle, some that hardly send, and some whose headers are large. Whoever goes on
// sending gets through, and soon; the others are ended.
func TestACrowdWithMisfits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const crowd, size = 300, 150 << 10
		s := newStudioOf(t, quota.Open, 16<<20) // half of it is the reserve
		s.o.Pressed = func() bool { _, _, _, waiting := s.budget.Use(); return waiting > 0 }
		s.shelf.delay = 20 * time.Millisecond
		begun := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var good, bad sync.WaitGroup
		pieces := func(pause time.Duration, n int) (steps []any) {
			steps = append(steps, head(otherApp), unknown(0, at(0)))
			for range n {
				steps = append(steps, pause, frame(1, 40, size/n))
			}
			return steps
		}
		for i := range crowd {
			e := s.stream(24 * min(1, i%7))
			switch {
			case i%20 == 3: // silent in the middle of a fragment
				steps := append(pieces(time.Millisecond, 10)[:12], open{})
				bad.Go(func() { s.putCtx(ctx, Request{Stream: e}, newScript(steps...), &ledger{t: t}) })
			case i%20 == 7: // a tenth of its fragment a minute
				steps := append(pieces(2*time.Second, 300), open{})
				bad.Go(func() { s.putCtx(ctx, Request{Stream: e}, newScript(steps...), &ledger{t: t}) })
			case i%20 == 11:
				steps := append([]any{heavy(900_000)}, pieces(time.Millisecond, 10)[1:]...)
				good.Go(func() { s.insist(e, steps) })
			default:
				steps := pieces(time.Millisecond, 10)
				good.Go(func() { s.insist(e, steps) })
			}
		}
		good.Wait()
		// The misfits may have the reserve one after the other: the silent ones for half a
		// minute, the slow ones for a little less.
		if took := time.Since(begun); took > crowd/10*40*time.Second {
			t.Errorf("it took %v", took)
		} else {
			t.Logf("it took %v", took)
		}
		s.insist(s.stream(24), pieces(time.Millisecond, 10)) // and who comes later
		if f := s.budget.Figures(); f.Peak > f.Limit || f.Waits < crowd || f.Waiting > 0 {
			t.Errorf("%+v", f)
		}
		cancel()
		bad.Wait()
		s.wantEmpty()
	})
}

// insist sends a fragment until it is received, and durable if it is to be kept.
func (s *studio) insist(e *catalog.Entry, steps []any) {
	s.t.Helper()
	var c *call
	for range 10 {
		c = s.put(e, steps...)
		if c.Fragments == 1 && (c.Persisted == 1 || e.Stream().Retention == 0) {
			return
		}
	}
	s.t.Errorf("stream %s: given up, last %v", e.Stream().Name, c.End)
}
