package e2e

import (
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/relay/stun"
	"github.com/millrace/millrace/internal/wire"
)

// forbidden, with unheard, are addresses at which somebody is in the network beside the server, and to which the
// relay must not lead; permitted is one of each family to which it does.
var (
	forbidden = []string{
		"0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "169.254.169.254", "172.16.0.1", "172.31.255.254", "192.0.0.192", "192.168.1.1", "198.18.0.1",
		"203.0.113.9", "240.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::1", "2001:db8::1", "fc00::1", "fd00:ec2::254", "fec0::1", "100::1",
	}
	permitted = []string{"8.8.8.8", "2a00:2::1"}
	// unheard are those that no neighbour can have.
	unheard = []string{"0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "fe80::1", "ff02::1"}
	here    = []string{"127.0.0.1", "198.51.100.2", "8.8.4.4", "::1", "2a00:1::3"} // the server's machine itself
)

const peerPort = 9999

// TestDeniedPeers has neighbours with every kind of address that Linux lets one have. The relay sends
// them nothing, refuses to try, and is deaf to them; others of both families it serves.
func TestDeniedPeers(t *testing.T) {
	t.Parallel()
	if !masqueraded(t) {
		return
	}
	ip := func(args string) { t.Helper(); run(t, nil, "ip", strings.Fields(args)...) }
	ip("address add 2a00:1::1/64 dev wan nodad")
	ip("address add 2a00:1::3/64 dev wan nodad")
	ip("address add 8.8.4.4/32 dev lo")
	ip("-n nat address add 2a00:1::2/64 dev outer nodad")
	for _, a := range append(append([]string{}, forbidden...), permitted...) {
		if strings.Contains(a, ":") {
			ip("-n nat address add " + a + "/128 dev outer nodad")
			ip("route add " + a + "/128 dev wan")
		} else {
			ip("-n nat address add " + a + "/32 dev outer")
			ip("route add " + a + "/32 dev wan")
		}
	}
	outside, say := neighbours(t, "ip", "netns", "exec", "nat")
	inside, _ := neighbours(t)
	s, port := meeting(t, `listen: ["198.51.100.1:3478"], advertise: [198.51.100.1, "2a00:1::1"]`)
	for i, family := range []byte{stun.IPv4, stun.IPv6} {
		c := s.allocated(t, net.JoinHostPort("198.51.100.1", port), family)
		sent := 0
		for _, text := range slices.Concat(forbidden, unheard, here) {
			a := netip.MustParseAddr(text)
			if a.Is4() != (family == stun.IPv4) {
				continue
			}
			for method, code := range c.try(a) {
				if code != 403 {
					t.Errorf("%s %s: %d", method, text, code)
				}
			}
			sent++
		}
		for method, code := range c.try(netip.MustParseAddr(permitted[i])) {
			if code != 0 {
				t.Errorf("%s %s: %d", method, permitted[i], code)
			}
		}
		// What was sent before would have come before.
		outside.wait(t, "got "+permitted[i]+" out")
		fmt.Fprintln(say, c.relay.Addr(), c.relay.Port())
		number, data, _ := stun.Channel(c.read())
		if number != 0x4001 || string(data) != "foreign" {
			t.Errorf("heard %x %q", number, data)
		}
		c.ask(stun.Refresh, func(b *stun.Builder) { b.AddNumber(stun.Lifetime, 0) })
		foreign := 0
		for _, text := range forbidden {
			if netip.MustParseAddr(text).Is4() == (family == stun.IPv4) {
				foreign++
			}
		}
		s.out.wait(t, fmt.Sprintf(`relay ended.* relay="?\[?%s.* packets_out=1 .* packets_in=1 dropped=%d$`, regexp.QuoteMeta(c.relay.Addr().String()), sent+foreign))
	}
	if got := regexp.MustCompile("got .*").FindAllString(outside.text(), -1); len(got) != len(permitted) {
		t.Errorf("neighbours got %q", got)
	}
	if strings.Contains(inside.text(), "got") {
		t.Error("the machine itself got", inside.text())
	}
}

// neighbours has sockets at the addresses, in another network namespace or here.
func neighbours(t *testing.T, where ...string) (out *output, say io.Writer) {
	t.Helper()
	all := here
	if len(where) > 0 {
		all = append(append([]string{}, forbidden...), permitted...) // the last one to send is the one that is heard
	}
	args := append(append(where, "python3", "peers.py", fmt.Sprint(peerPort)), all...)
	c := exec.CommandContext(t.Context(), args[0], args[1:]...)
	out = newOutput()
	c.Stdout, c.Stderr = out, out
	in, err := c.StdinPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = c.Wait() })
	out.wait(t, "ready")
	return out, in
}

