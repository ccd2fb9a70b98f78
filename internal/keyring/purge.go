package keyring

import (
	"slices"

	"github.com/millrace/millrace/internal/kvs"
)

// Forget drops all keys of deleted streams, from memory and from the file: what was
// sealed with them can never be read again.
func (r *Ring) Forget(streams ...kvs.StreamID) error {
	r.cache.drop(func(s kvs.StreamID) bool { return slices.Contains(streams, s) })
	return r.Purge(func(e Entry) bool { return !slices.Contains(streams, e.Stream) })
}

// Purge keeps the keys for which keep says so. The file is written anew if that drops any.
func (r *Ring) Purge(keep func(Entry) bool) error {
	r.file.Lock()
	defer r.file.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	for stream, of := range r.entries {
		of = slices.DeleteFunc(slices.Clone(of), func(e Entry) bool { return !keep(e) })
		if r.entries[stream] = of; len(of) == 0 {
			delete(r.entries, stream)
		}
	}
	return nil
}
