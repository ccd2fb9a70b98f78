package live

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// ErrEvicted says that a fragment's bytes are no longer here. If the fragment is
// archived, the archive has the same bytes.
var ErrEvicted = errors.New("fragment left the live buffer")

// State is how far a fragment has come.
type State uint8

// The states of a fragment.
const (
	Arriving State = iota
	Complete       // whole; RECEIVED
	Failed         // will never be complete
)

// Fragment is one fragment in memory. Its owner calls Append, Publish, then Complete
// or Fail, then (after Complete) Archived or Fail.
type Fragment struct {
	st     *Stream
	header *Header
	frames bool
	ticket int64

	// Guarded by st.mu.
	info      kvs.Fragment
	state     State
	archived  bool
	host      bool // the stream has no retention: kept by age and size
	left      bool // it is not among the stream's fragments any more
	completed time.Time

	leaves int // place in store.leaving from 1 on, 0 = not there; guarded by its mu

	// Guarded by mu; the owner alone changes them.
	mu      sync.RWMutex
	pages   [][]byte
	size    int64 // bytes written
	visible int64 // bytes readers may have: always whole elements
	hidden  bool  // readers get no more bytes
	freed   bool  // the pages were given back
	grew    time.Time
}

// Info returns what is known about the fragment. Producer time, duration and size are
// final once it is complete.
func (f *Fragment) Info() kvs.Fragment {
	f.st.mu.Lock()
	defer f.st.mu.Unlock()
	return f.info
}

// HeaderAt copies bytes in front of the cluster from off on into p and says how many
// there are in all. It returns ErrEvicted when they are no longer here.
func (f *Fragment) HeaderAt(p []byte, off int64) (n int, size int64, err error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.hidden {
		return 0, 0, ErrEvicted
	}
	all := f.header.Bytes
	return copy(p, all[min(off, int64(len(all))):]), int64(len(all)), nil
}

// State returns how far the fragment has come and when it last grew.
func (f *Fragment) State() (State, time.Time) {
	f.st.mu.Lock()
	defer f.st.mu.Unlock()
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.state, f.grew
}

// Overdue reports whether the fragment must be given up: it has had for too long what is
// kept for the oldest of those that wait for memory.
func (f *Fragment) Overdue() bool { return f.st.store.o.Budget.Overdue(f.ticket) }

// FrameWise reports whether frames may leave now although the fragment is not
// complete: its cluster has unknown size and no other session is open.
func (f *Fragment) FrameWise() bool { return f.frames && f.st.framesNow() }

// Size returns the bytes appended so far.
func (f *Fragment) Size() int64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.size
}

// Published returns the bytes readers may have.
func (f *Fragment) Published() int64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.visible
}

// Append adds bytes. It waits for memory while the budget is spent, until ctx ends.
func (f *Fragment) Append(ctx context.Context, p []byte) error {
	now := f.st.store.o.Now()
	for len(p) > 0 {
		at := int(f.size % PageSize)
		if at == 0 && f.size == int64(len(f.pages))*PageSize {
			if err := f.grow(ctx); err != nil {
				return err
			}
		}
		// The owner alone writes beyond size, so the copy needs no lock.
		n := copy(f.pages[len(f.pages)-1][at:], p)
		f.mu.Lock()
		f.size += int64(n)
		f.grew = now // also in the middle of a long frame: slow is not silent
		f.mu.Unlock()
		p = p[n:]
	}
	return nil
}

func (f *Fragment) grow(ctx context.Context) error {
	if err := f.st.store.o.Budget.Take(ctx, f.ticket, PageSize); err != nil {
		return err
	}
	page := f.st.store.pages.get()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pages = append(f.pages, page)
	return nil
}

// Publish lets readers have all bytes appended so far. Call it only between elements:
// a reader may be left with what was published when the fragment fails.
func (f *Fragment) Publish() {
	f.mu.Lock()
	f.visible, f.grew = f.size, f.st.store.o.Now()
	f.mu.Unlock()
	f.st.mu.Lock()
	defer f.st.mu.Unlock()
	if f.frames && f.st.sessions == 1 {
		f.st.wake()
	}
}

