package relay

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/pion/dtls/v3"

	"github.com/millrace/millrace/internal/relay/stun"
)

// noted is a socket that remembers the first packet that went out.
type noted struct {
	*net.UDPConn
	first []byte
}

func (n *noted) WriteTo(b []byte, to net.Addr) (int, error) {
	if n.first == nil {
		n.first = slices.Clone(b)
	}
	return n.UDPConn.WriteTo(b, to)
}

// shakeFrom begins a DTLS session from an address, port 0 = any. Closing conn ends it without
// a word, as if the program were killed.
func (r *running) shakeFrom(t *testing.T, from netip.AddrPort) (c *client, conn *noted) {
	t.Helper()
	socket, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(from))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	conn = &noted{UDPConn: socket}
	session, err := dtls.ClientWithOptions(conn, net.UDPAddrFromAddrPort(addrPortOf(t, r.on("udp", "127.0.0.1"))), dtls.WithInsecureSkipVerify(true))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := session.HandshakeContext(ctx); err != nil {
		t.Fatal(err)
	}
	c = &client{t: t, conn: session}
	c.user, c.password, _ = r.Issue(account, front, "anna")
	return c, conn
}

// Who comes again from the address of a session that is still there begins another one, and
// that one's allocation ends.
func TestSecondSessionOfAnAddress(t *testing.T) {
	r := start(t, everywhere(t), func(o *Options) { o.Now, o.Sockets = nil, 1 })
	from := netip.AddrPortFrom(loopback, 0)
	for n := range uint64(4) {
		c, conn := r.shakeFrom(t, from)
		c.allocate(overIPv4)
		until(t, "the one before has ended", func() bool { return r.Totals().Ends[Left] == n })
		if c.must(stun.Refresh, nil); len(r.Top()) != 1 {
			t.Fatalf("%+v", r.Top())
		}
		from = addrPort(conn.LocalAddr())
		conn.Close()
	}
	d := r.dtlsDoor()
	d.mu.RLock()
	defer d.mu.RUnlock()
	if len(d.sessions) != 1 || len(d.coming) != 0 {
		t.Error(len(d.sessions), len(d.coming))
	}
}

// Who sends a ClientHello in the name of a client, or the client's own once more, changes
// nothing for it.
func TestClientHelloInTheNameOfAClient(t *testing.T) {
	r := start(t, everywhere(t), func(o *Options) { o.Now, o.Sockets = nil, 1 })
	_, hello := hellos(t)
	c, conn := r.shakeFrom(t, netip.AddrPortFrom(loopback, 0))
	c.allocate(overIPv4)
	d, to := r.dtlsDoor(), net.UDPAddrFromAddrPort(addrPortOf(t, r.on("udp", "127.0.0.1")))
	others := func() int {
		d.mu.RLock()
		defer d.mu.RUnlock()
		return len(d.coming)
	}
	say := func(b []byte) {
		t.Helper()
		if _, err := conn.UDPConn.WriteTo(b, to); err != nil {
			t.Fatal(err)
		}
	}
	say(conn.first)
	if c.must(stun.Refresh, nil); others() != 0 {
		t.Error("its own ClientHello began a session")
	}
	for range 2 {
		say(hello)
		c.must(stun.Refresh, nil)
	}
	if others() != 1 || r.hall.Empty() {
		t.Error(others(), "sessions began")
	}
	c.conn.Close()
	until(t, "the allocation ends", func() bool { return len(r.Top()) == 0 })
	until(t, "the other stays", func() bool { return others() == 0 })
	if r.hall.Empty() {
		t.Error("it is gone with the first")
	}
}
