package api

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/wire"
)

// Action is something that whoever has its URL may read: the URL carries the permission,
// nothing is signed (limits sheet, section 4).
type Action struct {
	Name string // as limits, metrics and the log have it: GetHLSMediaPlaylist
	Path string // escaped

	// Serve writes the answer to c.Writer, or returns an error before it wrote anything.
	// It calls [Call.Trust] as soon as the URL has proved to be good.
	Serve func(ctx context.Context, c *Call) error
}

// bearerExceptions is what an action may answer. No model binds them, so the statuses say
// what HTTP means by them.
var bearerExceptions = []wire.Exception{
	{Name: "ClientLimitExceededException", Status: http.StatusTooManyRequests, MessageKey: "Message"},
	{Name: "InvalidArgumentException", Status: http.StatusBadRequest, MessageKey: "Message"},
	{Name: "InvalidCodecPrivateDataException", Status: http.StatusBadRequest, MessageKey: "Message"},
	{Name: "InvalidMediaFrameException", Status: http.StatusBadRequest, MessageKey: "Message"},
	{Name: "MissingCodecPrivateDataException", Status: http.StatusBadRequest, MessageKey: "Message"},
	{Name: "NoDataRetentionException", Status: http.StatusBadRequest, MessageKey: "Message"},
	{Name: "NotAuthorizedException", Status: http.StatusForbidden, MessageKey: "Message"},
	{Name: "ResourceNotFoundException", Status: http.StatusNotFound, MessageKey: "Message"},
	{Name: "UnsupportedStreamMediaTypeException", Status: http.StatusBadRequest, MessageKey: "Message"},
}

// unknownAction stands for every path below those of the actions that is none, so that
// strangers cannot make up names in the measurements.
var unknownAction = bearer{operation: bearerOperation("unknown", "")}

// bearer is an action as the front keeps it.
type bearer struct {
	Action
	operation *wire.Operation
	limit     *quota.Operation
}

// bearerOperation describes an action the way a model describes an operation.
func bearerOperation(name, path string) *wire.Operation {
	return &wire.Operation{Name: name, Method: http.MethodGet, Path: path, Exceptions: bearerExceptions, Input: func() wire.Input { return nil }}
}

// Bearer serves GET and HEAD of actions, through the same steps as every other call but
// for the signature. Any page may read the answers.
func (f *Front) Bearer(actions ...Action) http.Handler {
	all := map[string]bearer{}
	for _, a := range actions {
		all[a.Path] = bearer{a, bearerOperation(a.Name, a.Path), quota.OperationOf(a.Name)}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := f.newCall(w, r)
		setCommonHeaders(c)
		openToPages(w.Header())
		w.Header().Set("Cache-Control", "no-store") // unless the action says otherwise
		if r.Method == http.MethodOptions {
			preflight(c, "GET, HEAD, OPTIONS")
			return
		}
		defer c.sever()
		defer f.record(c)
		defer c.caught()
		a, ok := all[r.URL.EscapedPath()]
		if !ok {
			a = unknownAction
		}
		c.Operation, c.limits, c.limit = a.operation, f.o.Limits, a.limit
		if err := f.bear(c, a); err != nil {
			c.fail(err)
			f.refused(c, err)
		}
	})
}

// bear takes the call of an action through its steps.
func (f *Front) bear(c *Call, a bearer) error {
	r := c.Request
	switch {
	case a.Serve == nil:
		return kvs.Errorf(kvs.NotFound, "There is nothing at this path.")
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		c.Writer.Header().Set("Allow", "GET, HEAD, OPTIONS")
		return &methodError{a.Name, r.Method}
	}
	if err := f.befall(r.Context(), c); err != nil {
		return err
	}
	out := &answer{ResponseWriter: c.Writer, call: c, ctrl: http.NewResponseController(c.Writer)}
	c.Writer = out
	defer out.end()
	err := a.Serve(r.Context(), c)
	if err != nil && !out.begun {
		c.Writer = out.ResponseWriter
		hideBody(c)
	}
	return err
}