// Complete makes the fragment whole. With host true the stream has no retention and
// the fragment is kept by age and size; otherwise until [Fragment.Archived]. The
// returned bytes stay untouched until Archived or Fail. It reports false when the
// stream was dropped meanwhile: then only Fail may follow.
func (f *Fragment) Complete(info kvs.Fragment, host bool) (net.Buffers, bool) {
	f.st.store.o.Budget.Done(f.ticket)
	f.st.mu.Lock()
	defer f.st.mu.Unlock()
	if f.state == Failed {
		return nil, false
	}
	f.mu.Lock()
	f.visible = f.size
	body := f.body()
	f.mu.Unlock()
	f.info, f.state, f.host = info, Complete, host
	f.completed = f.st.store.o.Now()
	if host {
		f.st.hostSize += f.held() + f.st.headerJoins(f.header)
		f.st.store.leaving.enter(f)
		f.st.boundHost()
		f.st.store.o.Budget.Retry()
	}
	f.st.wake()
	return body, true
}

// body returns the filled parts of the pages.
func (f *Fragment) body() net.Buffers {
	b := make(net.Buffers, len(f.pages))
	rest := f.size
	for i, p := range f.pages {
		n := min(rest, PageSize)
		b[i] = p[:n]
		rest -= n
	}
	return b
}

// Archived says that the archive has the fragment: it may be evicted from now on.
func (f *Fragment) Archived() {
	if bytes := f.stored(); bytes > 0 {
		f.st.store.spare(f, bytes)
	}
	f.st.store.o.Budget.Retry()
}

// stored notes that the archive has the fragment, and says what it takes if nobody reads
// its stream now.
func (f *Fragment) stored() (unread int64) {
	f.st.mu.Lock()
	defer f.st.mu.Unlock()
	f.archived = true
	if f.state == Failed { // the stream was dropped while the archive was writing
		f.release()
		return 0
	}
	f.st.store.leaving.enter(f)
	if len(f.st.readers) > 0 {
		return 0
	}
	return f.held()
}

// Fail ends the fragment without success and frees its bytes.
func (f *Fragment) Fail() {
	f.st.store.o.Budget.Done(f.ticket)
	f.st.mu.Lock()
	defer f.st.mu.Unlock()
	f.state = Failed
	f.st.remove(f)
	f.release()
}

// ReadAt copies published bytes from off on into p and says how many bytes are
// published, which is always the end of an element. It returns n = 0 and no error when
// there are none yet, and ErrEvicted when they are no longer here.
func (f *Fragment) ReadAt(p []byte, off int64) (n int, published int64, err error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.hidden {
		return 0, 0, ErrEvicted
	}
	for n < len(p) && off < f.visible {
		page := f.pages[off/PageSize]
		k := copy(p[n:], page[off%PageSize:min(PageSize, off%PageSize+f.visible-off)])
		n += k
		off += int64(k)
	}
	return n, f.visible, nil
}

// evictable reports whether nobody needs these bytes but readers. Callers hold st.mu.
func (f *Fragment) evictable() bool {
	return f.state == Complete && (f.archived || f.host)
}

// hide takes the bytes away from readers.
func (f *Fragment) hide() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hidden = true
}

// held is the memory the fragment takes, which is more than its size: the host buffer
// of a stream with tiny fragments must not take memory that nobody counts. It is for
// those who may change the fragment.
func (f *Fragment) held() int64 { return int64(len(f.pages)) * PageSize }

// release gives the pages back, and the header with its last fragment; nobody may be
// writing or reading them any more. It says how many bytes are free now.
func (f *Fragment) release() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.freed {
		return 0
	}
	f.freed = true
	n := f.held()
	f.st.store.pages.put(f.pages)
	f.pages = nil
	f.st.store.o.Budget.Give(f.ticket, n)
	n += f.header.drop()
	f.header = nil // who still has the fragment must not keep its header
	return n
}
