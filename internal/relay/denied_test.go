package relay

import (
	"net/netip"
	"testing"

	"github.com/millrace/millrace/internal/relay/stun"
)

// denied are forms of addresses at which a relay must not reach anybody. Those of the host
// itself are added by the test.
var denied = []string{
	"0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.1.2.3", "169.254.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255",
	"192.168.1.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
	"::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "64:ff9b::a00:1",
	"2002:7f00:1::1", "2002:a9fe:a9fe::", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "ff05::1:3",
}

// TestDeniedPeers tries every form by each of the four ways: CreatePermission, ChannelBind,
// Send, and data from outside.
func TestDeniedPeers(t *testing.T) {
	relays := []Address{{Local: loopback, Advertised: netip.MustParseAddr("8.8.4.4")}}
	if hasIPv6() {
		relays = append(relays, Address{Local: six, Advertised: netip.MustParseAddr("2a00::1")})
	}
	r := start(t, func(o *Options) { o.Addresses, o.Allow = relays, nil })
	four, six := r.dial(t), r.dial(t)
	four.allocate(overIPv4)
	if hasIPv6() {
		six.allocate(overIPv6)
	}
	for _, a := range interfaceAddresses() {
		denied = append(denied, a.WithZone("").String())
	}
	dropped := r.Totals().Dropped["no permission"]
	for _, text := range denied {
		address := netip.MustParseAddr(text)
		peer := netip.AddrPortFrom(address, 9999)
		c := four
		if !address.Is4() {
			if c = six; !hasIPv6() {
				continue
			}
		}
		fill := raw(peer)
		if _, code := c.ask(stun.CreatePermission, fill); code != forbidden {
			t.Error("CreatePermission", text, code)
		}
		if _, code := c.ask(stun.ChannelBind, func(b *stun.Builder) { b.AddNumber(stun.ChannelNumber, 0x4001<<16); fill(b) }); code != forbidden {
			t.Error("ChannelBind", text, code)
		}
		b := stun.NewBuilder(nil, stun.Send, stun.Indication, transaction())
		fill(b)
		c.send(b.Add(stun.DataValue, []byte("secret")).Bytes())
		dropped++
		until(t, "Send to "+text+" is dropped", func() bool { return r.Totals().Dropped["no permission"] == dropped })
	}
	if n := r.Totals(); n.PacketsOut != 0 || n.PacketsIn != 0 {
		t.Errorf("%+v", n)
	}
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