// hideBody removes what was said about a body that is not sent.
func hideBody(c *Call) {
	h := c.Writer.Header()
	for _, name := range []string{"Etag", "Content-Encoding", "Last-Modified"} {
		h.Del(name)
	}
	h.Set("Cache-Control", "no-store")
}

// openToPages lets scripts of any page read the answer: its URL is the permission, and
// there are never cookies.
func openToPages(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", exposedMedia)
}

// exposedMedia are the answer headers that players in browsers may read.
const exposedMedia = exposed + ", Accept-Ranges, Age, Content-Encoding, Content-Length, Content-Range, ETag"

// Trust says whose stream the call of an action is about, after its permission was
// found good; the zero stream is one that is gone. It returns an error of kind Denied when
// the policy of the listener, or the boundary of the stream's account, forbids the action
// all the same.
func (c *Call) Trust(ctx context.Context, s kvs.Stream) error {
	c.Stream = s
	c.front.o.Trusted(ctx)
	if s.ID == 0 {
		return nil
	}
	c.Principal = kvs.Principal{Account: s.Account} // anonymous
	ask := c.question(videoAction(c.Operation.Name))
	about(ask, c)
	ask.Shown = "the stream of the session" // its URL names nothing
	return c.front.o.Authorizer.Authorize(ctx, ask)
}

// Turn takes one of the requests that a playback session may make in a second. It returns
// an error of kind TooManyRequests when there is none left.
func (c *Call) Turn(m *quota.Meter, l quota.PerSecond) error {
	err := m.Allow(c.limits.View(c.Stream.Account, c.Stream.ID), l, "the playback session: "+c.Operation.Name)
	if err != nil {
		c.Writer.Header().Set("Retry-After", "1")
	}
	return err
}

// answer is the writer of an action: it knows what was answered, and cuts a client that
// takes nothing for a while instead of one that takes long.
type answer struct {
	http.ResponseWriter
	call  *Call
	ctrl  *http.ResponseController
	begun bool
	since time.Time // of the first byte
	bytes int64
}

// WriteHeader begins the answer.
func (a *answer) WriteHeader(status int) {
	if !a.begun {
		a.begun, a.call.streamed, a.call.status = true, true, status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write sends a part of the answer. The whole of it must go at [leastRate] behind the first
// seconds: what is being sent is in memory, and others wait for that.
func (a *answer) Write(b []byte) (n int, err error) {
	if !a.begun {
		a.WriteHeader(http.StatusOK)
	}
	if a.since.IsZero() {
		a.since = time.Now()
	}
	for len(b) > 0 && err == nil {
		part := b[:min(len(b), writePart)]
		_ = a.ctrl.SetWriteDeadline(a.deadline(len(part)))
		var m int
		m, err = a.ResponseWriter.Write(part)
		n, b, a.bytes = n+m, b[m:], a.bytes+int64(m)
	}
	return n, err
}

// deadline is when the next part must have gone.
func (a *answer) deadline(part int) time.Time {
	next := time.Now().Add(writeTimeout)
	whole := a.since.Add(writeTimeout + time.Duration(a.bytes+int64(part))*time.Second/leastRate)
	if whole.Before(next) {
		return whole
	}
	return next
}

// leastRate is how many bytes a second a client must take of an answer, after the timeout of
// its first part: one megabit a second. 50 MB go in seven minutes then.
const leastRate = 125_000

// writePart is how many bytes a client may take the whole timeout for.
const writePart = 1 << 20

// Unwrap lets deadlines and flushing through.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// end notes what was sent and lifts the deadline, so that the connection can serve
// another call.
func (a *answer) end() {
	_ = a.ctrl.SetWriteDeadline(time.Time{})
	if a.begun {
		a.call.Note(slog.Int64("bytes", a.bytes))
		a.call.front.o.Metrics.PlaybackBytes.WithLabelValues(a.call.Operation.Name).Add(float64(a.bytes))
	}
}
