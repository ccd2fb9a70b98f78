package ingest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/quota"
)

// bubble runs f with a studio under a clock that stands still while anything moves.
func bubble(t *testing.T, p quota.Profile, f func(s *studio)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(newStudio(t, p)) })
}

// seconds are the times of the acknowledgements since the first of them or start.
func (c *call) seconds(start time.Time) string {
	var all []string
	for i, at := range c.stamp {
		all = append(all, fmt.Sprintf("%s+%v", c.short[i], at.Sub(start).Round(time.Millisecond)))
	}
	return strings.Join(all, " ")
}

func TestIdle(t *testing.T) {
	bubble(t, quota.Open, func(s *studio) {
		start := time.Now()
		c := s.put(s.stream(24), 3500*time.Millisecond, head(otherApp), unknown(0, at(0)), 2999*time.Millisecond, at(1),
			4500*time.Millisecond, at(2), 2*time.Second)
		const want = "idle+3s b1@0+3.5s idle+9.499s idle+10.499s r1@0+12.999s p1@0+12.999s"
		if got := c.seconds(start); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		c.want("idle b1@0 idle idle r1@0 p1@0", 0)
	})
}

func TestTheOpenProfileNeverClosesForSilence(t *testing.T) {
	bubble(t, quota.Open, func(s *studio) {
		c := s.put(s.stream(24), head(otherApp), aSecond(0), time.Hour-500*time.Millisecond, aSecond(1000))
		if c.End != nil || c.Persisted != 2 {
			t.Errorf("%+v", c.Summary)
		}
		if n := strings.Count(c.text(), "idle"); n != 3600-3 {
			t.Errorf("%d times IDLE in an hour", n)
		}
	})
}

func TestTheAWSProfileClosesAfterThirtySeconds(t *testing.T) {
	idle := strings.Repeat(" idle", 28) // from 3 s to 30 s
	for name, test := range map[string]struct {
		body []any
		want string
	}{
		"nothing came":          {nil, idle[1:]},
		"between two fragments": {[]any{aSecond(0), endTag}, "b1@0 r1@0 p1@0" + idle},
		"behind a whole one":    {[]any{sized(0, at(0), at(1000))}, "b1@0" + idle + " r1@0 p1@0"},
		"inside a fragment":     {[]any{aSecond(0)}, "b1@0" + idle + " e1@0:4000"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, quota.AWS, func(s *studio) {
				s.limit("fragment.min-duration", "none")
				start := time.Now()
				body := append([]any{head(otherApp)}, append(test.body, open{})...)
				c := s.put(s.stream(24), body...)
				c.want(test.want, StreamReadError)
				if took := time.Since(start); took != 30*time.Second {
					t.Errorf("closed after %v", took)
				}
				s.wantEmpty()
			})
		})
	}
}

// A producer that could send but is held up by us is not silent.
func TestBackPressureIsNoSilence(t *testing.T) {
	bubble(t, quota.AWS, func(s *studio) {
		s.shelf.before = func(archive.Record) { <-time.After(time.Minute) }
		start := time.Now()
		c := s.put(s.stream(24), head(otherApp), aSecond(0), aSecond(2000), endTag)
		if c.End != nil || c.Persisted != 2 {
			t.Errorf("%+v: want both fragments", c.Summary)
		}
		if took := time.Since(start); took != 2*time.Minute {
			t.Errorf("took %v", took)
		}
	})
}

// A silent producer may hold its fragment's memory only while nobody else needs it.
func TestASilentFragmentGivesWayToThoseThatWait(t *testing.T) {
	for name, test := range map[string]struct {
		pressed bool
		body    []any
		want    string
	}{
		"others wait":          {true, []any{aSecond(0), time.Hour}, "b1@0" + strings.Repeat(" idle", 28) + " e1@0:4000"},
		"nobody waits":         {false, []any{aSecond(0), 30500 * time.Millisecond}, "b1@0" + strings.Repeat(" idle", 28) + " r1@0 p1@0"},
		"it holds no fragment": {true, []any{aSecond(0), endTag, 30500 * time.Millisecond}, "b1@0 r1@0 p1@0" + strings.Repeat(" idle", 28)},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, quota.Open, func(s *studio) {
				s.o.Pressed = func() bool { return test.pressed }
				c := s.put(s.stream(24), append([]any{head(otherApp)}, test.body...)...)
				if got := c.text(); got != test.want {
					t.Errorf("got  %s\nwant %s", got, test.want)
				}
				s.wantEmpty()
			})
		})
	}
}

