package live

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// Of all streams the fragment that was complete first is given up first, and nothing
// that somebody needs.
func TestPressureEvictsTheOldestOfAllStreams(t *testing.T) {
	r := newRoom(t, 20*PageSize, Options{HostBuffer: host(1<<30, time.Hour)}) // 15 without the reserve
	a, b, c := r.Acquire(1), r.Acquire(2), r.Acquire(3)
	needed := r.whole(a, 2*PageSize, false)
	r.pass(time.Second)
	second := r.whole(b, 3*PageSize, true)
	r.pass(time.Second)
	third := r.archived(a, 3*PageSize)
	r.pass(time.Second)
	fourth := r.archived(c, 3*PageSize)
	first := r.whole(c, 2*PageSize, false)
	f := r.begin(a, false)
	r.fill(f, 2*PageSize)
	r.wantPages(15)

	r.fill(f, PageSize)
	r.wantEvicted(second)
	r.wantBytes(third, 3*PageSize)
	r.wantPages(13)
	r.fill(f, 3*PageSize)
	r.wantEvicted(third)
	r.wantBytes(fourth, 3*PageSize)
	r.fill(f, 3*PageSize)
	r.wantEvicted(fourth)
	r.wantLive(a, 1, 3)
	r.wantLive(b)
	r.wantLive(c, 2)
	r.wantBytes(needed, 2*PageSize)
	r.wantBytes(first, 2*PageSize)
}

// A producer that waits for memory goes on as soon as the archive has a fragment, not
// only when that fragment's time is over.
func TestAWaitingProducerGoesOnWhenAFragmentIsArchived(t *testing.T) {
	for _, kind := range []string{"archived", "host", "failed", "dropped"} {
		synctest.Test(t, func(t *testing.T) {
			r := newRoom(t, 8*PageSize, Options{HostBuffer: host(1<<30, time.Hour)})
			st, other := r.Acquire(1), r.Acquire(2)
			full := r.begin(other, false)
			r.fill(full, 6*PageSize)
			f := r.begin(st, false)
			done := make(chan error, 1)
			go func() { done <- f.Append(t.Context(), content(1, 6*PageSize)) }()
			synctest.Wait()
			if used, _, _, waiting := r.budget.Use(); waiting != 1 || used != 8*PageSize {
				t.Fatalf("%s: %d bytes taken, %d waiting; want all and one", kind, used, waiting)
			}
			switch kind {
			case "archived":
				r.complete(full, false)
				synctest.Wait()
				full.Archived()
			case "host":
				r.complete(full, true)
			case "failed":
				full.Fail()
			case "dropped":
				r.Drop(2)
				full.Fail()
			}
			synctest.Wait()
			select {
			case err := <-done:
				if err != nil {
					t.Fatal(err)
				}
			default:
				t.Fatalf("%s: the producer still waits", kind)
			}
			f.Fail()
			r.wantPages(0)
		})
	}
}

func TestAWaitingProducerMayBeCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t, 8*PageSize, Options{})
		f := r.begin(r.Acquire(1), false)
		ctx, cancel := context.WithCancelCause(t.Context())
		done := make(chan error, 1)
		go func() { done <- f.Append(ctx, content(1, 9*PageSize)) }()
		synctest.Wait()
		reason := errors.New("the stream was deleted")
		cancel(reason)
		if err := <-done; !errors.Is(err, reason) {
			t.Errorf("got %v, want the cause", err)
		}
		r.wantPages(8)
		f.Fail()
		r.wantPages(0)
	})
}

func TestRunSweepsEachSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t, 100*PageSize, Options{})
		st := r.Acquire(1)
		r.archived(st, 10)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := r.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		r.pass(keepArchived)
		time.Sleep(1001 * time.Millisecond)
		r.wantLive(st)
		cancel()
		wg.Wait()
	})
}

// Writers, readers, the archive, pressure and a deletion at the same time: each reader
// sees prefixes of whole elements of the right fragment or is told that it is gone.
func TestWritersAndReadersAtTheSameTime(t *testing.T) {
	const streams, fragments, elements, element = 3, 20, 15, 5000
	r := newRoom(t, 60*PageSize, Options{HostBuffer: host(20*PageSize, time.Hour)})
	var writers, readers sync.WaitGroup
	stop := make(chan struct{})
	for id := kvs.StreamID(1); id <= streams; id++ {
		for w := range 2 {
			writers.Go(func() { r.write(id, w == 0, fragments, elements, element) })
		}
		for range 2 {
			readers.Go(func() { r.follow(id, element, stop) })
		}
	}
	readers.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
				r.sweep()
				if n == 50 {
					r.Drop(streams)
				}
			}
		}
	})
	writers.Wait()
	close(stop)
	readers.Wait()
	r.pass(2 * time.Hour)
	r.sweep()
	r.wantPages(0)
	if n := r.Streams(); n != 0 {
		t.Errorf("%d streams are left", n)
	}
	if _, peak, limit, _ := r.budget.Use(); peak > limit {
		t.Errorf("peak %d above the limit %d", peak, limit)
	}
}

// write sends fragments, every seventh of which fails.
func (r *room) write(id kvs.StreamID, host bool, fragments, elements, element int) {
	st := r.Acquire(id)
	defer st.Release()
	defer st.OpenSession()()
	var archive sync.WaitGroup
	defer archive.Wait()
	for i := range fragments {
		f := r.begin(st, true)
		for e := range elements {
			if err := f.Append(r.t.Context(), bytes.Repeat([]byte{byte(f.Info().Number.N), byte(e)}, element/2)); err != nil {
				r.t.Error(err)
			}
			f.Publish()
		}
		if i%7 == 6 {
			f.Fail()
			continue
		}
		if _, ok := f.Complete(f.Info(), host); !ok {
			f.Fail()
		} else if !host {
			archive.Go(f.Archived)
		}
	}
}

// follow reads everything that can be seen of a stream and checks it.
func (r *room) follow(id kvs.StreamID, element int, stop <-chan struct{}) {
	st := r.Acquire(id)
	defer st.Release()
	wake := st.Subscribe()
	defer wake.Close()
	for {
		for _, f := range st.All() {
			if err := check(f, element); err != nil {
				r.t.Error(err)
				return
			}
		}
		select {
		case <-wake.Wake():
		case <-stop:
			return
		}
	}
}

// check reads what is published of f.
func check(f *Fragment, element int) error {
	n := f.Info().Number.N
	got, err := read(f)
	if err != nil && !errors.Is(err, ErrEvicted) {
		return err
	}
	for i, b := range got {
		want := byte(n)
		if i%2 == 1 {
			want = byte(i / element)
		}
		if b != want {
			return fmt.Errorf("fragment %d: byte %d is %d, want %d", n, i, b, want)
		}
	}
	if err == nil && len(got)%element != 0 && f.FrameWise() {
		return fmt.Errorf("fragment %d: %d bytes are no whole elements", n, len(got))
	}
	return nil
}
