package keyring

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/millrace/millrace/internal/kvs"
)

// Forget drops all keys of deleted streams, from memory and from the file: what was
// sealed with them can never be read again. After an error a part of them may be left.
func (r *Ring) Forget(streams ...kvs.StreamID) error {
	gone := make(map[kvs.StreamID]bool, len(streams))
	for _, id := range streams {
		gone[id] = true
	}
	r.cache.drop(func(s kvs.StreamID) bool { return gone[s] })
	r.file.Lock()
	defer r.file.Unlock()
	if !r.anyOf(streams) {
		return nil
	}
	return r.keep(func(e Entry) bool { return !gone[e.Stream] })
}

// anyOf reports whether the file has, or may have, keys of these streams.
func (r *Ring) anyOf(streams []kvs.StreamID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(streams) > 0 && r.unsure || slices.ContainsFunc(streams, func(id kvs.StreamID) bool { return len(r.places[id]) > 0 })
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
	for _, stream := range r.streams() {
		at, err := needed(stream)
		gone := kvs.KindOf(err) == kvs.NotFound
		if err != nil && !gone {
			continue
		}
		r.mu.Lock()
		of := r.places[stream]
		for i, p := range of {
			if gone || i < len(of)-2 && p.created+period < at {
				unused[p.id] = true
			}
		}
		r.mu.Unlock()
	}
	if len(unused) == 0 {
		return nil
	}
	r.file.Lock()
	defer r.file.Unlock()
	return r.keep(func(e Entry) bool { return !unused[e.ID] })
}

// Rewrap replaces the wrapped form of every key by what wrap returns for it, in one step:
// after an error or a crash the file is either the old one or the new one, whole. Keys
// of streams that are gone are left out.
func (r *Ring) Rewrap(ctx context.Context, wrap func(Entry, Owner) ([]byte, error)) error {
	r.file.Lock()
	defer r.file.Unlock()
	return r.revise(func(e Entry) (Entry, bool, error) {
		o, err := r.owner(ctx, e.Stream)
		if kvs.KindOf(err) == kvs.NotFound {
			return e, false, nil
		}
		if err == nil {
			e.Wrapped, err = wrap(e, o)
		}
		if err != nil {
			err = fmt.Errorf("data key %d of stream %d: %w", e.ID, e.Stream, err)
		}
		return e, true, err
	})
}

// keep makes the file hold only the keys for which which says so. Call it with file held.
func (r *Ring) keep(which func(Entry) bool) error {
	return r.revise(func(e Entry) (Entry, bool, error) { return e, which(e), nil })
}

// revise makes the file hold what change returns of its entries: none of those for which
// it returns false. When the key with the last id is left out an entry without a key keeps
// that id from being used again. Call it with file held.
func (r *Ring) revise(change func(Entry) (Entry, bool, error)) error {
	r.mu.Lock()
	last := r.last
	r.mu.Unlock()
	places := map[kvs.StreamID][]place{}
	count, greatest := 0, uint64(0)
	var b []byte
	salt := r.journal.Salt()
	err := r.journal.Revise(func(payload []byte) ([]byte, error) {
		e, ok := ParseEntry(payload)
		if !ok || e.Stream == 0 {
			return nil, nil
		}
		of := places[e.Stream]
		i, twice := find(of, e.ID)
		if twice {
			return nil, nil
		}
		e, ok, err := change(e)
		if err != nil || !ok {
			return nil, err
		}
		places[e.Stream] = slices.Insert(of, i, place{e.ID, e.Created, Format.Position(count)})
		count++
		greatest = max(greatest, e.ID)
		b = e.append(b[:0])
		return b, nil
	}, func() []byte {
		if greatest == last {
			return nil
		}
		return Entry{ID: last}.append(nil)
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unsure = err != nil
	if r.journal.Salt() != salt { // with an error, too, it is the new file that goes on
		r.places = places
	}
	return err
}

// Entries reads all wrapped keys, in the order of their ids, but for those that are gone
// or damaged in the meantime.
func (r *Ring) Entries() (all []Entry) {
	for _, stream := range r.streams() {
		r.mu.Lock()
		of := slices.Clone(r.places[stream])
		r.mu.Unlock()
		for _, p := range of {
			if e, err := r.read(stream, p); err == nil {
				all = append(all, e)
			}
		}
	}
	slices.SortFunc(all, func(a, b Entry) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// streams are those that have keys.
func (r *Ring) streams() (all []kvs.StreamID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := range r.places {
		all = append(all, id)
	}
	return all
}