func TestFortyFiveMinutes(t *testing.T) {
	for name, test := range map[string]struct {
		last any
		want string
	}{
		"inside a fragment":  {unknown(10_000_000, at(0)), "e2@10000000:4003"},
		"behind a whole one": {sized(10_000_000, at(0), at(1000)), "p2@10000000 e:4003"},
		"between fragments":  {endTag, "e:4003"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, quota.AWS, func(s *studio) {
				s.limit("PutMedia.idle", "none")
				start := time.Now()
				c := s.put(s.stream(24), head(otherApp), aSecond(0), at(1500), 45*time.Minute-time.Second, test.last, open{})
				if got := c.text(); !strings.HasSuffix(got, test.want) {
					t.Errorf("ended with %s, want %s", got[max(0, len(got)-60):], test.want)
				}
				if f, _ := errors.AsType[*Fault](c.End); f == nil || f.Code != MaxConnectionDuration {
					t.Errorf("ended with %v", c.End)
				}
				if took := time.Since(start); took < 45*time.Minute || took > 45*time.Minute+3*time.Second {
					t.Errorf("closed after %v", took)
				}
				s.wantEmpty()
			})
		})
	}
}

// start runs a session and returns its result later.
func (s *studio) start(e *catalog.Entry, steps ...any) func() *call {
	done := make(chan *call, 1)
	go func() { done <- s.put(e, steps...) }()
	return func() *call { return <-done }
}

// In the aws profile the newest session wins; the one before it finishes its fragment
// and gets its acknowledgements.
func TestADisplacedSessionDrains(t *testing.T) {
	for name, test := range map[string]struct {
		body []any
		want string
	}{
		"nothing sent":            {[]any{head(otherApp), open{}}, ""},
		"between fragments":       {[]any{head(otherApp), aSecond(0), endTag, open{}}, "b1@0 r1@0 p1@0"},
		"the next cluster begins": {[]any{head(otherApp), aSecond(0), time.Second, aSecond(2000), open{}}, "b1@0 r1@0 p1@0"},
		"the end tag comes":       {[]any{head(otherApp), aSecond(0), time.Second, endTag, open{}}, "b1@0 r1@0 p1@0"},
		"the body ends":           {[]any{head(otherApp), aSecond(0), time.Second}, "b1@0 r1@0 p1@0"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, quota.AWS, func(s *studio) {
				s.limit("fragment.min-duration", "none")
				s.shelf.delay = 100 * time.Millisecond
				e := s.stream(24)
				old := s.start(e, test.body...)
				<-time.After(500 * time.Millisecond)
				young := s.start(e, head(otherApp), aSecond(0), time.Second, aSecond(2000))
				if got := old().text(); got != test.want {
					t.Errorf("the old session got %s, want %s", got, test.want)
				}
				young().want("b1@0 r1@0 b2@2000 r2@2000 p1@0 p2@2000", 0)
				s.wantEmpty()
			})
		})
	}
}

func TestAThirdSessionEndsTheOneThatDrains(t *testing.T) {
	bubble(t, quota.AWS, func(s *studio) {
		e := s.stream(24)
		first := s.start(e, head(otherApp), aSecond(0), at(1500), open{})
		<-time.After(time.Second)
		second := s.start(e, head(otherApp), aSecond(0), at(1500), open{})
		<-time.After(time.Second)
		third := s.start(e, head(otherApp), aSecond(0), at(1500), 9500*time.Millisecond)
		<-time.After(time.Second)
		first().want("b1@0 e1@0:4000", StreamReadError)
		// Another stream is not concerned.
		s.put(s.stream(24), head(otherApp), aSecond(0), at(1500)).want("b1@0 r1@0 p1@0", 0)
		if got := third().text(); !strings.HasPrefix(got, "b1@0 idle") || !strings.HasSuffix(got, "r1@0 p1@0") {
			t.Errorf("the newest session got %s", got)
		}
		if got := second().text(); !strings.HasSuffix(got, "e1@0:4000") { // silent for 30 s
			t.Errorf("the draining session got %s", got)
		}
		s.wantEmpty()
	})
}

func TestFragmentsPerSecondArePaced(t *testing.T) {
	bubble(t, quota.AWS, func(s *studio) {
		s.limit("fragment.min-duration", "none")
		steps := []any{head(otherApp)}
		for i := range 25 {
			steps = append(steps, unknown(uint64(i*1000), at(0)))
		}
		start := time.Now()
		c := s.put(s.stream(24), steps...)
		if took := time.Since(start); c.Persisted != 25 || took != 4*time.Second {
			t.Errorf("%d fragments took %v, want 25 in 4 s: five at once, then five a second", c.Persisted, took)
		}
	})
}
