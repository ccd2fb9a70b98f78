package relay

import (
	"net/netip"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/relay/stun"
)

// Who asks for both families gets one, and is told of the other (RFC 8656, 7.2).
func TestBothFamilies(t *testing.T) {
	r := start(t)
	c := r.dial(t)
	c.challenge()
	m, code := c.ask(stun.Allocate, func(b *stun.Builder) { overIPv4(b); b.AddNumber(stun.AdditionalFamily, v6<<24) })
	if n, _ := m.Number(stun.AddressErrorCode); code != 0 || n != v6<<24|0x0428 {
		t.Errorf("%d %x", code, n)
	}
	if _, is := must(c.ask(stun.Refresh, nil)).Get(stun.AddressErrorCode); is {
		t.Error("a Refresh is told, too")
	}
	if _, code := c.ask(stun.Refresh, func(b *stun.Builder) { b.AddNumber(stun.RequestedAddressFamily, 3<<24) }); code != wrongPeer {
		t.Error("refreshed as a family that is none:", code)
	}
}

func must(m stun.Message, _ int) stun.Message { return m }

// An Allocate gives nothing back, whatever its lifetime.
func TestAllocateForNoTime(t *testing.T) {
	c := start(t).dial(t)
	c.challenge()
	m, code := c.ask(stun.Allocate, func(b *stun.Builder) { overIPv4(b); b.AddNumber(stun.Lifetime, 0) })
	if n, _ := m.Number(stun.Lifetime); code != 0 || n != 600 {
		t.Error(code, n)
	}
}

// A channel permits all ports of its peer's address, for as long as a permission (RFC 8656, 12.2).
func TestChannelsPermit(t *testing.T) {
	r := start(t)
	c, bound, other := r.dial(t), newPeer(t, loopback), newPeer(t, loopback)
	relayed := c.allocate(overIPv4)
	c.must(stun.ChannelBind, channelTo(0x4000, bound.addr()))
	other.send(relayed, "from another port")
	m, err := stun.Parse(c.read())
	if from, _ := m.Address(stun.XORPeerAddress); err != nil || from != other.addr() {
		t.Error(from, err)
	}
	c.send(indicationTo(other.addr(), "to another port"))
	other.read()
	r.clock.move(permissionLife + time.Second)
	dropped := r.Totals().Dropped["no permission"]
	other.send(relayed, "late")
	until(t, "it is dropped", func() bool { return r.Totals().Dropped["no permission"] == dropped+1 })
	bound.send(relayed, "in time")
	if got := string(c.read()); got != string(channelData(0x4000, "in time")) {
		t.Errorf("%q", got)
	}
	c.must(stun.ChannelBind, channelTo(0x4000, bound.addr()))
	other.send(relayed, "again")
	c.read()
}

// What is unknown and must be understood is refused, in an indication silently; what need not be is
// not even looked at (RFC 8489, 6.3).
func TestUnknownAttributes(t *testing.T) {
	r := start(t)
	c, p := r.dial(t), newPeer(t, loopback)
	c.allocate(overIPv4)
	for _, method := range []stun.Method{stun.Refresh, stun.CreatePermission, stun.ChannelBind, stun.Binding} {
		m, code := c.ask(method, func(b *stun.Builder) { channelTo(0x4000, p.addr())(b); b.Add(0x7123, nil) })
		if kinds, _ := m.Get(stun.UnknownAttributes); code != unknown || string(kinds) != "\x71\x23" {
			t.Errorf("%s: %d %x", method, code, kinds)
		}
	}
	c.must(stun.CreatePermission, func(b *stun.Builder) { toPeer(p.addr())(b); b.Add(0xFABC, []byte("?")) })
	for _, kind := range []stun.Attribute{0x7123, 0x001A} { // DONT-FRAGMENT is the second
		c.send(stun.NewBuilder(nil, stun.Send, stun.Indication, transaction()).AddAddress(stun.XORPeerAddress, p.addr()).Add(kind, nil).Add(stun.DataValue, []byte("no")).Bytes())
	}
	c.send(indicationTo(p.addr(), "yes"))
	if got, _ := p.read(); got != "yes" {
		t.Error(got)
	}
}

// What is no question is not answered: wrong fingerprints, answers, unknown methods, indications.
func TestSilence(t *testing.T) {
	r := start(t)
	c := r.dial(t)
	c.allocate(overIPv4)
	spoiled := c.request(stun.Refresh, nil)
	spoiled[len(spoiled)-1] ^= 1
	of := func(m stun.Method, class stun.Class) []byte {
		return stun.NewBuilder(nil, m, class, transaction()).Sign(c.key()).Bytes()
	}
	for _, b := range [][]byte{
		spoiled, of(stun.Refresh, stun.Success), of(stun.Allocate, stun.Failure), of(stun.Binding, stun.Indication), of(stun.Allocate, stun.Indication),
		of(0xA, stun.Request), of(stun.Send, stun.Request), of(stun.Data, stun.Indication), channelData(0x4FFF, "nobody"), indicationTo(netip.MustParseAddrPort("127.0.0.1:9"), "no"),
	} {
		c.send(b)
	}
	c.send(c.request(stun.Refresh, nil))
	if m, code := c.answer(); m.Method() != stun.Refresh || code != 0 {
		t.Error("something else was answered:", m.Method(), code)
	}
	if err := r.Top()[0]; err.PacketsOut != 0 {
		t.Error("something went out")
	}
}

// The newer forms of the long-term mechanism are not announced, and who uses them nevertheless is
// told what he can do (section 3).
func TestNewerCredentials(t *testing.T) {
	c := start(t).dial(t)
	c.challenge()
	const (
		sha256    stun.Attribute = 0x001C // MESSAGE-INTEGRITY-SHA256
		algorithm stun.Attribute = 0x001D // PASSWORD-ALGORITHM
		userHash  stun.Attribute = 0x001E
	)
	if len(c.nonce) > 9 && string(c.nonce[:9]) == "obMatJos2" {
		t.Error("the nonce announces them")
	}
	bare := stun.NewBuilder(nil, stun.Allocate, stun.Request, transaction())
	overIPv4(bare)
	bare.Add(stun.Username, []byte(c.user)).Add(stun.Realm, c.realm).Add(stun.Nonce, c.nonce)
	c.send(bare.Add(sha256, make([]byte, 32)).Bytes())
	if m, code := c.answer(); code != unauthorized {
		t.Error("SHA-256 alone:", code)
	} else if _, is := m.Get(stun.Nonce); !is {
		t.Error("there is no nonce")
	}
	hashed := stun.NewBuilder(nil, stun.Allocate, stun.Request, transaction())
	overIPv4(hashed)
	c.send(hashed.Add(userHash, make([]byte, 32)).Add(stun.Realm, c.realm).Add(stun.Nonce, c.nonce).Sign(c.key()).Bytes())
	if _, code := c.answer(); code != badRequest {
		t.Error("a hash of the user alone:", code)
	}
	if m, code := c.ask(stun.Allocate, func(b *stun.Builder) { overIPv4(b); b.AddNumber(algorithm, 2<<16) }); code != unknown {
		t.Error("an algorithm:", code)
	} else if kinds, _ := m.Get(stun.UnknownAttributes); string(kinds) != "\x00\x1d" {
		t.Errorf("unknown are %x", kinds)
	}
}
