// Package sessions knows the long calls that are open: who sends or reads what, how
// fast, and how far behind.
//
// The door opens a [Session] for each PutMedia, GetMedia and GetMediaForFragmentList
// call and closes it; while the call runs its goroutines tell the session what they do,
// which costs a few atomic operations, no lock and no allocation, so that it may happen
// for each piece of media. [Registry.List] shows what is open, [Registry.Rate] how much
// a stream takes in. Both come from memory alone and begin at zero with the process.
//
// Everything may be called from any number of goroutines.
package sessions

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// About says what a session is. Texts from the caller are shortened.
type About struct {
	Stream    kvs.Stream
	Operation string // PutMedia, GetMedia or GetMediaForFragmentList
	RequestID string
	Client    string // address and port
	UserAgent string
	AccessKey string // the id, never the secret; "" for the server itself
}

// maxText bounds what a caller can make the registry keep, in bytes.
const maxText = 200

// Registry holds the open sessions.
type Registry struct {
	max int
	now func() time.Time

	mu       sync.Mutex
	open     map[*Session]struct{}
	unlisted int // open and not in the map
	streams  map[kvs.StreamID]*intake
	swept    time.Time
}

// intake is what all producers of one stream send.
type intake struct {
	producers        int // open; guarded by Registry.mu
	since            time.Time
	bytes, fragments meter
}

// New makes a registry that lists at most max sessions; those beyond are counted only.
func New(max int, now func() time.Time) *Registry {
	return &Registry{max: max, now: now, open: map[*Session]struct{}{}, streams: map[kvs.StreamID]*intake{}}
}

// Session is one open call. The zero value is of no use; [Registry.Open] makes one.
type Session struct {
	about    About
	registry *Registry
	since    time.Time
	intake   *intake // nil for consumers
	listed   bool
	once     sync.Once

	bytes     meter
	fragments atomic.Int64
	persisted atomic.Int64
	failed    atomic.Int64
	lastData  atomic.Int64 // milliseconds
	asking    atomic.Int64 // since when data are waited for, milliseconds; 0 = they are not
	held      atomic.Int64 // milliseconds the producer was held up by us
	delay     atomic.Int64 // milliseconds
	lastAck   atomic.Int32 // in events
	ackTime   atomic.Int64
}

// Open enters a session. Close it when the call ends.
func (r *Registry) Open(a About) *Session {
	a.UserAgent, a.Client = shorten(a.UserAgent), shorten(a.Client)
	now := r.now()
	s := &Session{about: a, registry: r, since: now}
	s.lastData.Store(now.UnixMilli())
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.listed = len(r.open) < r.max; s.listed {
		r.open[s] = struct{}{}
	} else {
		r.unlisted++
	}
	if a.Operation == "PutMedia" {
		s.intake = r.enter(a.Stream.ID, now)
	}
	return s
}

// enter returns the intake of a stream with one producer more. Callers hold r.mu.
func (r *Registry) enter(id kvs.StreamID, now time.Time) *intake {
	r.sweep(now)
	in := r.streams[id]
	if in == nil {
		in = &intake{since: now}
		r.streams[id] = in
	}
	in.producers++
	return in
}

// sweep forgets the streams that have had no producer for long enough that their rate
// is zero. Callers hold r.mu.
func (r *Registry) sweep(now time.Time) {
	if now.Sub(r.swept) < window {
		return
	}
	r.swept = now
	for id, in := range r.streams {
		if in.producers == 0 && in.bytes.sum(now) == 0 {
			delete(r.streams, id)
		}
	}
}

func shorten(s string) string {
	if len(s) > maxText {
		return s[:maxText]
	}
	return s
}

// Close takes the session out. Closing twice is harmless.
func (s *Session) Close() {
	s.once.Do(func() {
		r := s.registry
		r.mu.Lock()
		defer r.mu.Unlock()
		if s.listed {
			delete(r.open, s)
		} else {
			r.unlisted--
		}
		if s.intake != nil {
			s.intake.producers--
		}
	})
}

// Data says that bytes were read from the producer or taken by the consumer.
func (s *Session) Data(bytes int, now time.Time) {
	s.lastData.Store(now.UnixMilli())
	s.asking.Store(0)
	s.bytes.add(now, int64(bytes))
	if s.intake != nil {
		s.intake.bytes.add(now, int64(bytes))
	}
}

// Asks says that the next data of the producer are waited for. What passed since the
// last ones is the time that it was held up: for want of memory, by the disk, or by a
// limit.
func (s *Session) Asks(now time.Time) {
	at := now.UnixMilli()
	if s.asking.Swap(at) != 0 || s.bytes.total.Load() == 0 {
		return
	}
	if d := at - s.lastData.Load(); d >= noticed {
		s.held.Add(d)
	}
}

// noticed is how many milliseconds count as being held up: what is shorter is work.
const noticed = 5

// events are the types of acknowledgements; a session keeps the place of the last one.
var events = [...]string{"", "BUFFERING", "RECEIVED", "PERSISTED", "ERROR", "IDLE"}

// Acked says that an acknowledgement of the given type was written to the producer,
// delay after what it is about.
func (s *Session) Acked(event string, delay time.Duration, now time.Time) {
	for i, e := range events {
		if e == event {
			s.lastAck.Store(int32(i))
		}
	}
	s.ackTime.Store(now.UnixMilli())
	switch event {
	case "RECEIVED":
		s.fragments.Add(1)
		s.intake.fragments.add(now, 1)
		s.delay.Store(delay.Milliseconds())
	case "PERSISTED":
		s.persisted.Add(1)
		s.delay.Store(delay.Milliseconds())
	case "ERROR":
		s.failed.Add(1)
	}
}

// Chunk says that the consumer is about to be sent a fragment. How far it is behind is
// the age of that fragment.
func (s *Session) Chunk(f kvs.Fragment, now time.Time) {
	s.fragments.Add(1)
	s.delay.Store(max(0, int64(kvs.MillisOf(now)-f.Number.Server)))
}
