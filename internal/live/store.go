// Package live hands fragments to readers while they are still arriving.
//
// A [Store] holds, per stream, the fragments now arriving and the ones that arrived
// last. A fragment's bytes lie in pages that are charged to the memory budget. Readers
// copy bytes out and never hold pages, so a reader that stops reading costs nothing:
// when its fragment is evicted it goes on with the archived copy, whose bytes are the
// same. A fragment is evicted only once it is archived, or too old on a stream without
// retention.
//
// One session writes a fragment; any number of goroutines read it.
package live

import (
	"context"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// PageSize is the unit of memory a fragment grows by, in bytes.
const PageSize = 32 << 10

// keepArchived is how long an archived fragment stays for readers close behind.
const keepArchived = 10 * time.Second

// keepUnread is how many bytes of archived fragments stay that nobody reads. It is about
// what a processor's cache holds beside the fragments that are arriving.
const keepUnread = 16 << 20

// Budget is the memory that all fragments share. A fragment takes pages under its
// ticket, which tells its age, and ends its claim with Done.
type Budget interface {
	Ticket() int64
	Take(ctx context.Context, ticket, n int64) error
	Give(ticket, n int64)
	Retry() // there is more to reclaim than there was
	Done(ticket int64)
	Overdue(ticket int64) bool
	OnPressure(reclaim func(want int64) int64)
}

// Options are what a Store is made of.
type Options struct {
	Budget Budget
	// HostBuffer bounds the buffer of each stream without retention; 0 = no bound.
	HostBuffer func() (bytes int64, age time.Duration)
	Now        func() time.Time

	// Evicted is told of each whole fragment that leaves and how many bytes it frees. It
	// is called with locks held; nil = nobody.
	Evicted func(why Reason, bytes int64)
}

// Reason is why a fragment left the live buffer.
type Reason string

// The reasons.
const (
	Age      Reason = "age"      // it had been there for as long as it may
	Pressure Reason = "pressure" // others needed the memory
	Bound    Reason = "bound"    // the stream's host buffer was full
	Unread   Reason = "unread"   // nobody read its stream
	Deleted  Reason = "deleted"  // its stream was deleted
)

// Store holds the live fragments of all streams.
type Store struct {
	o     Options
	pages pagePool

	leaving leaving
	unread  unread

	mu      sync.Mutex
	streams map[kvs.StreamID]*Stream
}

// New makes a Store and becomes the budget's source of memory under pressure.
func New(o Options) *Store {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Evicted == nil {
		o.Evicted = func(Reason, int64) {}
	}
	s := &Store{o: o, streams: map[kvs.StreamID]*Stream{}}
	o.Budget.OnPressure(s.reclaim)
	return s
}

// Run drops what grew too old, once a second, until ctx ends.
func (s *Store) Run(ctx context.Context) error {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			s.sweep()
		case <-ctx.Done():
			return nil
		}
	}
}

// Acquire returns the stream with the given id and keeps it until it is released:
// once for each Acquire call [Stream.Release].
func (s *Store) Acquire(id kvs.StreamID) *Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.streams[id]
	if st == nil {
		st = &Stream{store: s, id: id}
		s.streams[id] = st
	}
	st.holders++
	return st
}

// Drop forgets all fragments of a deleted stream. Readers of them see [ErrEvicted].
func (s *Store) Drop(id kvs.StreamID) {
	s.mu.Lock()
	st := s.streams[id]
	s.mu.Unlock()
	if st != nil {
		st.dropAll()
	}
}

// Streams reports how many streams have live fragments, readers or writers.
func (s *Store) Streams() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.streams)
}

// list returns the streams of this moment.
func (s *Store) list() []*Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*Stream, 0, len(s.streams))
	for _, st := range s.streams {
		all = append(all, st)
	}
	return all
}

// sweep evicts by age and forgets streams that nobody holds and that are empty.
func (s *Store) sweep() {
	s.pages.trim()
	now := s.o.Now()
	for _, st := range s.list() {
		st.expire(now)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, st := range s.streams {
		if st.holders == 0 && st.empty() {
			delete(s.streams, id)
		}
	}
}

// reclaim gives up at least want bytes if it can, and says how many: of all streams the
// fragments that were complete first go first.
func (s *Store) reclaim(want int64) (given int64) {
	for given < want {
		f := s.leaving.first()
		if f == nil {
			break
		}
		n, ok := f.st.giveUp(f)
		if ok {
			s.o.Evicted(Pressure, n)
		}
		given += n
	}
	return given
}
