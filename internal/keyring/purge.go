package keyring

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/millrace/millrace/internal/kvs"
)

// Forget drops all keys of deleted streams, from memory and from the file: what was
// sealed with them can never be read again.
func (r *Ring) Forget(streams ...kvs.StreamID) error {
	gone := make(map[kvs.StreamID]bool, len(streams))
	for _, id := range streams {
		gone[id] = true
	}
	r.cache.drop(func(s kvs.StreamID) bool { return gone[s] })
	return r.Purge(func(e Entry) bool { return !gone[e.Stream] })
}

// Purge keeps the keys for which keep says so. The file is written anew if that drops any.
// After an error none is dropped from memory, and a part of them may be from the file.
func (r *Ring) Purge(keep func(Entry) bool) error {
	r.file.Lock()
	defer r.file.Unlock()
	all := r.Entries()
	kept := slices.DeleteFunc(slices.Clone(all), func(e Entry) bool { return !keep(e) })
	if len(kept) == len(all) {
		return nil
	}
	return r.rewrite(kept)
}

// PurgeUnused drops the keys that no stored fragment can name. needed returns the server
// timestamp before which a stream keeps nothing; with an error of kind NotFound the
// stream is gone and all its keys go, with any other they stay.
//
// A key seals fragments of 24 hours of server time, so those that ended before needed are
// not needed. Fragments that are arriving are not stored yet: they have the newest key,
// or, where the day changed under way, the one before.
func (r *Ring) PurgeUnused(needed func(kvs.StreamID) (kvs.Millis, error)) error {
	unused := map[uint64]bool{}
	for stream, of := range r.byStream() {
		at, err := needed(stream)
		gone := kvs.KindOf(err) == kvs.NotFound
		if err != nil && !gone {
			continue
		}
		for i, e := range of {
			if gone || i < len(of)-2 && e.Created+period < at {
				unused[e.ID] = true
			}
		}
	}
	if len(unused) == 0 {
		return nil
	}
	return r.Purge(func(e Entry) bool { return !unused[e.ID] })
}

// Rewrap replaces the wrapped form of every key by what wrap returns for it, in one step:
// after an error or a crash the file is either the old one or the new one, whole. Keys
// of streams that are gone are left out.
func (r *Ring) Rewrap(ctx context.Context, wrap func(Entry, Owner) ([]byte, error)) error {
	r.file.Lock()
	defer r.file.Unlock()
	var fresh []Entry
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
		fresh = append(fresh, e)
	}
	return r.rewrite(fresh)
}

// rewrite makes the file hold these entries and no others. Call it with file held.
func (r *Ring) rewrite(entries []Entry) error {
	r.mu.Lock()
	last := r.last
	r.mu.Unlock()
	if err := r.journal.Rewrite(payloads(entries, last)); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.entries)
	for _, e := range entries {
		r.entries[e.Stream] = append(r.entries[e.Stream], e)
	}
	return nil
}

// payloads are entries as they stand in the file. When the key with the last id is not
// among them an entry without a key keeps that id from being used again.
func payloads(entries []Entry, last uint64) iter.Seq[[]byte] {
	if last > 0 && (len(entries) == 0 || entries[len(entries)-1].ID < last) {
		entries = append(slices.Clip(entries), Entry{ID: last})
	}
	return func(yield func([]byte) bool) {
		var b []byte
		for _, e := range entries {
			if b = e.append(b[:0]); !yield(b) {
				return
			}
		}
	}
}

// Entries returns all wrapped keys in the order of their ids.
func (r *Ring) Entries() []Entry {
	var all []Entry
	for _, of := range r.byStream() {
		all = append(all, of...)
	}
	slices.SortFunc(all, func(a, b Entry) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// byStream is the keys of each stream now, the oldest first.
func (r *Ring) byStream() map[kvs.StreamID][]Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[kvs.StreamID][]Entry, len(r.entries))
	for stream, of := range r.entries {
		all[stream] = slices.Clone(of)
	}
	return all
}
