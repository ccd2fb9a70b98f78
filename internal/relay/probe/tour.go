package probe

import (
	"slices"
	"sync"
	"time"
)

// tour is what happens to packets that go from one relay address to the other and back.
type tour struct {
	mark
	began time.Time
	open  chan struct{} // closed when a hello has returned
	all   chan struct{} // closed when all packets have returned

	mu     sync.Mutex
	opened bool
	heard  bool   // a hello arrived at the far end
	came   int    // there
	seen   []bool // by number: returned
	times  []time.Duration
}

func newTour(packets int) *tour {
	return &tour{mark: newMark(), began: time.Now(), open: make(chan struct{}), all: make(chan struct{}), seen: make([]bool, packets)}
}

// arrived notes a packet at the far end; true if it wants an answer.
func (t *tour) arrived(b []byte) bool {
	kind, _, _, ok := t.read(b)
	if !ok || kind != hello && kind != ping {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if kind == hello {
		t.heard = true
	} else {
		t.came++
	}
	return true
}

// returned notes a packet that came back.
func (t *tour) returned(b []byte) {
	now := time.Since(t.began)
	kind, number, sent, ok := t.read(b)
	if !ok {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case kind == hello && !t.opened:
		t.opened = true
		close(t.open)
	case kind == ping && number < len(t.seen) && !t.seen[number]:
		t.seen[number] = true
		if t.times = append(t.times, now-sent); len(t.times) == len(t.seen) {
			close(t.all)
		}
	}
}

// result is what became of the packets that were sent.
func (t *tour) result(sent int) *Trip {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &Trip{Sent: sent, Arrived: min(t.came, sent), Returned: len(t.times)}
	slices.Sort(t.times)
	if n := len(t.times); n > 0 {
		r.P50Seconds, r.P99Seconds = t.times[(n-1)/2].Seconds(), t.times[(n-1)*99/100].Seconds()
	}
	return r
}
