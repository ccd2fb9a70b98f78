package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/logging"
	"github.com/pion/turn/v5"
)

// link is a connection to a server that carries messages of STUN.
type link struct {
	net.PacketConn
	below, above *tap // of TLS or DTLS; without them the same

	connect, handshake time.Duration
}

// dial connects. The context ends it.
func dial(ctx context.Context, t *Target, at netip.AddrPort, roots *x509.CertPool) (*link, error) {
	began := time.Now()
	var d net.Dialer
	conn, err := d.DialContext(ctx, t.Transport.network(), at.String())
	if err != nil {
		return nil, &failure{StepConnect, err, nil}
	}
	l := &link{below: &tap{Conn: conn}, connect: time.Since(began)}
	l.above = l.below
	if t.Transport.secured() {
		began = time.Now()
		secured, err := secure(ctx, t, l.below, roots)
		if err != nil {
			_ = conn.Close() // it was of no use
			return nil, &failure{StepHandshake, err, l.below}
		}
		l.above, l.handshake = &tap{Conn: secured}, time.Since(began)
	}
	if t.Transport.network() == "udp" {
		l.connect = 0 // nothing was sent yet
		l.PacketConn = packets{l.above}
	} else {
		l.PacketConn = turn.NewSTUNConn(l.above)
	}
	return l, nil
}

// failure is an error of a step, with what had come until then.
type failure struct {
	step string
	err  error
	tap  *tap // nil = nothing could come
}

// Error is that of the error below.
func (f *failure) Error() string { return f.err.Error() }

// Unwrap returns it.
func (f *failure) Unwrap() error { return f.err }

// secure makes TLS or DTLS of a connection. A certificate that clients would not take is a
// [*Problem].
func secure(ctx context.Context, t *Target, conn net.Conn, roots *x509.CertPool) (net.Conn, error) {
	var wrong *Problem
	check := func(chain []*x509.Certificate) error {
		if wrong = verify(chain, t.Host, roots); wrong != nil {
			return wrong
		}
		return nil
	}
	secured, err := encrypted(ctx, t, conn, check)
	if err != nil && wrong != nil {
		err = wrong
	}
	return secured, err
}

func encrypted(ctx context.Context, t *Target, conn net.Conn, check func([]*x509.Certificate) error) (net.Conn, error) {
	if t.Transport == TLS {
		// The libraries' own verification is replaced, not left out: check does it for both.
		c := tls.Client(conn, &tls.Config{ServerName: t.Host, MinVersion: tls.VersionTLS12, InsecureSkipVerify: true,
			VerifyConnection: func(s tls.ConnectionState) error { return check(s.PeerCertificates) }})
		return c, c.HandshakeContext(ctx)
	}
	c, err := dtls.ClientWithOptions(packets{conn}, conn.RemoteAddr(), dtls.WithServerName(t.Host), dtls.WithLoggerFactory(silent{}),
		dtls.WithInsecureSkipVerify(true), dtls.WithVerifyPeerCertificate(func(raw [][]byte, _ [][]*x509.Certificate) error {
			var chain []*x509.Certificate
			for _, der := range raw {
				c, err := x509.ParseCertificate(der)
				if err != nil {
					return err
				}
				chain = append(chain, c)
			}
			return check(chain)
		}))
	if err != nil {
		return nil, err
	}
	if err := c.HandshakeContext(ctx); err != nil {
		_ = c.Close() // ends its goroutines
		return nil, err
	}
	return c, nil
}

// packets makes a connection that keeps packets apart look like a socket.
type packets struct{ net.Conn }

// ReadFrom reads the next packet.
func (p packets) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := p.Read(b)
	return n, p.RemoteAddr(), err
}

// WriteTo sends a packet to the other end, whatever the address.
func (p packets) WriteTo(b []byte, _ net.Addr) (int, error) { return p.Write(b) }

// silent is a logger that says nothing: what goes wrong is told as a [Problem].
type silent struct{}

// NewLogger is for the library.
func (silent) NewLogger(string) logging.LeveledLogger {
	return logging.NewDefaultLeveledLoggerForScope("", logging.LogLevelDisabled, io.Discard)
}
