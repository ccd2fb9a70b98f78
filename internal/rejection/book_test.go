package rejection

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// add adds a refusal of a stream at a time; change may make it another.
func (b *Book) add(id kvs.StreamID, at int64, cause string, change ...func(*kvs.Stream, *Refusal)) {
	s := kvs.Stream{ID: id, Account: "111122223333", Name: fmt.Sprint("cam", id)}
	r := Refusal{Time: time.UnixMilli(at), Scope: Fragment, Code: 4004, Error: "X", Case: cause, Offset: at, Why: "why", Fix: "fix"}
	for _, c := range change {
		c(&s, &r)
	}
	b.Add(s, r)
}

// all is before every refusal.
var all time.Time

// shape is the entries of a stream as "case:count first-last", latest first.
func shape(b *Book, id kvs.StreamID) string {
	var text []string
	for _, e := range b.List(id, all) {
		text = append(text, fmt.Sprintf("%s:%d %d-%d", e.Last.Case, e.Count, e.First.Offset, e.Last.Offset))
	}
	return strings.Join(text, ", ")
}

func TestTheSameRefusalsAreFolded(t *testing.T) {
	b := NewBook(Options{})
	for i, cause := range []string{"a", "b", "a", "a", "c", "b"} {
		b.add(1, int64(i), cause)
	}
	if got, want := shape(b, 1), "b:2 1-5, c:1 4-4, a:3 0-3"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	b.add(1, 6, "a", func(_ *kvs.Stream, r *Refusal) { r.Track = 2 })
	if got, want := shape(b, 1), "a:1 6-6, b:2 1-5, c:1 4-4, a:3 0-3"; got != want {
		t.Errorf("another track: got %s, want %s", got, want)
	}
	if n := len(b.List(1, time.UnixMilli(5))); n != 2 {
		t.Errorf("%d entries since 5, want 2", n)
	}
}

func TestTheQuietestGoFirst(t *testing.T) {
	b := NewBook(Options{Entries: 2, Streams: 2})
	for i, cause := range []string{"a", "b", "a", "c"} {
		b.add(1, int64(i), cause)
	}
	if got, want := shape(b, 1), "c:1 3-3, a:2 0-2"; got != want {
		t.Errorf("entries: got %s, want %s", got, want)
	}
	b.add(2, 10, "a")
	b.add(1, 11, "a")
	b.add(3, 12, "a")
	if shape(b, 2) != "" || shape(b, 1) == "" || shape(b, 3) == "" {
		t.Errorf("streams: 1 has %q, 2 %q, 3 %q", shape(b, 1), shape(b, 2), shape(b, 3))
	}
}

// Whatever comes in, the bytes counted are those that are there, and within the bound.
func TestTheBookIsBounded(t *testing.T) {
	b := NewBook(Options{Bytes: 100_000})
	for i := range 5000 {
		b.add(kvs.StreamID(i%40), int64(i), fmt.Sprint(i%70), func(_ *kvs.Stream, r *Refusal) {
			r.Why, r.Client = strings.Repeat("w", i%3000), strings.Repeat("c", i%500)
		})
		if i%37 == 0 {
			b.Forget(kvs.StreamID(i % 11))
		}
	}
	var counted int64
	for id := range kvs.StreamID(40) {
		for _, e := range b.List(id, all) {
			counted += e.size()
			if len(e.Last.Why) > maxWhy+3 || len(e.Last.Client) > maxName+3 {
				t.Fatalf("texts of %d and %d bytes", len(e.Last.Why), len(e.Last.Client))
			}
		}
	}
	if counted != b.bytes || counted > 100_000 || counted == 0 {
		t.Errorf("%d bytes are there, %d counted, 100000 allowed", counted, b.bytes)
	}
}

func TestADeletedStreamIsForgotten(t *testing.T) {
	b := NewBook(Options{})
	b.add(1, 1, "a")
	b.Forget(1)
	b.Forget(2)
	if b.List(1, all) != nil || b.bytes != 0 || len(b.Recent("111122223333", all)) != 0 {
		t.Error("something is left")
	}
}

func TestRecentStreamsOfAnAccount(t *testing.T) {
	b := NewBook(Options{})
	b.add(1, 1, "a")
	b.add(2, 2, "a")
	b.add(1, 3, "b")
	b.add(3, 4, "a", func(s *kvs.Stream, _ *Refusal) { s.Account = "999988887777" })
	got := b.Recent("111122223333", all)
	if len(got) != 2 || got[0].StreamName != "cam1" || got[0].Count != 2 || got[0].Last.Offset != 3 || got[1].StreamName != "cam2" {
		t.Errorf("got %+v", got)
	}
	if got := b.Recent("111122223333", time.UnixMilli(3)); len(got) != 1 {
		t.Errorf("since 3: got %+v", got)
	}
}

func TestManyMayWriteAtOnce(t *testing.T) {
	b := NewBook(Options{})
	var writers sync.WaitGroup
	for i := range 8 {
		writers.Go(func() {
			for n := range 200 {
				b.add(kvs.StreamID(n%3), int64(n), fmt.Sprint(i))
				b.List(0, all)
				b.Recent("111122223333", all)
			}
		})
	}
	writers.Wait()
	var n int64
	for id := range kvs.StreamID(3) {
		for _, e := range b.List(id, all) {
			n += e.Count
		}
	}
	if n != 1600 {
		t.Errorf("%d refusals remembered, want 1600", n)
	}
}
