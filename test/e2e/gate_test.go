package e2e

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// gate is an address that stays while servers behind it come and go.
type gate struct {
	url string // https

	mu     sync.Mutex
	behind string // address of the server, "" = none
}

// newGate opens a gate until the test ends.
func newGate(t testing.TB) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{url: "https://" + l.Addr().String()}
	var wg sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { g.pass(c) })
		}
	})
	return g
}

// to leads to a server from now on.
func (g *gate) to(s *server) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.behind = strings.TrimPrefix(s.https, "https://")
}

// pass carries a connection until either side ends it.
func (g *gate) pass(c net.Conn) {
	defer c.Close()
	g.mu.Lock()
	behind := g.behind
	g.mu.Unlock()
	s, err := net.Dial("tcp", behind)
	if err != nil {
		return
	}
	defer s.Close()
	back := make(chan struct{})
	go func() {
		defer close(back)
		_, _ = io.Copy(c, s)
		_ = c.Close()
	}()
	_, _ = io.Copy(s, c)
	_ = s.Close()
	<-back
}
