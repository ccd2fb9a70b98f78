package ingest

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/quota"
)

func TestAcknowledgementsOfASlowArchive(t *testing.T) {
	bubble(t, quota.Open, func(s *studio) {
		s.shelf.delay = 1500 * time.Millisecond
		c := s.put(s.stream(24), head(otherApp), aSecond(0), time.Second, aSecond(1000), time.Second, aSecond(2000))
		c.want("b1@0 r1@0 b2@1000 r2@1000 b3@2000 r3@2000 p1@0 p2@1000 p3@2000", 0)
		s.wantEmpty()
	})
}

// A producer that reads its acknowledgements slowly is slowed down; it does not fill
// the memory.
func TestASlowReaderOfAcknowledgements(t *testing.T) {
	bubble(t, quota.Open, func(s *studio) {
		const fragments = 3000
		var steps []any
		var longest int
		e := s.stream(24)
		steps = append(steps, head(otherApp))
		for i := range fragments {
			steps = append(steps, unknown(uint64(i), at(0)))
		}
		l := &ledger{t: t, slow: 10 * time.Millisecond}
		l.fail = func(n int) error {
			s.sessions.mu.Lock()
			defer s.sessions.mu.Unlock()
			for _, other := range s.sessions.streams[e.Stream().ID] {
				other.acks.mu.Lock()
				longest = max(longest, len(other.acks.queue))
				other.acks.mu.Unlock()
			}
			return nil
		}
		c := s.putCtx(s.t.Context(), Request{Stream: e}, newScript(steps...), l)
		if c.End != nil || c.Persisted != fragments {
			t.Errorf("%+v", c.Summary)
		}
		if longest < maxQueued || longest > maxQueued+3 {
			t.Errorf("%d acknowledgements waited; want about %d", longest, maxQueued)
		}
	})
}

// Nobody reads the acknowledgements any more: the session ends, what is whole is kept.
func TestAcknowledgementsThatCannotBeWritten(t *testing.T) {
	s := newStudio(t, quota.Open)
	broken := errors.New("broken pipe")
	l := &ledger{t: t, fail: func(n int) error {
		if n > 3 {
			return broken
		}
		return nil
	}}
	c := s.putCtx(t.Context(), Request{Stream: s.stream(24)}, newScript(head(otherApp), aSecond(0), aSecond(1000), open{}), l)
	c.want("b1@0 r1@0 p1@0", StreamReadError)
	if !errors.Is(c.End, broken) {
		t.Errorf("ended with %v, want the cause", c.End)
	}
	s.wantEmpty()
}

// When the server stops, fragments that are whole get their acknowledgements.
func TestShutdown(t *testing.T) {
	for name, test := range map[string]struct {
		body []any
		want string
	}{
		"between fragments":      {[]any{aSecond(0), endTag}, "b1@0 r1@0 p1@0"},
		"inside a fragment":      {[]any{aSecond(0), aSecond(1000)}, "b1@0 r1@0 b2@1000 e2@1000:4000 p1@0"},
		"behind a whole cluster": {[]any{aSecond(0), sized(1000, at(0))}, "b1@0 r1@0 b2@1000 r2@1000 p1@0 p2@1000"},
		"before anything came":   {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, quota.Open, func(s *studio) {
				s.shelf.delay = 2 * time.Second
				ctx, cancel := context.WithCancel(s.t.Context())
				body := append([]any{head(otherApp)}, test.body...)
				body = append(body, time.Second, cancel, open{})
				for i, step := range body {
					if f, ok := step.(context.CancelFunc); ok {
						body[i] = func() { f() }
					}
				}
				c := s.putCtx(ctx, Request{Stream: s.stream(24)}, newScript(body...), &ledger{t: t})
				c.want(test.want, StreamReadError)
				if !errors.Is(c.End, context.Canceled) {
					t.Errorf("ended with %v", c.End)
				}
				s.wantEmpty()
			})
		})
	}
}

// A fragment whose last bytes wait for memory is not whole: it must not be archived
// when the session ends at that moment.
func TestAFragmentCutByTheEndOfTheServerIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStudioOf(t, quota.Open, 128<<10) // two pages and a reserve of two
		e := s.stream(24)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-time.After(time.Second); cancel() }()
		body := newScript(head(otherApp), sized(0, at(0), frame(1, 40, 128<<10)), open{}) // the last piece is one too many
		s.putCtx(ctx, Request{Stream: e}, body, &ledger{t: t}).want("b1@0 e1@0:4000", StreamReadError)
		if n := len(s.shelf.all()); n != 0 {
			t.Errorf("%d fragments archived", n)
		}
		s.wantEmpty()
	})
}

// A producer that sends a little now and then must not keep for ever the memory that is
// meant for one fragment after the other.
func TestASlowFragmentGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStudioOf(t, quota.Open, 128<<10) // two pages and a reserve of two
		steps := []any{head(otherApp), unknown(0, at(0), frame(1, 40, 70<<10))}
		for range 200 {
			steps = append(steps, time.Second, frame(1, 40, 50))
		}
		slow := s.start(s.stream(24), steps...)
		<-time.After(time.Second)
		begun := time.Now()
		if c := s.put(s.stream(24), head(otherApp), unknown(0, at(0))); c.Persisted != 1 || c.End != nil {
			t.Errorf("%s, %v", c.text(), c.End)
		}
		if waited := time.Since(begun); waited < 15*time.Second || waited > time.Minute {
			t.Errorf("waited %v", waited)
		}
		slow().want("b1@0 e1@0:4000", StreamReadError)
		s.wantEmpty()
	})
}

// Producers that wait for memory are served as the archive frees it.
func TestMoreProducersThanMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStudioOf(t, quota.Open, 4<<20)
		s.shelf.delay = 20 * time.Millisecond
		const producers, fragments = 20, 10
		var wg sync.WaitGroup
		for i := range producers {
			e := s.stream(24 * (i % 2))
			wg.Go(func() {
				r := rand.New(rand.NewPCG(3, uint64(i)))
				steps := []any{head(otherApp)}
				for n := range fragments {
					steps = append(steps, unknown(uint64(n*1000), at(0)))
					for range 20 {
						steps = append(steps, frame(1, 40, r.IntN(60_000)), time.Duration(r.IntN(50))*time.Millisecond)
					}
				}
				if c := s.put(e, steps...); c.Fragments != fragments || c.End != nil {
					t.Errorf("%+v", c.Summary)
				}
			})
		}
		wg.Wait()
		if _, peak, limit, _ := s.budget.Use(); peak > limit || peak < limit/2 {
			t.Errorf("peak %d of %d", peak, limit)
		}
		s.wantEmpty()
	})
}
