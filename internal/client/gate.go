package client

import (
	"context"
	"errors"
	"io"
	"sync"
)

// gate holds back the body of a request until the server has accepted it. It also
// remembers why reading failed, which the transport reports only as a broken
// connection.
type gate struct {
	ctx  context.Context
	from io.Reader
	open chan struct{} // closed by the first of admit and refuse

	mu      sync.Mutex // over the rest
	decided bool
	refused bool
	failed  error
}

var errRefused = errors.New("the request was refused")

func newGate(ctx context.Context, from io.Reader) *gate {
	return &gate{ctx: ctx, from: from, open: make(chan struct{})}
}

func (g *gate) admit()  { g.decide(false) }
func (g *gate) refuse() { g.decide(true) }

func (g *gate) decide(refused bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.decided {
		g.decided, g.refused = true, refused
		close(g.open)
	}
}

// Read waits for the decision.
func (g *gate) Read(p []byte) (int, error) {
	select {
	case <-g.open:
	case <-g.ctx.Done():
		return 0, g.ctx.Err()
	}
	if g.refused { // no longer changes
		return 0, errRefused
	}
	n, err := g.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		g.mu.Lock()
		g.failed = err
		g.mu.Unlock()
	}
	return n, err
}

// Close is called by the transport when it needs no more.
func (g *gate) Close() error {
	if c, ok := g.from.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

func (g *gate) failure() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failed
}
