// Package keyring makes, keeps and hands out the data keys that stored media are sealed with.
//
// A stream's first fragment gets a new data key, and so does the first one of every 24
// hours. A [Provider] makes it and wraps it under the wrapping key that the stream was
// created with; the wrapped key is written to the file keys and synced (the bytes are
// drawn in docs/design/archive-format.md) before anybody seals with it. Unwrapped keys
// are remembered for less than a minute, so a wrapping key that is disabled or taken
// away stops its streams within that time.
//
// All methods may be called from any number of goroutines. A call to the provider is
// made once for all who wait for it, ends after 5 s for them, and never holds up
// another stream. [Ring.Run] forgets unwrapped keys in time.
package keyring

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/journal"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// period is how long new fragments are sealed with a data key (decided.md, Storage).
const period kvs.Millis = 24 * 3_600_000

// Owner is whose data keys they are: what the provider needs to know of a stream.
type Owner struct {
	Account kvs.AccountID
	KeyID   string // KmsKeyId as given to CreateStream; "" = the service's own
}

// Options say where the keys are and who wraps them. Path, Provider and Owner are needed.
type Options struct {
	Path     string // of the file keys; made if missing
	Provider Provider
	Disk     disk.FS // nil = the operating system's

	// Owner returns whose keys a stream's are. An error of kind NotFound means that the
	// stream was deleted. It is handed on as it is.
	Owner func(ctx context.Context, stream kvs.StreamID) (Owner, error)

	// Timeout is how long a call to the provider may take; 0 = 5 s.
	Timeout time.Duration

	Observer Observer         // nil = nobody looks
	Now      func() time.Time // nil = time.Now
	Logger   *slog.Logger     // nil = silent
}

// Observer is told what the ring does, for metrics. Its methods must be quick.
type Observer interface {
	// Made: a new data key is durable.
	Made()
	// Damaged: so many data keys were damaged in their file, and are lost.
	Damaged(keys int)
	// Refused: a data key could not be made or unwrapped.
	Refused(Failure)
}

// nobody is the observer when none is given.
type nobody struct{}

func (nobody) Made()           {}
func (nobody) Damaged(int)     {}
func (nobody) Refused(Failure) {}

// Ring is an open file of data keys. Make it with [Open].
type Ring struct {
	provider Provider
	owner    func(context.Context, kvs.StreamID) (Owner, error)
	observer Observer
	now      func() time.Time
	log      *slog.Logger
	cache    cache
	calls    calls

	complaint complaint

	file    sync.Mutex // one append or rewrite at a time; taken before mu
	journal *journal.Journal

	mu      sync.Mutex               // guards what follows; never held during an operation on the file
	places  map[kvs.StreamID][]place // by id
	last    uint64                   // no key has a greater id
	waiting []*addition              // for the file
	unsure  bool                     // a rewrite failed, and what it dropped may come back
}

// place says where in the file the entry of a key is. Wrapped keys are read from there
// when they are needed: a thousand streams have millions of them in ten years.
type place struct {
	id      uint64
	created kvs.Millis
	at      int64
}

// find returns where the place of a key is among those of its stream, or would be.
func find(of []place, id uint64) (i int, found bool) {
	return slices.BinarySearchFunc(of, id, func(p place, id uint64) int { return cmp.Compare(p.id, id) })
}

// Open reads the file at o.Path, or makes it. It starts no goroutine.
func Open(o Options) (*Ring, error) {
	r := &Ring{
		provider: o.Provider, owner: o.Owner,
		observer: o.Observer, now: o.Now, log: cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
		places: map[kvs.StreamID][]place{},
	}
	if r.observer == nil {
		r.observer = nobody{}
	}
	if r.now == nil {
		r.now = time.Now
	}
	r.calls.limit = cmp.Or(o.Timeout, 5*time.Second)
	r.calls.late = func() error { return r.refused("", errLate) }
	r.calls.base, r.calls.stop = context.WithCancel(context.Background())
	fs := o.Disk
	if fs == nil {
		fs = disk.System{}
	}
	var err error
	if r.journal, err = journal.Open(fs, o.Path, Format, r.load); err != nil {
		return nil, err
	}
	r.tellDamage(o.Path)
	return r, nil
}

// tellDamage says what of the file was not as it was written.
func (r *Ring) tellDamage(path string) {
	lost := r.journal.Lost()
	if lost > 0 {
		r.observer.Damaged(lost)
		r.log.Error("data keys are damaged, and what they seal cannot be read; millrace check names it, and millrace check --repair --keys takes them back from a backup", "file", path, "keys", lost)
	}
	if n := r.journal.Torn() - int64(lost*Format.Size); n > 0 {
		r.log.Warn("the end of the file of data keys is none and was cut off, as a power failure leaves it; without one, keys may be lost", "file", path, "bytes", n)
	}
}

