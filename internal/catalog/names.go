package catalog

import (
	"sync"

	"github.com/millrace/millrace/internal/kvs"
)

// maxNames is how many streams are kept in memory for those who ask by name. One takes
// about half a kilobyte.
const maxNames = 8192

// nameCache remembers streams by their names: every call names one. What is remembered is
// never older than the last change that was answered.
type nameCache struct {
	mu      sync.RWMutex
	streams map[nameKey]kvs.Stream
	keys    map[kvs.StreamID]nameKey
	changes uint64
}

type nameKey struct {
	account kvs.AccountID
	name    string
}

// find returns a remembered stream. changes is what [nameCache.remember] must be told when
// it was none.
func (n *nameCache) find(k nameKey) (s kvs.Stream, ok bool, changes uint64) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	s, ok = n.streams[k]
	return s, ok, n.changes
}

// remember keeps a stream that was read, unless any stream was changed since changes
// were counted: it may have been this one. A full memory loses another stream for it.
func (n *nameCache) remember(k nameKey, s kvs.Stream, changes uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.changes != changes {
		return
	}
	if n.streams == nil {
		n.streams, n.keys = map[nameKey]kvs.Stream{}, map[kvs.StreamID]nameKey{}
	}
	if len(n.streams) >= maxNames {
		for id, other := range n.keys {
			delete(n.streams, other)
			delete(n.keys, id)
			break
		}
	}
	n.streams[k], n.keys[s.ID] = s, k
}

// changed forgets a stream that was changed or deleted. Call it when the change is
// committed and before anybody is told.
func (n *nameCache) changed(id kvs.StreamID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.changes++
	delete(n.streams, n.keys[id])
	delete(n.keys, id)
}
