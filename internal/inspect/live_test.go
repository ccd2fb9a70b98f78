package inspect

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
)

// Beside a server that appends, expires, punches holes, copies forward and moves segments
// nothing is said to be wrong.
func TestACheckBesideAServer(t *testing.T) {
	s := newStock(t)
	if err := os.MkdirAll(filepath.Join(s.dir, "warm", "segments"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.segment = 100 << 10
	s.run(func(a *archive.Archive) {
		var stop atomic.Bool
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for !stop.Load() {
				s.work(a)
			}
		}()
		for range 8 {
			r := s.check(Options{Live: true, Deep: true, pause: 20 * time.Millisecond})
			if !r.Clean() || r.Fragments < 20 {
				t.Errorf("%d fragments, %v", r.Fragments, r.Findings)
			}
		}
		stop.Store(true)
		<-ended
	})
	left, err := os.ReadDir(filepath.Join(s.dir, "warm", "segments"))
	if err != nil || len(left) == 0 {
		t.Errorf("nothing was moved to the warm folder: %v", err)
	}
	if r := s.check(Options{Deep: true}); !r.Clean() {
		t.Error(r.Findings)
	}
}

// work stores a few fragments more, lets as many expire, and every now and then looks for
// what can be given back. Every third fragment is held, so that segments die in part.
func (s *stock) work(a *archive.Archive) {
	for range 6 {
		s.count++
		for _, id := range stockStreams {
			s.put(a, id, int64(s.count))
		}
	}
	s.now.Store(began + int64(s.count-30)*1000 + time.Hour.Milliseconds())
	if err := a.Expire(s.t.Context()); err != nil {
		s.t.Error(err)
	}
}

// holdOfSome keeps every fourth fragment of the first ones of a stream longer.
func (s *stock) holdOfSome() (holds []archive.Hold) {
	for n := max(int64(s.count)-80, 1); n <= int64(s.count); n++ {
		if n%4 == 0 {
			at := kvs.Millis(began + n*1000)
			holds = append(holds, archive.Hold{Range: kvs.TimeRange{Start: at, End: at}})
		}
	}
	return holds
}
