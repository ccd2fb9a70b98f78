package quota

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// index finds the buckets of an account or a stream without a lock. What is full again
// is forgotten when others come, so memory follows the callers of the last seconds, not
// all there ever were.
type index[K comparable] struct {
	seed  maphash.Seed
	slots int // buckets of each

	heads atomic.Pointer[[]atomic.Pointer[node[K]]] // a power of two of them
	mu    sync.Mutex                                // held by those who change something
	count int
	swept int64 // when the full ones were last forgotten
}

// node is one entry. It is never modified once it can be seen.
type node[K comparable] struct {
	key     K
	buckets []bucket
	next    *node[K]
}

// sweepEvery is how long full buckets may stay, in nanoseconds.
const sweepEvery = 10 * second

func newIndex[K comparable](slots int) *index[K] {
	x := &index[K]{seed: maphash.MakeSeed(), slots: slots}
	heads := make([]atomic.Pointer[node[K]], 64)
	x.heads.Store(&heads)
	return x
}

// of returns the buckets of key; new ones are full.
func (x *index[K]) of(key K, now int64) []bucket {
	hash := maphash.Comparable(x.seed, key)
	heads := *x.heads.Load()
	for n := heads[hash&uint64(len(heads)-1)].Load(); n != nil; n = n.next {
		if n.key == key {
			return n.buckets
		}
	}
	return x.add(key, hash, now)
}

func (x *index[K]) add(key K, hash uint64, now int64) []bucket {
	x.mu.Lock()
	defer x.mu.Unlock()
	heads := *x.heads.Load()
	for n := heads[hash&uint64(len(heads)-1)].Load(); n != nil; n = n.next {
		if n.key == key {
			return n.buckets // somebody was quicker
		}
	}
	sweep := now-x.swept > sweepEvery || now < x.swept
	if sweep || x.count >= len(heads) {
		heads = x.rebuild(now, sweep)
	}
	n := &node[K]{key: key, buckets: make([]bucket, x.slots)}
	chain(heads, hash, n)
	x.count++
	return n.buckets
}

// chain stands n in front of its chain.
func chain[K comparable](heads []atomic.Pointer[node[K]], hash uint64, n *node[K]) {
	head := &heads[hash&uint64(len(heads)-1)]
	n.next = head.Load()
	head.Store(n)
}

// rebuild makes new chains with room for as many again, when it sweeps without those
// that are full. Whoever holds buckets that are left out may still take from them: a
// token too many.
func (x *index[K]) rebuild(now int64, sweep bool) []atomic.Pointer[node[K]] {
	var kept []*node[K]
	old := *x.heads.Load()
	for i := range old {
		for n := old[i].Load(); n != nil; n = n.next {
			if !sweep || !full(n.buckets, now) {
				kept = append(kept, n)
			}
		}
	}
	size := 64
	for size < 2*len(kept) {
		size *= 2
	}
	heads := make([]atomic.Pointer[node[K]], size)
	for _, n := range kept {
		chain(heads, maphash.Comparable(x.seed, n.key), &node[K]{key: n.key, buckets: n.buckets})
	}
	x.heads.Store(&heads)
	if x.count = len(kept); sweep {
		x.swept = now
	}
	return heads
}

func full(all []bucket, now int64) bool {
	for i := range all {
		if all[i].at.Load() > now {
			return false
		}
	}
	return true
}
