package archive

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/archive/archivetest"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// scaled is an archive with many rows.
type scaled struct {
	*Archive
	b     *testing.B
	shape archivetest.Shape
	rnd   *rand.Rand
	next  int // row to add
	bytes float64
}

func newScaled(b *testing.B, shape archivetest.Shape) *scaled {
	b.Helper()
	dir := b.TempDir()
	if err := open(b, Options{Dir: dir}).Close(); err != nil {
		b.Fatal(err)
	}
	archivetest.Put(b, shape, dir)
	info, err := os.Stat(filepath.Join(dir, "index.db"))
	if err != nil {
		b.Fatal(err)
	}
	s := &scaled{Archive: open(b, Options{Dir: dir}), b: b, shape: shape, rnd: rand.New(rand.NewPCG(3, 4))}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	s.bytes = float64(info.Size()) / float64(shape.Rows())
	if err := s.index.addSegment(b.Context(), segmentRow{Head: segment.Head{ID: 1}}); err != nil {
		b.Fatal(err)
	}
	return s
}

// insert adds batches of 64 rows behind those of all streams in turn and returns the
// microseconds that a row took.
func (s *scaled) insert(batches int) float64 {
	const batch = 64
	records := make([]pending, batch)
	r := &run{seg: &active{Head: segment.Head{ID: 1}}}
	for i := range records {
		r.records = append(r.records, &records[i])
	}
	start := time.Now()
	for range batches {
		for i := range records {
			stream, n := s.next%s.shape.Streams, s.shape.Each+s.next/s.shape.Streams+1
			at := archivetest.Begin + kvs.Millis(n)*2000
			records[i].Stored = Stored{segment: 1, position: int64(s.next) * 250_000, length: 250_000,
				Fragment: kvs.Fragment{Stream: kvs.StreamID(stream + 1), Producer: at, Duration: 2000, Size: 250_000,
					Number: kvs.FragmentNumber{N: int64(n), Server: at, Random: s.rnd.Uint32N(1 << 28)}},
				Facts: segment.Facts{LiveSeq: int64(n), Changes: 1, Millis: int64(n) * 2000,
					Tracks: []segment.Track{{Number: 1, Frames: 50, Bytes: 200_000, Fingerprint: 1 << 60}, {Number: 2, Frames: 94, Bytes: 12_000, Fingerprint: 1 << 61}}}}
			s.next++
		}
		if err := s.index.addFragments(s.b.Context(), []*run{r}); err != nil {
			s.b.Fatal(err)
		}
	}
	return time.Since(start).Seconds() * 1e6 / float64(batches*batch)
}

// page lists a thousand fragments of a random stream from a random moment on and returns
// the milliseconds that took.
func (s *scaled) page(c kvs.Clock) float64 {
	span := int64(s.shape.Each-1001) * 2000
	from := archivetest.Begin + kvs.Millis(s.rnd.Int64N(span))
	q := Query{Clock: c, Max: 1000, Range: kvs.TimeRange{Start: from, End: kvs.MaxMillis}}
	start := time.Now()
	f, _, _, err := s.List(s.b.Context(), kvs.StreamID(s.rnd.IntN(s.shape.Streams)+1), q)
	if err != nil || len(f) != 1000 {
		s.b.Fatal(len(f), err)
	}
	return time.Since(start).Seconds() * 1e3
}

// walk goes on from a random number, a thousand fragments, as GetMedia does.
func (s *scaled) walk() float64 {
	after := kvs.FragmentNumber{N: s.rnd.Int64N(int64(s.shape.Each - 1001))}
	id := kvs.StreamID(s.rnd.IntN(s.shape.Streams) + 1)
	start := time.Now()
	for range 1000 {
		f, ok, err := s.Next(s.b.Context(), id, after, 0)
		if err != nil || !ok {
			s.b.Fatal(ok, err)
		}
		after = f.Number
	}
	return time.Since(start).Seconds() * 1e3
}

// find looks up a thousand random moments.
func (s *scaled) find(c kvs.Clock) float64 {
	span := int64(s.shape.Each-2) * 2000
	start := time.Now()
	for range 1000 {
		id := kvs.StreamID(s.rnd.IntN(s.shape.Streams) + 1)
		if _, ok, err := s.At(s.b.Context(), id, c, archivetest.Begin+kvs.Millis(s.rnd.Int64N(span)), 0); err != nil || !ok {
			s.b.Fatal(ok, err)
		}
	}
	return time.Since(start).Seconds() * 1e3
}

// measures are what is compared; those without a goal are for the page of figures only.
var measures = []struct {
	name string
	goal float64
	take func(s *scaled) float64
}{
	{"server-page-ms", 1.3, func(s *scaled) float64 { return s.page(kvs.ServerClock) }},
	{"producer-page-ms", 1.3, func(s *scaled) float64 { return s.page(kvs.ProducerClock) }},
	{"number-page-ms", 1.3, (*scaled).walk},
	{"server-find-µs", math.Inf(1), func(s *scaled) float64 { return s.find(kvs.ServerClock) }},
	{"producer-find-µs", math.Inf(1), func(s *scaled) float64 { return s.find(kvs.ProducerClock) }},
	{"insert-µs", 1.3, func(s *scaled) float64 { return s.insert(20) }},
}

// BenchmarkScale compares an index of ten million rows with one of a million: of one stream,
// and of a thousand streams with one of a hundred. The two take turns; medians count.
func BenchmarkScale(b *testing.B) {
	const turns = 31
	for name, shapes := range map[string][2]archivetest.Shape{
		"long":  {{Streams: 1, Each: 1_000_000}, {Streams: 1, Each: 10_000_000}},
		"broad": {{Streams: 100, Each: 10_000}, {Streams: 1000, Each: 10_000}},
	} {
		b.Run(name, func(b *testing.B) {
			small, large := newScaled(b, shapes[0]), newScaled(b, shapes[1])
			for b.Loop() {
				b.ReportMetric(large.bytes, "B/row")
				if large.bytes >= 200 {
					b.Errorf("GOAL MISSED: a row takes %.0f bytes, less than 200 are wanted", large.bytes)
				}
				ratio(b, "bytes", 1.3, []float64{small.bytes}, []float64{large.bytes})
				for _, m := range measures {
					var few, many []float64
					for range turns {
						few, many = append(few, m.take(small)), append(many, m.take(large))
					}
					ratio(b, m.name, m.goal, few, many)
				}
			}
		})
	}
}

// ratio reports the median of what the large index costs, and how many times that of the
// small one it is.
func ratio(b *testing.B, name string, goal float64, small, large []float64) {
	b.Helper()
	middle := func(all []float64) float64 { all = slices.Sorted(slices.Values(all)); return all[len(all)/2] }
	got := middle(large) / middle(small)
	b.ReportMetric(middle(large), name)
	b.ReportMetric(got, name+"-ratio")
	if got > goal {
		b.Errorf("GOAL MISSED: %s is %.2f times that of the small index, at most %.2f are wanted", name, got, goal)
	}
}
