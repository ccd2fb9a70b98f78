package playback

import (
	"container/list"
	"context"
	"sync"
)

// memory remembers values of a bounded weight together. Who opens one has it alone, so that
// what is not known is read once.
type memory[K comparable, V any] struct {
	most int
	mu   sync.Mutex
	all  map[K]*remembered[V]
	used list.List // keys, the last used in front
	have int       // weight of all
}

type remembered[V any] struct {
	turn   chan struct{} // holds one while nobody has it
	weight int
	place  *list.Element // in used
	known  bool          // value was set
	value  V
}

func newMemory[K comparable, V any](most int) memory[K, V] {
	return memory[K, V]{most: most, all: make(map[K]*remembered[V])}
}

// open returns the value of a key for the caller alone, until [remembered.close]. It waits for others as
// long as ctx lasts: they may be reading. Those that were not used for the longest are
// forgotten when all weigh too much: whoever needs them reads them again.
func (m *memory[K, V]) open(ctx context.Context, k K, weight int) (*remembered[V], error) {
	m.mu.Lock()
	r := m.all[k]
	if r == nil {
		for m.have+weight > m.most && m.used.Len() > 0 {
			m.forget(m.used.Back())
		}
		r = &remembered[V]{weight: weight, place: m.used.PushFront(k), turn: make(chan struct{}, 1)}
		r.turn <- struct{}{}
		m.all[k] = r
		m.have += weight
	} else {
		m.used.MoveToFront(r.place)
	}
	m.mu.Unlock()
	select {
	case <-r.turn:
		return r, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// close lets others have it.
func (r *remembered[V]) close() { r.turn <- struct{}{} }

// forget removes a key. The caller holds mu.
func (m *memory[K, V]) forget(e *list.Element) {
	k := m.used.Remove(e).(K)
	m.have -= m.all[k].weight
	delete(m.all, k)
}
