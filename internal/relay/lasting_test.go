package relay

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pion/turn/v5"
)

// library begins a call with a client that is not ours. It renews its permissions all the
// time.
func (r *running) library(t *testing.T, transport Transport, user, password string) (*turn.Client, net.PacketConn, error) {
	t.Helper()
	at := r.on(map[Transport]string{UDP: "udp", DTLS: "udp", TCP: "tcp", TLS: "tcp"}[transport], "127.0.0.1")
	conn := r.connect(t, transport, "127.0.0.1")
	t.Cleanup(func() { conn.Close() })
	c, err := turn.NewClient(&turn.ClientConfig{
		TURNServerAddr: at, STUNServerAddr: at, Conn: conn, Username: user, Password: password, RequestedAddressFamily: turn.RequestedAddressFamilyIPv4,
		LoggerFactory: silent{}, PermissionRefreshInterval: 20 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if err := c.Listen(); err != nil {
		t.Fatal(err)
	}
	relayed, err := c.Allocate()
	return c, relayed, err
}

// there sends something to an echo until it is back.
func there(t *testing.T, relayed net.PacketConn, p *peer, text string) {
	t.Helper()
	hears(t, relayed, text, func() {
		if _, err := relayed.WriteTo([]byte(text), p.conn.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	})
}

// hears reads until what is said comes. It is said again and again: a permission that the
// clock has ended is renewed a little later.
func hears(t *testing.T, relayed net.PacketConn, text string, say func()) {
	t.Helper()
	back := make([]byte, 100)
	until(t, text+" comes", func() bool {
		say()
		_ = relayed.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		n, _, err := relayed.ReadFrom(back)
		for err == nil && string(back[:n]) != text {
			n, _, err = relayed.ReadFrom(back)
		}
		return err == nil
	})
}

// A call goes on when the credentials that began it have expired, and when the nonce has:
// with those whom it talks to, and with others.
func TestLibraryPastExpiry(t *testing.T) {
	for _, transport := range []Transport{UDP, TCP, TLS, DTLS} {
		t.Run(string(transport), func(t *testing.T) {
			r := start(t, everywhere(t))
			user, password, _ := r.Issue(account, front, "library")
			_, relayed, err := r.library(t, transport, user, password)
			if err != nil {
				t.Fatal(err)
			}
			defer relayed.Close()
			first, second, third := newPeer(t, loopback), newPeer(t, loopback), newPeer(t, loopback)
			for _, p := range []*peer{first, second, third} {
				p.echo()
			}
			there(t, relayed, first, "at the beginning")
			r.clock.move(6 * time.Minute)
			there(t, relayed, first, "past expiry")
			there(t, relayed, second, "to another")
			if _, _, err := r.library(t, transport, user, password); err == nil || !strings.Contains(err.Error(), "401") {
				t.Error("a call begins with old credentials:", err)
			}
			r.clock.move(2 * time.Hour)
			until(t, "the nonce is old", func() bool { return r.Totals().Refusals["438"] > 0 })
			there(t, relayed, third, "with a new nonce")
			at := plain(relayed.LocalAddr().(*net.UDPAddr).AddrPort()) //nolint:forcetypeassert // of the library, always
			hears(t, relayed, "from the first", func() { first.send(at, "from the first") })
		})
	}
}

// A server that starts again knows nothing of calls, and says so; with the same credentials
// another begins at once, from the same address.
func TestLibraryAfterRestart(t *testing.T) {
	r := start(t, func(o *Options) { o.TLS = certificates(t) })
	at := r.listensAt("udp")
	user, password, _ := r.Issue(account, front, "library")
	c, relayed, err := r.library(t, UDP, user, password)
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	again := start(t, func(o *Options) { o.Listeners = []Listener{{Network: "udp", Address: at}} })
	p := newPeer(t, loopback)
	p.echo()
	if _, err := relayed.WriteTo([]byte("hello"), p.conn.LocalAddr()); err == nil || again.Totals().Refusals["437"] == 0 {
		t.Error("after a restart:", err, again.Totals().Refusals)
	}
	relayed.Close()
	if relayed, err = c.Allocate(); err != nil {
		t.Fatal(err)
	}
	there(t, relayed, p, "again")
	relayed.Close()
	again.logged(t, "reason=released")
}
