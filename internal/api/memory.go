package api

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/millrace/millrace/internal/kvs"
)

// memoryWait is how long an answer waits for memory before it is refused.
const memoryWait = 5 * time.Second

// Memory bounds what answers to consumers hold while they are made and sent: media that
// slow readers keep from going. It is served in the order of asking. A nil *Memory has no
// bound. Its methods may be called from any number of goroutines.
type Memory struct {
	limit         int64
	free          *semaphore.Weighted
	used, refused atomic.Int64
}

// NewMemory makes a memory of so many bytes, which must be more than none.
func NewMemory(limit int64) *Memory {
	return &Memory{limit: limit, free: semaphore.NewWeighted(limit)}
}

// Take takes n bytes, or all there are when that is less, and returns how many it took:
// they are to be given back with [Memory.Give]. It waits for 5 s at most. The error has the
// kind Unavailable, or is ctx's cause.
func (m *Memory) Take(ctx context.Context, n int64) (taken int64, err error) {
	if m == nil || n <= 0 {
		return 0, nil
	}
	n = min(n, m.limit)
	if err := m.acquire(ctx, n); err != nil {
		return 0, err
	}
	m.used.Add(n)
	return n, nil
}

func (m *Memory) acquire(ctx context.Context, n int64) error {
	if m.free.TryAcquire(n) {
		return nil
	}
	wait, cancel := context.WithTimeout(ctx, memoryWait)
	defer cancel()
	if m.free.Acquire(wait, n) == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	m.refused.Add(1)
	return kvs.Errorf(kvs.Unavailable, "Too much is being sent to consumers at this moment; try again later.")
}

// Give gives back what was taken, or a part of it.
func (m *Memory) Give(n int64) {
	if m == nil || n <= 0 {
		return
	}
	m.used.Add(-n)
	m.free.Release(n)
}

// Use reports the bytes that are taken now, how many there are, and how many answers were
// refused since the start.
func (m *Memory) Use() (used, limit, refused int64) {
	return m.used.Load(), m.limit, m.refused.Load()
}

// Held is what one answer has of a [Memory]. The zero value has nothing. It belongs to one
// goroutine.
type Held struct {
	Memory *Memory
	taken  int64
}

// Set makes it n bytes, more or fewer than before. Errors are those of [Memory.Take]; it
// then has what it had.
func (h *Held) Set(ctx context.Context, n int64) error {
	if h.Memory == nil {
		return nil
	}
	more := min(n, h.Memory.limit) - h.taken
	if more <= 0 {
		h.Memory.Give(-more)
		h.taken += more
		return nil
	}
	taken, err := h.Memory.Take(ctx, more)
	h.taken += taken
	return err
}

// Close gives everything back. It may be called again.
func (h *Held) Close() {
	h.Memory.Give(h.taken)
	h.taken = 0
}
