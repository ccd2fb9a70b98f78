package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/millrace/millrace/internal/fault"
	"github.com/millrace/millrace/internal/wire"
)

// Fault is what was chosen to befall the call, nil = nothing. Only a development server
// chooses anything.
func (c *Call) Fault() *fault.Call { return c.fault }

// befall chooses whether something befalls the call, and lets it.
func (f *Front) befall(ctx context.Context, c *Call) error {
	if f.o.Faults == nil {
		return nil
	}
	if c.fault = f.o.Faults.Call(c.Operation.Name); c.fault == nil {
		return nil
	}
	return c.suffer(ctx)
}

// suffer lets the call meet what was chosen for it.
func (c *Call) suffer(ctx context.Context) error {
	f := c.fault
	if f.Latency > 0 {
		timer := time.NewTimer(f.Latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if f.Fails() {
		return &chosenError{status: f.Status, name: f.Error}
	}
	if f.Cut == 0 {
		panic(http.ErrAbortHandler) // closes the connection without an answer
	}
	if f.Cut > 0 {
		c.cut = &cutWriter{ResponseWriter: c.Writer, left: f.Cut}
		c.Writer = c.cut
	}
	return nil
}

// sever closes the connection of a call whose answer was cut. Deferred first, so that
// the call is in the log by then.
func (c *Call) sever() {
	if c.cut != nil && c.cut.left == 0 {
		panic(http.ErrAbortHandler)
	}
}

// noteFault marks the call's log line.
func (c *Call) noteFault() {
	if text := c.fault.Summary(); text != "" {
		c.Note(slog.String("fault", text))
	}
}

// chosenError is an answer that was chosen for a call.
type chosenError struct {
	status int
	name   string
}

// Error says that nothing was wrong with the call.
func (*chosenError) Error() string { return "chosen by --fault" }

// usual are the exceptions that a status stands for when none was named.
var usual = map[int]string{
	http.StatusForbidden:           "AccessDeniedException",
	http.StatusNotFound:            "ResourceNotFoundException",
	http.StatusTooManyRequests:     "ThrottlingException",
	http.StatusInternalServerError: "InternalFailure",
	http.StatusServiceUnavailable:  "ServiceUnavailableException",
}

// render completes what the specification left out: by the operation's model, else by
// what is usual.
func (e *chosenError) render(op *wire.Operation) rendering {
	r := rendering{status: e.status, name: e.name, message: "This answer was chosen by the --fault option of the server.", key: "Message"}
	if x, ok := op.Exception(e.name); ok {
		r.key = x.MessageKey
		if r.status == 0 {
			r.status = x.Status
		}
	}
	if r.name == "" {
		if r.name = usual[r.status]; r.name == "" {
			r.name = "ClientLimitExceededException"
		}
	}
	if r.status == 0 {
		r.status = http.StatusBadRequest
		for status, name := range usual {
			if name == r.name {
				r.status = status
			}
		}
	}
	return r
}

var errCut = errors.New("the connection was cut by --fault")

// cutWriter lets a number of bytes of the answer through and fails from then on.
type cutWriter struct {
	http.ResponseWriter
	left int64
}

// Write writes what is let through.
func (w *cutWriter) Write(b []byte) (int, error) {
	let := min(int64(len(b)), w.left)
	n, err := w.ResponseWriter.Write(b[:let])
	w.left -= int64(n)
	if err == nil && w.left == 0 {
		_ = http.NewResponseController(w.ResponseWriter).Flush()
		err = errCut
	}
	return n, err
}

// Unwrap lets deadlines and flushing through.
func (w *cutWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
