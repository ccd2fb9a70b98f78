package playback

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/mkv"
)

func TestAStalledFragmentIsOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openStudio(t, true)
		defer s.st.OpenSession()()
		defer s.st.OpenSession()()
		s.options.Idle = nil
		r := s.follow(earliest, newSink())
		stalled := s.open(true)
		stalled.frame(0, 100)
		quick := s.stored(100)
		time.Sleep(stall - time.Millisecond)
		synctest.Wait()
		if len(r.bytes()) != 0 {
			t.Error("overtaken too early")
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		// What was overtaken is never sent: numbers grow.
		stalled.store()
		next := s.stored(100)
		synctest.Wait()
		wantChunks(t, r.stop(), quick, next)
	})
}

// A long frame over a slow line takes its time, but the fragment is not stalled.
func TestAFragmentThatGrowsSlowlyIsNotOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openStudio(t, true)
		defer s.st.OpenSession()()
		defer s.st.OpenSession()()
		r := s.follow(earliest, newSink())
		slow := s.open(true)
		slow.frame(0, 100)
		quick := s.stored(100)
		long := mkv.AppendSimpleBlock(nil, mkv.BlockHeader{Track: 1, Time: 40}, make([]byte, 1000))
		slow.sent = append(slow.sent, long...)
		for _, b := range long[:9] {
			time.Sleep(stall - time.Second)
			if err := slow.Append(t.Context(), []byte{b}); err != nil {
				t.Fatal(err)
			}
		}
		if err := slow.Append(t.Context(), long[9:]); err != nil {
			t.Fatal(err)
		}
		slow.store()
		synctest.Wait()
		wantChunks(t, r.stop(), slow, quick)
	})
}

// Behind a stalled fragment there may be some that only the archive has.
func TestOvertakingLooksIntoTheArchive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openStudio(t, true)
		defer s.st.OpenSession()()
		defer s.st.OpenSession()()
		first := s.stored(100)
		stalled := s.open(true)
		second, third := s.stored(100), s.stored(100)
		s.evict()
		fourth := s.stored(100)
		time.Sleep(stall)
		r := s.follow(earliest, newSink())
		synctest.Wait()
		stalled.Fail()
		wantChunks(t, r.stop(), first, second, third, fourth)
	})
}

// A producer that lost its line left half a fragment behind and is back on another.
func TestAStalledFragmentIsLeftInTheMiddle(t *testing.T) {
	for _, idle := range []time.Duration{0, stall} {
		synctest.Test(t, func(t *testing.T) {
			s := openStudio(t, true)
			s.options.Idle = func(kvs.Stream) time.Duration { return idle }
			defer s.st.OpenSession()()
			r := s.follow(earliest, newSink())
			stalled := s.open(true)
			stalled.frame(0, 100)
			synctest.Wait()
			defer s.st.OpenSession()()
			time.Sleep(stall - time.Second)
			next := s.open(true)
			next.frame(0, 100)
			synctest.Wait()
			time.Sleep(time.Second)
			next.frame(40, 100)
			next.store()
			synctest.Wait()
			got := r.stop()
			if len(got) != 2 || got[0].whole || !bytes.Equal(got[0].body, stalled.sent) {
				t.Fatalf("idle %v: %v", idle, numbers(got))
			}
			wantChunks(t, got[1:], next)
			stalled.Fail()
		})
	}
}
