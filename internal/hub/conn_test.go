package hub

import (
	"context"
	"errors"
	"sync"
)

// fakeConn is a websocket whose other side is the test.
type fakeConn struct {
	toHub  chan []byte   // what the client sends
	toMe   chan []byte   // what the client reads; writing waits while it is full
	leave  chan error    // what Read says next
	stuck  chan struct{} // closed: pings are answered; nil: never
	closed chan struct{}
	once   sync.Once
	mu     sync.Mutex
	code   int
	reason string
	pings  int
	broken error // what Write says
}

func newFakeConn(room int) *fakeConn {
	answered := make(chan struct{})
	close(answered)
	return &fakeConn{toHub: make(chan []byte), toMe: make(chan []byte, room), leave: make(chan error, 1), stuck: answered, closed: make(chan struct{})}
}

var errClosed = errors.New("use of a closed connection")

func (c *fakeConn) Read(ctx context.Context) ([]byte, error) {
	select {
	case text := <-c.toHub:
		return text, nil
	case err := <-c.leave:
		return nil, err
	case <-c.closed:
		return nil, errClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *fakeConn) Write(ctx context.Context, text []byte) error {
	c.mu.Lock()
	err := c.broken
	c.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case c.toMe <- text:
		return nil
	case <-c.closed:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *fakeConn) Ping(ctx context.Context) error {
	c.mu.Lock()
	c.pings++
	c.mu.Unlock()
	select {
	case <-c.stuck:
		return nil
	case <-c.closed:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *fakeConn) Close(code int, reason string) error {
	c.once.Do(func() {
		c.mu.Lock()
		c.code, c.reason = code, reason
		c.mu.Unlock()
		close(c.closed)
	})
	return nil
}
