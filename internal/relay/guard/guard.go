// Package guard bounds what strangers can have: how often a source is answered, how many
// connections it may hold, how much passes in a second. The memory for it is fixed or
// bounded, whatever comes. All methods may be called from any number of goroutines.
package guard

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

// Bucket lets so much through per second and that much at once. It is one number: until
// when what was let through is paid for. The zero value is full.
type Bucket struct{ paid atomic.Int64 }

// Take lets n through at time now, nanoseconds, or not. n is less than 2³³.
func (b *Bucket) Take(now, n, perSecond, atOnce int64) bool {
	cost, depth := n*int64(time.Second)/perSecond, int64(float64(atOnce)/float64(perSecond)*float64(time.Second))
	for {
		before := b.paid.Load()
		after := max(before, now) + cost
		if after-now > depth {
			return false
		}
		if b.paid.CompareAndSwap(before, after) {
			return true
		}
	}
}

// What a source that nobody knows is answered (section 6 of docs/design/relay.md).
const (
	AnswersPerSecond = 50
	AnswersAtOnce    = 200
)

// Quiet bounds what sources are answered that have shown no credentials. Sources share
// buckets if their hashes do: so its size is fixed, and nobody can make it forget another.
type Quiet struct {
	seed    maphash.Seed
	buckets [1 << 16]Bucket
}

// NewQuiet makes one that answers everybody.
func NewQuiet() *Quiet { return &Quiet{seed: maphash.MakeSeed()} }

// Take says whether a source is answered at time now, nanoseconds.
func (q *Quiet) Take(now int64, source netip.Addr) bool {
	i := maphash.Comparable(q.seed, site(source)) % uint64(len(q.buckets))
	return q.buckets[i].Take(now, 1, AnswersPerSecond, AnswersAtOnce)
}

// site is what counts as one source: an IPv4 address, or the 64 bits of an IPv6 address
// that one network has.
func site(a netip.Addr) netip.Addr {
	if a.Is6() {
		p, _ := a.WithZone("").Prefix(64)
		return p.Addr()
	}
	return a
}
