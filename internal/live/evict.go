package live

import (
	"container/heap"
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
