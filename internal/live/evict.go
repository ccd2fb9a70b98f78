package live

import (
	"container/heap"
	"slices"
	"sync"
)

// leaving holds the fragments that may be given up under pressure, of all streams, the one
// that was complete first in front. There may be ten thousand streams, and pressure
// comes with every page: looking at all of them each time would take longer than sending.
type leaving struct {
	mu    sync.Mutex
	queue byCompletion
}

// enter adds a fragment. Callers hold its stream's mu.
func (l *leaving) enter(f *Fragment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f.leaves == 0 {
		heap.Push(&l.queue, f)
	}
}

// withdraw takes a fragment out, if it is in. Callers hold its stream's mu.
func (l *leaving) withdraw(f *Fragment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f.leaves > 0 {
		heap.Remove(&l.queue, f.leaves-1)
	}
}

// first returns the fragment to give up next, nil if there is none.
func (l *leaving) first() *Fragment {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		return nil
	}
	return l.queue[0]
}

// byCompletion is a heap of fragments. completed changes no more once one is in it.
type byCompletion []*Fragment

func (q byCompletion) Len() int           { return len(q) }
func (q byCompletion) Less(i, j int) bool { return q[i].completed.Before(q[j].completed) }

func (q byCompletion) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].leaves, q[j].leaves = i+1, j+1
}

// Push and Pop serve container/heap.
func (q *byCompletion) Push(f any) {
	*q = append(*q, f.(*Fragment))
	(*q)[len(*q)-1].leaves = len(*q)
}

// Pop removes the last.
func (q *byCompletion) Pop() any {
	last := len(*q) - 1
	f := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	f.leaves = 0
	return f
}

// unread holds archived fragments of streams that nobody was reading, the one that was
// archived first in front, and how much they took then. Some may have left since: those
// that are still there are never more than it says.
type unread struct {
	mu    sync.Mutex
	queue []spared
	bytes int64
}

type spared struct {
	fragment *Fragment
	bytes    int64
}

func (u *unread) enter(f *Fragment, bytes int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.queue = append(u.queue, spared{f, bytes})
	u.bytes += bytes
}

// excess takes out the first one while they are more than keepUnread, else nil.
func (u *unread) excess() *Fragment {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.bytes <= keepUnread {
		return nil
	}
	first := u.queue[0]
	u.queue = slices.Delete(u.queue, 0, 1)
	u.bytes -= first.bytes
	return first.fragment
}

// spare keeps an archived fragment for readers that come back soon, and evicts in its
// stead those that nobody came for. Pages that are used again at once are still in the processor's cache.
func (s *Store) spare(f *Fragment, bytes int64) {
	s.unread.enter(f, bytes)
	for f := s.unread.excess(); f != nil; f = s.unread.excess() {
		f.st.forgo(f)
	}
}

// forgo evicts a fragment unless it has left or somebody reads its stream by now.
func (st *Stream) forgo(f *Fragment) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if !f.left && len(st.readers) == 0 {
		st.store.o.Evicted(Unread, st.evict(f))
	}
}
