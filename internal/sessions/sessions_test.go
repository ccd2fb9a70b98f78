package sessions

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

const account kvs.AccountID = "111122223333"

var yard = kvs.Stream{ID: 7, Account: account, Name: "yard"}

// clock is set by the test.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func (c *clock) pass(d time.Duration) time.Time {
	c.at = c.at.Add(d)
	return c.at
}

func newClock() *clock { return &clock{time.Unix(1_800_000_000, 0)} }

// one is the only session that the account has open.
func one(t *testing.T, r *Registry) Status {
	t.Helper()
	open, _ := r.List(account)
	if len(open) != 1 {
		t.Fatalf("%d sessions are open", len(open))
	}
	return open[0]
}

// A producer's session shows what came, how fast, what was acknowledged and how late.
func TestAProducer(t *testing.T) {
	c := newClock()
	r := New(10, c.now)
	s := r.Open(About{Stream: yard, Operation: "PutMedia", Client: "192.0.2.1:5", UserAgent: "kvssink", AccessKey: "AKIA", RequestID: "id"})
	for range 20 {
		s.Asks(c.now())
		s.Data(1000, c.pass(time.Second))
	}
	s.Acked("BUFFERING", time.Millisecond, c.now())
	s.Acked("RECEIVED", 2*time.Millisecond, c.now())
	s.Acked("PERSISTED", 40*time.Millisecond, c.now())
	s.Acked("ERROR", 0, c.now())
	s.Asks(c.now())
	c.pass(4 * time.Second)
	s.Acked("IDLE", 0, c.now())
	got := one(t, r)
	want := Status{About: s.about, Since: got.Since, Bytes: 20_000, BytesPerSecond: 20_000.0 / 24, Fragments: 1, Persisted: 1, Failed: 1,
		LastAck: "IDLE", LastAckTime: c.at, Idle: 4 * time.Second, Delay: 40 * time.Millisecond}
	got.LastAckTime = got.LastAckTime.UTC()
	want.LastAckTime = want.LastAckTime.UTC()
	if got.Stream.Name != "yard" || got.Since.Unix() != 1_800_000_000 {
		t.Errorf("%+v", got)
	}
	got.Stream, want.Stream = kvs.Stream{}, kvs.Stream{}
	if gotText, wantText := show(got), show(want); gotText != wantText {
		t.Errorf("got  %s\nwant %s", gotText, wantText)
	}
	s.Close()
	s.Close()
	if open, more := r.List(account); len(open)+more != 0 {
		t.Errorf("%d and %d are open after the end", len(open), more)
	}
}

func show(s Status) string {
	var b strings.Builder
	for _, v := range []any{s.Bytes, math.Round(s.BytesPerSecond), s.Fragments, s.Persisted, s.Failed, s.LastAck, s.LastAckTime, s.Idle, s.Delay, s.Held} {
		b.WriteString(strings.ReplaceAll(strings.TrimSpace(fmt.Sprint(v)), " ", "_") + " ")
	}
	return b.String()
}

// What passes between data and the next wish for data is time that the producer was
// held up, also while it still is.
func TestHeldUp(t *testing.T) {
	c := newClock()
	r := New(10, c.now)
	s := r.Open(About{Stream: yard, Operation: "PutMedia"})
	s.Asks(c.pass(time.Minute)) // nothing came yet
	s.Data(10, c.pass(time.Minute))
	s.Asks(c.pass(3 * time.Second))
	if held := one(t, r).Held; held != 3*time.Second {
		t.Errorf("held up for %v", held)
	}
	s.Data(10, c.pass(time.Minute))
	s.Asks(c.pass(time.Millisecond)) // work, not waiting
	if held := one(t, r).Held; held != 3*time.Second {
		t.Errorf("held up for %v", held)
	}
	s.Data(10, c.now())
	c.pass(2 * time.Second)
	if held := one(t, r).Held; held != 5*time.Second {
		t.Errorf("held up for %v, and going on", held)
	}
}

