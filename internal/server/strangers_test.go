package server

import (
	"io"
	"net"
	"testing"
	"time"
)

// fakeListener hands out connections.
type fakeListener struct {
	net.Listener
	conns chan net.Conn
}

func (f fakeListener) Accept() (net.Conn, error) { return <-f.conns, nil }

// ring accepts a connection and returns both its ends.
func (f fakeListener) ring(t *testing.T, l *strangers) (ours *stranger, theirs net.Conn) {
	t.Helper()
	a, b := net.Pipe()
	t.Cleanup(func() { _, _ = a.Close(), b.Close() })
	f.conns <- a
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return c.(*stranger), b
}

// open reports whether a connection was not closed from our side.
func open(t *testing.T, theirs net.Conn) bool {
	t.Helper()
	_ = theirs.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	_, err := theirs.Read(make([]byte, 1))
	return err != io.EOF
}

func TestStrangersMakeRoomForEachOther(t *testing.T) {
	f := fakeListener{conns: make(chan net.Conn, 1)}
	most := 2
	l := &strangers{Listener: f, max: func() int { return most }}
	known, knownEnd := f.ring(t, l)
	trusted(remember(t.Context(), known))
	_, second := f.ring(t, l)
	third, thirdEnd := f.ring(t, l)
	if !open(t, second) || !open(t, thirdEnd) {
		t.Error("two strangers are allowed")
	}
	_, fourth := f.ring(t, l)
	if open(t, second) {
		t.Error("the oldest stranger was kept")
	}
	if !open(t, knownEnd) || !open(t, thirdEnd) || !open(t, fourth) {
		t.Error("somebody else had to go")
	}
	_ = third.Close()
	fifth, fifthEnd := f.ring(t, l)
	if !open(t, fourth) || !open(t, fifthEnd) {
		t.Error("the place of one that left was not free")
	}
	fifth.trust()
	for range 100 {
		c, _ := f.ring(t, l)
		c.trust()
	}
	if len(l.conns) > 2*16 {
		t.Errorf("%d connections are remembered", len(l.conns))
	}
	if !open(t, fourth) || !open(t, fifthEnd) || !open(t, knownEnd) {
		t.Error("known ones drove somebody out")
	}
	most = 1
	if _, sixth := f.ring(t, l); open(t, fourth) || !open(t, sixth) {
		t.Error("a lower limit does not hold")
	}
}