// load takes an entry of the file.
func (r *Ring) load(at int64, payload []byte) error {
	e, ok := ParseEntry(payload)
	if !ok {
		return fmt.Errorf("the entry at byte %d is none that this program knows", at)
	}
	r.last = max(r.last, e.ID)
	if e.Stream == 0 {
		return nil
	}
	of := r.places[e.Stream]
	i, twice := find(of, e.ID)
	if twice {
		r.log.Warn("a data key stands twice in its file; the first counts", "key", e.ID, "stream", e.Stream)
		return nil
	}
	r.places[e.Stream] = slices.Insert(of, i, place{e.ID, e.Created, at})
	return nil
}

// Drop forgets all unwrapped keys now, so that the provider is asked again for each: for
// when its keys changed.
func (r *Ring) Drop() { r.cache.drop(func(kvs.StreamID) bool { return true }) }

// Close ends the calls under way and closes the file. Unwrapped keys are dropped.
func (r *Ring) Close() error {
	r.calls.close()
	r.Drop()
	return r.journal.Close()
}

// Current returns the data key for a fragment of the stream that begins now, with the
// server timestamp at. A new one is durable when it is returned. An error of the key
// provider is an [*Error].
func (r *Ring) Current(ctx context.Context, stream kvs.StreamID, at kvs.Millis) (segment.DataKey, error) {
	for {
		if p, ok := r.newest(stream); ok && at-p.created < period {
			k, err := r.unwrapped(ctx, stream, p)
			if err == nil || r.keeps(stream, p.id) {
				return k, err
			}
			continue // its stream was deleted meanwhile, and says so when it is asked for another
		}
		_, err := r.calls.do(ctx, task{stream: stream, kind: generating}, func(ctx context.Context, answered func()) (segment.DataKey, error) {
			return r.generate(ctx, stream, at, answered)
		})
		if err != nil {
			return segment.DataKey{}, err
		}
	}
}

// Key returns a data key for reading. An error of the key provider is an [*Error]; a key
// that is not in the file, or another stream's, is an error of kind Internal, or
// NotFound when the stream was deleted.
func (r *Ring) Key(ctx context.Context, stream kvs.StreamID, id uint64) (segment.DataKey, error) {
	if k, ok := r.cache.get(stream, id); ok {
		return k, nil
	}
	err := missing(stream, id)
	if p, ok := r.place(stream, id); ok {
		var k segment.DataKey
		if k, err = r.unwrapped(ctx, stream, p); err == nil || r.keeps(stream, id) {
			return k, err
		}
	}
	if _, gone := r.owner(ctx, stream); kvs.KindOf(gone) == kvs.NotFound {
		err = gone // the stream went, and its keys with it, maybe between being found and being read
	}
	return segment.DataKey{}, err
}

// Ready says whether the wrapping key of a stream can be used now: nil, or the error
// that a fragment would get. It writes nothing and is cheap when it was asked, or a key
// was used, within the last minute.
func (r *Ring) Ready(ctx context.Context, stream kvs.StreamID) error {
	if p, ok := r.newest(stream); ok {
		if _, err := r.unwrapped(ctx, stream, p); err == nil || r.keeps(stream, p.id) {
			return err
		}
	}
	if _, ok := r.cache.get(stream, probed); ok {
		return nil
	}
	_, err := r.calls.do(ctx, task{stream: stream, kind: probing}, func(ctx context.Context, _ func()) (segment.DataKey, error) {
		_, _, err := r.ask(ctx, stream)
		if err == nil {
			r.cache.put(stream, segment.DataKey{ID: probed})
		}
		return segment.DataKey{}, err
	})
	return err
}

func missing(stream kvs.StreamID, id uint64) error {
	return &kvs.Error{Kind: kvs.Internal, Message: "the stored fragment cannot be decrypted",
		Cause: fmt.Errorf("data key %d of stream %d is not in the file keys", id, stream)}
}

// unwrapped returns a data key, from memory or from the provider.
func (r *Ring) unwrapped(ctx context.Context, stream kvs.StreamID, p place) (segment.DataKey, error) {
	if k, ok := r.cache.get(stream, p.id); ok {
		return k, nil
	}
	e, err := r.read(stream, p)
	if err != nil {
		return segment.DataKey{}, err
	}
	return r.calls.do(ctx, task{e.Stream, unwrapping, e.ID}, func(ctx context.Context, _ func()) (segment.DataKey, error) {
		o, err := r.owner(ctx, e.Stream)
		if err != nil {
			return segment.DataKey{}, err
		}
		k := segment.DataKey{ID: e.ID}
		if k.Secret, err = r.provider.Unwrap(ctx, o.KeyID, Scope{o.Account, e.Stream}, e.Wrapped); err != nil {
			return segment.DataKey{}, r.refused(o.KeyID, err)
		}
		r.cache.put(e.Stream, k)
		return k, nil
	})
}