// A consumer is as far behind as the fragment it is sent is old.
func TestAConsumer(t *testing.T) {
	c := newClock()
	r := New(10, c.now)
	s := r.Open(About{Stream: yard, Operation: "GetMedia"})
	s.Chunk(kvs.Fragment{Number: kvs.FragmentNumber{Server: kvs.MillisOf(c.at)}}, c.pass(1500*time.Millisecond))
	s.Data(500, c.now())
	if got := one(t, r); got.Delay != 1500*time.Millisecond || got.Fragments != 1 || got.Bytes != 500 || got.LastAck != "" || !got.LastAckTime.IsZero() {
		t.Errorf("%+v", got)
	}
	if bytes, _ := r.Rate(yard.ID); bytes != 0 {
		t.Errorf("the stream takes in %v bytes a second", bytes)
	}
	if open, _ := r.List("999988887777"); len(open) != 0 {
		t.Error("another account sees the session")
	}
}

// The rate of a stream is that of all its producers over the last minute, and of those
// that just left.
func TestRateOfAStream(t *testing.T) {
	c := newClock()
	r := New(10, c.now)
	a, b := r.Open(About{Stream: yard, Operation: "PutMedia"}), r.Open(About{Stream: yard, Operation: "PutMedia"})
	for range 300 {
		c.pass(time.Second)
		a.Data(1000, c.now())
		b.Data(500, c.now())
		b.Acked("RECEIVED", 0, c.now())
	}
	bytes, fragments := r.Rate(yard.ID)
	if math.Abs(bytes-1500) > 30 || math.Abs(fragments-1) > 0.02 {
		t.Errorf("%v bytes and %v fragments a second", bytes, fragments)
	}
	a.Close()
	b.Close()
	c.pass(30 * time.Second)
	if bytes, _ = r.Rate(yard.ID); bytes < 600 || bytes > 900 {
		t.Errorf("half a minute after the end: %v bytes a second", bytes)
	}
	c.pass(time.Minute)
	if bytes, fragments = r.Rate(yard.ID); bytes != 0 || fragments != 0 {
		t.Errorf("after the end: %v bytes and %v fragments a second", bytes, fragments)
	}
	r.Open(About{Stream: kvs.Stream{ID: 8}, Operation: "PutMedia"})
	if len(r.streams) != 1 {
		t.Errorf("%d streams are remembered, want the one that is used", len(r.streams))
	}
}

// Sessions beyond the bound are counted, and a caller's texts cannot fill the memory.
func TestTheRegistryIsBounded(t *testing.T) {
	r := New(2, newClock().now)
	var all []*Session
	for range 5 {
		all = append(all, r.Open(About{Stream: yard, Operation: "PutMedia", UserAgent: strings.Repeat("a", 10_000)}))
	}
	open, unlisted := r.List(account)
	if len(open) != 2 || unlisted != 3 || len(open[0].UserAgent) != maxText {
		t.Errorf("%d and %d, a user agent of %d bytes", len(open), unlisted, len(open[0].UserAgent))
	}
	for _, s := range all {
		s.Close()
	}
	if open, unlisted = r.List(account); len(open)+unlisted != 0 {
		t.Errorf("%d and %d are left", len(open), unlisted)
	}
}

func TestTellingCostsNoMemory(t *testing.T) {
	c := newClock()
	s := New(10, c.now).Open(About{Stream: yard, Operation: "PutMedia"})
	event := string([]byte("PERSISTED"))
	if n := testing.AllocsPerRun(1000, func() {
		now := c.pass(time.Millisecond)
		s.Asks(now)
		s.Data(100, now)
		s.Acked(event, time.Millisecond, now)
		s.Chunk(kvs.Fragment{}, now)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// Counting from many sides loses nothing.
func TestManySides(t *testing.T) {
	c := newClock()
	r := New(100, c.now)
	now := c.now()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			s := r.Open(About{Stream: yard, Operation: "PutMedia"})
			defer s.Close()
			for range 1000 {
				s.Data(1, now)
				r.List(account)
			}
		})
	}
	all.Wait()
	c.pass(time.Second)
	if bytes, _ := r.Rate(yard.ID); bytes != 8000 {
		t.Errorf("%v bytes a second, want 8000", bytes)
	}
}
