package guard

import (
	"net/netip"
	"slices"
	"testing"
)

func TestLobby(t *testing.T) {
	l := NewLobby(Strangers)
	var in []*Place
	enter := func(a netip.Addr) *Place { return l.Enter(a, func(bool) {}, func() {}) }
	for i := range Strangers + 100 {
		for range 2 {
			a := netip.AddrFrom16([16]byte{0x20, 1, byte(i >> 8), byte(i), 15: byte(i)})
			if p := enter(a); p != nil {
				in = append(in, p)
			}
		}
	}
	if len(in) != Strangers {
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
	l, source := NewLobby(Strangers), netip.MustParseAddr("192.0.2.1")
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

// Who was there first gives way, and has left only once.
func TestYieldingLobby(t *testing.T) {
	l := NewYieldingLobby(3)
	var ended []int
	var places []*Place
	for i := range 5 {
		p := l.Enter(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), func(bool) {}, func() { ended = append(ended, i) })
		if p == nil {
			t.Fatal("somebody is turned away:", i)
		}
		places = append(places, p)
	}
	if !slices.Equal(ended, []int{0, 1}) || l.line.Len() != 3 || len(l.of) != 3 {
		t.Error(ended, l.line.Len(), l.of)
	}
	places[2].Know(true) // has an allocation: it does not give way any more
	for i := range 2 {
		l.Enter(netip.AddrFrom4([4]byte{192, 0, 3, byte(i)}), func(bool) {}, func() {})
	}
	if !slices.Equal(ended, []int{0, 1, 3}) {
		t.Error(ended)
	}
	for _, p := range places {
		p.Leave()
	}
	if l.line.Len() != 2 {
		t.Error(l.line.Len(), "are in, want the last two")
	}
}
