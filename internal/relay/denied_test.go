package relay

import (
	"net/netip"
	"slices"
	"syscall"
	"testing"

	"github.com/millrace/millrace/internal/relay/stun"
)

// denied are forms of addresses at which a relay must not reach anybody: both ends of each
// range, and what hides an address in another. Those of the host itself are added by the tests.
var denied = []string{
	"0.0.0.0", "0.1.2.3", "0.255.255.255", "10.0.0.0", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "100.127.255.255",
	"127.0.0.1", "127.1.2.3", "127.255.255.255", "169.254.0.1", "169.254.169.254", "169.254.170.2", "169.254.255.255",
	"172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.168.0.0", "192.168.1.1", "192.168.255.255", "198.18.0.1", "198.51.100.1", "203.0.113.1",
	"224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.254", "255.255.255.255",
	"::", "::1", "::2", "::127.0.0.1", "::8.8.8.8",
	"::ffff:0.0.0.0", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:172.16.0.1", "::ffff:192.168.1.1", "::ffff:100.64.0.1", "::ffff:169.254.169.254",
	"::ffff:224.0.0.1", "::ffff:255.255.255.255", "::ffff:8.8.8.8",
	"64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::808:808", "64:ff9b:1::a00:1",
	"2002::", "2002:7f00:1::1", "2002:a9fe:a9fe::", "2002:808:808::1", "2001:0:1::1", "2001:db8::1",
	"fc00::", "fc00::1", "fd00:ec2::254", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe80::1", "fe80::a9fe:a9fe", "febf::1", "fec0::1",
	"ff00::", "ff01::1", "ff02::1", "ff05::1:3", "ff0e::1", "100::1", "4000::1",
}

// ways are the four to a peer, of a client with an allocation.
type ways struct {
	*client
	t *testing.T
	r *running
}

// tried tries an address by the four ways and says with which codes the two requests were
// answered; nothing may pass by the two others.
func (w ways) tried(a netip.Addr) (permission, channel int) {
	fill := raw(netip.AddrPortFrom(a, 9999))
	_, permission = w.ask(stun.CreatePermission, fill)
	_, channel = w.ask(stun.ChannelBind, func(b *stun.Builder) { b.AddNumber(stun.ChannelNumber, 0x4001<<16); fill(b) })
	b := stun.NewBuilder(nil, stun.Send, stun.Indication, transaction())
	fill(b)
	before := w.r.Totals()
	w.send(b.Add(stun.DataValue, []byte("secret")).Bytes())
	w.send(channelData(0x4001, "secret"))
	w.must(stun.Refresh, nil) // is answered after what came before it
	// The socket has nothing to do with where a packet says to come from: this is what it hands over.
	of := w.r.book.all()
	at := slices.IndexFunc(of, func(a *allocation) bool { return a.path.from == addrPort(w.conn.LocalAddr()) })
	d := delivery{allocation: of[at], now: w.r.clock.Now()}
	d.add(append(make([]byte, headroom), "secret"...), 6, plain(netip.AddrPortFrom(a, 9999)))
	after := w.r.Totals()
	if d := after.Dropped["no permission"] - before.Dropped["no permission"]; d != 3 || after.PacketsOut != before.PacketsOut || after.PacketsIn != before.PacketsIn {
		w.t.Errorf("%s: %d of three packets were dropped: %+v", a, d, after.Traffic)
	}
	return permission, channel
}

// TestDeniedPeers tries every form by each of the four ways: CreatePermission, ChannelBind,
// Send, and data from outside; and where a relay address has the other family, too.
func TestDeniedPeers(t *testing.T) {
	relays := []Address{{Local: loopback, Advertised: netip.MustParseAddr("8.8.4.4")}}
	if hasIPv6() {
		relays = append(relays, Address{Local: six, Advertised: netip.MustParseAddr("2a00::1")})
	}
	r := start(t, func(o *Options) { o.Addresses, o.Allow = relays, nil })
	over := map[bool]ways{true: {r.dial(t), t, r}}
	over[true].allocate(overIPv4)
	if hasIPv6() {
		over[false] = ways{r.dial(t), t, r}
		over[false].allocate(overIPv6)
	}
	all := slices.Clone(denied)
	for _, a := range r.host.addresses(r.clock.Now()) {
		if all = append(all, a.WithZone("").String()); r.ours(a) {
			all = all[:len(all)-1] // other allocations are there
		}
	}
	for _, text := range all {
		a := netip.MustParseAddr(text)
		for four, w := range over {
			want := forbidden
			if a.Is4() != four {
				want = wrongPeer
			}
			if permission, channel := w.tried(a); permission != want || channel != want {
				t.Errorf("%s: CreatePermission %d, ChannelBind %d, want %d", text, permission, channel, want)
			}
		}
	}
	if n := r.Totals(); n.PacketsOut != 0 || n.PacketsIn != 0 {
		t.Errorf("%+v", n)
	}
}

