package playback

import "sync"

// memory remembers values of a bounded weight together. Who opens one has it alone, so that
// what is not known is read once.
type memory[K comparable, V any] struct {
	most int
	mu   sync.Mutex
	all  map[K]*remembered[V]
	have int // weight of all
}

type remembered[V any] struct {
	mu     sync.Mutex
	weight int
	known  bool // value was set
	value  V
}

func newMemory[K comparable, V any](most int) memory[K, V] {
	return memory[K, V]{most: most, all: make(map[K]*remembered[V])}
}

// open returns the value of a key, locked. Others are forgotten, any of them, when all weigh
// too much: whoever needs them reads them again.
func (m *memory[K, V]) open(k K, weight int) *remembered[V] {
	m.mu.Lock()
	r := m.all[k]
	if r == nil {
		for other, o := range m.all {
			if m.have+weight <= m.most {
				break
			}
			m.have -= o.weight
			delete(m.all, other)
		}
		r = &remembered[V]{weight: weight}
		m.all[k] = r
		m.have += weight
	}
	m.mu.Unlock()
	r.mu.Lock()
	return r
}
