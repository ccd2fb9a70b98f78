package live

import (
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// Stream is the live end of one stream.
type Stream struct {
	store   *Store
	id      kvs.StreamID
	holders int // guarded by store.mu

	beginning sync.Mutex // held while a number is taken and its fragment added

	mu       sync.Mutex
	frags    []*Fragment        // by number; arriving and complete ones
	begun    bool               // any fragment was begun here
	floor    kvs.FragmentNumber // the archive may know numbers up to this one that are not in frags
	newest   kvs.FragmentNumber
	sessions int // PutMedia sessions open now
	hostSize int64
	readers  []*Reader
}

// Release gives back what [Store.Acquire] took.
func (st *Stream) Release() {
	st.store.mu.Lock()
	defer st.store.mu.Unlock()
	st.holders--
}

// OpenSession counts a PutMedia session until the returned function is called. Frames
// leave as they arrive only while exactly one is open.
func (st *Stream) OpenSession() (end func()) {
	st.countSession(1)
	return func() { st.countSession(-1) }
}

func (st *Stream) countSession(d int) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.sessions += d
	st.wake()
}

// Begin adds a fragment that is arriving now. next gives its number; it is called in
// the order in which fragments are added, so numbers appear to readers in order.
// producer is its producer timestamp. frames says that its cluster has unknown size, so
// that readers may have its frames one by one.
func (st *Stream) Begin(next func() (kvs.FragmentNumber, error), producer kvs.Millis, h *Header, frames bool) (*Fragment, error) {
	st.beginning.Lock()
	defer st.beginning.Unlock()
	n, err := next()
	if err != nil {
		return nil, err
	}
	f := &Fragment{st: st, header: h, frames: frames, grew: st.store.o.Now(), ticket: st.store.o.Budget.Ticket()}
	f.info = kvs.Fragment{Stream: st.id, Number: n, Producer: producer}
	st.mu.Lock()
	defer st.mu.Unlock()
	if !st.begun {
		st.begun, st.floor = true, n.Before()
	}
	h.hold()
	st.frags = append(st.frags, f)
	st.newest = n
	st.wake()
	return f, nil
}

// Newest returns the number of the fragment begun last; its zero value says there was
// none since the stream was acquired.
func (st *Stream) Newest() kvs.FragmentNumber {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.newest
}

// Arriving returns the newest fragment that is still arriving.
func (st *Stream) Arriving() (*Fragment, bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for i := len(st.frags) - 1; i >= 0; i-- {
		if st.frags[i].state == Arriving {
			return st.frags[i], true
		}
	}
	return nil, false
}

// Next returns the live fragment with the smallest number greater than after. gap
// says that fragments between after and it may have been evicted, so that the archive
// must be asked as well.
func (st *Stream) Next(after kvs.FragmentNumber) (f *Fragment, gap bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	i := sort.Search(len(st.frags), func(i int) bool { return after.Less(st.frags[i].info.Number) })
	if i < len(st.frags) {
		f = st.frags[i]
	}
	return f, !st.begun || after.Less(st.floor)
}

// All returns the live fragments by number.
func (st *Stream) All() []*Fragment {
	st.mu.Lock()
	defer st.mu.Unlock()
	return append([]*Fragment(nil), st.frags...)
}

// framesNow reports whether frames may leave one by one at this moment.
func (st *Stream) framesNow() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.sessions == 1
}

func (st *Stream) empty() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return len(st.frags) == 0
}

// remove takes f out of the list and hides its bytes. Callers hold st.mu.
func (st *Stream) remove(f *Fragment) {
	i := sort.Search(len(st.frags), func(i int) bool { return !st.frags[i].info.Number.Less(f.info.Number) })
	if i == len(st.frags) || st.frags[i] != f {
		return
	}
	st.frags = slices.Delete(st.frags, i, i+1)
	f.left = true
	st.store.leaving.withdraw(f)
	if f.host {
		st.hostSize -= f.held() + st.headerLeaves(f.header)
	}
	f.hide()
	st.wake()
}

// headerJoins and headerLeaves count a header in the host buffer once, however many of
// its fragments lie there. They return the bytes that come or go. Callers hold st.mu.
func (st *Stream) headerJoins(h *Header) int64 {
	if h.charged == 0 {
		return 0
	}
	if h.hosted++; h.hosted > 1 {
		return 0
	}
	return h.charged
}

func (st *Stream) headerLeaves(h *Header) int64 {
	if h.charged == 0 {
		return 0
	}
	if h.hosted--; h.hosted > 0 {
		return 0
	}
	return h.charged
}

// evict removes an evictable fragment and frees its pages. Callers hold st.mu.
func (st *Stream) evict(f *Fragment) int64 {
	if st.floor.Less(f.info.Number) {
		st.floor = f.info.Number
	}
	st.remove(f)
	return f.release()
}

// expire evicts archived fragments some seconds after they were complete, and those
// of streams without retention by the host buffer's age.
func (st *Stream) expire(now time.Time) {
	_, host := st.store.o.HostBuffer()
	st.mu.Lock()
	defer st.mu.Unlock()
	for i := 0; i < len(st.frags); {
		f := st.frags[i]
		keep := keepArchived
		if f.host {
			keep = host
		}
		if !f.evictable() || keep == 0 || now.Sub(f.completed) < keep {
			i++
			continue
		}
		st.store.o.Evicted(Age, st.evict(f))
	}
}

// boundHost evicts the oldest fragments of a stream without retention until they fit
// its host buffer. Callers hold st.mu.
func (st *Stream) boundHost() {
	most, _ := st.store.o.HostBuffer()
	for i := 0; most > 0 && i < len(st.frags) && st.hostSize > most; {
		if f := st.frags[i]; f.host && f.evictable() {
			st.store.o.Evicted(Bound, st.evict(f))
			continue
		}
		i++
	}
}

// giveUp evicts a fragment unless somebody else just did.
func (st *Stream) giveUp(f *Fragment) (freed int64, ok bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if f.left {
		return 0, false
	}
	return st.evict(f), true
}

// dropAll forgets every fragment. Pages that a producer still fills or the archive
// still reads are freed when those are done.
func (st *Stream) dropAll() {
	st.mu.Lock()
	defer st.mu.Unlock()
	for len(st.frags) > 0 {
		f := st.frags[0]
		if f.evictable() {
			st.store.o.Evicted(Deleted, st.evict(f))
			continue
		}
		f.state = Failed
		st.remove(f)
	}
}