// relayClient speaks TURN by hand, to ask for what no library would.
type relayClient struct {
	t              *testing.T
	conn           net.Conn
	user, password string
	realm, nonce   []byte
	relay          netip.AddrPort
}

// allocated makes a channel's master an allocation of a family.
func (s *server) allocated(t *testing.T, at string, family byte) *relayClient {
	t.Helper()
	ctx, as := t.Context(), s.client(t)
	var made wire.CreateSignalingChannelOutput
	name := fmt.Sprint("denied", family)
	if err := as.Call(ctx, wire.ByName("CreateSignalingChannel"), &wire.CreateSignalingChannelInput{ChannelName: &name}, &made); err != nil {
		t.Fatal(err)
	}
	var told wire.GetIceServerConfigOutput
	if err := as.Call(ctx, wire.ByName("GetIceServerConfig"), &wire.GetIceServerConfigInput{ChannelARN: made.ChannelARN}, &told); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &relayClient{t: t, conn: conn, user: *told.IceServerList[0].Username, password: *told.IceServerList[0].Password}
	fill := func(b *stun.Builder) {
		b.AddNumber(stun.RequestedTransport, 17<<24).AddNumber(stun.RequestedAddressFamily, uint32(family)<<24)
	}
	m, _ := c.ask(stun.Allocate, fill)
	c.realm, _ = m.Get(stun.Realm)
	c.nonce, _ = m.Get(stun.Nonce)
	m, code := c.ask(stun.Allocate, fill)
	if c.relay, _ = m.Address(stun.XORRelayedAddress); code != 0 {
		t.Fatal("Allocate:", code)
	}
	return c
}

// ask sends a request and returns the answer with its code, 0 = success.
func (c *relayClient) ask(method stun.Method, fill func(*stun.Builder)) (m stun.Message, code int) {
	c.t.Helper()
	id := make([]byte, 12)
	rand.Read(id)
	b := stun.NewBuilder(nil, method, stun.Request, id)
	fill(b)
	if c.nonce != nil {
		b.Add(stun.Username, []byte(c.user)).Add(stun.Realm, c.realm).Add(stun.Nonce, c.nonce)
		b.Sign(stun.Key(c.user, string(c.realm), c.password))
	}
	if _, err := c.conn.Write(b.Bytes()); err != nil {
		c.t.Fatal(err)
	}
	m, err := stun.Parse(c.read())
	if err != nil {
		c.t.Fatal(err)
	}
	if v, ok := m.Get(stun.ErrorCode); ok {
		code = int(v[2])*100 + int(v[3])
	}
	return m, code
}

func (c *relayClient) read() []byte {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, 2000)
	n, err := c.conn.Read(b)
	if err != nil {
		c.t.Fatal(err)
	}
	return b[:n]
}

// addPeer appends XOR-PEER-ADDRESS, with an IPv4 address in IPv6 form as such.
func addPeer(b *stun.Builder, a netip.Addr) {
	mask := b.Bytes()[4:20] // the cookie and the transaction
	value := []byte{0, stun.IPv4, peerPort>>8 ^ mask[0], peerPort&0xff ^ mask[1]}
	if a.Is6() {
		value[1] = stun.IPv6
	}
	for i, x := range a.AsSlice() {
		value = append(value, x^mask[i])
	}
	b.Add(stun.XORPeerAddress, value)
}

// try asks for a peer in both ways, sends to it, and returns the codes of the answers.
func (c *relayClient) try(a netip.Addr) map[stun.Method]int {
	c.t.Helper()
	codes := map[stun.Method]int{}
	_, codes[stun.CreatePermission] = c.ask(stun.CreatePermission, func(b *stun.Builder) { addPeer(b, a) })
	_, codes[stun.ChannelBind] = c.ask(stun.ChannelBind, func(b *stun.Builder) { addPeer(b.AddNumber(stun.ChannelNumber, 0x4001<<16), a) })
	b := stun.NewBuilder(nil, stun.Send, stun.Indication, make([]byte, 12))
	addPeer(b, a)
	b.Add(stun.DataValue, []byte("out"))
	if _, err := c.conn.Write(b.Bytes()); err != nil {
		c.t.Fatal(err)
	}
	return codes
}
