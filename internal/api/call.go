package api

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/authority"
	"github.com/millrace/millrace/internal/fault"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/sessions"
	"github.com/millrace/millrace/internal/wire"
)

// Call is one request on its way through the front: filled step by step, written to
// the log at the end. It belongs to one goroutine.
type Call struct {
	ID        string // request id, also sent to the caller
	Start     time.Time
	Request   *http.Request
	Writer    http.ResponseWriter
	Operation *wire.Operation
	Principal kvs.Principal
	Input     wire.Input  // nil for PutMedia
	Stream    kvs.Stream  // what the route's target names, if it is a stream
	Channel   kvs.Channel // likewise a signaling channel

	front    *Front
	region   string // of the signature's scope, "" = not signed
	ask      authority.Ask
	span     func(*Call) (Span, bool) // nil = the call is about no range of time
	session  *sessions.Session
	limits   *quota.Book
	limit    *quota.Operation
	body     []byte
	status   int
	streamed bool
	fault    *fault.Call // nil = nothing befalls it
	cut      *cutWriter  // nil = the answer is not cut
	query    queryAction // with a service: the call is one of the Query protocol
	failure  error
	attrs    []slog.Attr
}

func (f *Front) newCall(w http.ResponseWriter, r *http.Request) *Call {
	return &Call{ID: newRequestID(), Start: f.o.Now(), Request: r, Writer: w, front: f, status: http.StatusOK}
}

// newRequestID returns a random UUID.
func newRequestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// Points takes what the call costs that asks for n archived fragments of its stream. It
// returns an error of kind TooManyRequests when they are not there.
func (c *Call) Points(n int) error { return c.limits.Points(c.limit, c.Stream, n) }

// allow takes one of the calls that the caller's account, and what the call is about, may
// make in a second.
func (c *Call) allow() error {
	id, name := c.Stream.ID, c.Stream.Name
	if c.Channel.ID != 0 { // no stream has its number
		id, name = kvs.StreamID(c.Channel.ID), c.Channel.Name
	}
	return c.limits.Allow(c.limit, c.Principal.Account, id, name)
}

// Note adds attributes to the call's log line.
func (c *Call) Note(attrs ...slog.Attr) { c.attrs = append(c.attrs, attrs...) }

// Begin marks the answer as begun by the route itself: status 200 with the given
// content type. Whatever goes wrong later can only be said in-band.
func (c *Call) Begin(contentType string) {
	c.streamed = true
	c.Writer.Header().Set("Content-Type", contentType)
}

// Answered says which status a route answers with that writes its answer itself, if it is
// not 200. It is for the log, and for [NewOutput].
func (c *Call) Answered(status int) { c.status, c.streamed = status, true }

// Session shows the call among the open sessions until it ends. It is for long calls,
// once their stream is known.
func (c *Call) Session() *sessions.Session {
	if c.session == nil {
		c.session = c.front.o.Sessions.Open(sessions.About{Stream: c.Stream, Operation: c.Operation.Name, RequestID: c.ID,
			Client: c.Request.RemoteAddr, UserAgent: c.Request.UserAgent(), AccessKey: c.Principal.AccessKey})
	}
	return c.session
}

// decode reads and checks the input.
func (c *Call) decode() error {
	if c.Operation.Input == nil || isOwn(c.Operation) {
		return nil
	}
	in := c.Operation.Input()
	if err := wire.Decode(c.body, in); err != nil {
		return c.invalid(err)
	}
	if err := in.Check(); err != nil {
		return c.invalid(err)
	}
	c.Input = in
	return nil
}

// invalid gives a broken rule its kind. Where the model has an exception of its own
// for malformed ARNs, that one is meant.
func (c *Call) invalid(err error) error {
	kind := kvs.InvalidArgument
	if e, ok := errors.AsType[*wire.CheckError](err); ok && e.Member == "StreamARN" {
		kind = kvs.InvalidFormat
	}
	return &kvs.Error{Kind: kind, Message: err.Error()}
}

// answer writes a JSON output in one piece: some clients take a partial body for the
// whole (wire-media section 1.3).
func (c *Call) answer(out any) error {
	b, err := wire.Encode(out)
	if err != nil {
		return err
	}
	c.write(http.StatusOK, b)
	return nil
}

// writeTimeout is how long a JSON answer may take to be read.
const writeTimeout = 30 * time.Second

// write sends a whole JSON answer.
func (c *Call) write(status int, body []byte) { c.send("application/json", status, body) }

// send sends a whole answer.
func (c *Call) send(contentType string, status int, body []byte) {
	c.status = status
	ctrl := http.NewResponseController(c.Writer)
	_ = ctrl.SetWriteDeadline(time.Now().Add(writeTimeout))
	defer func() { _ = ctrl.SetWriteDeadline(time.Time{}) }()
	h := c.Writer.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	c.Writer.WriteHeader(status)
	_, _ = c.Writer.Write(body)
}

// record writes the call's one log line and its measurements.
func (f *Front) record(c *Call) {
	name := "unknown"
	if c.Operation != nil {
		name = c.Operation.Name
	}
	if c.session != nil {
		c.session.Close()
	}
	c.noteFault()
	now := f.o.Now()
	f.o.Metrics.Requests.WithLabelValues(name, strconv.Itoa(c.status)).Inc()
	f.o.Metrics.RequestSeconds.Observe(name, now.Sub(c.Start), c.ID, now)
	attrs := []slog.Attr{
		slog.String("id", c.ID), slog.String("operation", name), slog.Int("status", c.status),
		slog.Duration("took", now.Sub(c.Start)), slog.String("client", c.Request.RemoteAddr),
	}
	if c.Principal.AccessKey != "" {
		attrs = append(attrs, slog.String("key", c.Principal.AccessKey))
	}
	switch {
	case c.Channel.ID != 0:
		attrs = append(attrs, slog.String("channel", c.Channel.Name))
	case c.Stream.Name != "":
		attrs = append(attrs, slog.String("stream", c.Stream.Name))
	}
	level := slog.LevelInfo
	if c.failure != nil {
		attrs = append(attrs, slog.String("error", c.failure.Error()))
		if c.status >= http.StatusInternalServerError {
			level = slog.LevelError
		}
	}
	f.o.Logger.LogAttrs(c.Request.Context(), level, "request", append(attrs, c.attrs...)...)
}
