// Package api is the front door: the one path every call takes.
//
// A [Front] takes a request through the same steps, written once: route, identify,
// authorize, limit, call, answer, record. The rooms below it (api/video, api/media,
// api/archived) contribute a [Route] for each operation they serve; they see decoded
// input and the stream it names, never a signature. Errors are rendered here, once,
// from their kind (errors sheet).
package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/millrace/millrace/internal/fault"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/metrics"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/sessions"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/sigv4"
)

// maxBody bounds the JSON body of a call in bytes.
const maxBody = 1 << 20

// Streams finds the stream a call is about.
type Streams interface {
	ByName(ctx context.Context, account kvs.AccountID, name string) (kvs.Stream, error)
	ByARN(ctx context.Context, account kvs.AccountID, arn kvs.ARN) (kvs.Stream, error)
}

// Channels finds the signaling channel a call is about.
type Channels interface {
	ByName(ctx context.Context, account kvs.AccountID, name string) (kvs.Channel, error)
	ByARN(ctx context.Context, account kvs.AccountID, arn kvs.ARN) (kvs.Channel, error)
}

// Options are what a Front is made of. All fields are needed but Now, Sessions and those
// that say what nil means.
type Options struct {
	Streams    Streams
	Channels   Channels // nil = no route is about one
	Region     string   // of the ARNs of new streams
	Identifier Identifier
	Authorizer Authorizer
	Rules      func() sigv4.Rules // asked for each call; the front names the services
	Queries    []QueryService     // services of the Query protocol; nil = none
	Limits     *quota.Book
	Sessions   *sessions.Registry // shows long calls; nil = nowhere
	Metrics    *metrics.Set
	Logger     *slog.Logger
	Now        func() time.Time

	// Faults chooses what goes wrong on a development server; nil = nothing.
	Faults *fault.Plan

	// Logins finds who logged in with a browser; nil = nobody can.
	Logins Logins

	// Proxies are the networks whose X-Forwarded-For is believed, asked for each call; nil =
	// none.
	Proxies func() []netip.Prefix

	// Trusted is told of every request whose signature was right; nil = nobody asks.
	Trusted func(ctx context.Context)

	// Refused is told of calls about a known stream that were answered with an
	// exception; nil = nobody asks.
	Refused func(c *Call, status int, exception string, err error)
}

// Front routes requests to operations.
type Front struct {
	o      Options
	routes map[*wire.Operation]Route
	limits map[*wire.Operation]*quota.Operation
	own    map[string]*wire.Operation // operations that no model has, by name

	queries map[string]queryService
}

// New makes a Front that serves the given routes.
func New(o Options, routes ...Route) *Front {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Sessions == nil {
		o.Sessions = sessions.New(0, o.Now)
	}
	if o.Trusted == nil {
		o.Trusted = func(context.Context) {}
	}
	if o.Proxies == nil {
		o.Proxies = func() []netip.Prefix { return nil }
	}
	f := &Front{o: o, routes: map[*wire.Operation]Route{}, limits: map[*wire.Operation]*quota.Operation{}, own: map[string]*wire.Operation{},
		queries: queryServices(o.Queries)}
	for _, r := range routes {
		op := wire.ByName(r.Operation)
		if r.Own {
			op = ownOperation(r.Operation)
			f.own[r.Operation] = op
		}
		f.routes[op], f.limits[op] = r, quota.OperationOf(r.Operation)
	}
	return f
}

// Serves reports whether the Front has a route for an operation.
func (f *Front) Serves(op *wire.Operation) bool {
	_, ok := f.routes[op]
	return ok
}

// ServeHTTP answers one request.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := f.newCall(w, r)
	setCommonHeaders(c)
	if r.Method == http.MethodOptions {
		preflight(c, "GET, POST, OPTIONS")
		return
	}
	defer c.sever()
	defer f.record(c)
	defer c.caught()
	if isQuery(r) && len(f.queries) > 0 {
		if err := f.serveQuery(r.Context(), c); err != nil {
			c.fail(err)
		}
		return
	}
	if c.Operation = f.operation(r); c.Operation == nil {
		c.unknownOperation()
		return
	}
	if err := f.handle(r.Context(), c); err != nil {
		c.fail(err)
		f.refused(c, err)
	}
}

// refused reports a call that failed before its answer began.
func (f *Front) refused(c *Call, err error) {
	if f.o.Refused == nil || c.streamed || c.Stream.ID == 0 {
		return
	}
	r := render(c.Operation, err)
	f.o.Refused(c, r.status, r.name, err)
}

// caught turns a panic of a room into an answer and a log line: it is a mistake of
// ours, and the caller and the operator should hear of it. Deferred.
func (c *Call) caught() {
	cause := recover()
	if cause == nil {
		return
	}
	if cause == http.ErrAbortHandler { // not a mistake: the way to break off an answer
		panic(cause)
	}
	c.Note(slog.String("panic", fmt.Sprint(cause)), slog.String("stack", string(debug.Stack())))
	c.fail(errors.New("panic"))
	c.status = http.StatusInternalServerError
}

// handle takes the call through the steps between routing and recording.
func (f *Front) handle(ctx context.Context, c *Call) error {
	route, served := f.routes[c.Operation]
	if err := f.identify(ctx, c); err != nil {
		return err
	}
	if !served && isOwn(c.Operation) {
		return f.unknownOwn(c.Request)
	}
	if !served {
		return kvs.Errorf(kvs.NotImplemented, "%s is not served by this version of Millrace; docs/ref/coverage.md lists what is", c.Operation.Name)
	}
	if err := c.decode(); err != nil {
		return err
	}
	if err := f.authorize(ctx, c, route); err != nil {
		return err
	}
	c.limits, c.limit = f.o.Limits, f.limits[c.Operation]
	if err := c.allow(); err != nil {
		return err
	}
	if !route.Own {
		if err := f.befall(ctx, c); err != nil {
			return err
		}
	}
	out, err := route.Call(ctx, c)
	if err != nil || c.streamed {
		return err
	}
	if route.Own {
		return c.answerOwn(out)
	}
	return c.answer(out)
}

// readBody reads the JSON body; that of PutMedia is media and stays unread.
func (c *Call) readBody() error {
	// A client that stalls in the middle of a small body must not hold a connection.
	ctrl := http.NewResponseController(c.Writer)
	_ = ctrl.SetReadDeadline(time.Now().Add(bodyTimeout))
	// While a long answer runs the server listens for the client's end: a deadline that
	// passes then would be taken for it.
	defer func() { _ = ctrl.SetReadDeadline(time.Time{}) }()
	b, err := io.ReadAll(io.LimitReader(c.Request.Body, maxBody+1))
	if err != nil {
		return &kvs.Error{Kind: kvs.InvalidArgument, Message: "The request body could not be read.", Cause: err}
	}
	if len(b) > maxBody {
		// A connection closed over unread bytes may take the answer with it.
		_, _ = io.CopyN(io.Discard, c.Request.Body, maxBody)
		return kvs.Errorf(kvs.InvalidArgument, "The request body is larger than %d bytes.", maxBody)
	}
	c.body = b
	return nil
}

// bodyTimeout is how long a JSON body may take.
const bodyTimeout = 20 * time.Second
