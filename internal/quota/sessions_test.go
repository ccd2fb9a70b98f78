package quota

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/metrics"
)

func page(t *testing.T, m *metrics.Set) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

func TestConnections(t *testing.T) {
	b := newBook(t, BookOptions{Profile: AWS, Settings: map[string]string{"GetMedia.sessions": "2"}})
	first, err1 := b.Connect(GetSessions, cam)
	_, err2 := b.Connect(GetSessions, cam)
	_, err3 := b.Connect(GetSessions, cam)
	if err1 != nil || err2 != nil || kvs.KindOf(err3) != kvs.TooManyConnections {
		t.Fatalf("got %v, %v, %v; want two connections and TooManyConnections", err1, err2, err3)
	}
	if want := "Connection limit of 2 exceeded for GetMedia API for resource 'cam'"; err3.Error() != want {
		t.Errorf("got  %s\nwant %s", err3, want)
	}
	if _, err := b.Connect(GetSessions, kvs.Stream{ID: 8}); err != nil {
		t.Errorf("another stream: %v", err)
	}
	if _, err := b.Connect(PickSessions, cam); err != nil {
		t.Errorf("another operation: %v", err)
	}
	first()
	if _, err := b.Connect(GetSessions, cam); err != nil {
		t.Errorf("after a connection ended: %v", err)
	}
	// A change holds for the next connection.
	if err := b.Set(t.Context(), Target{account, cam.ID}, "GetMedia.sessions", "3"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Connect(GetSessions, cam); err != nil {
		t.Errorf("after the limit was raised: %v", err)
	}
	if err := b.Set(t.Context(), Target{account, cam.ID}, "GetMedia.sessions", "1"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Connect(GetSessions, cam); kvs.KindOf(err) != kvs.TooManyConnections {
		t.Errorf("after the limit was lowered: %v", err)
	}
}

func TestConnectionsAreForgotten(t *testing.T) {
	b := newBook(t, BookOptions{})
	var release []func()
	for range 100 {
		f, err := b.Connect(GetSessions, cam)
		if err != nil {
			t.Fatal(err)
		}
		release = append(release, f)
	}
	for _, f := range release {
		f()
	}
	if len(b.connections.open) != 0 {
		t.Errorf("%d streams are remembered without a connection", len(b.connections.open))
	}
}

// A bandwidth holds for all sessions of a stream together, and for each stream apart.
func TestBandwidthIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := metrics.New()
		b := newBook(t, BookOptions{Profile: AWS, Metrics: m})
		const each = 25_000_000
		var wg sync.WaitGroup
		start := time.Now()
		took := make([]time.Duration, 4)
		for i, id := range []kvs.StreamID{7, 7, 7, 8} {
			wg.Go(func() {
				p := b.View(account, id).Flow(GetBandwidth)
				defer p.Close()
				for range each / 50_000 {
					if err := p.Wait(t.Context(), 50_000); err != nil {
						t.Error(err)
					}
				}
				took[i] = time.Since(start)
			})
		}
		wg.Wait()
		// 75 MB at 25 MB/s, of which a tenth of a second may go at once; no session gets
		// much more than its share.
		if three, one := max(took[0], took[1], took[2]), took[3]; three.Round(time.Millisecond) != 2900*time.Millisecond || one.Round(time.Millisecond) != 900*time.Millisecond ||
			min(took[0], took[1], took[2]) < 2400*time.Millisecond {
			t.Errorf("three sessions and one took %v", took)
		}
		if len(b.pipes.open) != 0 {
			t.Errorf("%d caps are remembered without a session", len(b.pipes.open))
		}
		if text := page(t, m); !strings.Contains(text, `millrace_limit_wait_seconds_total{limit="GetMedia.bandwidth"} `) {
			t.Errorf("the waits are not counted: %s", text[strings.Index(text, "# HELP millrace_limit_wait"):])
		}
	})
}

func TestABandwidthDoesNotPileUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook(t, BookOptions{Profile: AWS})
		p := b.View(account, 7).Flow(PutBandwidth)
		defer p.Close()
		time.Sleep(time.Hour)
		if d := p.Delay(12_500_000); d != 900*time.Millisecond {
			t.Errorf("a second's worth after an hour of silence waits for %v, want 900ms", d)
		}
	})
}

func TestRatesOfFragments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook(t, BookOptions{Profile: AWS})
		view := b.View(account, 7)
		one, other := view.Beat(PutFragmentRate), view.Beat(PutFragmentRate)
		own := view.OwnBeat(GetFragmentRate)
		defer one.Close()
		defer other.Close()
		defer own.Close()
		start := time.Now()
		for i := range 10 {
			p := one
			if i%2 == 1 {
				p = other
			}
			if err := p.Wait(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took != time.Second { // five at once, five more in a second
			t.Errorf("ten fragments of two sessions took %v, want 1s", took)
		}
		start = time.Now()
		for range 12 {
			_ = own.Wait(t.Context(), 1)
		}
		if took := time.Since(start).Round(time.Millisecond); took != time.Second {
			t.Errorf("twelve fragments took %v, want 1s", took)
		}
	})
}

func TestWaitingEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook(t, BookOptions{Settings: map[string]string{"PutMedia.bandwidth": "1B/s"}})
		p := b.View(account, 7).Flow(PutBandwidth)
		defer p.Close()
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("gone")
		time.AfterFunc(1500*time.Millisecond, func() { cancel(gone) })
		start := time.Now()
		if err := p.Wait(ctx, 10_000); !errors.Is(err, gone) || time.Since(start) != 1500*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// Who waits under a limit that changes does not wait to the end of it.
func TestACapThatChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook(t, BookOptions{Settings: map[string]string{"PutMedia.bandwidth": "1B/s"}})
		p := b.View(account, 7).Flow(PutBandwidth)
		defer p.Close()
		for _, value := range []string{"1MB/s", "none"} {
			time.AfterFunc(10*time.Second, func() {
				if err := b.Set(context.Background(), Target{account, 7}, "PutMedia.bandwidth", value); err != nil {
					t.Error(err)
				}
			})
			start := time.Now()
			if err := p.Wait(t.Context(), 1_000_000_000); err != nil || time.Since(start) > 11*time.Second {
				t.Errorf("%v after %v", err, time.Since(start))
			}
			if d := p.Delay(100_000); d > 0 {
				t.Errorf("what was taken under the old cap is waited for: %v", d)
			}
			synctest.Wait()
		}
	})
}

func TestWaitingAllocatesNothing(t *testing.T) {
	b := newBook(t, BookOptions{Profile: AWS, Settings: map[string]string{"PutMedia.bandwidth": "1GB/s"}})
	p := b.View(account, 7).Flow(PutBandwidth)
	defer p.Close()
	_ = p.Wait(t.Context(), 200_000_000)
	if n := testing.AllocsPerRun(100, func() { _ = p.Wait(t.Context(), 50_000) }); n > 0 {
		t.Errorf("%v allocations of a wait", n)
	}
}

func TestMeter(t *testing.T) {
	r := newRated(t, AWS)
	view := r.View(account, 7)
	var one, other Meter
	count := func(m *Meter) (n int) {
		for m.Allow(view, CandidateRate, "SendICECandidate") == nil {
			n++
		}
		return n
	}
	if a, b := count(&one), count(&other); a != 20 || b != 20 {
		t.Errorf("%d and %d messages are allowed, want 20 of each connection", a, b)
	}
	r.now = r.now.Add(time.Second / 2)
	if n := count(&one); n != 10 {
		t.Errorf("%d messages in half a second, want 10", n)
	}
}
