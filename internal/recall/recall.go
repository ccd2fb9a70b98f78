// Package recall remembers which fragments were erased, so that those that were on their
// way at that time go as soon as they are stored.
//
// Fragments on their way end with the process, so nothing is remembered longer. All methods
// may be called from any number of goroutines.
package recall

import (
	"slices"
	"sync"

	"github.com/millrace/millrace/internal/kvs"
)

// Order says which fragments of a stream were erased.
type Order interface {
	comparable
	// Covers reports whether the fragment is meant.
	Covers(f *kvs.Fragment) bool
}

// Call is an order that a fragment was stored behind.
type Call[O Order] struct {
	Stream kvs.StreamID
	Order  O
}

// maxOrders is how many orders of one stream are remembered. Those before are left to the
// next start.
const maxOrders = 1000

// Book has the orders. Make it with [NewBook].
type Book[O Order] struct {
	wake chan struct{}

	mu     sync.Mutex
	orders map[kvs.StreamID][]O // the newest last
	due    []Call[O]
}

// NewBook returns a book without orders.
func NewBook[O Order]() *Book[O] {
	return &Book[O]{wake: make(chan struct{}, 1), orders: make(map[kvs.StreamID][]O)}
}

// Add remembers an order.
func (b *Book[O]) Add(id kvs.StreamID, o O) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.orders[id]
	if slices.Contains(all, o) {
		return
	}
	if len(all) == maxOrders {
		all = slices.Delete(all, 0, 1)
	}
	b.orders[id] = append(all, o)
}

// Forget drops the orders of a stream that is gone.
func (b *Book[O]) Forget(id kvs.StreamID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.orders, id)
}

// Stored looks whether an order means a fragment that was stored just now, and calls for
// it.
func (b *Book[O]) Stored(f *kvs.Fragment) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, o := range b.orders[f.Stream] {
		if o.Covers(f) {
			b.put(Call[O]{f.Stream, o})
		}
	}
	if len(b.due) > 0 {
		select {
		case b.wake <- struct{}{}:
		default:
		}
	}
}

// put adds a call once. The caller holds mu.
func (b *Book[O]) put(c Call[O]) {
	if !slices.Contains(b.due, c) {
		b.due = append(b.due, c)
	}
}

// Wake receives when there may be calls.
func (b *Book[O]) Wake() <-chan struct{} { return b.wake }

// Take returns the calls that were not taken yet.
func (b *Book[O]) Take() []Call[O] {
	b.mu.Lock()
	defer b.mu.Unlock()
	due := b.due
	b.due = nil
	return due
}

// Return gives back a call that could not be followed, for a later Take.
func (b *Book[O]) Return(c Call[O]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.put(c)
}
