package playback

import (
	"testing"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// What is erased in the middle of an ON_DEMAND list leaves a gap that was not there when the
// list was counted, or a longer timeline; the counts of its first fragment stay what a playlist may say.
func TestErasureWithinAListLeavesNoNegativeCount(t *testing.T) {
	for name, film := range map[string][]struct{ at, duration int64 }{
		"even":        {{0, 1000}, {1000, 1000}, {2000, 1000}, {3000, 1000}},
		"overlapping": {{0, 1000}, {600, 100}, {300, 1000}},
	} {
		a := newTable()
		for n, f := range film {
			a.store(kvs.Fragment{Stream: 1, Number: kvs.FragmentNumber{N: int64(n + 1), Server: epoch + kvs.Millis(n)*1000},
				Producer: epoch + kvs.Millis(f.at), Duration: f.duration}, []segment.Track{{Number: 1, Fingerprint: 1}})
		}
		now := epoch + 60_000
		b := NewBoard(BoardOptions{Archive: a})
		ses, _, err := b.begin(t.Context(), Session{Stream: 1, Mode: OnDemand, Discontinuity: OnDiscontinuity, Max: 6, Created: now,
			Expires: now + 300_000, Range: kvs.TimeRange{Start: epoch, End: epoch + 20_000}}, 0)
		if err != nil {
			t.Fatal(err)
		}
		a.remove(func(s *archive.Stored) bool { return s.Number.N == 2 })
		l, err := b.timeline(t.Context(), &ses, now, 0)
		if err != nil {
			t.Fatal(err)
		}
		if first := l.Entries[0]; l.Breaks < 0 || l.First != 1 || first.Set != 0 || first.Begin < 0 {
			t.Errorf("%s: list from %d, discontinuity sequence %d; the first begins at %d", name, l.First, l.Breaks, first.Begin)
		}
	}
}
