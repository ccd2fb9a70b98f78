package tally

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

var (
	video   = segment.Track{Number: 1, Frames: 50, Bytes: 1000, Fingerprint: 7}
	audio   = segment.Track{Number: 2, Frames: 86, Bytes: 100, Fingerprint: 8}
	changed = segment.Track{Number: 1, Frames: 50, Bytes: 1000, Fingerprint: 9}
)

// at is fragment n, which begins at these times and lasts 2 s.
func at(n int64, server, producer kvs.Millis) kvs.Fragment {
	return kvs.Fragment{Stream: 1, Number: kvs.FragmentNumber{N: n, Server: server}, Producer: producer, Duration: 2000}
}

// begun is the LiveSeq of the first fragment when it began at 10 s.
const begun = 10_000 * Beginnings

type facts struct {
	LiveSeq, Changes, ServerGaps, ProducerGaps, Millis int64
}

func of(f segment.Facts) facts {
	return facts{f.LiveSeq, int64(f.Changes), int64(f.ServerGaps), int64(f.ProducerGaps), f.Millis}
}

func TestFactsAddUp(t *testing.T) {
	var s Stream
	for i, c := range []struct {
		f      kvs.Fragment
		tracks []segment.Track
		want   facts
	}{
		{at(1, 10_000, 500), []segment.Track{video, audio}, facts{begun, 0, 0, 0, 2000}},
		{at(2, 12_050, 2450), []segment.Track{audio, video}, facts{begun + 1, 0, 0, 0, 3950}}, // 50 ms are none, order is nothing
		{at(3, 14_101, 4450), []segment.Track{video, audio}, facts{begun + 2, 0, 1, 0, 5950}},
		{at(4, 16_101, 6399), []segment.Track{changed, audio}, facts{begun + 3, 1, 1, 1, 7899}}, // an overlap on the producer's clock, which is near
		{at(2, 1, 1), []segment.Track{video}, facts{}},                                          // late
		{at(9, 18_101, 8399), []segment.Track{changed}, facts{begun + 4, 2, 1, 1, 9899}},
		{at(10, 20_101, 10_399), nil, facts{begun + 5, 3, 1, 1, 11_899}},
		{at(11, 22_101, 12_399), nil, facts{begun + 6, 3, 1, 1, 13_899}},
	} {
		late := s.Late(c.f.Number.N)
		got := s.Place(c.f, c.tracks)
		if diff := cmp.Diff(c.want, of(got)); diff != "" || late != (got.LiveSeq == 0) {
			t.Errorf("%d (late %v): %s", i, late, diff)
		}
		if diff := cmp.Diff(c.tracks, got.Tracks); diff != "" {
			t.Error(diff)
		}
	}
}

// What is lost counts for nothing, and its number is never given again.
func TestWhatIsLostIsNotCounted(t *testing.T) {
	var s Stream
	s.Place(at(1, 10_000, 0), []segment.Track{video})
	s.Stored()
	s.Place(at(2, 19_000, 9000), []segment.Track{changed})
	s.Lost()
	if s.Late(2) {
		t.Error("the number of a lost fragment is taken")
	}
	got := s.Place(at(3, 12_000, 2000), []segment.Track{video})
	if want := (facts{begun + 2, 0, 0, 0, 4000}); of(got) != want {
		t.Errorf("%+v, want %+v", of(got), want)
	}
	s.Lost()
	s.Lost()
	if got := s.Place(at(4, 12_000, 2000), []segment.Track{video}); got.LiveSeq != begun+3 {
		t.Errorf("%+v", got)
	}
}

func TestAStreamGoesOnAfterAStart(t *testing.T) {
	s := Resume(at(5, 10_000, 0), segment.Facts{LiveSeq: 900, Changes: 3, ServerGaps: 4, ProducerGaps: 5, Millis: 6, Tracks: []segment.Track{video}}, 5, 5)
	if !s.Late(5) || s.Late(6) {
		t.Error("the greatest number is not 5")
	}
	got := s.Place(at(6, 13_000, 2000), []segment.Track{changed})
	if want := (facts{901, 4, 5, 5, 2006}); of(got) != want {
		t.Errorf("%+v, want %+v", of(got), want)
	}
	// Fragments of the first form have no facts: counting begins behind them.
	s = Resume(at(5, 10_000, 0), segment.Facts{}, 5, 0)
	got = s.Place(at(6, 23_000, 2000), []segment.Track{changed})
	if want := (facts{23_000 * Beginnings, 0, 0, 0, 2000}); of(got) != want {
		t.Errorf("%+v, want %+v", of(got), want)
	}
}

