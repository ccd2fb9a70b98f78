package relay

import (
	"context"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/pion/dtls/v3"
)

// packetsWaiting is how many packets of a DTLS client wait to be decrypted. More are
// dropped, as anywhere in a network.
const packetsWaiting = 64

// session is a DTLS session on a socket: what the library reads from and writes to, and
// the way to the client.
type session struct {
	socket *socket
	key    tuple
	oob    []byte
	path   *path
	tls    *dtls.Conn
	came   chan []byte
	done   chan struct{}
	stop   chan struct{} // the library wants to read no longer
	once   sync.Once

	mu     sync.Mutex
	kept   bool // it has an allocation, and has left the lobby
	closed bool
	timer  *time.Timer // of strangers
}

const clientHello = 22 // the record type with which a session begins

// secure hands a packet to its session, or begins one.
func (d *socket) secure(key tuple, to netip.AddrPort, packet []byte) {
	d.mu.RLock()
	s := d.sessions[key]
	d.mu.RUnlock()
	if s == nil {
		if packet[0] != clientHello || len(packet) < 14 || packet[13] != 1 || d.server.o.TLS == nil {
			return
		}
		if s = d.begin(key, to); s == nil {
			return
		}
	}
	select {
	case s.came <- append(make([]byte, 0, len(packet)), packet...):
	default:
	}
}

// begin starts a session, unless there are too many strangers.
func (d *socket) begin(key tuple, to netip.AddrPort) *session {
	server := d.server
	if !server.lobby.Enter(key.from.Addr()) {
		server.counts.turned.Add(1)
		return nil
	}
	s := &session{socket: d, key: key, oob: d.oob(key.to), came: make(chan []byte, packetsWaiting), done: make(chan struct{}), stop: make(chan struct{}, 1)}
	s.path = &path{server: server, transport: DTLS, from: key.from, to: to, way: s}
	conn, err := dtls.ServerWithOptions(s, net.UDPAddrFromAddrPort(key.from), options(server.o.TLS())...)
	if err != nil {
		server.lobby.Leave(key.from.Addr())
		server.o.Logger.Warn("no DTLS", "error", err)
		return nil
	}
	s.tls = conn
	d.mu.Lock()
	d.sessions[key] = s
	d.mu.Unlock()
	s.timer = time.AfterFunc(server.o.wait, func() { s.Close() })
	server.running.Go(s.serve)
	return s
}

// serve shakes hands and reads until the session is over.
func (s *session) serve() {
	defer s.leave()
	ctx, cancel := context.WithTimeout(s.path.server.ended, s.path.server.o.wait)
	defer cancel()
	if err := s.tls.HandshakeContext(ctx); err != nil {
		return
	}
	buffer := make([]byte, maxDatagram)
	for {
		n, err := s.tls.Read(buffer)
		if err != nil {
			return
		}
		if n > 0 {
			s.path.receive(buffer[:n])
		}
	}
}

func (s *session) leave() {
	if a := s.path.allocation.Load(); a != nil {
		a.stop(Left)
	}
	s.tls.Close()
	s.Close()
	s.mu.Lock()
	s.closed = true
	kept := s.kept
	s.timer.Stop()
	s.mu.Unlock()
	if !kept {
		s.path.server.lobby.Leave(s.key.from.Addr())
	}
	s.socket.mu.Lock()
	delete(s.socket.sessions, s.key)
	s.socket.mu.Unlock()
}

func (s *session) keep(yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lobby, from := s.path.server.lobby, s.key.from.Addr()
	switch {
	case s.closed || s.kept == yes:
	case yes:
		s.kept = true
		lobby.Leave(from)
		s.timer.Stop()
	case lobby.Enter(from):
		s.kept = false
		s.timer.Reset(s.path.server.o.wait)
	default:
		s.Close()
	}
}

func (s *session) write(packet []byte) bool {
	_, err := s.tls.Write(packet)
	return err == nil
}

// ReadFrom gives the library the next packet of the client.
func (s *session) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case packet := <-s.came:
		return copy(b, packet), net.UDPAddrFromAddrPort(s.key.from), nil
	case <-s.stop:
		return 0, nil, os.ErrDeadlineExceeded
	case <-s.done:
		return 0, nil, net.ErrClosed
	}
}

// WriteTo sends what the library made to the client.
func (s *session) WriteTo(b []byte, _ net.Addr) (int, error) {
	n, _, err := s.socket.conn.WriteMsgUDPAddrPort(b, s.oob, s.key.from)
	return n, err
}

// Close ends the session: the library reads no more.
func (s *session) Close() error {
	s.once.Do(func() { close(s.done) })
	return nil
}

// LocalAddr is at which address of ours the client came.
func (s *session) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(s.path.to) }

// SetReadDeadline ends a read if the deadline is any: the library keeps time itself, and
// sets one that is long past, or none.
func (s *session) SetReadDeadline(t time.Time) error {
	select {
	case <-s.stop:
	default:
	}
	if t.IsZero() {
		return nil
	}
	select {
	case s.stop <- struct{}{}:
	default:
	}
	return nil
}

// SetWriteDeadline does nothing: writes do not wait.
func (s *session) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline is that of reading.
func (s *session) SetDeadline(t time.Time) error { return s.SetReadDeadline(t) }
