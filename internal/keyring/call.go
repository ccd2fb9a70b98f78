package keyring

import (
	"context"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// task names a call to the provider. Whoever wants the same waits for the same call.
type task struct {
	stream kvs.StreamID
	kind   kind
	id     uint64 // of the key to unwrap
}

type kind uint8

const (
	generating kind = iota
	unwrapping
	probing
)

// calls are those under way. There is at most one goroutine per task, also when the
// provider never returns.
type calls struct {
	limit time.Duration // of each
	late  func() error  // what those hear who waited so long
	base  context.Context
	stop  context.CancelFunc
	all   sync.WaitGroup

	mu    sync.Mutex
	going map[task]*call
}

type call struct {
	late chan struct{} // closed when the provider took too long
	done chan struct{} // closed when the rest is set
	key  segment.DataKey
	err  error
}

// work is what a call does. It calls answered when the provider has answered: what comes
// then, such as waiting for a slow disk, does not count as the provider's.
type work func(ctx context.Context, answered func()) (segment.DataKey, error)

// do returns what f returns, or that it takes too long. The call goes on when ctx ends,
// because others may wait for it too.
func (c *calls) do(ctx context.Context, t task, f work) (segment.DataKey, error) {
	k := c.join(t, f)
	select {
	case <-k.done:
	case <-k.late:
		select {
		case <-k.done: // it ended in time; both are ready
		default:
			return segment.DataKey{}, c.late()
		}
	case <-ctx.Done():
		return segment.DataKey{}, ctx.Err()
	}
	return k.key, k.err
}

// join returns the call for a task, begun now if there is none.
func (c *calls) join(t task, f work) *call {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.going[t]; k != nil {
		return k
	}
	if c.going == nil {
		c.going = map[task]*call{}
	}
	ctx, cancel := context.WithTimeout(c.base, c.limit)
	k := &call{late: make(chan struct{}), done: make(chan struct{})}
	tooLate := context.AfterFunc(ctx, func() { close(k.late) })
	c.going[t] = k
	c.all.Go(func() {
		k.key, k.err = f(ctx, func() { tooLate() })
		c.mu.Lock()
		delete(c.going, t)
		c.mu.Unlock()
		close(k.done)
		tooLate()
		cancel()
	})
	return k
}

// close ends the calls under way and waits for them, but for those that heed nothing.
func (c *calls) close() {
	c.stop()
	done := make(chan struct{})
	go func() {
		c.all.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(c.limit):
	}
}
