package playback

import (
	"testing"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// overlapping is a film whose sound reaches 38 ms over the end of each fragment, with a pause of
// 40 ms in the middle and a gap of a minute behind it.
func overlapping() *table {
	a := newTable()
	at := epoch
	for n := range int64(100) {
		duration := int64(2040)
		switch n {
		case 50:
			at += 78
		case 51:
			at += 60_000
		case 99:
			duration = 2000
		}
		a.store(kvs.Fragment{Stream: 1, Number: kvs.FragmentNumber{N: n + 1, Server: at}, Producer: at, Duration: duration},
			[]segment.Track{{Number: 1, Fingerprint: 1}})
		at += 2002
	}
	return a
}

// What an ON_DEMAND list says of its segments adds up to the film; a live list says of a
// segment what it said when nothing had followed yet.
func TestSegmentsOfAFilmAddUp(t *testing.T) {
	a := overlapping()
	b := NewBoard(BoardOptions{Archive: a})
	now := epoch + 270_000
	list := func(want Session) *Timeline {
		want.Stream, want.Max, want.Created, want.Expires = 1, 200, now, now+300_000
		ses, _, err := b.begin(t.Context(), want, 0)
		if err != nil {
			t.Fatal(err)
		}
		l, err := b.timeline(t.Context(), &ses, now, 0)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	film := list(Session{Mode: OnDemand, Range: kvs.TimeRange{Start: epoch, End: now - 1}})
	sum, longest := int64(0), int64(0)
	for i := range film.Entries {
		sum, longest = sum+film.Lasts(i), max(longest, film.Lasts(i))
	}
	// 99 steps and the last; the pause plays as long as it was, the gap is closed.
	if want := int64(99*2002 + 78 + 2000 + 38); sum != want || longest != 2080 || film.Target != 2 {
		t.Errorf("%d segments last %d ms, not %d; the longest %d, target %d", len(film.Entries), sum, want, longest, film.Target)
	}
	moves := list(Session{Mode: Live})
	for i := range moves.Entries {
		if e := &moves.Entries[i]; moves.Lasts(i) != e.Duration {
			t.Errorf("segment %d of a live list lasts %d ms, its fragment %d", i, moves.Lasts(i), e.Duration)
		}
	}
}
