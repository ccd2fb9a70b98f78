package relay

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/turn/v5"

	"github.com/millrace/millrace/internal/relay/guard"
	"github.com/millrace/millrace/internal/relay/stun"
)

// certificates makes a TLS configuration with a certificate of its own.
func certificates(t testing.TB) func() *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"relay"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return func() *tls.Config { return config }
}

// connect opens a way to the relay as a library's client needs it.
func (r *running) connect(t testing.TB, transport Transport, host string) net.PacketConn {
	t.Helper()
	var conn net.Conn
	var err error
	anybody := &tls.Config{InsecureSkipVerify: true} //nolint:gosec // who it is does not matter here
	switch transport {
	case UDP:
		c, err := net.ListenPacket("udp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Fatal(err)
		}
		return c
	case TCP:
		conn, err = net.Dial("tcp", r.on("tcp", host))
	case TLS:
		conn, err = tls.Dial("tcp", r.on("tcp", host), anybody)
	case DTLS:
		to := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(r.on("udp", host)))
		conn, err = dtls.DialWithOptions("udp", to, dtls.WithInsecureSkipVerify(true))
		if err == nil {
			err = conn.(*dtls.Conn).Handshake()
		}
	}
	if err != nil {
		t.Fatal(transport, err)
	}
	if transport == DTLS {
		return &datagramConn{Conn: conn}
	}
	return turn.NewSTUNConn(conn)
}

// datagramConn makes a connection that keeps packets apart look like a socket.
type datagramConn struct{ net.Conn }

func (c *datagramConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := c.Read(b)
	return n, c.RemoteAddr(), err
}
func (c *datagramConn) WriteTo(b []byte, _ net.Addr) (int, error) { return c.Write(b) }

// on returns the listener of a network at a host.
func (r *running) on(network, host string) string {
	for _, l := range r.Listening() {
		if h, _, _ := net.SplitHostPort(l.Address); l.Network == network && h == host {
			return l.Address
		}
	}
	return ""
}

// everywhere listens in every way.
func everywhere(t testing.TB) func(*Options) {
	return func(o *Options) {
		o.TLS = certificates(t)
		o.Addresses, o.Listeners = []Address{{Local: loopback}}, []Listener{udpListening, {Network: "tcp", Address: "127.0.0.1:0"}}
		if hasIPv6() {
			o.Addresses = append(o.Addresses, Address{Local: six})
			o.Listeners = append(o.Listeners, Listener{Network: "udp", Address: "[::1]:0"}, Listener{Network: "tcp", Address: "[::1]:0"})
		}
	}
}

// A library that is not ours makes a call over each transport and family.
func TestTransports(t *testing.T) {
	r := start(t, everywhere(t), func(o *Options) { o.Now = nil })
	hosts := []string{"127.0.0.1"}
	if hasIPv6() {
		hosts = append(hosts, "::1")
	}
	for _, host := range hosts {
		for _, transport := range []Transport{UDP, TCP, TLS, DTLS} {
			t.Run(fmt.Sprintf("%s/%s", transport, host), func(t *testing.T) {
				network := map[Transport]string{UDP: "udp", DTLS: "udp", TCP: "tcp", TLS: "tcp"}[transport]
				r.call(t, r.connect(t, transport, host), r.on(network, host), netip.MustParseAddr(host))
				r.logged(t, "transport="+string(transport))
			})
		}
	}
}

