package relay

import (
	"net/netip"
	"testing"

	"github.com/millrace/millrace/internal/relay/stun"
)

// A token brings a port of the family that it was kept in.
func TestEvenPortsOfIPv6(t *testing.T) {
	if !hasIPv6() {
		t.Log("this machine has no IPv6: nothing was tried")
		return
	}
	r := start(t, func(o *Options) { o.Addresses = []Address{{Local: loopback}, {Local: six}} })
	m, code := r.dial(t).withNonce().ask(stun.Allocate, func(b *stun.Builder) { overIPv6(b); b.Add(stun.EvenPort, []byte{0x80}) })
	first, _ := m.Address(stun.XORRelayedAddress)
	token, _ := m.Get(stun.ReservationToken)
	m, next := r.dial(t).withNonce().ask(stun.Allocate, func(b *stun.Builder) { overIPv4(b); b.Add(stun.ReservationToken, token) })
	if second, _ := m.Address(stun.XORRelayedAddress); code != 0 || next != 0 || second != netip.AddrPortFrom(six, first.Port()+1) {
		t.Error(code, first, next, second)
	}
}

// A client that has the port of another, who went without a word, gets an address of its
// own elsewhere: neither that of the other nor half of a pair.
func TestAllocateIsNotARepetition(t *testing.T) {
	r := start(t)
	c := r.dial(t)
	c.challenge()
	pair := func(b *stun.Builder) { overIPv4(b); b.Add(stun.EvenPort, []byte{0x80}) }
	m, _ := c.ask(stun.Allocate, pair)
	token, _ := m.Get(stun.ReservationToken)
	c.must(stun.Allocate, pair)
	for name, fill := range map[string]func(*stun.Builder){
		"without a pair": overIPv4, "with a token": func(b *stun.Builder) { overIPv4(b); b.Add(stun.ReservationToken, token) },
		"of a family": func(b *stun.Builder) { pair(b); b.AddNumber(stun.RequestedAddressFamily, v4<<24) },
	} {
		if _, code := c.ask(stun.Allocate, fill); code != mismatch {
			t.Error(name, code)
		}
	}
	if _, code := r.dial(t).withNonce().ask(stun.Allocate, func(b *stun.Builder) { overIPv4(b); b.Add(stun.ReservationToken, token) }); code != 0 {
		t.Fatal("the other port of the pair:", code)
	}
	if _, code := c.ask(stun.Allocate, pair); code != mismatch {
		t.Error("a pair that is one no more:", code)
	}
	c.user, c.password, _ = r.Issue(account, front, "another")
	if _, code := c.ask(stun.Allocate, pair); code != mismatch {
		t.Error("another user:", code)
	}
}