// When the last fragments are gone nothing goes back behind what they may have been given.
func TestAStreamGoesOnBehindWhatIsGone(t *testing.T) {
	last := segment.Facts{LiveSeq: begun + 4, Changes: 1, ServerGaps: 2, ProducerGaps: 3, Millis: 9000, Tracks: []segment.Track{video}}
	s := Resume(at(5, 18_000, 0), last, 6, 11) // to 20,000
	if !s.Late(11) || s.Late(12) {
		t.Error("the greatest number is not 11")
	}
	for i := range int64(2) {
		got := s.Place(at(12, 50_000, 30_000), []segment.Track{changed})
		if want := (facts{begun + 11 + i, 8, 9, 10, 41_000}); of(got) != want {
			t.Errorf("%+v, want %+v", of(got), want)
		}
		s.Lost()
	}
	s.Place(at(12, 50_000, 30_000), []segment.Track{changed})
	s.Stored()
	got := s.Place(at(13, 60_000, 40_000), []segment.Track{changed})
	if want := (facts{begun + 14, 8, 10, 11, 43_000}); of(got) != want {
		t.Errorf("%+v, want %+v", of(got), want)
	}
	// What is gone lies before the last one.
	s = Resume(at(5, 18_000, 0), last, 5, 4)
	if got := s.Place(at(7, 50_000, 0), []segment.Track{video}); of(got) != (facts{begun + 5, 1, 3, 4, 11_000}) {
		t.Errorf("%+v", of(got))
	}
}

// When nothing is left counts begin anew, far above all that were given, and what was on its
// way is late. Where nothing was removed nothing is.
func TestAStreamBeginsAnew(t *testing.T) {
	s := Begin(11)
	if got := s.Place(at(11, 10_000, 0), []segment.Track{video}); !s.Late(11) || of(got) != (facts{}) {
		t.Errorf("%+v", of(got))
	}
	for i := range int64(2) {
		got := s.Place(at(12+i, 12_000+kvs.Millis(i)*2000, 2000+kvs.Millis(i)*2000), []segment.Track{video})
		if want := (facts{12_000*Beginnings + i, 0, 0, 0, 2000 + 2000*i}); of(got) != want {
			t.Errorf("%+v, want %+v", of(got), want)
		}
	}
	if Begin(math.MinInt64).Late(-5) {
		t.Error("a stream that never had a fragment has a late one")
	}
}

func TestPlacingAllocatesNothing(t *testing.T) {
	var s Stream
	n, tracks := int64(0), []segment.Track{video, audio}
	if allocs := testing.AllocsPerRun(100, func() {
		n++
		s.Place(at(n, kvs.Millis(n), 0), tracks)
		s.Stored()
	}); allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func TestTheBookForgetsWhatWasNotUsed(t *testing.T) {
	b := NewBook(2)
	for id := kvs.StreamID(1); id <= 3; id++ {
		s := &Stream{}
		s.Place(at(1, 10_000, 0), nil)
		b.Put(id, s)
		b.Get(1)
	}
	if b.Get(1) == nil || b.Get(2) != nil || b.Get(3) == nil {
		t.Error("not 1 and 3 are remembered")
	}
	b.Settle(1, true)
	b.Settle(2, true) // nothing to settle
	b.Settle(3, false)
	if !b.Get(1).Late(1) || b.Get(3).Late(1) {
		t.Error("what was stored is not, or what was lost is")
	}
	b.Forget(1)
	b.Forget(1)
	if b.Get(1) != nil {
		t.Error("not forgotten")
	}
}

// An overlap that is near moves the closed timeline, a gap never does.
func TestTheTimelineClosesGaps(t *testing.T) {
	f := func(producer kvs.Millis) *kvs.Fragment { return &kvs.Fragment{Producer: producer, Duration: 1000} }
	for begins, want := range map[kvs.Millis]int64{400: 1000, 500: 500, 900: 900, 999: 999, 1000: 1000, 1050: 1050, 1051: 1000, 1400: 1000, 9000: 1000} {
		if got := Step(f(0), f(begins)); got != want {
			t.Errorf("the next one begins at %d: a step of %d ms, want %d", begins, got, want)
		}
	}
}
