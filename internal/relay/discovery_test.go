package relay

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/millrace/millrace/internal/relay/stun"
)

const padding stun.Attribute = 0x0026

// discovering lets clients find out what their NAT does.
func discovering(o *Options) {
	o.Listeners, o.Discovery = []Listener{{Address: "127.0.0.1:0"}, {Address: "127.0.0.2:0"}}, true
}

// plainAddress reads an address that is not XORed.
func plainAddress(m stun.Message, kind stun.Attribute) netip.AddrPort {
	v, _ := m.Get(kind)
	if len(v) < 8 {
		return netip.AddrPort{}
	}
	a, _ := netip.AddrFromSlice(v[4:])
	return netip.AddrPortFrom(a, uint16(v[2])<<8|uint16(v[3]))
}

// bindingTo sends Binding from a socket and returns the answer and where it came from.
func (p *peer) bindingTo(to netip.AddrPort, fill func(*stun.Builder)) (m stun.Message, from netip.AddrPort) {
	p.t.Helper()
	p.send(to, string((&client{}).request(stun.Binding, fill)))
	data, from := p.read()
	m, err := stun.Parse([]byte(data))
	if err != nil {
		p.t.Fatal(err)
	}
	return m, from
}

func changed(what uint32) func(*stun.Builder) {
	return func(b *stun.Builder) { b.AddNumber(stun.ChangeRequest, what) }
}

// Whatever a client wants changed, the answer comes from there, and says so (RFC 5780, 6.1).
func TestDiscovery(t *testing.T) {
	r := start(t, discovering)
	v := r.discovery
	p := newPeer(t, netip.MustParseAddr("127.0.0.3"))
	for i, host := range v.hosts {
		for j, port := range v.ports {
			for what, want := range map[uint32]netip.AddrPort{
				0: netip.AddrPortFrom(host, port), changePort: netip.AddrPortFrom(host, v.ports[1-j]),
				changeHost: netip.AddrPortFrom(v.hosts[1-i], port), changeHost | changePort: netip.AddrPortFrom(v.hosts[1-i], v.ports[1-j]),
			} {
				m, from := p.bindingTo(netip.AddrPortFrom(host, port), changed(what))
				seen, _ := m.Address(stun.XORMappedAddress)
				if from != want || plainAddress(m, stun.ResponseOrigin) != want || seen != p.addr() || plainAddress(m, stun.MappedAddress) != p.addr() {
					t.Errorf("%s:%d changed by %d: answered from %s, %s, want %s; seen at %s", host, port, what, from, plainAddress(m, stun.ResponseOrigin), want, seen)
				}
				if other := plainAddress(m, stun.OtherAddress); other != netip.AddrPortFrom(v.hosts[1-i], v.ports[1-j]) {
					t.Error("the other address of", host, port, "is", other)
				}
			}
		}
	}
	if m, _ := p.bindingTo(netip.AddrPortFrom(v.hosts[0], v.ports[0]), nil); plainAddress(m, stun.OtherAddress).Addr() != v.hosts[1] {
		t.Error("nobody is told of the other address")
	}
}

// An answer goes to another port of the client, never to another address.
func TestResponsePort(t *testing.T) {
	r := start(t, discovering)
	asks, hears := newPeer(t, loopback), newPeer(t, loopback)
	port := hears.addr().Port()
	for _, value := range [][]byte{{byte(port >> 8), byte(port)}, {byte(port >> 8), byte(port), 0, 0}} {
		asks.send(addrPortOf(t, r.listensAt("udp")), string((&client{}).request(stun.Binding, func(b *stun.Builder) { b.Add(stun.ResponsePort, value) })))
		data, _ := hears.read()
		m, err := stun.Parse([]byte(data))
		if seen, _ := m.Address(stun.XORMappedAddress); err != nil || seen != asks.addr() {
			t.Error(seen, err)
		}
	}
}

