package ingest

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/live"
	"github.com/millrace/millrace/internal/metrics"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/rejection"
	"github.com/millrace/millrace/internal/segment"
)

// Archive makes fragments durable.
type Archive interface {
	// Append takes a record and calls done once it is durable and listed, or failed.
	Append(r archive.Record, done func(error))
}

// Keys gives what stored media are sealed with; in the server a *keyring.Ring. An error
// of the stream's wrapping key is a *keyring.Error.
type Keys interface {
	// Current returns the data key for a fragment that begins now, with this server
	// timestamp.
	Current(ctx context.Context, stream kvs.StreamID, at kvs.Millis) (segment.DataKey, error)
	// Ready says whether the wrapping key can be used, and keeps nothing.
	Ready(ctx context.Context, stream kvs.StreamID) error
}

// Options are what an Ingest is made of; all fields are needed but those that say what
// nil means, and Now.
type Options struct {
	Live    *live.Store
	Archive Archive
	Keys    Keys         // nil = an archive that seals nothing
	Book    *quota.Book  // the limits in force
	Metrics *metrics.Set // nil = nothing is counted
	Logger  *slog.Logger // nil = silent
	Now     func() time.Time
	Clock   func() time.Time // the time that is told of refusals; nil = Now

	// Newest returns the server timestamp of a stream's newest stored fragment, so that
	// a clock that stepped back lowers none; nil = unknown.
	Newest func(ctx context.Context, id kvs.StreamID) kvs.Millis

	// Reject is told of each fragment and session that fails, from the goroutine that
	// notices: it must be quick. nil = nobody asks.
	Reject func(kvs.Stream, rejection.Refusal)

	// Pressed reports whether producers wait for memory; nil = never.
	Pressed func() bool
}

// Ingest runs PutMedia sessions.
type Ingest struct {
	o         Options
	sessions  registry
	complaint complaint
}

// New makes an Ingest.
func New(o Options) *Ingest {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Clock == nil {
		o.Clock = o.Now
	}
	if o.Metrics == nil {
		o.Metrics = metrics.New()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Ingest{o: o, sessions: registry{streams: map[kvs.StreamID][]*session{}}}
}

// Stream is a stream as its sessions need it; in the server a *catalog.Entry.
type Stream interface {
	Stream() kvs.Stream
	Gone() <-chan struct{} // closed when the stream is deleted
	BeginSession(ctx context.Context) error
	NextNumber(ctx context.Context, floor kvs.Millis) (kvs.FragmentNumber, error)
}

// Request is one PutMedia call after its headers were checked.
type Request struct {
	Stream   Stream
	ID       string     // of the request, for the report of rejections and the measurements
	Client   string     // address it came from, likewise
	Relative bool       // cluster timecodes are relative to Start
	Start    kvs.Millis // producer start time, used when Relative
	Watcher  Watcher    // nil = nobody looks

	// Choose is called for each whole fragment, on a development server: it returns the
	// codes of what fails the fragment and of what ends the session behind it, 0 =
	// nothing. nil = nothing is ever chosen.
	Choose func() (fails, ends Code)
}

// Watcher is told what a session does while it does it, from the session's goroutines.
// Its methods must be quick and must not allocate.
type Watcher interface {
	Asks(now time.Time)            // data are waited for
	Data(bytes int, now time.Time) // data came
	// Acked: an acknowledgement of this type was written, delay after what it is about.
	Acked(event string, delay time.Duration, now time.Time)
}

// nobody is the watcher when none is given.
type nobody struct{}

func (nobody) Asks(time.Time)                         {}
func (nobody) Data(int, time.Time)                    {}
func (nobody) Acked(string, time.Duration, time.Time) {}

// Body is the request body. Interrupt makes a blocked Read and every later one return
// an error; it may be called from any goroutine.
type Body interface {
	io.Reader
	Interrupt()
}

// AckWriter sends one acknowledgement: line must leave at once and in one piece. The
// line may not be kept.
type AckWriter interface {
	WriteAck(line []byte) error
}

// Summary is what a session did.
type Summary struct {
	Fragments int    // received whole
	Persisted int    // made durable
	Failed    int    // answered with ERROR
	Bytes     int64  // of Matroska read
	Refused   string // ERRORs by code and how many: "4004:1 4011:20"; empty without any
	First     string // why the first of them was sent
	End       error  // nil after a clean end of the body
}

// Run reads the body to its end, or until ctx ends, and returns when the last
// acknowledgement is written or can no longer be.
func (g *Ingest) Run(ctx context.Context, r Request, body Body, acks AckWriter) Summary {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if r.Watcher == nil {
		r.Watcher = nobody{}
	}
	s := newSession(ctx, g, r, body, cancel)
	defer s.live.Release()
	defer s.flow.Close()
	defer s.beat.Close()
	defer s.header.release()
	defer s.live.OpenSession()()
	defer g.sessions.add(r.Stream.Stream().ID, s)()
	stop := context.AfterFunc(ctx, body.Interrupt)
	defer stop()
	g.o.Metrics.PutSessions.Inc()
	defer g.o.Metrics.PutSessions.Dec()

	// Reading happens on the caller's goroutine: thousands of sessions are open at a
	// time, and a stack that reads through TLS is the largest part of one.
	// The writer itself ends the session when nobody reads the answers.
	var writer sync.WaitGroup
	writer.Go(func() { s.acks.run(acks) })
	s.summary.End = s.read(ctx)
	s.acks.close()
	writer.Wait()
	s.summary.Persisted = s.acks.persisted
	s.summary.Failed = s.acks.failed
	s.summary.Refused, s.summary.First = s.acks.refused.String(), s.acks.refused.first
	return s.summary
}
