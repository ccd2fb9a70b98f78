package api

import (
	"context"
	"errors"
)

// errStopping ends the sessions of a server that shuts down.
var errStopping = errors.New("the server is stopping")

// Session is a context for a long call: it ends with the request, or when closing is
// done because the server shuts down.
func Session(ctx, closing context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(closing, func() { cancel(errStopping) })
	return ctx, func() { stop(); cancel(nil) }
}
