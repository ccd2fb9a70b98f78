package live

import (
	"errors"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

func TestFragmentsAreFoundInOrder(t *testing.T) {
	r := newRoom(t, 100*PageSize, Options{})
	st := r.Acquire(1)
	if _, gap := st.Next(kvs.FragmentNumber{}); !gap {
		t.Error("nothing was begun, so the archive must be asked")
	}
	if n := st.Newest(); n.N != 0 {
		t.Errorf("newest of none: %v", n)
	}
	r.number[1] = 1000
	a, b, c := r.begin(st, false), r.begin(st, false), r.begin(st, false)
	r.wantLive(st, 1001, 1002, 1003)
	for _, want := range []struct {
		after kvs.FragmentNumber
		next  *Fragment
		gap   bool
	}{
		{kvs.FragmentNumber{}, a, true},              // what was there before this process knows the archive only
		{kvs.FragmentNumber{N: 999}, a, true},        // likewise
		{a.Info().Number.Before(), a, false},         // everything behind it is here
		{a.Info().Number, b, false},                  //
		{kvs.FragmentNumber{N: 1002}, b, false},      // a number never given, smaller than the true one
		{b.Info().Number, c, false},                  //
		{c.Info().Number, nil, false},                // the newest: nothing to ask for
		{kvs.FragmentNumber{N: 1 << 40}, nil, false}, //
	} {
		if f, gap := st.Next(want.after); f != want.next || gap != want.gap {
			t.Errorf("after %v: got %p, gap %v; want %p, %v", want.after, f, gap, want.next, want.gap)
		}
	}
	if st.Newest() != c.Info().Number {
		t.Error("the newest is not the last begun")
	}
	if f, ok := st.Arriving(); !ok || f != c {
		t.Error("the fragment now arriving is not the newest")
	}
	r.complete(c, false)
	if f, ok := st.Arriving(); !ok || f != b {
		t.Error("the newest is complete; the one before is the newest that still arrives")
	}
	b.Fail()
	r.wantLive(st, 1001, 1003)
	if f, gap := st.Next(a.Info().Number); f != c || gap {
		t.Error("a failed fragment leaves no gap: it is nowhere")
	}
	a.Fail()
	if _, ok := st.Arriving(); ok {
		t.Error("nothing arrives any more")
	}
	c.Fail()
	r.wantLive(st)
	r.wantPages(0)
}

func TestANumberThatCannotBeGivenAddsNothing(t *testing.T) {
	r := newRoom(t, 100*PageSize, Options{})
	st := r.Acquire(1)
	reason := errors.New("the disk is full")
	_, err := st.Begin(func() (kvs.FragmentNumber, error) { return kvs.FragmentNumber{}, reason }, 0, header, true)
	if !errors.Is(err, reason) {
		t.Errorf("got %v", err)
	}
	r.wantLive(st)
	if _, gap := st.Next(kvs.FragmentNumber{}); !gap {
		t.Error("nothing was begun")
	}
}

func TestEvictionLeavesAGap(t *testing.T) {
	r := newRoom(t, 100*PageSize, Options{})
	st := r.Acquire(1)
	first, second, third := r.archived(st, 10), r.archived(st, 10), r.begin(st, false)
	r.pass(keepArchived - 1)
	r.sweep()
	r.wantLive(st, 1, 2, 3)
	r.pass(1)
	r.sweep()
	r.wantLive(st, 3)
	r.wantEvicted(first)
	r.wantPages(0)
	behind := second.Info().Number
	behind.Random-- // a number nobody was given, just in front of an evicted one
	for _, want := range []struct {
		after kvs.FragmentNumber
		gap   bool
	}{
		{first.Info().Number, true},
		{behind, true},
		{second.Info().Number, false},
		{third.Info().Number, false},
	} {
		if _, gap := st.Next(want.after); gap != want.gap {
			t.Errorf("after %v: gap %v", want.after, gap)
		}
	}
	third.Fail()
}

// With parallel sessions a younger fragment may leave before an older one is whole.
func TestAnOlderFragmentStaysWhenAYoungerOneLeaves(t *testing.T) {
	r := newRoom(t, 100*PageSize, Options{})
	st := r.Acquire(1)
	slow, quick := r.begin(st, false), r.archived(st, 10)
	r.pass(keepArchived)
	r.sweep()
	r.wantLive(st, 1)
	if f, gap := st.Next(kvs.FragmentNumber{}); f != slow || !gap {
		t.Error("the slow fragment comes first")
	}
	if f, gap := st.Next(slow.Info().Number); f != nil || !gap {
		t.Error("behind it the archive must be asked")
	}
	if f, gap := st.Next(quick.Info().Number); f != nil || gap {
		t.Error("behind the evicted one nothing is missing")
	}
	r.fill(slow, 10)
	r.complete(slow, false)
	slow.Archived()
	r.pass(keepArchived)
	r.sweep()
	if _, gap := st.Next(slow.Info().Number); !gap {
		t.Error("the late eviction of a smaller number must not hide the greater one")
	}
}

func TestEvictionByAge(t *testing.T) {
	r := newRoom(t, 100*PageSize, Options{HostBuffer: host(1<<30, time.Minute)})
	st := r.Acquire(1)
	host, stored := r.whole(st, 10, true), r.archived(st, 10)
	waiting, arriving := r.whole(st, 10, false), r.begin(st, true)
	for _, step := range []struct {
		pass time.Duration
		left []int64
	}{
		{keepArchived - time.Second, []int64{1, 2, 3, 4}},
		{time.Second, []int64{1, 3, 4}},
		{time.Minute - keepArchived - 1, []int64{1, 3, 4}},
		{1, []int64{3, 4}},
		{24 * time.Hour, []int64{3, 4}}, // not archived, not whole: nobody else has them
	} {
		r.pass(step.pass)
		r.sweep()
		r.wantLive(st, step.left...)
	}
	r.wantEvicted(host)
	r.wantEvicted(stored)
	r.wantBytes(waiting, 10)
	waiting.Archived()
	arriving.Fail()
	r.sweep()
	r.wantLive(st)
	r.wantPages(0)
}

func TestTheHostBufferIsBoundedBySize(t *testing.T) {
	r := newRoom(t, 100*PageSize, Options{HostBuffer: host(5*PageSize, time.Hour)})
	st, other := r.Acquire(1), r.Acquire(2)
	r.whole(other, 5*PageSize, true)
	r.whole(st, 2*PageSize, true)
	r.whole(st, 1, true) // takes a page like any other
	stored := r.whole(st, PageSize, false)
	r.whole(st, 2*PageSize, true)
	r.wantLive(st, 1, 2, 3, 4)
	r.whole(st, 1, true)
	r.wantLive(st, 2, 3, 4, 5)
	r.whole(st, 2*PageSize, true)
	r.wantLive(st, 3, 4, 5, 6) // what waits for the archive stays, and does not count
	r.wantLive(other, 1)
	r.wantPages(5 + 1 + 5)
	r.whole(st, 6*PageSize, true) // larger than the buffer: nobody can read it later
	r.wantLive(st, 3)
	stored.Fail()
	r.pass(time.Hour)
	r.sweep()
	r.wantPages(0)
}

func TestTinyFragmentsFillTheHostBufferByTheirPages(t *testing.T) {
	r := newRoom(t, 100*PageSize, Options{HostBuffer: host(10*PageSize, time.Hour)})
	st := r.Acquire(1)
	for range 50 {
		r.whole(st, 1, true)
	}
	r.wantPages(10)
}

func TestStreamsNobodyHoldsAreForgotten(t *testing.T) {
	r := newRoom(t, 100*PageSize, Options{})
	st := r.Acquire(1)
	if r.Acquire(1) != st {
		t.Fatal("a stream has one live end")
	}
	f := r.archived(st, 10)
	st.Release()
	r.pass(time.Hour)
	r.sweep()
	if r.Streams() != 1 {
		t.Error("a held stream was forgotten")
	}
	r.wantEvicted(f)
	g := r.archived(st, 10)
	st.Release()
	r.sweep()
	if r.Streams() != 1 || r.Acquire(1) != st {
		t.Error("a stream with fragments was forgotten")
	}
	st.Release()
	r.pass(time.Hour)
	r.sweep()
	if r.Streams() != 0 {
		t.Error("an empty stream that nobody holds is kept")
	}
	r.wantEvicted(g)
	again := r.Acquire(1)
	if _, gap := again.Next(g.Info().Number.Before()); !gap {
		t.Error("a stream that was forgotten knows nothing of what the archive has")
	}
}

func TestDroppedStreams(t *testing.T) {
	r := newRoom(t, 100*PageSize, Options{})
	st := r.Acquire(1)
	wake := st.Subscribe()
	defer wake.Close()
	stored, host := r.archived(st, PageSize), r.whole(st, PageSize, true)
	archiving, failing := r.whole(st, PageSize, false), r.whole(st, PageSize, false)
	arriving := r.begin(st, true)
	r.fill(arriving, PageSize)
	woken(wake)
	r.Drop(1)
	r.Drop(99) // unknown: nothing happens
	r.wantLive(st)
	if !woken(wake) {
		t.Error("readers were not told")
	}
	for _, f := range []*Fragment{stored, host, archiving, failing, arriving} {
		r.wantEvicted(f)
	}
	// What somebody still uses is freed when he is done.
	r.wantPages(3)
	archiving.Archived()
	r.wantPages(2)
	failing.Fail()
	r.wantPages(1)
	r.fill(arriving, PageSize) // the producer does not know yet
	if _, ok := arriving.Complete(arriving.Info(), false); ok {
		t.Error("a fragment of a deleted stream became complete")
	}
	arriving.Fail()
	r.wantPages(0)
	st.Release()
	r.sweep()
	if r.Streams() != 0 {
		t.Error("a dropped stream is kept")
	}
}
