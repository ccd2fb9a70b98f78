package hub

import (
	"context"
	"errors"
	"sync"
)

// fakeConn is a websocket whose other side is the test.
type fakeConn struct {
	toHub  chan []byte // what the client sends
	leave  chan error  // what Read says next
	closed chan struct{}

	mu     sync.Mutex    // over the following
	got    []string      // what the client was sent
	asleep chan struct{} // the client does not read until it is closed; nil = it reads
	deaf   bool          // it does not answer pings
	broken error         // what Write says
	code   int           // of the closing
	reason string
	pings  int
}

func newFakeConn() *fakeConn {
	return &fakeConn{toHub: make(chan []byte), leave: make(chan error, 1), closed: make(chan struct{})}
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
	defer c.mu.Unlock()
	for c.asleep != nil {
		wake := c.asleep
		c.mu.Unlock()
		err := c.wait(ctx, wake)
		c.mu.Lock()
		if err != nil {
			return err
		}
	}
	if c.broken != nil {
		return c.broken
	}
	c.got = append(c.got, string(text))
	return nil
}

func (c *fakeConn) wait(ctx context.Context, wake <-chan struct{}) error {
	select {
	case <-wake:
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
	deaf := c.deaf
	c.mu.Unlock()
	if deaf {
		return c.wait(ctx, nil)
	}
	return nil
}

func (c *fakeConn) Close(code int, reason string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.code == 0 {
		c.code, c.reason = code, reason
		close(c.closed)
	}
	return nil
}

// sleep makes the client stop reading.
func (c *fakeConn) sleep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asleep == nil {
		c.asleep = make(chan struct{})
	}
}

// wake makes it go on.
func (c *fakeConn) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asleep != nil {
		close(c.asleep)
		c.asleep = nil
	}
}

// take returns what the client was sent since the last time.
func (c *fakeConn) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	got := c.got
	c.got = nil
	return got
}
