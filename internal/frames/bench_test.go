package frames

import (
	"math/rand/v2"
	"testing"
	"time"
)

// A fragment of two seconds: 50 frames of 5,000 bytes, in pieces of 8 KiB as ingest reads
// them.
func benchmarkTable(b *testing.B, annexB bool) {
	const fps, length = 25, 5000
	tracks := []Track{{Number: 1, AnnexB: annexB}}
	frame := make([]byte, length)
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range frame {
		frame[i] = byte(rnd.Uint32())
	}
	copy(frame, []byte{0, 0, 0, 1, 0x65})
	sizes := []int{length}
	b.SetBytes(2 * fps * length)
	b.ReportAllocs()
	var table []byte
	for b.Loop() {
		t := New(tracks)
		for i := range 2 * fps {
			t.Block(Block{Key: i == 0, Offset: int64(100 + i*(length+14)), Sizes: sizes, Time: time.Duration(i) * time.Second / fps})
			t.Data(frame[:3000])
			t.Data(frame[3000:])
		}
		table = t.Encode()
		t.Release()
	}
	b.ReportMetric(float64(len(table)-1)/(2*fps), "B/frame")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(2*fps), "ns/frame")
}

func BenchmarkTable(b *testing.B)           { benchmarkTable(b, false) }
func BenchmarkTableStartCodes(b *testing.B) { benchmarkTable(b, true) }

// Frames cost no memory of their own; a fragment costs its encoded table.
func TestAFrameCostsNoAllocation(t *testing.T) {
	tracks := []Track{{Number: 1, AnnexB: true}}
	sizes := []int{100}
	frame := make([]byte, 100)
	fragment := func(frames int) func() {
		return func() {
			t := New(tracks)
			for i := range frames {
				t.Block(Block{Offset: int64(i) * 108, Sizes: sizes, Time: time.Duration(i%7) * time.Millisecond})
				t.Data(frame)
			}
			_ = t.Encode()
			t.Release()
		}
	}
	few, many := testing.AllocsPerRun(50, fragment(10)), testing.AllocsPerRun(50, fragment(1000))
	if many-few > 10 { // the pool may be emptied in between
		t.Errorf("%g allocations for 1000 frames, %g for 10", many, few)
	}
}
