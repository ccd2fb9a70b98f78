package server

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
)

// strangers is a listener that bounds the connections nobody has signed anything on
// yet. At the bound a new one takes the place of the oldest, so that connections which
// do nothing cannot keep others out.
type strangers struct {
	net.Listener
	max func() int // 0 = any number

	mu    sync.Mutex
	conns []*stranger // oldest first; known ones are left out lazily
	count int
}

// stranger is a connection that may become known.
type stranger struct {
	net.Conn
	l     *strangers
	known atomic.Bool
}

// Accept waits for the next connection.
func (l *strangers) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	s := &stranger{Conn: c, l: l}
	for _, old := range l.enter(s) {
		_ = old.Conn.Close()
	}
	return s, nil
}

// enter counts s and returns the connections that must go.
func (l *strangers) enter(s *stranger) (out []*stranger) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, s)
	l.count++
	most := l.max()
	for most > 0 && l.count > most {
		old := l.conns[0]
		l.conns = l.conns[1:]
		if old.leave() {
			out = append(out, old)
		}
	}
	if len(l.conns) > 2*max(l.count, 16) {
		l.conns = l.unknown()
	}
	return out
}

// unknown returns the connections still counted. Callers hold l.mu.
func (l *strangers) unknown() []*stranger {
	kept := make([]*stranger, 0, l.count)
	for _, s := range l.conns {
		if !s.known.Load() {
			kept = append(kept, s)
		}
	}
	return kept
}

// leave ends the counting of s, once. Callers hold l.mu.
func (s *stranger) leave() bool {
	if s.known.Swap(true) {
		return false
	}
	s.l.count--
	return true
}

// trust says that a request on the connection was signed.
func (s *stranger) trust() {
	if s.known.Load() {
		return
	}
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	s.leave()
}

// Close closes the connection.
func (s *stranger) Close() error {
	s.trust()
	return s.Conn.Close()
}

type strangerKey struct{}

// remember keeps the connection where [trusted] finds it.
func remember(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		c = t.NetConn()
	}
	if s, ok := c.(*stranger); ok {
		return context.WithValue(ctx, strangerKey{}, s)
	}
	return ctx
}

// trusted says that the request of ctx was signed by somebody we know.
func trusted(ctx context.Context) {
	if s, ok := ctx.Value(strangerKey{}).(*stranger); ok {
		s.trust()
	}
}
