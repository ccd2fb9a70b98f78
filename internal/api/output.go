package api

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/sessions"
)

// Output streams media to a consumer. A write that the consumer does not take within
// the timeout fails, so that a stalled consumer holds a connection but nothing else.
//
// It keeps to the limits of its place by waiting before it writes. That takes nothing
// from the timeout: it is not the consumer who is slow.
type Output struct {
	ctx     context.Context // of the session
	place   *Place
	w       http.ResponseWriter
	ctrl    *http.ResponseController
	timeout time.Duration
	counter prometheus.Counter
	session *sessions.Session
	bytes   int64
}

// NewOutput begins the answer to c with the given content type, and status 200 unless
// [Call.Answered] said another. It waits
// until ctx ends where a limit of the place says so; p may be nil.
func NewOutput(ctx context.Context, c *Call, p *Place, contentType string, timeout time.Duration, counter prometheus.Counter) *Output {
	c.Begin(contentType)
	c.Writer.WriteHeader(c.status)
	return &Output{ctx: ctx, place: p, w: c.Writer, ctrl: http.NewResponseController(c.Writer), timeout: timeout, counter: counter, session: c.Session()}
}

// Chunk says that the fragment is sent next, and waits until another one may be begun.
func (o *Output) Chunk(f kvs.Fragment) error {
	o.session.Chunk(f, time.Now())
	if o.place == nil || o.place.beat == nil {
		return nil
	}
	return o.rest(o.place.beat, o.place.beat.Delay(1))
}

// unnoticed is how long a wait may be before which nothing is flushed.
const unnoticed = 5 * time.Millisecond

// rest waits. What was written before is not kept from the consumer meanwhile.
func (o *Output) rest(p *quota.Pace, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	if d > unnoticed {
		if err := o.Flush(); err != nil {
			return err
		}
	}
	return p.Rest(o.ctx, d)
}

// Write sends b.
func (o *Output) Write(b []byte) (int, error) {
	if o.place != nil {
		if err := o.rest(o.place.flow, o.place.flow.Delay(len(b))); err != nil {
			return 0, err
		}
	}
	_ = o.ctrl.SetWriteDeadline(time.Now().Add(o.timeout))
	n, err := o.w.Write(b)
	o.session.Data(n, time.Now())
	o.bytes += int64(n)
	o.counter.Add(float64(n))
	return n, err
}

// Flush sends what was written so far.
func (o *Output) Flush() error {
	_ = o.ctrl.SetWriteDeadline(time.Now().Add(o.timeout))
	return o.ctrl.Flush()
}

// End sends the rest and lifts the deadline, so that the connection can serve another
// call.
func (o *Output) End() {
	_ = o.Flush()
	_ = o.ctrl.SetWriteDeadline(time.Time{})
}

// Bytes is how much was sent.
func (o *Output) Bytes() int64 { return o.bytes }

// Share says which limits hold for the sessions of an operation that sends media.
type Share struct {
	Limits    *quota.Book
	Sessions  quota.Count     // of a stream; a new one beyond them is refused
	Bandwidth quota.Bandwidth // of all sessions of a stream together
	Fragments quota.PerSecond // of each session; the zero value is no limit
}

// Place is what one session has of a [Share] while it lasts.
type Place struct {
	release func()
	flow    *quota.Pace
	beat    *quota.Pace // nil = no limit
}

// Take takes a place for the call's stream. It returns an error of kind
// TooManyConnections when there is none. Callers close it.
func (s Share) Take(c *Call) (*Place, error) {
	release, err := s.Limits.Connect(s.Sessions, c.Stream)
	if err != nil {
		return nil, err
	}
	view := s.Limits.View(c.Stream.Account, c.Stream.ID)
	p := &Place{release: release, flow: view.Flow(s.Bandwidth)}
	if s.Fragments.Limit != nil {
		p.beat = view.OwnBeat(s.Fragments)
	}
	return p, nil
}

// Close gives the place to others.
func (p *Place) Close() {
	p.flow.Close()
	if p.beat != nil {
		p.beat.Close()
	}
	p.release()
}
