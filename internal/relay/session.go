package relay

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/logging"

	"github.com/millrace/millrace/internal/relay/guard"
)

// packetsWaiting is how many packets of a DTLS client wait to be decrypted. More are
// dropped, as anywhere in a network.
const packetsWaiting = 64

// session is a DTLS session on a socket: what the library reads from and writes to, and
// the way to the client.
type session struct {
	socket *socket
	key    tuple
	hello  [32]byte // what the client picked at random for this session
	oob    []byte
	path   *path
	tls    *dtls.Conn
	came   chan []byte
	done   chan struct{}
	stop   chan struct{} // the library wants to read no longer
	once   sync.Once
	place  *guard.Place
	timer  *time.Timer // of strangers

	shaken   atomic.Bool // the handshake is over
	followed atomic.Bool // the client has another session now, and knows nothing of this one
	spent    int         // bytes of what the library keeps; of the goroutine of the socket
}

// Types of records besides handshakeByte.
const (
	changeCipherSpec = 20
	alert            = 21
	applicationData  = 23
)

// recordHead is how many bytes stand before the contents of a record, their length last.
const recordHead = 13

// mostHandshake is how many bytes of a session may be of its handshake (section 6), which has
// less than 6,000 if nothing is lost.
const mostHandshake = 32 << 10

// secure hands a packet to its session, or begins one.
func (d *socket) secure(key tuple, to netip.AddrPort, packet []byte) {
	s := d.whose(key, packet)
	if s == nil {
		if !isHello(packet) || d.server.o.TLS == nil {
			return
		}
		if s = d.begin(key, to, packet); s == nil {
			return
		}
	}
	records := s.admitted(packet)
	if len(records) < len(packet) && !s.shaken.Load() {
		s.end()
	}
	if len(records) == 0 {
		d.server.counts.malformed.Add(1)
		return
	}
	select {
	case s.came <- records:
	default:
		if a := s.path.allocation.Load(); a != nil {
			a.carried.dropped[backlog].Add(1)
		}
	}
}

// isHello says whether a packet begins a session.
func isHello(packet []byte) bool {
	return packet[0] == handshakeByte && isPlain(packet) && packet[recordHead] == 1
}

// picked is what a client picked at random for its session, in both of its ClientHellos. If a
// packet is too short to have it, ok is false.
func picked(packet []byte) (random [32]byte, ok bool) {
	const at = recordHead + 12 + 2 // behind the head of the message and a version
	if len(packet) < at+len(random) {
		return random, false
	}
	return [32]byte(packet[at:]), true
}

// whose returns the session that a packet is for, nil = one that it may begin. A client that was
// killed comes again, and a NAT gives somebody the port of who went: beside a session that is
// there another one begins, and has what is said while hands are shaken (RFC 6347, 4.2.8).
func (d *socket) whose(key tuple, packet []byte) *session {
	d.mu.RLock()
	s, next := d.sessions[key], d.coming[key]
	d.mu.RUnlock()
	if s == nil || next == nil && !s.shaken.Load() {
		return s
	}
	if isHello(packet) {
		if random, ok := picked(packet); !ok || random == s.hello {
			return s // it came twice
		}
		return next
	}
	if next != nil && (packet[0] == handshakeByte || isPlain(packet)) {
		return next
	}
	return s
}

// follow puts the session in the place of the one that its client had before. Not before the
// client has shown that it is there: anybody can send a ClientHello in its name.
func (s *session) follow() {
	d := s.socket
	d.mu.Lock()
	before := d.sessions[s.key]
	follows := d.coming[s.key] == s
	if follows {
		d.sessions[s.key] = s
		delete(d.coming, s.key)
	}
	d.mu.Unlock()
	if follows {
		before.followed.Store(true)
		before.end()
	}
}

// forget takes the session off the socket. Who was to follow it does.
func (d *socket) forget(s *session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := d.coming[s.key]
	switch {
	case next == s:
		delete(d.coming, s.key)
	case d.sessions[s.key] != s:
	case next != nil:
		d.sessions[s.key] = next
		delete(d.coming, s.key)
	default:
		delete(d.sessions, s.key)
	}
}

// admitted is a copy of those records of a packet that the library may have.
func (s *session) admitted(packet []byte) (records []byte) {
	shaken := s.shaken.Load()
	records = make([]byte, 0, len(packet))
	for len(packet) > 0 {
		n := len(packet)
		if n >= recordHead {
			n = min(n, recordHead+int(binary.BigEndian.Uint16(packet[recordHead-2:])))
		}
		if s.admits(packet[:n], shaken) {
			records = append(records, packet[:n]...)
		}
		packet = packet[n:]
	}
	return records
}

