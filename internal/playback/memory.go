package playback

import (
	"container/list"
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
	mu     sync.Mutex
	weight int
	place  *list.Element // in used
	known  bool          // value was set
	value  V
}

func newMemory[K comparable, V any](most int) memory[K, V] {
	return memory[K, V]{most: most, all: make(map[K]*remembered[V])}
}

// open returns the value of a key, locked. Those that were not used for the longest are
// forgotten when all weigh too much: whoever needs them reads them again.
func (m *memory[K, V]) open(k K, weight int) *remembered[V] {
	m.mu.Lock()
	r := m.all[k]
	if r == nil {
		for m.have+weight > m.most && m.used.Len() > 0 {
			m.forget(m.used.Back())
		}
		r = &remembered[V]{weight: weight, place: m.used.PushFront(k)}
		m.all[k] = r
		m.have += weight
	} else {
		m.used.MoveToFront(r.place)
	}
	m.mu.Unlock()
	r.mu.Lock()
	return r
}

// forget removes a key. The caller holds mu.
func (m *memory[K, V]) forget(e *list.Element) {
	k := m.used.Remove(e).(K)
	m.have -= m.all[k].weight
	delete(m.all, k)
}
