package e2e

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/relay/stun"
)

// resident is how much memory the server's process has, in bytes.
func (s *server) resident(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.command.Process.Pid))
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(b)
	if err != nil || m == nil {
		t.Fatal(err, "no VmRSS")
	}
	n, _ := strconv.Atoi(string(m[1]))
	return n << 10
}

// dtlsHello is a ClientHello of DTLS 1.2, the shortest that there is.
var dtlsHello = append([]byte{
	22, 0xFE, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0, 0, 54, // a record with a handshake
	1, 0, 0, 42, 0, 0, 0, 0, 0, 0, 0, 42, // a ClientHello, whole
	0xFE, 0xFD,
}, append(make([]byte, 32), 0, 0, 0, 2, 0xC0, 0x2B, 1, 0)...)

// TestRelaySiege has strangers send everything they can from 2,000 addresses, again and again. A
// call goes on, and the memory of the server stays flat.
func TestRelaySiege(t *testing.T) {
	t.Parallel()
	s, port := meeting(t, `listen: ["127.0.0.1:0"], advertise: [127.0.0.1], allow_peers: [127.0.0.0/8]`)
	at := net.JoinHostPort("127.0.0.1", port)
	c := s.allocated(t, at, stun.IPv4)
	peer, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	go echo(peer)
	to := netip.MustParseAddrPort(peer.LocalAddr().String())
	if _, code := c.ask(stun.ChannelBind, func(b *stun.Builder) { b.AddNumber(stun.ChannelNumber, 0x4001<<16).AddAddress(stun.XORPeerAddress, to) }); code != 0 {
		t.Fatal("ChannelBind:", code)
	}
	id := make([]byte, 12)
	allocate := stun.NewBuilder(nil, stun.Allocate, stun.Request, id).AddNumber(stun.RequestedTransport, 17<<24).Bytes()
	packets := [][]byte{
		stun.NewBuilder(nil, stun.Binding, stun.Request, id).Bytes(), allocate, stun.NewBuilder(nil, stun.Refresh, stun.Request, id).Bytes(), dtlsHello,
		{0x40, 1, 0, 1, 'x'}, []byte("garbage"), allocate[:19],
	}
	wave := func() {
		t.Helper()
		for i := range 2000 {
			host := net.IPv4(127, 6, byte(i>>8), byte(i))
			besiege(t, at, host, packets)
			if i%10 == 0 {
				say := []byte{0x40, 1, 0, 4, byte(i >> 8), byte(i), 0, 0}
				if _, err := c.conn.Write(say); err != nil || !bytes.Equal(c.read(), say) {
					t.Fatal("the call does not go on:", err)
				}
			}
		}
	}
	var after []int
	for range 3 {
		wave()
		after = append(after, s.resident(t)>>20)
	}
	if after[2] > after[1]+16 || after[2] > 256 {
		t.Error("after each of three waves the server has MB:", after)
	}
}

// besiege sends packets from an address, and opens connections that go nowhere.
func besiege(t *testing.T, at string, host net.IP, packets [][]byte) {
	t.Helper()
	from := net.Dialer{LocalAddr: &net.UDPAddr{IP: host}}
	u, err := from.Dial("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	for range 3 {
		for _, b := range packets {
			_, _ = u.Write(b)
		}
	}
	from.LocalAddr = &net.TCPAddr{IP: host}
	silent, err := from.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() }) // it stays as long as the server lets it
	_ = silent.SetDeadline(time.Now().Add(time.Millisecond))
	if host[15]%2 == 0 {
		_ = tls.Client(silent, &tls.Config{InsecureSkipVerify: true}).Handshake() // is given up with the deadline
	}
}

// echo sends everything back.
func echo(conn net.PacketConn) {
	b := make([]byte, 2000)
	for {
		n, from, err := conn.ReadFrom(b)
		if err != nil {
			return
		}
		_, _ = conn.WriteTo(b[:n], from)
	}
}
