package catalog

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/internal/kvs"
)

// Entry is one stream as its sessions see it. There is one per stream, shared by all
// sessions; get it with [Catalog.Open]. All methods may be called from any number of
// goroutines.
type Entry struct {
	catalog   *Catalog
	id        kvs.StreamID
	current   atomic.Pointer[row]
	confirmed atomic.Bool // read once more after it was entered
	gone      chan struct{}
	leave     sync.Once // closes gone
	numbers   numbers
}

// Open returns the stream's entry, NotFound when there is no such stream. Entries need
// not be closed; they live as long as their stream.
func (c *Catalog) Open(ctx context.Context, id kvs.StreamID) (e *Entry, err error) {
	if e = c.entry(id); e == nil {
		if e, err = c.load(ctx, id); err != nil {
			return nil, err
		}
	}
	if err := e.confirm(ctx); err != nil {
		return nil, err
	}
	return e, nil
}

// load reads a stream and enters it.
func (c *Catalog) load(ctx context.Context, id kvs.StreamID) (*Entry, error) {
	r, err := byID(ctx, c.db.Read(), id)
	if err != nil {
		return nil, err
	}
	e := &Entry{catalog: c, id: id, gone: make(chan struct{})}
	e.current.Store(&r)
	if err := e.loadNumbers(ctx); err != nil {
		return nil, err
	}
	return c.enter(e), nil
}

// confirm reads a newly entered stream again. A change or the deletion may have come
// between reading and entering it, when there was nobody to tell.
func (e *Entry) confirm(ctx context.Context) error {
	if e.confirmed.Load() {
		return nil
	}
	r, err := byID(ctx, e.catalog.db.Read(), e.id)
	if kvs.KindOf(err) == kvs.NotFound {
		e.catalog.forget(e.id)
	}
	if err != nil {
		return err
	}
	e.show(r)
	e.confirmed.Store(true)
	return nil
}

// enter adds the entry, unless there is one already, and returns the one to use.
func (c *Catalog) enter(e *Entry) *Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	if first := c.entries[e.id]; first != nil {
		return first
	}
	c.entries[e.id] = e
	return e
}

// entry returns the stream's entry, nil when nobody has opened it.
func (c *Catalog) entry(id kvs.StreamID) *Entry {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.entries[id]
}

// forget removes the entry of a deleted stream and tells its sessions.
func (c *Catalog) forget(id kvs.StreamID) {
	c.mu.Lock()
	e := c.entries[id]
	delete(c.entries, id)
	c.mu.Unlock()
	if e != nil {
		e.leave.Do(func() { close(e.gone) })
	}
}

// Stream returns the stream as it is now. It costs no more than a load from memory.
func (e *Entry) Stream() kvs.Stream { return e.current.Load().Stream }

// Gone is closed when the stream is deleted.
func (e *Entry) Gone() <-chan struct{} { return e.gone }

// show makes r the current value unless a later change was faster. Commits have an
// order, the goroutines that return from them have none.
func (e *Entry) show(r row) {
	for {
		old := e.current.Load()
		if r.revision <= old.revision || e.current.CompareAndSwap(old, &r) {
			return
		}
	}
}
