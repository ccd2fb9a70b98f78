package playback

import (
	"math"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// Eight fragments, two seconds apart, each a second long; the first four are in the
// archive alone. The fifth has the producer time of the second: a producer sent again.
func library(t *testing.T) (*studio, []*take) {
	s := newStudio(t)
	var all []*take
	for i := range 8 {
		k := s.open(true)
		if i == 4 {
			k.Fail() // made again with another producer time
			f, err := s.st.Begin(s.nextNumber, all[1].Info().Producer, liveHeader, true)
			if err != nil {
				t.Fatal(err)
			}
			k = &take{s: s, Fragment: f}
			k.add([]byte{0x1F, 0x43, 0xB6, 0x75, 0xFF, 0xE7, 0x81, 0})
		}
		k.frame(0, 10)
		k.store()
		all = append(all, k)
		if i == 3 {
			s.evict()
		}
		s.pass(2 * time.Second)
	}
	return s, all
}

func TestWhereConsumersStart(t *testing.T) {
	s, all := library(t)
	server := func(i int, plus kvs.Millis) kvs.Selector {
		return kvs.Selector{Type: kvs.StartAt, Clock: kvs.ServerClock, Time: all[i].Info().Number.Server + plus}
	}
	producer := func(i int, plus kvs.Millis) kvs.Selector {
		return kvs.Selector{Type: kvs.StartAt, Clock: kvs.ProducerClock, Time: all[i].Info().Producer + plus}
	}
	after := func(n kvs.FragmentNumber) kvs.Selector { return kvs.Selector{Type: kvs.StartAfter, Number: n} }
	between := all[2].Info().Number
	between.Random++
	for _, c := range []struct {
		name  string
		sel   kvs.Selector
		first int // index of the first fragment, 8 = waits for the next
	}{
		{"earliest", kvs.Selector{Type: kvs.StartEarliest}, 0},
		{"now: nothing arrives, so the newest", kvs.Selector{Type: kvs.StartNow}, 7},
		{"after the first", after(all[0].Info().Number), 1},
		{"after the last archived alone", after(all[3].Info().Number), 4},
		{"after a live one", after(all[5].Info().Number), 6},
		{"after the newest", after(all[7].Info().Number), 8},
		{"after a number never given", after(between), 3},
		{"after the smallest number there is", after(kvs.FragmentNumber{}), 0},
		{"after the greatest number there is", after(kvs.FragmentNumber{N: math.MaxInt64}), 8},
		{"server time in front of all", server(0, -1_000_000), 0},
		{"server time of a start", server(1, 0), 1},
		{"server time inside", server(1, 999), 1},
		{"server time in a gap", server(1, 1000), 2},
		{"server time in the gap where archive and live meet", server(3, 1500), 4},
		{"server time inside a live one", server(6, 500), 6},
		{"server time behind all", server(7, 1000), 8},
		{"producer time: the greatest number of two", producer(1, 0), 4},
		{"producer time inside both", producer(1, 999), 4},
		{"producer time in a gap", producer(1, 1000), 2},
		{"producer time behind all", producer(7, 5000), 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := s.follow(c.sel, newSink())
			r.until(0) // it waits at the end
			wantChunks(t, r.stop(), all[c.first:]...)
		})
	}
	t.Run("behind all goes on with the next", func(t *testing.T) {
		r := s.follow(server(7, 1000), newSink())
		r.until(0)
		k := s.stored(10)
		r.until(len(documentHead) + len(k.sent))
		wantChunks(t, r.stop(), k)
	})
}

func TestExpiredFragmentsAreNoStart(t *testing.T) {
	s, all := library(t)
	s.evict()
	s.stream.setRetention(1)
	s.pass(time.Hour - 7*time.Second) // of eight fragments the last three are left
	for name, sel := range map[string]kvs.Selector{
		"earliest":         {Type: kvs.StartEarliest},
		"an expired token": {Type: kvs.StartAfter, Number: all[1].Info().Number},
		"an expired time":  {Type: kvs.StartAt, Clock: kvs.ServerClock, Time: all[0].Info().Number.Server},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.follow(sel, newSink())
			r.until(0)
			wantChunks(t, r.stop(), all[5:]...)
		})
	}
	s.stream.setRetention(0)
	r := s.follow(kvs.Selector{Type: kvs.StartEarliest}, newSink())
	r.until(0)
	wantChunks(t, r.stop())
}

// An arriving fragment contains every time behind its start.
func TestTheArrivingFragmentIsFoundByTime(t *testing.T) {
	s := newStudio(t)
	s.stored(10)
	s.pass(2 * time.Second)
	k := s.open(true)
	defer s.st.OpenSession()()
	k.frame(0, 10)
	r := s.follow(kvs.Selector{Type: kvs.StartAt, Clock: kvs.ServerClock, Time: kvs.MillisOf(s.clock()) + 700}, newSink())
	r.until(len(documentHead) + len(k.sent))
	k.store()
	r.until(len(documentHead) + len(k.sent) + 1)
	wantChunks(t, r.stop(), k)
}

// Two sessions: the greater number is archived and gone while the smaller one is live.
func TestNowIsTheGreatestNumber(t *testing.T) {
	s := newStudio(t)
	slow := s.open(false)
	slow.frame(0, 10)
	quick := s.stored(10)
	s.evict()
	slow.store()
	r := s.follow(kvs.Selector{Type: kvs.StartNow}, newSink())
	r.until(0)
	wantChunks(t, r.stop(), quick)
}
