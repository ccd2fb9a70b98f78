package playback

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
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
