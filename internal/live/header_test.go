package live

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// big makes a header that is charged.
func (r *room) big(n int64) *Header {
	r.t.Helper()
	if err := r.Hold(r.t.Context(), n); err != nil {
		r.t.Fatal(err)
	}
	return r.NewHeader(make([]byte, n), n)
}

func (r *room) beginWith(st *Stream, h *Header) *Fragment {
	r.t.Helper()
	f, err := st.Begin(r.next(st.id), 1000, h, false)
	if err != nil {
		r.t.Fatal(err)
	}
	return f
}

func TestAHeaderIsGivenBackByItsLastHolder(t *testing.T) {
	r := newRoom(t, 100*PageSize, Options{})
	st := r.Acquire(1)
	h := r.big(2 * PageSize)
	r.wantPages(2)
	a, b, c := r.beginWith(st, h), r.beginWith(st, h), r.beginWith(st, h)
	for _, f := range []*Fragment{a, b} {
		r.fill(f, PageSize)
		r.complete(f, false)
	}
	h.Release()
	r.wantPages(4)
	c.Fail()
	c.Fail() // gives nothing back twice
	a.Archived()
	b.Archived()
	r.wantPages(4)
	r.pass(time.Minute)
	r.sweep()
	r.wantPages(0)
}

func TestADroppedStreamGivesTheHeaderBackWhenTheArchiveIsDone(t *testing.T) {
	r := newRoom(t, 100*PageSize, Options{})
	st := r.Acquire(1)
	h := r.big(PageSize)
	f := r.beginWith(st, h)
	r.fill(f, 1)
	r.complete(f, false)
	h.Release()
	r.Drop(1)
	r.wantPages(2) // the archive reads both
	f.Archived()
	r.wantPages(0)
}

// Headers count in the host buffer: one of its own per fragment for all of them, a
// shared one once.
func TestTheHostBufferCountsHeaders(t *testing.T) {
	r := newRoom(t, 200*PageSize, Options{HostBuffer: host(10*PageSize, time.Hour)})
	own, shared := r.Acquire(1), r.Acquire(2)
	add := func(st *Stream, h *Header) {
		f := r.beginWith(st, h)
		r.fill(f, 1)
		r.complete(f, true)
	}
	for range 5 {
		h := r.big(4 * PageSize)
		add(own, h)
		h.Release()
	}
	r.wantLive(own, 4, 5)
	r.wantPages(10)
	h := r.big(4 * PageSize)
	for range 9 {
		add(shared, h)
	}
	r.wantLive(shared, 4, 5, 6, 7, 8, 9)
	r.wantPages(20)
	h.Release()
	r.Drop(1)
	r.Drop(2)
	r.wantPages(0)
}

// A header that waits for memory presses like a fragment, but keeps off the reserve.
func TestAHeaderWaitsForMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t, 8*PageSize, Options{HostBuffer: host(1<<30, time.Hour)}) // 6 without the reserve
		st := r.Acquire(1)
		r.whole(st, 4*PageSize, true)
		r.big(4 * PageSize)
		r.wantPages(4)
		r.wantLive(st)
		ctx, cancel := context.WithCancelCause(t.Context())
		reason := errors.New("the session ended")
		time.AfterFunc(time.Minute, func() { cancel(reason) })
		if err := r.Hold(ctx, 3*PageSize); !errors.Is(err, reason) {
			t.Errorf("got %v, want the end of the session", err)
		}
		r.wantPages(4)
	})
}
