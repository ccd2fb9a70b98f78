package quota

import (
	"sync"

	"github.com/millrace/millrace/internal/kvs"
)

// Slots counts the open connections per stream of one operation.
type Slots struct {
	operation string
	max       int // 0 = no limit

	mu   sync.Mutex
	open map[kvs.StreamID]int
}

// NewSlots allows max connections of operation per stream; 0 allows any number.
func NewSlots(operation string, max int) *Slots {
	return &Slots{operation: operation, max: max, open: map[kvs.StreamID]int{}}
}

// Take holds one slot until the returned function is called (once). It returns a
// kvs.TooManyConnections error when all are taken.
func (s *Slots) Take(id kvs.StreamID, name string) (release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.max > 0 && s.open[id] >= s.max {
		return nil, kvs.Errorf(kvs.TooManyConnections, "Connection limit of %d exceeded for %s API for resource '%s'", s.max, s.operation, name)
	}
	s.open[id]++
	return func() { s.release(id) }, nil
}

func (s *Slots) release(id kvs.StreamID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[id]--; s.open[id] <= 0 {
		delete(s.open, id)
	}
}
