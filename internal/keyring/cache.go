package keyring

import (
	"sync"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// An unwrapped key is used for so long, and dropped at the next sweep: together less
// than the minute that is allowed (decided.md, Storage).
const (
	cacheFor   = 50 * time.Second
	sweepEvery = 5 * time.Second
)

// probed is the id under which the cache knows that a stream's wrapping key works.
const probed = 0

// cache holds unwrapped keys.
type cache struct {
	mu   sync.Mutex
	keys map[cacheKey]*cached
}

type cacheKey struct {
	stream kvs.StreamID
	id     uint64
}

type cached struct {
	key   segment.DataKey
	until time.Time // of the real clock: an emulated one may stand still
}

func (c *cache) get(stream kvs.StreamID, id uint64) (segment.DataKey, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.keys[cacheKey{stream, id}]
	if k == nil || !time.Now().Before(k.until) {
		return segment.DataKey{}, false
	}
	return k.key, true
}

func (c *cache) put(stream kvs.StreamID, k segment.DataKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys == nil {
		c.keys = map[cacheKey]*cached{}
	}
	c.keys[cacheKey{stream, k.ID}] = &cached{k, time.Now().Add(cacheFor)}
}

// sweep drops what is too old.
func (c *cache) sweep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for at, k := range c.keys {
		if !now.Before(k.until) {
			c.wipe(at, k)
		}
	}
}

// drop drops the keys of some streams.
func (c *cache) drop(which func(kvs.StreamID) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for at, k := range c.keys {
		if which(at.stream) {
			c.wipe(at, k)
		}
	}
}

// wipe leaves no secret behind in memory that is used again. Call it with mu held.
func (c *cache) wipe(at cacheKey, k *cached) {
	clear(k.key.Secret[:])
	delete(c.keys, at)
}
