package ingest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/quota"
)

func TestKnownAndUnknownSizes(t *testing.T) {
	s := newStudio(t, quota.Open)
	const want = "b1@0 r1@0 p1@0 b2@1000 r2@1000 p2@1000"
	s.put(s.stream(24), head(otherApp), unknown(0, at(0)), unknown(1000, at(0))).want(want, 0)
	s.put(s.stream(24), head(otherApp), sized(0, at(0)), sized(1000, at(0))).want(want, 0)
	s.put(s.stream(24), head(otherApp), unknown(0, at(0)), sized(1000, at(0))).want(want, 0)
	s.put(s.stream(24), head(otherApp), sized(0, at(0)), unknown(1000, at(0))).want(want, 0)
	s.wantEmpty()
}

func TestReceivedIsTheLastWordWithoutRetention(t *testing.T) {
	s := newStudio(t, quota.Open)
	c := s.put(s.stream(0), head(otherApp), aSecond(0), aSecond(1000))
	c.want("b1@0 r1@0 b2@1000 r2@1000", 0)
	if n := len(s.shelf.all()); n != 0 || c.Persisted != 0 || c.Fragments != 2 {
		t.Errorf("%d fragments archived, %+v", n, c.Summary)
	}
	s.wantEmpty()
}

func TestRetentionMayChangeUnderAnOpenSession(t *testing.T) {
	s := newStudio(t, quota.Open)
	e := s.stream(0)
	change := func(hours int) func() {
		return func() {
			if err := s.catalog.UpdateRetention(t.Context(), e.Stream().ID, e.Stream().Version, hours); err != nil {
				t.Error(err)
			}
		}
	}
	s.put(e, head(otherApp), aSecond(0), unknown(1000, at(0)), change(24), at(40), unknown(2000, at(0)), endTag, change(-24), aSecond(3000)).
		want("b1@0 r1@0 b2@1000 r2@1000 p2@1000 b3@2000 r3@2000 p3@2000 b4@3000 r4@3000", 0)
	for _, r := range s.shelf.all() {
		if r.Retention != 24 {
			t.Errorf("archived for %d hours", r.Retention)
		}
	}
	s.wantEmpty()
}

// END_OF_FRAGMENT closes and persists a fragment before anything else comes
// (wire-media section 3.3).
func TestTheEndTagClosesTheFragmentAtOnce(t *testing.T) {
	for _, cluster := range []func(uint64, ...[]byte) []byte{unknown, sized, sdkCluster} {
		s := newStudio(t, quota.Open)
		l := &ledger{t: t}
		acked := make(chan struct{})
		s.shelf.before = func(r archive.Record) { close(acked) }
		body := newScript(sdkHead(videoTrack), cluster(0, at(0), at(40)), endTag, func() { <-acked; s.shelf.before = nil }, endTag, cluster(80, at(0)))
		s.putCtx(t.Context(), Request{Stream: s.stream(24)}, body, l).want("b1@0 r1@0 p1@0 b2@80 r2@80 p2@80", 0)
		s.wantEmpty()
	}
}

func TestParallelSessionsShareAStream(t *testing.T) {
	s := newStudio(t, quota.Open)
	e := s.stream(24)
	const sessions, fragments = 4, 25
	var wg sync.WaitGroup
	calls := make([]*call, sessions)
	for i := range sessions {
		wg.Go(func() {
			steps := []any{head(otherApp)}
			for n := range fragments {
				steps = append(steps, aSecond(uint64(n*1000)))
			}
			calls[i] = s.put(e, steps...)
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, c := range calls {
		if c.End != nil || c.Persisted != fragments {
			t.Errorf("%+v: want %d fragments", c.Summary, fragments)
		}
		for n := range c.order {
			if seen[n] {
				t.Errorf("number %s was given twice", n)
			}
			seen[n] = true
		}
	}
	if len(seen) != sessions*fragments {
		t.Errorf("%d numbers for %d fragments", len(seen), sessions*fragments)
	}
	s.wantEmpty()
}

func TestASessionBeginsWithANewThousand(t *testing.T) {
	s := newStudio(t, quota.Open)
	e := s.stream(24)
	for range 2 {
		s.put(e, head(otherApp), aSecond(0), aSecond(1000))
	}
	s.put(e, head(otherApp)) // no cluster, no numbers
	s.put(e, head(otherApp), aSecond(0))
	var got []int64
	for _, r := range s.shelf.all() {
		got = append(got, r.Fragment.Number.N)
	}
	if fmt.Sprint(got) != "[1 2 1001 1002 2001]" {
		t.Errorf("numbers %v", got)
	}
}

func TestServerTimesNeverFallBehindWhatIsStored(t *testing.T) {
	s := newStudio(t, quota.Open)
	const future = kvs.Millis(4102444800000)
	s.o.Newest = func(context.Context, kvs.StreamID) kvs.Millis { return future }
	s.put(s.stream(24), head(otherApp), aSecond(0))
	if got := s.shelf.all()[0].Fragment.Number.Server; got != future {
		t.Errorf("server time %v, want %v", got, future)
	}
}

func TestAStreamDeletedUnderItsWriter(t *testing.T) {
	for name, test := range map[string]struct {
		body func(remove func()) []any
		want string
	}{
		"between frames":            {func(rm func()) []any { return []any{head(otherApp), unknown(0, at(0)), rm, open{}} }, "b1@0 e1@0:4008"},
		"between fragments":         {func(rm func()) []any { return []any{head(otherApp), aSecond(0), endTag, rm, open{}} }, "b1@0 r1@0 p1@0 e:4008"},
		"before the first fragment": {func(rm func()) []any { return []any{head(otherApp), rm, open{}} }, "e:4008"},
		"behind a whole cluster":    {func(rm func()) []any { return []any{head(otherApp), sized(0, at(0)), rm, open{}} }, "b1@0 e1@0:4008"},
		// Here the next number is what cannot be had.
		"while more is sent": {func(rm func()) []any { return []any{head(otherApp), aSecond(0), endTag, rm, aSecond(1000), open{}} }, "b1@0 r1@0 p1@0 e:4008"},
		"at the end":         {func(rm func()) []any { return []any{head(otherApp), aSecond(0), rm} }, "b1@0 e1@0:4008"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStudio(t, quota.Open)
			e := s.stream(24)
			c := s.put(e, test.body(func() { s.delete(e) })...)
			if got := c.text(); got != test.want {
				t.Errorf("acknowledged %s, want %s", got, test.want)
			}
			s.wantEmpty()
		})
	}
}

// A deletion while the archive writes is no failure of the fragment: the archive says
// what became of it, and its memory is given back then.
func TestAStreamDeletedWhileItIsArchived(t *testing.T) {
	for _, failure := range []error{nil, errors.New("no such stream")} {
		s := newStudio(t, quota.Open)
		e := s.stream(24)
		var finish func()
		s.shelf.hold = func(done func()) { finish = done }
		s.shelf.failure = func(int) error { return failure }
		want := "b1@0 r1@0 e:4008 p1@0"
		if failure != nil {
			want = "b1@0 r1@0 e:4008 e1@0:5001"
		}
		l := &ledger{t: t}
		body := newScript(head(otherApp), aSecond(0), endTag, func() { s.delete(e) }, open{})
		// The archive answers when the session has nothing else to wait for.
		l.fail = func(n int) error {
			if n == 3 {
				go finish()
			}
			return nil
		}
		s.putCtx(t.Context(), Request{Stream: e}, body, l).want(want, StreamNotActive)
		s.wantEmpty()
	}
}
