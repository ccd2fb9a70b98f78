package keyring

import (
	"context"
	"fmt"
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

// Rewrap replaces the wrapped form of every key by what wrap returns for it, in one step:
// the file is written anew, or stays as it was after an error. Keys of streams that are
// gone are left out.
func (r *Ring) Rewrap(ctx context.Context, wrap func(Entry, Owner) ([]byte, error)) error {
	r.file.Lock()
	defer r.file.Unlock()
	fresh := map[kvs.StreamID][]Entry{}
	for _, e := range r.Entries() {
		o, err := r.owner(ctx, e.Stream)
		if kvs.KindOf(err) == kvs.NotFound {
			continue
		}
		if err == nil {
			e.Wrapped, err = wrap(e, o)
		}
		if err != nil {
			return fmt.Errorf("data key %d of stream %d: %w", e.ID, e.Stream, err)
		}
		fresh[e.Stream] = append(fresh[e.Stream], e)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entries = fresh
	return nil
}
