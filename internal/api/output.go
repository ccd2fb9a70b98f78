package api

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/sessions"
)

// Output streams media to a consumer. A write that the consumer does not take within
// the timeout fails, so that a stalled consumer holds a connection but nothing else.
type Output struct {
	w       http.ResponseWriter
	ctrl    *http.ResponseController
	timeout time.Duration
	counter prometheus.Counter
	session *sessions.Session
	bytes   int64
}

// NewOutput begins the answer to c with status 200 and the given content type.
func NewOutput(c *Call, contentType string, timeout time.Duration, counter prometheus.Counter) *Output {
	c.Begin(contentType)
	c.Writer.WriteHeader(http.StatusOK)
	return &Output{w: c.Writer, ctrl: http.NewResponseController(c.Writer), timeout: timeout, counter: counter, session: c.Session()}
}

// Write sends b.
func (o *Output) Write(b []byte) (int, error) {
	_ = o.ctrl.SetWriteDeadline(time.Now().Add(o.timeout))
	n, err := o.w.Write(b)
	o.session.Data(n, time.Now())
	o.bytes += int64(n)
	o.counter.Add(float64(n))
	return n, err
}

// Chunk says that the fragment is sent next.
func (o *Output) Chunk(f kvs.Fragment) { o.session.Chunk(f, time.Now()) }

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
