package relay

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/pion/dtls/v3"

	"github.com/millrace/millrace/internal/relay/guard"
	"github.com/millrace/millrace/internal/relay/stun"
)

// record is a connection that remembers what was written first.
type record struct {
	net.Conn
	first []byte
}

func (r *record) Write(b []byte) (int, error) {
	if r.first == nil {
		r.first = slices.Clone(b)
	}
	return len(b), nil
}

func (r *record) WriteTo(b []byte, _ net.Addr) (int, error) { return r.Write(b) }

func (r *record) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := r.Read(b)
	return n, r.RemoteAddr(), err
}

// hellos are the first messages of TLS and DTLS clients.
func hellos(t testing.TB) (overTCP, overUDP []byte) {
	t.Helper()
	shake := func(with func(*record)) []byte {
		a, b := net.Pipe()
		defer b.Close()
		_ = a.SetReadDeadline(time.Now()) // nobody answers
		r := &record{Conn: a}
		with(r)
		return r.first
	}
	overTCP = shake(func(r *record) { _ = tls.Client(r, &tls.Config{InsecureSkipVerify: true}).Handshake() }) //nolint:gosec // nobody is there
	overUDP = shake(func(r *record) {
		c, err := dtls.ClientWithOptions(r, r.RemoteAddr(), dtls.WithInsecureSkipVerify(true))
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Handshake()
		c.Close()
	})
	return overTCP, overUDP
}

// dtlsDoor is a socket of the relay at a host.
func (r *running) dtlsDoor() *socket {
	i := slices.IndexFunc(r.doors, func(d door) bool { _, ok := d.(*socket); return ok })
	d, _ := r.doors[i].(*socket)
	return d
}

// Whoever sends ClientHellos in the names of others keeps nobody out, neither of DTLS nor of TCP.
func TestForgedSourcesKeepNobodyOut(t *testing.T) {
	r := start(t, everywhere(t), func(o *Options) { o.Now = nil })
	_, hello := hellos(t)
	d := r.dtlsDoor()
	before := heap()
	for i := range guard.DTLSStrangers + 500 {
		from := netip.AddrFrom4([4]byte{127, 9, byte(i >> 8), byte(i)}) // answers go to nobody
		d.receive(hello, netip.AddrPortFrom(from, 9), d.local, &outbox{})
	}
	if n := r.Totals().Turned; n != 500 {
		t.Error(n, "gave way")
	}
	if grown := heap() - before; grown > 40<<20 {
		t.Errorf("%d sessions hold %d bytes", guard.DTLSStrangers, grown)
	}
	r.call(t, r.connect(t, DTLS, "127.0.0.1"), r.on("udp", "127.0.0.1"), loopback)
	if _, code := r.stream(t).ask(stun.Binding, nil); code != 0 {
		t.Error("TCP:", code)
	}
}

// A ClientHello from a forged source is answered once and briefly, however it is cut.
func TestDTLSAmplifiesNothing(t *testing.T) {
	r := start(t, everywhere(t))
	_, hello := hellos(t)
	const headers = 28
	for _, n := range []int{len(hello), len(hello) - 1, 60, 26, 25, 14, 13, 1} {
		c := r.dial(t)
		c.send(hello[:n])
		if n == len(hello) {
			if answer := c.read(); len(answer)+headers >= 2*(n+headers) || len(answer) > longestAnswer {
				t.Errorf("%d bytes to %d", len(answer), n)
			}
		}
		c.must(stun.Binding, nil) // nothing else comes before its answer
	}
}

// While strangers send everything they can from everywhere, a call goes on; when they are gone
// the server has what it had before.
func TestSiege(t *testing.T) {
	r := start(t, everywhere(t), func(o *Options) { o.Now, o.wait = nil, time.Second })
	hello, helloDTLS := hellos(t)
	caller, p := r.dial(t), newPeer(t, loopback)
	caller.allocate(overIPv4)
	caller.must(stun.ChannelBind, channelTo(0x4000, p.addr()))
	p.echo()
	calls := 0
	goesOn := func() {
		t.Helper()
		calls++
		want := string(channelData(0x4000, fmt.Sprint("call ", calls)))
		if caller.send([]byte(want)); string(caller.read()) != want {
			t.Fatal("another packet came back")
		}
	}
	packets := [][]byte{
		(&client{}).request(stun.Binding, nil), (&client{}).request(stun.Allocate, overIPv4), (&client{}).request(stun.Refresh, nil),
		channelData(0x4001, "to nobody"), indicationTo(p.addr(), "to nobody"), []byte("garbage"), {0, 1, 0, 0}, helloDTLS, helloDTLS[:40],
	}
	storm := func(n int) {
		t.Helper()
		for i := range n {
			host := net.IPv4(127, 7, byte(i>>5), byte(1+i%200))
			for range 3 {
				c, err := net.DialUDP("udp", &net.UDPAddr{IP: host}, net.UDPAddrFromAddrPort(addrPortOf(t, r.on("udp", "127.0.0.1"))))
				if err != nil {
					t.Fatal(err)
				}
				for _, b := range packets {
					_, _ = c.Write(b)
				}
				c.Close()
			}
			for _, b := range [][]byte{nil, hello, hello[:100], []byte("GET / HTTP/1.1\r\n\r\n"), packets[1]} {
				from := net.Dialer{LocalAddr: &net.TCPAddr{IP: host}}
				c, err := from.Dial("tcp", r.on("tcp", "127.0.0.1"))
				if err != nil {
					t.Fatal(err)
				}
				_, _ = c.Write(b)
				t.Cleanup(func() { c.Close() }) // it stays as long as the server lets it
			}
			goesOn()
		}
	}
	gone := func() {
		t.Helper()
		until(t, "all strangers are gone", func() bool { return r.lobby.Empty() && r.hall.Empty() })
	}
	storm(10) // what is made once is there
	gone()
	goroutines, before := runtime.NumGoroutine(), heap()
	storm(100)
	gone()
	until(t, "all goroutines have ended", func() bool { return runtime.NumGoroutine() <= goroutines+4 })
	if grown := heap() - before; grown > 2<<20 {
		t.Errorf("%d bytes are kept", grown)
	}
	goesOn()
	until(t, "everything is counted", func() bool { return r.Totals().PacketsOut == uint64(calls) }) // a packet is sent first
	if n := r.Totals(); n.Ends[Failed]+n.Ends[Left] != 0 || len(r.Top()) != 1 {
		t.Errorf("%d calls: %+v", calls, n)
	}
}