// call sends packets of many sizes through the relay and back.
func (r *running) call(t *testing.T, conn net.PacketConn, at string, host netip.Addr) {
	t.Helper()
	user, password, _ := r.Issue(account, front, "library")
	family := turn.RequestedAddressFamilyIPv4
	if host.Is6() {
		family = turn.RequestedAddressFamilyIPv6
	}
	c, err := turn.NewClient(&turn.ClientConfig{
		TURNServerAddr: at, STUNServerAddr: at, Conn: conn, Username: user, Password: password, RequestedAddressFamily: family, LoggerFactory: silent{},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	defer c.Close()
	if err := c.Listen(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SendBindingRequest(); err != nil {
		t.Error("binding:", err)
	}
	relayed, err := c.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	defer relayed.Close()
	p := newPeer(t, host)
	p.echo()
	for i := range 60 {
		// Of ChannelData with less than five bytes the library's client waits for more.
		data := bytes.Repeat([]byte{byte(i)}, 5+i*22)
		if _, err := relayed.WriteTo(data, p.conn.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		back := make([]byte, 2000)
		_ = relayed.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, _, err := relayed.ReadFrom(back)
		if err != nil || !bytes.Equal(back[:n], data) {
			t.Fatalf("%d bytes came back of %d: %v", n, len(data), err)
		}
	}
}

// A client that goes takes its allocation with it.
func TestLeft(t *testing.T) {
	r := start(t, everywhere(t))
	c := r.stream(t)
	c.allocate(overIPv4)
	c.conn.Close()
	r.logged(t, "reason=left", "transport=tcp")
	until(t, "nobody is in the lobby", r.lobby.Empty)
}

// stream connects a client by TCP.
func (r *running) stream(t testing.TB) *client {
	t.Helper()
	conn, err := net.Dial("tcp", r.on("tcp", "127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &client{t: t, conn: conn}
	c.user, c.password, _ = r.Issue(account, front, "stream")
	return c
}

// Messages are found in a stream however it is cut, ChannelData without content too.
func TestStreamInPieces(t *testing.T) {
	r := start(t, everywhere(t))
	c, p := r.stream(t), newPeer(t, loopback)
	c.allocate(overIPv4)
	c.must(stun.ChannelBind, channelTo(0x4000, p.addr()))
	c.send(channelData(0x4000, ""))
	if got, _ := p.read(); got != "" {
		t.Errorf("%q, want nothing", got)
	}
	var all []byte
	for _, data := range []string{"", "a", "bcd", "efgh"} {
		all = append(all, channelData(0x4000, data)...)
		all = append(all, make([]byte, stun.Padding(len(data)))...)
	}
	for i := range all {
		c.send(all[i : i+1])
	}
	for _, want := range []string{"", "a", "bcd", "efgh"} {
		if got, _ := p.read(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Connections that bring nothing are ended; so are those that bring something else.
func TestStrangers(t *testing.T) {
	r := start(t, everywhere(t), func(o *Options) { o.Now, o.wait = nil, 50*time.Millisecond })
	for name, say := range map[string][]byte{
		"nothing": nil, "something else": []byte("SSH-2.0-client\r\n\r\n"), "a long message": {0x40, 0, 0xFF, 0xFF, 0, 0, 0, 0},
		"half a handshake": {22, 3, 1, 0, 100}, "half a message": {0, 1, 0, 0, 0x21, 0x12},
	} {
		c := r.stream(t)
		c.send(say)
		_ = c.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := c.conn.Read(make([]byte, 1)); err == nil || isTimeout(err) {
			t.Error(name, "is kept:", err)
		}
	}
	// One who has what is answered but no allocation does not stay either.
	var c *client
	until(t, "a stranger is answered", func() bool { // asks again where this machine was slower than its patience
		c = r.stream(t)
		_, _ = c.conn.Write(c.request(stun.Binding, nil))
		_ = c.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		_, err := io.ReadFull(c.conn, make([]byte, 32))
		return err == nil
	})
	if _, err := c.conn.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Error("a stranger is kept:", err)
	}
	until(t, "nobody is in the lobby", r.lobby.Empty)
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error) //nolint:errorlint // of a connection, as it is
	return ok && e.Timeout()
}

// A source may hold so many connections, and others still get in.
func TestStrangersOfOneSource(t *testing.T) {
	r := start(t, everywhere(t))
	for range guard.StrangersOfSource {
		if _, code := r.stream(t).ask(stun.Binding, nil); code != 0 {
			t.Fatal(code)
		}
	}
	c := r.stream(t)
	_ = c.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.conn.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Error("one too many is kept:", err)
	}
	if r.Totals().Turned != 1 {
		t.Errorf("%+v", r.Totals())
	}
	from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}
	conn, err := from.Dial("tcp", r.on("tcp", "127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, code := (&client{t: t, conn: conn}).ask(stun.Binding, nil); code != 0 {
		t.Error("another source:", code)
	}
}

// A client that does not read costs a bounded amount, and nobody waits for it.
func TestSlowStream(t *testing.T) {
	r := start(t, everywhere(t))
	c, p := r.stream(t), newPeer(t, loopback)
	relayed := c.allocate(overIPv4)
	c.must(stun.CreatePermission, toPeer(p.addr()))
	data := string(make([]byte, 1400))
	until(t, "packets are dropped", func() bool {
		for range 200 {
			p.send(relayed, data)
		}
		return r.Totals().Dropped["slow"] > 0
	})
}

// The server ends with allocations over every transport, after its grace.
func TestStopping(t *testing.T) {
	r := start(t, everywhere(t))
	c, u := r.stream(t), r.dial(t)
	c.allocate(overIPv4)
	u.allocate(overIPv4)
	r.book.close()
	late := r.dial(t)
	late.challenge()
	if _, code := late.ask(stun.Allocate, overIPv4); code != noCapacity {
		t.Error("a new allocation while it stops:", code)
	}
	c.must(stun.Refresh, nil)
	r.Close()
	r.logged(t, "reason=stopping", "transport=tcp", "transport=udp")
}