// An allow-list opens exactly its networks, and never an IPv4 address in the clothes of IPv6.
func TestAllowedPeers(t *testing.T) {
	if !hasIPv6() {
		t.Log("this machine has no IPv6: only IPv4 was tried")
	}
	r := start(t, func(o *Options) {
		o.Allow = []netip.Prefix{netip.MustParsePrefix("10.1.2.0/24"), netip.MustParsePrefix("fd00:1::/32"), netip.MustParsePrefix("::ffff:10.1.2.0/120")}
		if hasIPv6() {
			o.Addresses = append(o.Addresses, Address{Local: six})
		}
	})
	four, other := r.dial(t), r.dial(t)
	four.allocate(overIPv4)
	if hasIPv6() {
		other.allocate(overIPv6)
	}
	for text, want := range map[string]int{
		"10.1.2.0": 0, "10.1.2.255": 0, "10.1.1.255": forbidden, "10.1.3.0": forbidden, "10.0.0.1": forbidden, "127.0.0.2": forbidden, "8.8.8.8": 0,
		"fd00:1::": 0, "fd00:1:ffff:ffff:ffff:ffff:ffff:ffff": 0, "fd00:2::": forbidden, "fd00::1": forbidden, "::2": forbidden, "2a00::1": 0,
		"::ffff:10.1.2.3": forbidden, "64:ff9b::a01:203": forbidden, "2002:a01:203::1": forbidden, "::10.1.2.3": forbidden,
	} {
		a := netip.MustParseAddr(text)
		c := four
		if !a.Is4() {
			if c = other; !hasIPv6() {
				continue
			}
		}
		if _, code := c.ask(stun.CreatePermission, raw(netip.AddrPortFrom(a, 9))); code != want {
			t.Errorf("%s: %d, want %d", text, code, want)
		}
	}
}

// Addresses that the machine gets while it runs are its own, too, and so are those at which
// everybody in its networks is reached.
func TestAddressesOfTheHost(t *testing.T) {
	r := start(t)
	has := func(all ...netip.Prefix) {
		r.host.mu.Lock()
		defer r.host.mu.Unlock()
		r.host.interfaces = func() ([]netip.Prefix, error) { return all, nil }
	}
	silent := func() {
		r.host.mu.Lock()
		defer r.host.mu.Unlock()
		r.host.interfaces = func() ([]netip.Prefix, error) { return nil, syscall.EMFILE }
	}
	silent()
	c := r.dial(t)
	c.allocate(overIPv4)
	ask := func(text string, want int) {
		t.Helper()
		if _, code := c.ask(stun.CreatePermission, toPeer(netip.AddrPortFrom(netip.MustParseAddr(text), 9))); code != want {
			t.Errorf("%s: %d, want %d", text, code, want)
		}
	}
	ask("9.9.9.9", forbidden) // it might be this machine's own
	has(netip.MustParsePrefix("8.8.8.1/24"))
	for text, want := range map[string]int{"8.8.8.1": forbidden, "8.8.8.0": forbidden, "8.8.8.255": forbidden, "8.8.8.2": 0, "9.9.9.9": 0} {
		ask(text, want)
	}
	has(netip.MustParsePrefix("8.8.8.1/24"), netip.MustParsePrefix("9.9.9.9/32"))
	r.clock.move(hostLife)
	ask("9.9.9.9", forbidden)
	ask("8.8.8.1", forbidden)
	ask("9.9.9.8", 0)
	silent()
	r.clock.move(hostLife)
	ask("9.9.9.9", forbidden)
	ask("9.9.9.8", 0)
}

// raw adds a peer in exactly that form: the builder would take an IPv4 address out of
// its IPv6 clothes.
func raw(p netip.AddrPort) func(*stun.Builder) {
	return func(b *stun.Builder) {
		value := []byte{0, v4, byte(p.Port()>>8) ^ 0x21, byte(p.Port()) ^ 0x12}
		if p.Addr().Is6() {
			value[1] = v6
		}
		mask := b.Bytes()[4:20] // cookie and transaction
		for i, x := range p.Addr().AsSlice() {
			value = append(value, x^mask[i])
		}
		b.Add(stun.XORPeerAddress, value)
	}
}

// What comes from a denied address does not pass either: nobody could have permitted it.
func TestDataOfDeniedPeers(t *testing.T) {
	r := start(t, func(o *Options) { o.Allow = nil })
	c, p := r.dial(t), newPeer(t, loopback)
	relayed := c.allocate(overIPv4)
	// The relay's own address may be permitted: it is that of other allocations.
	c.must(stun.CreatePermission, toPeer(netip.AddrPortFrom(relayed.Addr(), 1)))
	other := newPeer(t, netip.MustParseAddr("127.0.0.2"))
	other.send(relayed, "no")
	until(t, "it is dropped", func() bool { return r.Totals().Dropped["no permission"] == 1 })
	// But what is behind it and is no allocation cannot be sent to.
	c.send(indicationTo(p.addr(), "no"))
	until(t, "it is dropped, too", func() bool { return r.Totals().Dropped["no permission"] == 2 })
	// Nor is it heard.
	p.send(relayed, "no")
	until(t, "and this", func() bool { return r.Totals().Dropped["no permission"] == 3 })
}

// One denied peer among others: none is permitted.
func TestAllPeersOrNone(t *testing.T) {
	r := start(t)
	c, p := r.dial(t), newPeer(t, loopback)
	c.allocate(overIPv4)
	if _, code := c.ask(stun.CreatePermission, toPeer(p.addr(), netip.MustParseAddrPort("10.0.0.1:9"))); code != forbidden {
		t.Error(code)
	}
	c.send(indicationTo(p.addr(), "no"))
	until(t, "it is dropped", func() bool { return r.Totals().Dropped["no permission"] == 1 })
}
