package guard

import (
	"net/netip"
	"testing"
)

func TestLobby(t *testing.T) {
	l := NewLobby()
	var in []*Place
	enter := func(a netip.Addr) *Place { return l.Enter(a, func(bool) {}, func() {}) }
	for i := range StrangersInAll + 100 {
		for range 2 {
			a := netip.AddrFrom16([16]byte{0x20, 1, byte(i >> 8), byte(i), 15: byte(i)})
			if p := enter(a); p != nil {
				in = append(in, p)
			}
		}
	}
	if len(in) != StrangersInAll {
		t.Error(len(in), "are in")
	}
	for _, p := range in {
		p.Leave()
		p.Leave() // leaves one place only
	}
	if !l.Empty() {
		t.Error("somebody is left")
	}
	for i := range StrangersOfSource + 1 {
		a := netip.AddrFrom16([16]byte{0x20, 1, 15: byte(i)}) // one network
		if (enter(a) != nil) != (i < StrangersOfSource) {
			t.Error("of one source:", i)
		}
	}
}

// A connection leaves the lobby when somebody is known to have it, and comes back after.
func TestPlace(t *testing.T) {
	l, source := NewLobby(), netip.MustParseAddr("192.0.2.1")
	hurried, ended := []bool(nil), 0
	p := l.Enter(source, func(yes bool) { hurried = append(hurried, yes) }, func() { ended++ })
	p.Know(false)
	p.Know(true)
	p.Know(true)
	if !l.Empty() {
		t.Error("a known one is in the lobby")
	}
	p.Know(false)
	if l.Empty() {
		t.Error("a stranger is not in the lobby")
	}
	p.Know(true)
	for range StrangersOfSource {
		l.Enter(source, func(bool) {}, func() {})
	}
	if p.Know(false); ended != 1 {
		t.Error("it stays though there is no place:", ended)
	}
	p.Leave()
	p.Know(true)
	if l.of[source] != StrangersOfSource {
		t.Error(l.of[source], "are in: one who was outside left the lobby")
	}
	if want := []bool{true, false, true, false, false}; len(hurried) != len(want) {
		t.Error(hurried)
	}
}
