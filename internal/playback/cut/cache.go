package cut

import (
	"container/list"
	"context"
	"errors"
	"sync"

	"github.com/millrace/millrace/internal/kvs"
)

// key names a value: a segment by its fragment, a header by its place in the archive.
type key struct {
	stream kvs.StreamID
	number kvs.FragmentNumber
	track  uint64
	ts     bool
	start  Start // of MPEG-TS

	segment, position int64 // of a header
}

// cache keeps values by key up to a number of bytes, the last used ones, and makes each
// once however many ask. Set room before the first use.
type cache[V any] struct {
	mu      sync.Mutex
	room    int64
	used    int64
	kept    int64 // values
	entries map[key]*entry[V]
	order   list.List // of *entry[V], the last used in front; only what is kept and not pinned
}

type entry[V any] struct {
	key   key
	ready chan struct{} // closed when the others are set
	value V
	size  int64
	err   error

	// Guarded by the cache.
	kept  bool          // it was made, and was not pushed out
	pins  int           // how many need it where it is
	place *list.Element // in order
}

var errPanic = errors.New("the maker of this value panicked")

// get returns the value of k. The first who asks makes it, with a context that does not
// end with his: others may wait. An error is everybody's who waits, and not kept.
func (c *cache[V]) get(ctx context.Context, k key, produce func(context.Context) (V, int64, error)) (V, error) {
	c.mu.Lock()
	e := c.entries[k]
	switch {
	case e == nil:
		e = &entry[V]{key: k, ready: make(chan struct{}), err: errPanic}
		if c.entries == nil {
			c.entries = map[key]*entry[V]{}
		}
		c.entries[k] = e
		c.mu.Unlock()
		defer c.keep(e)
		e.value, e.size, e.err = produce(context.WithoutCancel(ctx))
		return e.value, e.err
	case e.kept:
		if e.place != nil {
			c.order.MoveToFront(e.place)
		}
		c.mu.Unlock()
		return e.value, nil
	}
	c.mu.Unlock()
	select {
	case <-e.ready:
		return e.value, e.err
	case <-ctx.Done():
		var none V
		return none, context.Cause(ctx)
	}
}

// keep makes room for a value that was made, unless it failed or is too large.
func (c *cache[V]) keep(e *entry[V]) {
	close(e.ready)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.entries[e.key] != e: // forgotten while it was made
		return
	case e.err != nil || e.size > c.room:
		delete(c.entries, e.key)
		return
	}
	e.kept, e.place = true, c.order.PushFront(e)
	c.kept, c.used = c.kept+1, c.used+e.size
	c.evict()
}

// evict pushes out what was not used for the longest until the rest has room, or is pinned.
// The caller holds mu.
func (c *cache[V]) evict() {
	for c.used > c.room && c.order.Len() > 0 {
		c.drop(c.order.Back().Value.(*entry[V]))
	}
}

// drop forgets a value that is kept. The caller holds mu.
func (c *cache[V]) drop(e *entry[V]) {
	delete(c.entries, e.key)
	e.kept = false
	c.kept, c.used = c.kept-1, c.used-e.size
	if e.place != nil {
		c.order.Remove(e.place)
		e.place = nil
	}
}

// pin keeps the value of k from being pushed out until [cache.unpin]. It returns nil when
// none is kept.
func (c *cache[V]) pin(k key) *entry[V] {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[k]
	if e == nil || !e.kept {
		return nil
	}
	if e.pins++; e.place != nil {
		c.order.Remove(e.place)
		e.place = nil
	}
	return e
}

// unpin ends one pin. The value may have been forgotten meanwhile.
func (c *cache[V]) unpin(e *entry[V]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.pins--; e.pins == 0 && e.kept {
		e.place = c.order.PushFront(e)
		c.evict()
	}
}

// forget drops all values of a stream; those that are being made now will not be kept.
func (c *cache[V]) forget(id kvs.StreamID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, e := range c.entries {
		switch {
		case k.stream != id:
		case e.kept:
			c.drop(e)
		default:
			delete(c.entries, k)
		}
	}
}

// held counts the values that are kept, and their bytes.
func (c *cache[V]) held() (values, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.kept, c.used
}