// read reads an entry. While the file is written anew it may be at another place than
// was known a moment ago.
func (r *Ring) read(stream kvs.StreamID, p place) (Entry, error) {
	e, ok, err := r.readAt(stream, p)
	if err != nil || ok {
		return e, err
	}
	r.file.Lock()
	defer r.file.Unlock()
	p, ok = r.place(stream, p.id)
	if ok {
		e, ok, err = r.readAt(stream, p)
	}
	if err == nil && !ok {
		err = missing(stream, p.id)
	}
	return e, err
}

func (r *Ring) readAt(stream kvs.StreamID, p place) (e Entry, ok bool, err error) {
	var b [entrySize]byte
	if ok, err = r.journal.Entry(p.at, b[:]); err != nil {
		return e, false, &kvs.Error{Kind: kvs.Internal, Message: "the data key could not be read", Cause: err}
	}
	if ok {
		e, ok = ParseEntry(b[:])
	}
	return e, ok && e.ID == p.id && e.Stream == stream, nil
}

// generate makes the stream's next data key durable, unless somebody was faster.
func (r *Ring) generate(ctx context.Context, stream kvs.StreamID, at kvs.Millis, answered func()) (segment.DataKey, error) {
	if p, ok := r.newest(stream); ok && at-p.created < period {
		return segment.DataKey{}, nil // the caller looks again
	}
	secret, wrapped, err := r.ask(ctx, stream)
	if err != nil {
		return segment.DataKey{}, err
	}
	answered()
	e, err := r.add(Entry{Stream: stream, Created: at, Wrapped: wrapped})
	if err != nil {
		return segment.DataKey{}, &kvs.Error{Kind: kvs.Internal, Message: "the new data key could not be stored", Cause: err}
	}
	r.observer.Made()
	k := segment.DataKey{ID: e.ID, Secret: secret}
	r.cache.put(stream, k)
	return k, nil
}

// ask lets the provider make a data key for a stream.
func (r *Ring) ask(ctx context.Context, stream kvs.StreamID) (secret [32]byte, wrapped []byte, err error) {
	o, err := r.owner(ctx, stream)
	if err != nil {
		return secret, nil, err
	}
	secret, wrapped, err = r.provider.Generate(ctx, o.KeyID, Scope{o.Account, stream})
	if err == nil && (len(wrapped) == 0 || len(wrapped) > maxWrapped) {
		err = &Error{Failure: InvalidState, Cause: fmt.Errorf("the wrapped key has %d bytes, 1 to %d are allowed", len(wrapped), maxWrapped)}
	}
	if err != nil {
		err = r.refused(o.KeyID, err)
	}
	return secret, wrapped, err
}

// addition is an entry on its way into the file.
type addition struct {
	Entry
	done bool // guarded by Ring.file, as is err
	err  error
}

// add writes an entry with the next id. Ids grow and are never used again. Whoever has to
// wait for the file is written with all others that wait: a thousand streams that begin
// at the same time cost a few syncs.
func (r *Ring) add(e Entry) (Entry, error) {
	mine := &addition{Entry: e}
	r.mu.Lock()
	r.waiting = append(r.waiting, mine)
	r.mu.Unlock()
	r.file.Lock()
	defer r.file.Unlock()
	if !mine.done {
		r.addWaiting()
	}
	return mine.Entry, mine.err
}

// addWaiting writes all entries that wait. The caller holds file.
func (r *Ring) addWaiting() {
	r.mu.Lock()
	all := r.waiting
	r.waiting = nil
	payloads := make([][]byte, 0, len(all))
	for _, a := range all {
		a.ID = max(r.last+1, uint64(max(0, r.now().UnixMilli())))
		r.last = a.ID
		payloads = append(payloads, a.append(nil))
	}
	r.mu.Unlock()
	at := r.journal.End()
	err := r.journal.Append(payloads...)
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, a := range all {
		a.done, a.err = true, err
		if err == nil {
			r.places[a.Stream] = append(r.places[a.Stream], place{a.ID, a.Created, at + int64(i*Format.Size)})
		}
	}
}

// newest returns the stream's newest key.
func (r *Ring) newest(stream kvs.StreamID) (place, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	of := r.places[stream]
	if len(of) == 0 {
		return place{}, false
	}
	return of[len(of)-1], true
}

// keeps reports whether the file has the key.
func (r *Ring) keeps(stream kvs.StreamID, id uint64) bool {
	_, ok := r.place(stream, id)
	return ok
}

func (r *Ring) place(stream kvs.StreamID, id uint64) (place, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	of := r.places[stream]
	i, ok := find(of, id)
	if !ok {
		return place{id: id}, false
	}
	return of[i], true
}

// Run drops unwrapped keys from memory before they are a minute old, until ctx ends.
func (r *Ring) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.cache.sweep()
		case <-ctx.Done():
			r.Drop()
			return nil
		}
	}
}
