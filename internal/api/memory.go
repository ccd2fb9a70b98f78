package api

import (
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// memoryWait is how long an answer waits for memory before it is refused.
const memoryWait = 5 * time.Second

// Memory bounds what answers to consumers hold while they are made and sent: media that
// slow readers keep from going. It is served in the order of asking. Media of one stream take at
// most half of it, so that who reads them slowly keeps no others away. A nil *Memory has no
// bound. Its methods may be called from any number of goroutines.
type Memory struct {
	limit   int64
	mu      sync.Mutex
	used    int64
	refused int64
	streams map[kvs.StreamID]int64 // that each has, if anything
	waiting list.List              // of *wish, in the order of asking
}

// wish is what somebody waits for.
type wish struct {
	stream  kvs.StreamID
	n       int64
	own     int64         // that the stream has by who asks
	granted chan struct{} // closed when it was taken
}

// NewMemory makes a memory of so many bytes, which must be more than none.
func NewMemory(limit int64) *Memory {
	return &Memory{limit: limit, streams: map[kvs.StreamID]int64{}}
}

// Take takes n bytes, or all there are when that is less, and returns how many it took:
// they are to be given back with [Memory.Give]. It waits for 5 s at most. The error has the
// kind Unavailable, or is ctx's cause.
func (m *Memory) Take(ctx context.Context, n int64) (taken int64, err error) {
	return m.TakeFor(ctx, 0, n)
}

// TakeFor is [Memory.Take] for media of a stream: it waits, too, while the stream would have
// more than its half, unless it has nothing. They are to be given back with [Memory.GiveFor]. No
// stream has the id 0, which has no share.
func (m *Memory) TakeFor(ctx context.Context, stream kvs.StreamID, n int64) (taken int64, err error) {
	return m.more(ctx, stream, n, 0)
}

// more is TakeFor for one that has some of it.
func (m *Memory) more(ctx context.Context, stream kvs.StreamID, n, own int64) (taken int64, err error) {
	if m == nil || n <= 0 {
		return 0, nil
	}
	c := &wish{stream: stream, n: min(n, m.limit), own: own, granted: make(chan struct{})}
	m.mu.Lock()
	place := m.waiting.PushBack(c)
	m.grant()
	m.mu.Unlock()
	wait, cancel := context.WithTimeout(ctx, memoryWait)
	defer cancel()
	select {
	case <-c.granted:
		return c.n, nil
	case <-wait.Done():
	}
	return m.giveUp(ctx, c, place)
}

// giveUp takes a wish out of the queue, unless it was granted at this moment.
func (m *Memory) giveUp(ctx context.Context, c *wish, place *list.Element) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-c.granted:
		return c.n, nil
	default:
	}
	m.waiting.Remove(place)
	m.grant() // those behind it
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	m.refused++
	return 0, kvs.Errorf(kvs.Unavailable, "Too much is being sent to consumers at this moment; try again later.")
}

// grant gives what there is to those who wait. Nobody overtakes one who waits for others,
// but those do who wait for their own stream only. The caller holds mu.
func (m *Memory) grant() {
	for e := m.waiting.Front(); e != nil; {
		c, next := e.Value.(*wish), e.Next()
		switch has := m.streams[c.stream]; {
		case has > c.own && has+c.n > m.limit/2:
		case m.used+c.n > m.limit:
			return
		default:
			m.waiting.Remove(e)
			m.used += c.n
			if c.stream != 0 {
				m.streams[c.stream] = has + c.n
			}
			close(c.granted)
		}
		e = next
	}
}

// Give gives back what was taken, or a part of it.
func (m *Memory) Give(n int64) { m.GiveFor(0, n) }

// GiveFor is [Memory.Give] for what was taken with [Memory.TakeFor].
func (m *Memory) GiveFor(stream kvs.StreamID, n int64) {
	if m == nil || n <= 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used -= n
	if stream != 0 {
		if m.streams[stream] -= n; m.streams[stream] == 0 {
			delete(m.streams, stream)
		}
	}
	m.grant()
}

// Use reports the bytes that are taken now, how many there are, and how many answers were
// refused since the start.
func (m *Memory) Use() (used, limit, refused int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used, m.limit, m.refused
}

// Held is what one answer has of a [Memory]. The zero value has nothing. It belongs to one
// goroutine.
type Held struct {
	Memory *Memory
	Stream kvs.StreamID // whose share it is; 0 = nobody's. It must not change while something is held
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
		h.Memory.GiveFor(h.Stream, -more)
		h.taken += more
		return nil
	}
	taken, err := h.Memory.more(ctx, h.Stream, more, h.taken)
	h.taken += taken
	return err
}

// Close gives everything back. It may be called again.
func (h *Held) Close() {
	h.Memory.GiveFor(h.Stream, h.taken)
	h.taken = 0
}
