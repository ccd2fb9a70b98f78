package playback

import (
	"context"
	"strconv"
	"testing"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/archive/archivetest"
	"github.com/millrace/millrace/internal/keyring/keyringtest"
	"github.com/millrace/millrace/internal/kvs"
)

// shelves is an archive with 100 streams of 20,000 fragments.
func shelves(b *testing.B) (*Board, archivetest.Shape) {
	b.Helper()
	o := archive.Options{Dir: b.TempDir(), Keys: keyringtest.New(b)}
	a, err := archive.Open(b.Context(), o)
	if err != nil {
		b.Fatal(err)
	}
	if err := a.Close(); err != nil {
		b.Fatal(err)
	}
	shape := archivetest.Shape{Streams: 100, Each: 20_000}
	archivetest.Put(b, shape, o.Dir)
	if a, err = archive.Open(b.Context(), o); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = a.Close() })
	return NewBoard(BoardOptions{Archive: a}), shape
}

// BenchmarkTimeline makes lists of an archive with 2 million fragments: the live edge that
// was read before, the oldest 1,000 fragments of a range, and the live edge of the past.
func BenchmarkTimeline(b *testing.B) {
	board, shape := shelves(b)
	s := kvs.Stream{ID: 7, Created: 1, Retention: 24 * 365 * 10}
	now := shape.End()
	middle := kvs.TimeRange{Start: now - 20_000_000, End: now - 2_000_000}
	for _, c := range []struct {
		name   string
		want   Session
		forget bool // what was read before
	}{
		{"Live5", Session{Mode: Live, Max: 5}, false},
		{"OnDemand1000First", Session{Mode: OnDemand, Max: 1000, Range: middle}, true},
		{"OnDemand1000", Session{Mode: OnDemand, Max: 1000, Range: middle}, false},
		{"OnDemand1000Producer", Session{Mode: OnDemand, Max: 1000, Range: middle, Clock: kvs.ProducerClock}, true},
		{"Replay5", Session{Mode: LiveReplay, Max: 5, Range: middle}, false},
		{"Replay5Producer", Session{Mode: LiveReplay, Max: 5, Range: middle, Clock: kvs.ProducerClock}, false},
	} {
		b.Run(c.name, func(b *testing.B) {
			c.want.Created, c.want.Expires = now, now+300_000
			ses, _, err := board.Begin(context.Background(), s, c.want)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if c.forget {
					board.lists = newMemory[listKey, staticList](rememberedLists)
				}
				t, err := board.Timeline(context.Background(), s, &ses, now+9000)
				if err != nil || len(t.Entries) != ses.Max {
					b.Fatal(len(t.Entries), err)
				}
			}
		})
	}
}

// BenchmarkBegin begins an ON_DEMAND session of 5 fragments in a range that has 20,000: on
// the producer's clock the smallest number among all of them is looked for.
func BenchmarkBegin(b *testing.B) {
	board, shape := shelves(b)
	s := kvs.Stream{ID: 7, Created: 1, Retention: 24 * 365 * 10}
	now := shape.End()
	for _, clock := range []kvs.Clock{kvs.ServerClock, kvs.ProducerClock} {
		b.Run(clock.String(), func(b *testing.B) {
			want := Session{Mode: OnDemand, Max: 5, Clock: clock, Created: now, Expires: now + 300_000, Range: kvs.TimeRange{Start: 0, End: now}}
			for b.Loop() {
				if _, _, err := board.Begin(context.Background(), s, want); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFind finds the fragment of a DASH segment in an ON_DEMAND list.
func BenchmarkFind(b *testing.B) {
	board, shape := shelves(b)
	s := kvs.Stream{ID: 7, Created: 1, Retention: 24 * 365 * 10}
	now := shape.End()
	for _, most := range []int{5, 5000} {
		b.Run(strconv.Itoa(most), func(b *testing.B) {
			want := Session{Kind: DASH, Mode: OnDemand, Max: most, Created: now, Expires: now + 300_000, Range: kvs.TimeRange{Start: now - 40_000_000, End: now - 2_000_000}}
			ses, _, err := board.Begin(context.Background(), s, want)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, ok, err := board.Find(context.Background(), s, &ses, 3); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}
