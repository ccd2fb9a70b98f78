package relay

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/relay/guard"
	"github.com/millrace/millrace/internal/relay/stun"
)

// Bounds of a stream (section 6).
const (
	maxPending = 256 << 10
	writeTime  = 10 * time.Second
)

const handshakeByte = 22 // with which TLS begins, and no STUN

// entrance is a TCP listener with its connections.
type entrance struct {
	server   *Server
	listener net.Listener

	mu    sync.Mutex
	conns map[net.Conn]bool
	over  bool
}

func newEntrance(s *Server, l net.Listener) *entrance {
	return &entrance{server: s, listener: l, conns: map[net.Conn]bool{}}
}

func (e *entrance) listening() Listener {
	return Listener{Network: "tcp", Address: e.listener.Addr().String()}
}

func (e *entrance) close() {
	e.listener.Close()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.over = true
	for c := range e.conns {
		c.Close()
	}
}

// serve takes connections until the listener is closed.
func (e *entrance) serve() {
	for {
		conn, err := e.listener.Accept()
		switch {
		case err == nil:
			e.admit(conn)
		case e.server.ended.Err() != nil || errors.Is(err, net.ErrClosed):
			return
		default: // too many files, most of all: it passes
			select {
			case <-time.After(50 * time.Millisecond):
			case <-e.server.ended.Done():
				return
			}
		}
	}
}

// admit serves a connection unless there are too many strangers.
func (e *entrance) admit(conn net.Conn) {
	from := addrPort(conn.RemoteAddr())
	w := &stream{entrance: e, conn: conn, wake: make(chan struct{}, 1), done: make(chan struct{})}
	if w.place = e.server.lobby.Enter(from.Addr(), w.hurry, w.turnAway); w.place == nil {
		w.turnAway()
		return
	}
	w.path = &path{server: e.server, transport: TCP, from: from, to: addrPort(conn.LocalAddr()), way: w}
	e.mu.Lock()
	over := e.over
	e.conns[conn] = true
	e.mu.Unlock()
	if over {
		conn.Close()
	}
	e.server.running.Go(w.serve)
}

// stream is the way to a client on a connection: TCP, or TLS on it.
type stream struct {
	entrance *entrance
	conn     net.Conn // the connection as it was accepted
	path     *path
	place    *guard.Place
	out      net.Conn // what is written to: conn, or TLS on it
	wake     chan struct{}
	done     chan struct{}

	mu      sync.Mutex
	closed  bool
	pending []byte
}

// serve reads from the connection until it is over.
func (w *stream) serve() {
	defer w.leave()
	r := bufio.NewReaderSize(w.conn, 1024)
	first, err := r.Peek(1)
	if err != nil {
		return
	}
	w.out = &peeked{Conn: w.conn, r: r}
	if first[0] == handshakeByte && !w.secure() {
		return
	}
	w.path.server.running.Go(w.drain)
	defer close(w.done)
	w.read(bufio.NewReaderSize(w.out, maxDatagram+stun.ChannelHead))
}

// secure puts TLS on the connection.
func (w *stream) secure() bool {
	s := w.path.server
	if s.o.TLS == nil {
		return false
	}
	config := s.o.TLS().Clone()
	config.NextProtos, config.MinVersion = nil, max(config.MinVersion, tls.VersionTLS12)
	conn := tls.Server(w.out, config)
	if err := conn.HandshakeContext(context.Background()); err != nil { // the deadline of the connection ends it
		return false
	}
	w.out, w.path.transport = conn, TLS
	return true
}

// read takes the messages of the stream apart.
func (w *stream) read(r *bufio.Reader) {
	for {
		head, err := r.Peek(stun.ChannelHead)
		if err != nil {
			return
		}
		if !stun.IsChannel(head) { // ChannelData without content has no more
			head, err = r.Peek(8)
		}
		n, bad := stun.Frame(head)
		switch {
		case bad != nil || n > maxDatagram || n == 0 && err != nil:
			w.path.server.counts.malformed.Add(1)
			return
		case n == 0: // eight bytes are always enough
			return
		}
		packet, err := r.Peek(n)
		if err != nil {
			return
		}
		w.path.receive(packet)
		if _, err := r.Discard(n); err != nil {
			return
		}
	}
}

// leave forgets the connection.
func (w *stream) leave() {
	if a := w.path.allocation.Load(); a != nil {
		a.stop(Left)
	}
	w.conn.Close()
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.place.Leave()
	w.entrance.mu.Lock()
	delete(w.entrance.conns, w.conn)
	w.entrance.mu.Unlock()
}

func (w *stream) keep(yes bool) { w.place.Know(yes) }

// turnAway ends the connection because there is no place for it.
func (w *stream) turnAway() {
	w.entrance.server.counts.turned.Add(1)
	w.conn.Close()
}

// hurry ends the connection soon if it gets no allocation.
func (w *stream) hurry(yes bool) {
	var until time.Time
	if yes {
		until = time.Now().Add(w.entrance.server.o.wait)
	}
	_ = w.conn.SetReadDeadline(until)
}

// write puts a packet to what the connection has to send.
func (w *stream) write(packet []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || len(w.pending)+len(packet) > maxPending {
		return false
	}
	w.pending = append(w.pending, packet...)
	w.pending = append(w.pending, make([]byte, stun.Padding(len(packet)))...)
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return true
}

// drain writes what is pending, all that is there at once.
func (w *stream) drain() {
	var buffer []byte
	for {
		select {
		case <-w.wake:
		case <-w.done:
			return
		}
		w.mu.Lock()
		buffer, w.pending = w.pending, buffer[:0]
		w.mu.Unlock()
		_ = w.out.SetWriteDeadline(time.Now().Add(writeTime))
		if err := w.flush(buffer); err != nil {
			w.conn.Close()
			return
		}
		if cap(buffer) > 16<<10 {
			buffer = nil // a burst is over some time
		}
	}
}

// flush writes messages: at once, but over TLS each as a record of its own. Some clients
// take one record for one message and lose what else is in it.
func (w *stream) flush(messages []byte) error {
	if w.path.transport != TLS {
		_, err := w.out.Write(messages)
		return err
	}
	for len(messages) > 0 {
		n, _ := stun.Frame(messages) // we wrote it: it is whole
		if _, err := w.out.Write(messages[:n]); err != nil {
			return err
		}
		messages = messages[n:]
	}
	return nil
}

// peeked is a connection of which something was read already.
type peeked struct {
	net.Conn
	r io.Reader
}

func (p *peeked) Read(b []byte) (int, error) { return p.r.Read(b) }
