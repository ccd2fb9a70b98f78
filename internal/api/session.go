package api

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/authority"
	"github.com/millrace/millrace/internal/kvs"
)

// errStopping ends the sessions of a server that shuts down.
var errStopping = errors.New("the server is stopping")

// ErrRevoked is why a long call ends whose caller may not make it any more. Its kind is
// Denied.
var ErrRevoked error = kvs.Errorf(kvs.Denied, "The caller may not make this call any more.")

// Session is a context for a long call: it ends with the request, or when closing is
// done because the server shuts down.
func Session(ctx, closing context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(closing, func() { cancel(errStopping) })
	return ctx, func() { stop(); cancel(nil) }
}

const (
	// askAgain is the time between two questions whether a long call may go on (identity,
	// section 5).
	askAgain = 20 * time.Second
	// askWithin is how long one may take.
	askWithin = 10 * time.Second
)

// Watch is a context for a long call that was authorized: it ends with the cause
// [ErrRevoked] when the same question would be answered with no. Its function must be
// called when the call ends.
func (c *Call) Watch(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watch{front: c.front, principal: c.Principal, ask: c.ask, stream: c.Stream, channel: c.Channel, ctx: ctx, revoke: func() { cancel(ErrRevoked) }}
	w.ask.Principal = &w.principal
	if _, own := w.ask.Keys.(*callKeys); own && c.Input == nil && c.span == nil {
		// The call says nothing about itself, and need not be kept for it.
		w.ask.Keys = nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(askAgain, w.again) // costs no goroutine while it waits
	return ctx, func() { w.stop(); cancel(nil) }
}

// watch asks again and again.
type watch struct {
	front     *Front
	principal kvs.Principal
	ask       authority.Ask
	stream    kvs.Stream
	channel   kvs.Channel
	ctx       context.Context // of the call
	revoke    func()

	mu    sync.Mutex
	timer *time.Timer
	over  bool
}

func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	w.timer.Stop()
}

// again asks once, and sees to the next time. While the stores cannot be asked the call
// goes on.
func (w *watch) again() {
	w.mu.Lock() // also behind what the question before wrote
	over := w.over
	w.mu.Unlock()
	if over || w.ctx.Err() != nil {
		return
	}
	if !w.may() {
		w.revoke()
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.over {
		w.timer.Reset(askAgain)
	}
}

// may asks for the caller first, then the policies, about the resource as it is now. Who
// deletes it ends its calls in another way.
func (w *watch) may() bool {
	ctx, cancel := context.WithTimeout(w.ctx, askWithin)
	defer cancel()
	if still, err := w.front.o.Identifier.Still(ctx, &w.principal); err == nil && !still {
		return false
	}
	w.ask.Request.Time = w.front.o.Now()
	w.look(ctx)
	err := w.front.o.Authorizer.Authorize(ctx, &w.ask)
	return err == nil || kvs.KindOf(err) != kvs.Denied
}

// look reads the tags of what the call is about.
func (w *watch) look(ctx context.Context) {
	if w.channel.ID != 0 {
		if c, err := w.front.o.Channels.ByARN(ctx, w.channel.Account, w.channel.ARN()); err == nil {
			w.ask.Tags = c.Tags
		}
		return
	}
	if s, err := w.front.o.Streams.ByARN(ctx, w.stream.Account, w.stream.ARN()); err == nil {
		w.ask.Tags = s.Tags
	}
}
