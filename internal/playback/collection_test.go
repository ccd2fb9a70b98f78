package playback

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// rowAt is a fragment with a start on the producer's clock.
func rowAt(n int64, producer kvs.Millis) archive.Stored {
	s := archive.Stored{Fragment: kvs.Fragment{Stream: 1, Number: kvs.FragmentNumber{N: n, Server: epoch + kvs.Millis(n)}, Producer: producer, Duration: 1000}}
	s.Facts.LiveSeq = n
	return s
}

// A collection and a live list look for twins near by only, and find what a look at all
// rows does.
func TestTwinsAreFoundNearBy(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 9))
		c := collection{clock: kvs.ProducerClock}
		var all []archive.Stored
		greatest, over := kvs.Millis(0), false
		for n := int64(1); !over; n++ {
			at := epoch + kvs.Millis(n/2*1000) - kvs.Millis(r.Int64N(12)*1000)
			s := rowAt(n, at)
			over = at < greatest-fallen
			if c.add(&s) == over {
				t.Fatalf("history %d: row %d begins another collection: %v", seed, n, over)
			}
			if !over {
				all = append(slices.DeleteFunc(all, func(o archive.Stored) bool { return o.Producer == at }), s)
			}
			greatest = max(greatest, at)
		}
		same := func(a, b archive.Stored) bool { return a.Number == b.Number }
		if !slices.EqualFunc(all, c.rows, same) {
			t.Fatalf("history %d: %d rows, not %d", seed, len(c.rows), len(all))
		}
	}
}

// A list that is full shows the greater number of two with one start, also when that lies behind the
// maximum: what is listed does not follow from how much is asked for. Any board reads it the
// same from the token.
func TestTheTwinBehindTheMaximum(t *testing.T) {
	for name, c := range map[string]struct {
		starts []kvs.Millis // in seconds, by number
		max    int
		want   []int64
	}{
		"the last one's":             {[]kvs.Millis{1, 2, 3, 3, 4}, 3, []int64{1, 2, 4}},
		"one behind others":          {[]kvs.Millis{1, 2, 3, 4, 5, 2, 6}, 3, []int64{1, 3, 4}},
		"more than once":             {[]kvs.Millis{1, 2, 3, 3, 3, 4}, 3, []int64{1, 2, 5}},
		"all of them":                {[]kvs.Millis{1, 2, 3, 1, 2, 3, 4}, 3, []int64{4, 5, 6}},
		"as far as a collection may": {[]kvs.Millis{1, 2, 3, 13, 3, 14}, 3, []int64{1, 2, 4}},
		"another collection's":       {[]kvs.Millis{1, 2, 3, 14, 3}, 3, []int64{1, 2, 3}},
		"just enough":                {[]kvs.Millis{1, 2, 3}, 3, []int64{1, 2, 3}},
		"far behind":                 {append([]kvs.Millis{1, 2, 3}, append(slices.Repeat([]kvs.Millis{9}, 200), 3, 20)...), 3, []int64{1, 2, 203}},
	} {
		t.Run(name, func(t *testing.T) {
			rows := newTable()
			now := epoch + 1_000_000
			board := func() *Board { return NewBoard(BoardOptions{Archive: rows, Now: now.Time}) }
			for i, start := range c.starts {
				s := rowAt(int64(i+1), epoch+start*1000)
				rows.store(s.Fragment, []segment.Track{{Number: 1}})
			}
			ses, _, err := board().begin(t.Context(), Session{Stream: 1, Mode: OnDemand, Clock: kvs.ProducerClock, Max: c.max, Created: now, Expires: now + 1,
				Range: kvs.TimeRange{Start: epoch, End: epoch + 60_000}}, 0)
			if err != nil {
				t.Fatal(err)
			}
			clip, _, err := board().Select(t.Context(), kvs.Stream{ID: 1, Retention: 24}, Selection{Clock: kvs.ProducerClock, Range: ses.Range, Max: c.max})
			if err != nil || len(clip) != len(c.want) || clip[len(clip)-1].Number.N != c.want[len(c.want)-1] {
				t.Errorf("a clip has %d, %v", len(clip), err)
			}
			s := rowAt(1000, epoch+2000) // comes later
			rows.store(s.Fragment, []segment.Track{{Number: 1}})
			ses, err = ParseSession(ses.AppendBinary(nil))
			if err != nil {
				t.Fatal(err)
			}
			list, err := board().timeline(t.Context(), &ses, now, 0)
			if err != nil {
				t.Fatal(err)
			}
			if got := numbersOf(list.Entries); !slices.Equal(got, c.want) || list.First != 0 {
				t.Errorf("%v from %d, want %v", got, list.First, c.want)
			}
		})
	}
}

func numbersOf(entries []Entry) (numbers []int64) {
	for i := range entries {
		numbers = append(numbers, entries[i].Stored.Number.N)
	}
	return numbers
}

// A clock that stands still makes twins of all fragments: a list that looks for others gives up.
func TestAListLooksAtSoManyFragments(t *testing.T) {
	b := NewBoard(BoardOptions{Archive: standstill{newTable()}})
	_, _, err := b.begin(t.Context(), Session{Stream: 1, Mode: OnDemand, Clock: kvs.ProducerClock, Max: 10, Created: epoch, Range: kvs.TimeRange{Start: epoch, End: epoch}}, 0)
	if kvs.KindOf(err) != kvs.InvalidArgument {
		t.Error(err)
	}
}

// standstill is an archive without end, of fragments that begin at one moment.
type standstill struct{ *table }

func (standstill) Range(_ context.Context, _ kvs.StreamID, _ kvs.Clock, _ kvs.TimeRange, after int64, maximum int, _ kvs.Millis) (all []archive.Stored, more bool, err error) {
	for i := range int64(maximum) {
		all = append(all, rowAt(after+1+i, epoch))
	}
	return all, true, nil
}

// BenchmarkCollection gathers a day of fragments of one producer, and of two of which one is
// half a second behind the other.
func BenchmarkCollection(b *testing.B) {
	for producers := range int64(2) {
		rows := make([]archive.Stored, 86_400)
		for i := range rows {
			rows[i] = rowAt(int64(i+1), epoch+kvs.Millis(i*1000)-kvs.Millis(int64(i%2)*producers*1500))
		}
		b.Run(strconv.Itoa(int(producers+1)), func(b *testing.B) {
			for b.Loop() {
				c := collection{clock: kvs.ProducerClock}
				for i := range rows {
					c.add(&rows[i])
				}
			}
		})
	}
}

// BenchmarkTrim cuts the longest live list on either clock.
func BenchmarkTrim(b *testing.B) {
	rows := make([]archive.Stored, 5000)
	for i := range rows {
		rows[i] = rowAt(int64(i+1), epoch+kvs.Millis(i*1000))
	}
	for _, clock := range []kvs.Clock{kvs.ServerClock, kvs.ProducerClock} {
		b.Run(clock.String(), func(b *testing.B) {
			ses := Session{Clock: clock, Max: 5000}
			for b.Loop() {
				if got := trim(rows, &ses, 5000, 0); len(got) != 5000 {
					b.Fatal(len(got))
				}
			}
		})
	}
}
