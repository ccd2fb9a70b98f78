package sessions

import (
	"sync/atomic"
	"time"
)

// A meter sums over buckets of five seconds; window is as many whole ones as a rate is
// taken over.
const (
	bucket  = 5 * time.Second
	buckets = 12
	window  = buckets * bucket
)

// meter counts, and knows how much of it was in the last minute.
type meter struct {
	total atomic.Int64

	// Each slot holds the number of its five seconds in the upper bits and what was
	// counted in the lower ones, so that both change at once.
	slots [buckets + 1]atomic.Uint64
}

const (
	countBits = 40 // a terabyte in five seconds
	countMask = 1<<countBits - 1
	spanMask  = 1<<(64-countBits) - 1
)

// span is the number of the five seconds that now lies in.
func span(now time.Time) uint64 { return uint64(now.UnixNano()/int64(bucket)) & spanMask }

func (m *meter) add(now time.Time, n int64) {
	m.total.Add(n)
	at := span(now)
	slot := &m.slots[at%uint64(len(m.slots))]
	for {
		old := slot.Load()
		counted := uint64(0)
		if old>>countBits == at {
			counted = old & countMask
		}
		if slot.CompareAndSwap(old, at<<countBits|min(counted+uint64(n), countMask)) {
			return
		}
	}
}

// sum is what was counted in the window that ends now: the five seconds that began last
// and the twelve before.
func (m *meter) sum(now time.Time) int64 {
	at, n := span(now), int64(0)
	for i := range m.slots {
		v := m.slots[i].Load()
		if (at-v>>countBits)&spanMask <= buckets {
			n += int64(v & countMask)
		}
	}
	return n
}

// rate is how much was counted each second of the last minute, or since began if that
// is shorter.
func (m *meter) rate(began, now time.Time) float64 {
	start := now.Truncate(bucket).Add(-window)
	if began.After(start) {
		start = began
	}
	// A session that began just now has no rate worth telling.
	return float64(m.sum(now)) / max(now.Sub(start).Seconds(), 1)
}