// admits says whether the library may have a record. Once hands are shaken all that a client
// has to say is encrypted, of the first epoch and of one of three types. The rest anybody can
// send in its name: the library would end over some of it, forget which records it has had,
// or keep what it can never read. What it keeps by right are messages of the handshake.
func (s *session) admits(record []byte, shaken bool) bool {
	if shaken {
		switch {
		case len(record) <= recordHead || record[3] != 0 || record[4] != 1:
			return false
		case record[0] == alert || record[0] == applicationData:
			return true
		case record[0] != handshakeByte:
			return false
		}
	}
	if s.spent+len(record) > mostHandshake {
		return false
	}
	s.spent += len(record)
	return true
}

// isPlain says whether a record is of the time before anything was encrypted, by its epoch.
func isPlain(record []byte) bool { return len(record) > recordHead && record[3]|record[4] == 0 }

// begin starts a session with a ClientHello, unless there are too many strangers.
func (d *socket) begin(key tuple, to netip.AddrPort, hello []byte) *session {
	server := d.server
	s := &session{socket: d, key: key, done: make(chan struct{})}
	s.hello, _ = picked(hello)
	if s.place = server.hall.Enter(key.from.Addr(), s.hurry, s.turnAway); s.place == nil {
		server.counts.turned.Add(1)
		return nil
	}
	s.oob, s.came, s.stop = d.oob(key.to), make(chan []byte, packetsWaiting), make(chan struct{}, 1)
	s.path = &path{server: server, transport: DTLS, from: key.from, to: to, way: s}
	conn, err := dtls.ServerWithOptions(s, net.UDPAddrFromAddrPort(key.from), options(server.o.TLS())...)
	if err != nil {
		s.place.Leave()
		server.o.Logger.Warn("no DTLS", "error", err)
		return nil
	}
	s.tls = conn
	d.mu.Lock()
	if d.sessions[key] == nil {
		d.sessions[key] = s
	} else {
		d.coming[key] = s
	}
	d.mu.Unlock()
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
	s.follow()
	s.shaken.Store(true)
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
	s.end()
	s.place.Leave()
	s.socket.forget(s)
}

func (s *session) keep(yes bool) { s.place.Know(yes) }

// hurry ends the session soon if it gets no allocation.
func (s *session) hurry(yes bool) {
	if s.timer == nil {
		s.timer = time.AfterFunc(s.socket.server.o.wait, s.end)
	} else if s.timer.Stop(); yes {
		s.timer.Reset(s.socket.server.o.wait)
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
	switch {
	case s.followed.Load():
		return len(b), nil
	case len(b) > 0 && b[0] == changeCipherSpec && !s.shaken.Load():
		s.follow() // it is the answer to the client's last: what comes after it is for this session
	}
	if !s.socket.conn.Send(b, s.oob, s.key.from) {
		return 0, errUnsent
	}
	return len(b), nil
}

var errUnsent = errors.New("the system did not take the packet")

// end ends the session: the library reads no more.
func (s *session) end() { s.once.Do(func() { close(s.done) }) }

// turnAway ends the session because there is no place for it any more.
func (s *session) turnAway() {
	s.socket.server.counts.turned.Add(1)
	s.end()
}

// Close ends the session, for the library.
func (s *session) Close() error {
	s.end()
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

// options make what the library wants from what the server has.
func options(config *tls.Config) []dtls.ServerOption {
	return []dtls.ServerOption{
		dtls.WithExtendedMasterSecret(dtls.RequestExtendedMasterSecret),
		dtls.WithLoggerFactory(silent{}),
		dtls.WithGetCertificate(func(h *dtls.ClientHelloInfo) (*tls.Certificate, error) {
			return certificate(config, h.ServerName)
		}),
	}
}

var errNoCertificate = errors.New("there is no certificate")

// certificate asks a TLS configuration for the certificate of a name.
func certificate(config *tls.Config, name string) (*tls.Certificate, error) {
	hello := &tls.ClientHelloInfo{
		ServerName: name, SupportedVersions: []uint16{tls.VersionTLS12},
		CipherSuites:     []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256},
		SupportedCurves:  []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384},
		SupportedPoints:  []uint8{0},
		SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256, tls.PSSWithSHA256, tls.PKCS1WithSHA256},
	}
	if config.GetConfigForClient != nil {
		if other, err := config.GetConfigForClient(hello); err == nil && other != nil {
			config = other
		}
	}
	if config.GetCertificate != nil {
		if c, err := config.GetCertificate(hello); c != nil || err != nil {
			return c, err
		}
	}
	if len(config.Certificates) == 0 {
		return nil, errNoCertificate
	}
	return &config.Certificates[0], nil
}

// silent is a logger that says nothing: what clients do wrong is not for our log.
type silent struct{}

// NewLogger is for the library.
func (silent) NewLogger(string) logging.LeveledLogger {
	return logging.NewDefaultLeveledLoggerForScope("", logging.LogLevelDisabled, io.Discard)
}
