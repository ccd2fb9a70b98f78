package catalog

import (
	"sync"

	"github.com/millrace/millrace/internal/kvs"
)

// maxNames is how many streams are kept in memory for those who ask by name, and as many
// channels. One takes about half a kilobyte.
const maxNames = 8192

// Names remembers streams, or channels, by their names: every call names one. What is
// remembered is never older than the last change that was answered. The zero value is
// ready; all methods may be called from any number of goroutines.
type Names[V any] struct {
	mu      sync.RWMutex
	values  map[nameKey]V
	keys    map[int64]nameKey
	changes uint64
}

type nameKey struct {
	account kvs.AccountID
	name    string
}

// Find returns what is remembered under a name. changes is what [Names.Remember] must be
// told when there is nothing.
func (n *Names[V]) Find(account kvs.AccountID, name string) (v V, ok bool, changes uint64) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	v, ok = n.values[nameKey{account, name}]
	return v, ok, n.changes
}

// Remember keeps what was read, unless anything was changed since changes were counted: it
// may have been this one. A full memory loses another for it.
func (n *Names[V]) Remember(account kvs.AccountID, name string, id int64, v V, changes uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.changes != changes {
		return
	}
	if n.values == nil {
		n.values, n.keys = map[nameKey]V{}, map[int64]nameKey{}
	}
	if len(n.values) >= maxNames {
		for id, other := range n.keys {
			delete(n.values, other)
			delete(n.keys, id)
			break
		}
	}
	k := nameKey{account, name}
	n.values[k], n.keys[id] = v, k
}

// Changed forgets what was changed or deleted. Call it when the change is committed and
// before anybody is told.
func (n *Names[V]) Changed(id int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.changes++
	delete(n.values, n.keys[id])
	delete(n.keys, id)
}
