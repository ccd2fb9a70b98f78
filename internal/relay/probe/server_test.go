package probe

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/relay"
	"github.com/millrace/millrace/internal/relay/credential"
	"github.com/millrace/millrace/internal/relay/stun"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	four     = netip.MustParseAddr("127.0.0.1")
	six      = netip.IPv6Loopback()
	loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	hasIPv6  = sync.OnceValue(func() bool { c, err := net.ListenPacket("udp6", "[::1]:0"); return err == nil && c.Close() == nil })
)

// certified makes a certificate of its own for relay.test and the loopback addresses.
func certified(t *testing.T, until time.Time) (config func() *tls.Config, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "an authority"}, NotBefore: time.Unix(1e9, 0), NotAfter: until,
		DNSNames: []string{"relay.test"}, IPAddresses: []net.IP{four.AsSlice(), six.AsSlice()}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AddCert(c)
	shown := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return func() *tls.Config { return shown }, roots
}

// running is our own relay.
type running struct {
	*relay.Server
	secret     credential.Secret
	roots      *x509.CertPool
	user, pass string
}

// start runs a relay that allows loopback peers until the test ends.
func start(t *testing.T, change ...func(*relay.Options)) *running {
	t.Helper()
	secret, err := credential.NewSecret(bytes.Repeat([]byte("s"), 32))
	if err != nil {
		t.Fatal(err)
	}
	r := &running{secret: secret}
	o := relay.Options{Listeners: []relay.Listener{{Address: "127.0.0.1:0"}}, Addresses: []relay.Address{{Local: four}},
		Secrets: []credential.Secret{secret}, Allow: loopback, Sockets: 1}
	o.TLS, r.roots = certified(t, time.Now().Add(time.Hour))
	for _, c := range change {
		c(&o)
	}
	if r.Server, err = relay.New(o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	r.user, r.pass, _ = r.Issue("123456789012", 7, "anna")
	return r
}

// port is that of the listeners of an address.
func (r *running) port(host string) string {
	for _, l := range r.Listening() {
		if h, port, _ := net.SplitHostPort(l.Address); h == host {
			return port
		}
	}
	return ""
}

// uris are those of a host in every way.
func (r *running) uris(host string, port string) (all []Server) {
	for _, uri := range []string{"turn:%?transport=udp", "turn:%?transport=tcp", "turns:%?transport=udp", "turns:%?transport=tcp"} {
		all = append(all, r.login(string(bytes.ReplaceAll([]byte(uri), []byte("%"), []byte(net.JoinHostPort(host, port))))))
	}
	return all
}

func (r *running) login(uri string) Server { return Server{uri, r.user, r.pass} }

// options are such that tests are over soon; what waits for nothing waits a moment.
func (r *running) options(servers ...Server) Options {
	return Options{Servers: servers, Roots: r.roots, Packets: 20, Gap: time.Millisecond}
}

// one tries one server and wants one result.
func one(t *testing.T, o Options) *Result {
	t.Helper()
	r := Run(t.Context(), o)
	if len(r.Results) != 1 {
		t.Fatalf("%d results", len(r.Results))
	}
	return &r.Results[0]
}

// failsWith checks what is wrong with the only result, and returns it.
func failsWith(t *testing.T, o Options, step string, parts ...string) *Result {
	t.Helper()
	r := one(t, o)
	if r.State != Failed || r.Problem == nil || r.Problem.Step != step {
		t.Fatalf("%s %+v, want a failure of %s", r.State, r.Problem, step)
	}
	for _, part := range parts {
		if !bytes.Contains([]byte(r.Problem.Text+"|"+r.Problem.Advice), []byte(part)) {
			t.Errorf("%q, %q do not say %q", r.Problem.Text, r.Problem.Advice, part)
		}
	}
	return r
}

// answering is a UDP server that answers each packet with what a function makes of it; nil =
// nothing.
func answering(t *testing.T, answer func([]byte) []byte) (at string) {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { c.Close(); <-done })
	go func() {
		defer close(done)
		b := make([]byte, 4000)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			if a := answer(b[:n]); a != nil {
				c.WriteTo(a, from)
			}
		}
	}()
	return c.LocalAddr().String()
}

// accepting is a TCP server that does something with each connection and closes it.
func accepting(t *testing.T, do func(net.Conn)) (at string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() { l.Close(); all.Wait() })
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { defer c.Close(); do(c) })
		}
	})
	return l.Addr().String()
}

// strange is a server that answers Binding as it should and refuses Allocate as a function says; the
// number counts the questions.
func strange(t *testing.T, allocate func(n int, b *stun.Builder)) (at string) {
	t.Helper()
	var n atomic.Int32
	return answering(t, func(b []byte) []byte {
		m, err := stun.Parse(b)
		switch {
		case err != nil:
			return nil
		case m.Method() == stun.Binding:
			return stun.NewBuilder(nil, stun.Binding, stun.Success, m.Transaction()).AddAddress(stun.XORMappedAddress, netip.MustParseAddrPort("192.0.2.1:7")).
				Add(stun.Software, []byte("strange \x1b[2J1.0")).Bytes()
		case m.Method() != stun.Allocate:
			return nil
		}
		w := stun.NewBuilder(nil, stun.Allocate, stun.Failure, m.Transaction())
		allocate(int(n.Add(1)), w)
		return w.Bytes()
	})
}

// challenged has the first Allocate be asked for credentials and later ones be refused.
func challenged(code int) func(int, *stun.Builder) {
	return func(n int, b *stun.Builder) {
		if n == 1 {
			b.AddError(codeUnauthorized).Add(stun.Realm, []byte("here")).Add(stun.Nonce, []byte("once"))
			return
		}
		b.AddError(code)
	}
}