func addrPortOf(t *testing.T, text string) netip.AddrPort {
	t.Helper()
	a, err := netip.ParseAddrPort(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestDiscoveryRefuses(t *testing.T) {
	r := start(t, discovering)
	c := r.dial(t)
	for name, want := range map[string]struct {
		fill func(*stun.Builder)
		code int
	}{
		"padding":                  {func(b *stun.Builder) { b.Add(padding, make([]byte, 1500)) }, unknown},
		"a change in two bytes":    {func(b *stun.Builder) { b.Add(stun.ChangeRequest, []byte{0, 6}) }, badRequest},
		"no port":                  {func(b *stun.Builder) { b.Add(stun.ResponsePort, []byte{0, 0, 0, 0}) }, badRequest},
		"a port in one byte":       {func(b *stun.Builder) { b.Add(stun.ResponsePort, []byte{80}) }, badRequest},
		"what nobody has heard of": {func(b *stun.Builder) { changed(6)(b); b.Add(0x7123, nil) }, unknown},
	} {
		if m, code := c.ask(stun.Binding, want.fill); code != want.code {
			t.Error(name, code)
		} else if kinds, _ := m.Get(stun.UnknownAttributes); code == unknown && len(kinds) != 2 {
			t.Errorf("%s: unknown are %x", name, kinds)
		}
	}
}

// Nothing is found out where it is off, nor over a connection.
func TestNoDiscovery(t *testing.T) {
	off, on := start(t, everywhere(t)), start(t, discovering)
	for name, c := range map[string]*client{"off": off.dial(t), "off, TCP": off.stream(t), "TCP": on.stream(t)} {
		m, code := c.ask(stun.Binding, nil)
		if _, is := m.Get(stun.OtherAddress); is || code != 0 || m.Len() != 32 {
			t.Error(name, "is told of another address:", code, m.Len())
		}
		for _, fill := range []func(*stun.Builder){changed(6), func(b *stun.Builder) { b.AddNumber(stun.ResponsePort, 9<<16) }} {
			if _, code := c.ask(stun.Binding, fill); code != unknown {
				t.Error(name, code)
			}
		}
	}
}

func TestWhatDiscoveryNeeds(t *testing.T) {
	for name, listeners := range map[string][]Listener{
		"one address":  {{Address: "127.0.0.1:0"}},
		"a wild one":   {{Address: ":0"}, {Address: "127.0.0.1:0"}},
		"one twice":    {{Address: "127.0.0.1:0"}, {Address: "127.0.0.1:0"}},
		"three":        {{Address: "127.0.0.1:0"}, {Address: "127.0.0.2:0"}, {Address: "127.0.0.3:0"}},
		"TCP":          {{Address: "127.0.0.1:0"}, {Network: "tcp", Address: "127.0.0.2:0"}},
		"two families": {{Address: "127.0.0.1:0"}, {Address: "[::1]:0"}},
	} {
		if name == "two families" && !hasIPv6() {
			continue
		}
		s, err := New(Options{Listeners: listeners, Secrets: start(t).o.Secrets, Addresses: []Address{{Local: loopback}}, Discovery: true})
		if !errors.Is(err, errDiscovery) {
			t.Error(name, err)
		}
		if err == nil {
			s.Close()
		}
	}
}

// With one port at both addresses the next one is the other.
func TestDiscoveryOnOnePort(t *testing.T) {
	const port = 3478
	s := &Server{}
	for _, host := range []string{"127.0.0.4", "127.0.0.5"} {
		s.doors = append(s.doors, &socket{server: s, local: netip.AddrPortFrom(netip.MustParseAddr(host), port)})
	}
	v, err := s.opposite()
	if err != nil || v.ports != [2]uint16{port, port ^ 1} || v.sockets[0][0] != s.doors[0] || v.sockets[1][0] != s.doors[1] || v.sockets[0][1] != nil || v.sockets[1][1] != nil {
		t.Errorf("%+v, %v", v, err)
	}
}

// Answers that say more are still bounded: less than two bytes for one, whatever is asked, and at
// most 100 (section 6).
func TestDiscoveryAmplifiesNothing(t *testing.T) {
	r := start(t)
	for text, headers := range map[string]int{"198.51.100.": 28, "2001:db8::": 48} {
		v := &discovery{ports: [2]uint16{3478, 3479}}
		for i := range v.hosts {
			v.hosts[i] = netip.MustParseAddr(text + string(rune('1'+i)))
			for j := range v.ports {
				v.sockets[i][j] = &socket{local: netip.AddrPortFrom(v.hosts[i], v.ports[j])}
			}
		}
		p := &path{server: r.Server, transport: UDP, from: netip.AddrPortFrom(netip.MustParseAddr(text+"7"), 4000), to: netip.AddrPortFrom(v.hosts[0], 3478)}
		for name, fill := range map[string]func(*stun.Builder){
			"nothing": func(*stun.Builder) {}, "change": changed(6), "fingerprint": func(b *stun.Builder) { b.Fingerprint() },
			"port":   func(b *stun.Builder) { b.AddNumber(stun.ResponsePort, 9<<16) },
			"both":   func(b *stun.Builder) { changed(2)(b); b.AddNumber(stun.ResponsePort, 9<<16) },
			"much":   func(b *stun.Builder) { changed(4)(b); b.Add(stun.Software, make([]byte, 500)).Fingerprint() },
			"signed": func(b *stun.Builder) { b.Sign(nil).Fingerprint() },
		} {
			m, err := stun.Parse((&client{}).request(stun.Binding, fill))
			if err != nil {
				t.Fatal(err)
			}
			packet, _, to := v.answer(p, m)
			answer, err := stun.Parse(packet)
			if _, is := answer.Get(stun.OtherAddress); err != nil || !is || to.Addr() != p.from.Addr() {
				t.Error(text, name, "lacks the other address", err)
			}
			if got := float64(len(packet)+headers) / float64(m.Len()+headers); got >= 2 || len(packet) > longestAnswer {
				t.Errorf("%s %s: %.2f bytes for one, %d in all", text, name, got, len(packet))
			}
		}
	}
}
