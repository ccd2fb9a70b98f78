package ingest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/quota"
)

// big is a fragment of a second with some 40 KB.
func big(i int) []byte {
	return unknown(uint64(i*1000), frame(1, 0, 20_000), frame(1, 500, 20_000))
}

// A producer that the bandwidth holds back is not silent: there is no IDLE, and no end.
func TestAProducerThatIsHeldBackIsNotIdle(t *testing.T) {
	bubble(t, quota.AWS, func(s *studio) {
		s.limit("PutMedia.bandwidth", "1KB/s")
		start := time.Now()
		c := s.put(s.stream(24), head(otherApp), big(0), big(1), big(2))
		c.want("b1@0 r1@0 p1@0 b2@1000 r2@1000 p2@1000 b3@2000 r3@2000 p3@2000", 0)
		if took := time.Since(start); took < 100*time.Second || took > 125*time.Second {
			t.Errorf("120 KB at 1 KB/s took %v", took)
		}
	})
}

func TestTheBandwidthIsSharedByTheSessionsOfAStream(t *testing.T) {
	bubble(t, quota.Open, func(s *studio) {
		s.limit("PutMedia.bandwidth", "10KB/s")
		e := s.stream(24)
		start := time.Now()
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() { s.put(e, head(otherApp), big(0), big(1)) })
		}
		both.Wait()
		if took := time.Since(start); took < 13*time.Second || took > 18*time.Second {
			t.Errorf("160 KB of two sessions at 10 KB/s took %v", took)
		}
	})
}

func TestFragmentsASecondAreThoseOfTheStream(t *testing.T) {
	bubble(t, quota.Open, func(s *studio) {
		s.limit("PutMedia.fragment-rate", "2/s")
		e := s.stream(24)
		start := time.Now()
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() {
				c := s.put(e, head(otherApp), aSecond(0), aSecond(1000), aSecond(2000), aSecond(3000), aSecond(4000))
				if strings.Contains(c.text(), "idle") || c.End != nil || c.Persisted != 5 {
					t.Errorf("%s: %+v", c.text(), c.Summary)
				}
			})
		}
		both.Wait()
		if took := time.Since(start); took != 4*time.Second { // two at once, eight more
			t.Errorf("ten fragments of two sessions took %v, want 4s", took)
		}
	})
}

func TestASessionThatIsHeldBackEndsAtOnce(t *testing.T) {
	bubble(t, quota.Open, func(s *studio) {
		s.limit("PutMedia.bandwidth", "1B/s")
		ctx, cancel := context.WithCancelCause(s.t.Context())
		time.AfterFunc(10*time.Second, func() { cancel(errors.New("enough")) })
		start := time.Now()
		c := s.putCtx(ctx, Request{Stream: s.stream(24)}, newScript(head(otherApp), big(0), big(1)), &ledger{t: s.t})
		if took := time.Since(start); took != 10*time.Second || c.End == nil {
			t.Errorf("ended after %v with %v", took, c.End)
		}
	})
}

// Limits that change hold in sessions that are open.
func TestLimitsThatChangeUnderASession(t *testing.T) {
	bubble(t, quota.Open, func(s *studio) {
		limit := func(pairs ...string) func() { return func() { s.limit(pairs...) } }
		c := s.put(s.stream(24), head(otherApp), aSecond(0), aSecond(1000),
			limit("fragment.bytes", "100"), aSecond(2000),
			limit("fragment.duration", "300ms"), aSecond(3000),
			limit("fragment.min-duration", "5s"), aSecond(4000), aSecond(5000), aSecond(6000), time.Second,
			limit("PutMedia.session-age", "1m"), 2*time.Minute, aSecond(7000))
		var refused []string
		for _, a := range strings.Fields(c.text()) {
			if a[0] == 'e' {
				refused = append(refused, a)
			}
		}
		if got, want := strings.Join(refused, " "), "e3@2000:4001 e4@3000:4002 e5@4000:4013 e6@5000:4013 e7@6000:4003"; got != want {
			t.Errorf("got  %s\nwant %s\nof   %s", got, want, c.text())
		}
	})
}

func TestTheImagePrefixHasItsBound(t *testing.T) {
	s := newStudio(t, quota.Open)
	long := strings.Repeat("p", 257)
	s.put(s.stream(0), head(otherApp), aSecond(0), meta(imagePrefix, long[1:]), aSecond(1000), meta(imagePrefix, long), aSecond(2000)).
		want("b1@0 r1@0 b2@1000 r2@1000 b3@2000 e3@2000:4009", 0)
}
