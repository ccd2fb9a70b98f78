package ingest

import (
	"context"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/live"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/mkv"
)

// reel is a body of one long fragment of many small frames.
type reel struct {
	head, frame []byte
	frames      int
	rest        []byte
}

func newReel(frames int) *reel {
	r := &reel{head: append(head(otherApp), unknown(0)...), frame: at(0), frames: frames}
	r.rest = r.head
	return r
}

func (r *reel) Interrupt() {}

func (r *reel) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		if r.frames == 0 {
			return 0, io.EOF
		}
		r.frames--
		r.rest = r.frame
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

type discard struct{}

func (discard) WriteAck([]byte) error { return nil }

// watch copies all that is published on a stream until stop is closed, like a consumer.
func watch(st *live.Stream, stop <-chan struct{}) (bytes int64) {
	r := st.Subscribe()
	defer r.Close()
	buf := make([]byte, 32<<10)
	var f *live.Fragment
	var off int64
	for {
		if f == nil {
			if a, ok := st.Arriving(); ok {
				f = a
			}
		}
		for f != nil {
			n, _, err := f.ReadAt(buf, off)
			if n == 0 || err != nil {
				break
			}
			off += int64(n)
		}
		select {
		case <-r.Wake():
		case <-stop:
			return off
		}
	}
}

// mallocs is how many objects one session of the given number of frames allocates, with
// a consumer reading.
func (s *studio) mallocs(e *catalog.Entry, frames int) int64 {
	st := s.o.Live.Acquire(e.Stream().ID)
	defer st.Release()
	stop, done := make(chan struct{}), make(chan int64)
	go func() { done <- watch(st, stop) }()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	sum := s.Run(context.Background(), Request{Stream: e}, newReel(frames), discard{})
	runtime.ReadMemStats(&after)
	close(stop)
	<-done
	if sum.Fragments != 1 || sum.End != nil {
		s.t.Fatalf("%+v", sum)
	}
	return int64(after.Mallocs - before.Mallocs)
}

// A frame on its way from the producer through the live buffer to a consumer costs at
// most one allocation. The work of a session and of a fragment is taken off.
func TestAFrameCostsAtMostOneAllocation(t *testing.T) {
	s := newStudio(t, quota.Open)
	s.limit("buffer.bytes", "1GiB")
	const few, many = 1000, 41_000
	s.mallocs(s.stream(0), few) // warms everything up
	small, large := s.mallocs(s.stream(0), few), s.mallocs(s.stream(0), many)
	perFrame := float64(large-small) / (many - few)
	t.Logf("%.4f allocations per frame, %d for a session and a fragment", perFrame, small)
	if perFrame > 0.1 { // pages are allocated now and then: one for 280 of these frames
		t.Errorf("%.3f allocations per frame", perFrame)
	}
}

func BenchmarkFrames(b *testing.B) {
	s := newStudio(b, quota.Open)
	e := s.stream(0)
	b.ReportAllocs()
	b.SetBytes(int64(len(at(0))))
	s.Run(b.Context(), Request{Stream: e}, newReel(b.N), discard{})
}

func BenchmarkFragments(b *testing.B) {
	s := newStudio(b, quota.Open)
	e := s.stream(24)
	b.ReportAllocs()
	r := &loop{frame: frame(1, 40, 1000)}
	r.rest = head(otherApp)
	r.left = b.N
	s.Run(b.Context(), Request{Stream: e}, r, discard{})
}

// loop is a body of many small fragments.
type loop struct {
	frame, rest []byte
	left        int
	timecode    uint64
}

func (l *loop) Interrupt() {}

func (l *loop) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		if l.left == 0 {
			return 0, io.EOF
		}
		l.left--
		l.timecode += 2000
		l.rest = unknown(l.timecode, l.frame)
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// nowhere is an archive that costs nothing.
type nowhere struct{ Archive }

func (nowhere) Append(_ archive.Record, done func(error)) { done(nil) }

// BenchmarkVideo takes fragments of 50 frames of 5,000 bytes, as a camera sends them in two
// seconds, with start codes or with the lengths of NAL units.
func BenchmarkVideo(b *testing.B) {
	for name, private := range map[string][]byte{"lengths": {1, 0x42, 0, 0x1e}, "codes": {0, 0, 0, 1, 0x67}} {
		b.Run(name, func(b *testing.B) {
			track := videoTrack
			track.CodecPrivate = private
			picture := make([]byte, 5000)
			rnd := rand.New(rand.NewPCG(1, 2))
			for i := range picture {
				picture[i] = byte(rnd.Uint32())
			}
			copy(picture, []byte{0, 0, 0, 1, 0x65})
			var frames []byte
			for i := range 50 {
				frames = mkv.AppendSimpleBlock(frames, mkv.BlockHeader{Track: 1, Time: int16(40 * i), Key: i == 0}, picture)
			}
			s := newStudio(b, quota.Open)
			s.o.Archive = nowhere{}
			e := s.stream(24)
			r := &loop{frame: frames, left: b.N, rest: headOf(otherApp, 0, track)}
			b.ReportAllocs()
			b.SetBytes(int64(len(frames)))
			s.Run(b.Context(), Request{Stream: e}, r, discard{})
		})
	}
}
