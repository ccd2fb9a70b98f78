package ingest

import (
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/mkv"
)

// heavy is a header of some n bytes.
func heavy(n int) []byte {
	track := videoTrack
	track.CodecPrivate = make([]byte, n)
	return headOf(otherApp, 0, track)
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Sessions with large headers and next to no media stay within the budget, and what
// the budget says is taken is what the heap holds.
func TestHeadersAreInTheBudget(t *testing.T) {
	const budget, sessions, size = 16 << 20, 100, 1_000_000
	s := newStudioOf(t, quota.Open, budget)
	e := s.stream(0)
	before := heap()
	for range sessions {
		s.put(e, heavy(size), unknown(0, at(0))).want("b1@0 r1@0", 0)
	}
	used, peak, _, _ := s.budget.Use()
	if peak > budget || used < 3*size {
		t.Errorf("%d bytes taken, %d at most, of %d", used, peak, budget)
	}
	if grown := int64(heap() - before); grown > used+(2<<20) {
		t.Errorf("the heap grew by %d bytes, the budget knows of %d", grown, used)
	}
	s.wantEmpty()
}

// Many at a time wait for each other's headers, with and without retention, and all end.
func TestManyLargeHeadersAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const budget, sessions = 16 << 20, 60
		s := newStudioOf(t, quota.Open, budget)
		s.shelf.delay = 20 * time.Millisecond
		body := heavy(900_000)
		var wg sync.WaitGroup
		for i := range sessions {
			e := s.stream(24 * (i % 2))
			wg.Go(func() {
				c := s.put(e, body[:len(body)/2], time.Second, body[len(body)/2:], unknown(0, at(0)), time.Second, unknown(1000, at(0), meta("a", "b")))
				if c.Fragments != 2 || c.End != nil {
					t.Errorf("%+v", c.Summary)
				}
			})
		}
		wg.Wait()
		if _, peak, limit, _ := s.budget.Use(); peak > limit || peak < limit/2-collecting {
			t.Errorf("peak %d of %d", peak, limit)
		}
		s.wantEmpty()
	})
}

// What a session with a large header was charged is given back however it ends.
func TestALargeHeaderIsGivenBack(t *testing.T) {
	big := heavy(500_000)
	tagged := append(heavy(20_000), meta("a", string(make([]byte, 200_000)))...)
	s := newStudio(t, quota.Open)
	for name, test := range map[string]struct {
		body []any
		want string
		end  Code
	}{
		"half a header":     {[]any{big[:300_000]}, "e:4006", InvalidMKV},
		"no cluster":        {[]any{big}, "e:4006", InvalidMKV},
		"no fragment":       {[]any{big, unknown(0)[:5]}, "e:4000", StreamReadError},
		"a refused one":     {[]any{big, unknown(0, frame(9, 0, 1))}, "b1@0 e1@0:4010", 0},
		"two with tags":     {[]any{tagged, aSecond(0), aSecond(1000)}, "b1@0 r1@0 p1@0 b2@1000 r2@1000 p2@1000", 0},
		"too large a one":   {[]any{big, mkv.AppendVoid(nil, 600_000), aSecond(0)}, "e:4006", InvalidMKV},
		"half of too large": {[]any{head(otherApp), mkv.AppendVoid(nil, 600_000), big}, "e:4006", InvalidMKV},
	} {
		t.Run(name, func(t *testing.T) {
			s := s.again(t)
			c := s.put(s.stream(24), test.body...)
			if test.end == 0 {
				c.want(test.want, 0)
			} else if c.End == nil {
				t.Errorf("ended cleanly: %s", c.text())
			}
			s.wantEmpty()
		})
	}
}

// Idle sessions and small headers cost the budget nothing, so that thousands may be open.
func TestASmallHeaderIsFree(t *testing.T) {
	s := newStudio(t, quota.Open)
	body := newScript(head(otherApp), func() {
		if used, _, _, _ := s.budget.Use(); used != 0 {
			t.Errorf("%d bytes taken", used)
		}
	}, aSecond(0))
	s.putCtx(t.Context(), Request{Stream: s.stream(24)}, body, &ledger{t: t}).want("b1@0 r1@0 p1@0", 0)
}

// A silent session does not keep its header while others wait for memory.
func TestASilentSessionWithALargeHeaderIsEndedUnderPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStudioOf(t, quota.Open, 2*collecting) // half of it is the reserve
		s.o.Pressed = func() bool { _, _, _, waiting := s.budget.Use(); return waiting > 0 }
		silent := s.start(s.stream(24), heavy(1_000_000), unknown(0, at(0)), endTag, open{})
		<-time.After(time.Second)
		if c := s.put(s.stream(24), heavy(1_000_000), unknown(0, at(0))); c.Persisted != 1 || c.End != nil {
			t.Errorf("%s, %v", c.text(), c.End)
		}
		if c := silent(); c.End == nil {
			t.Error("the silent session ended cleanly")
		}
		s.wantEmpty()
	})
}

// A header does not wait for ever for memory that others keep for their sessions.
func TestALargeHeaderGivesUpWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStudioOf(t, quota.Open, 2*collecting) // half of it is the reserve
		end := make(chan struct{})
		other := s.start(s.stream(24), heavy(1_000_000), unknown(0, at(0)), endTag, func() { <-end })
		<-time.After(time.Second)
		begun := time.Now()
		c := s.put(s.stream(24), heavy(500_000), unknown(0, at(0)))
		if acks, idle := strings.CutSuffix(c.text(), " e:5000"); !idle || strings.Trim(acks, "idle ") != "" || c.End == nil {
			t.Errorf("%s, %v", c.text(), c.End)
		}
		if waited := time.Since(begun); waited < headerWait || waited > headerWait+time.Second {
			t.Errorf("gave up after %v, want %v", waited, headerWait)
		}
		close(end)
		if c := other(); c.End != nil {
			t.Error(c.End)
		}
		s.wantEmpty()
	})
}

// Behind the first cluster nothing large is collected.
func TestLargeTagsBetweenFragmentsAreRefused(t *testing.T) {
	s := newStudio(t, quota.Open)
	large := meta("a", string(make([]byte, 4*maxInline)))
	s.put(s.stream(24), head(otherApp), aSecond(0), large).want("b1@0 e1@0:4006", InvalidMKV)
	s.wantEmpty()
}
