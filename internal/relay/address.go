package relay

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/relay/peers"
)

// Address is where relay sockets of one family are.
type Address struct {
	Local      netip.Addr // of an interface; zero = found
	Advertised netip.Addr // what clients are told; zero = the local one
}

// public are addresses to which a default route leads. Nothing is sent to them.
var public = map[string]string{"udp4": "8.8.8.8:9", "udp6": "[2001:4860:4860::8888]:9"}

// completeAddresses completes and checks what was set, or finds addresses where nothing was.
func completeAddresses(set []Address, listeners []Listener) (all []Address, err error) {
	if len(set) == 0 {
		set = Find(listeners)
	}
	seen := map[bool]bool{}
	for _, a := range set {
		if a = a.complete(listeners); !a.Local.IsValid() {
			return nil, fmt.Errorf("relay address advertised as %s: this host has no address of its family", a.Advertised)
		}
		if !a.Local.IsValid() || a.Local.IsUnspecified() || a.Local.Is4In6() || a.Advertised.IsUnspecified() || a.Local.Is4() != a.Advertised.Is4() {
			return nil, fmt.Errorf("relay address %s, advertised as %s: want two of one family", a.Local, a.Advertised)
		}
		if seen[a.Local.Is4()] {
			return nil, fmt.Errorf("relay address %s: there is another one of its family", a.Local)
		}
		seen[a.Local.Is4()] = true
		all = append(all, a)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("relay addresses: none is set, and this host has none")
	}
	return all, nil
}

// complete fills in what is not said. The local address stays zero if there is none.
func (a Address) complete(listeners []Listener) Address {
	if !a.Advertised.IsValid() {
		a.Advertised = a.Local
		return a
	}
	if a.Local.IsValid() {
		return a
	}
	all := interfaceAddresses()
	if slices.Contains(all, a.Advertised) {
		a.Local = a.Advertised
		return a
	}
	for _, found := range findAddresses(listeners, all) {
		if found.Local.Is4() == a.Advertised.Is4() {
			a.Local = found.Local
		}
	}
	return a
}

// findAddresses finds one of each family, the first public one of these or else the first: that of
// a listener, that from which the default route leaves, and of an interface. Of a private
// interface only if there is no other: it may be that of containers.
func findAddresses(listeners []Listener, interfaces []netip.Addr) (all []Address) {
	var near []netip.Addr
	for _, l := range listeners {
		if a, err := netip.ParseAddrPort(l.Address); err == nil {
			near = append(near, a.Addr())
		}
	}
	for _, network := range []string{"udp4", "udp6"} {
		if a, ok := route(network); ok {
			near = append(near, a)
		}
	}
	if all = pick(near, interfaces); len(all) == 0 {
		all = pick(interfaces, nil)
	}
	if len(all) == 0 && slices.Contains(interfaces, loopback) {
		all = []Address{{Local: loopback}} // a machine without a network has itself
	}
	return all
}

// Public says whether an address is one that the internet routes: no special one, such as that
// of a private network, a carrier's NAT or a tunnel.
func Public(a netip.Addr) bool { return (&peers.Policy{}).Denies(a) == peers.Allowed }

// Find returns the addresses that are found where none is set.
func Find(listeners []Listener) []Address { return findAddresses(listeners, interfaceAddresses()) }

// pick returns the first public address of each family, those near first, or else the first
// that is near.
func pick(near, interfaces []netip.Addr) (all []Address) {
	near = slices.DeleteFunc(slices.Clone(near), func(a netip.Addr) bool { return !a.IsGlobalUnicast() })
	for _, is4 := range []bool{true, false} {
		fits := func(a netip.Addr) bool { return a.Is4() == is4 }
		public := func(a netip.Addr) bool { return fits(a) && Public(a) }
		both := slices.Concat(near, interfaces)
		if i := slices.IndexFunc(both, public); i >= 0 {
			all = append(all, Address{Local: both[i]})
		} else if i := slices.IndexFunc(near, fits); i >= 0 {
			all = append(all, Address{Local: near[i]})
		}
	}
	return all
}

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// route asks the system from which address it would leave for the internet.
func route(network string) (netip.Addr, bool) {
	c, err := net.Dial(network, public[network])
	if err != nil {
		return netip.Addr{}, false
	}
	defer c.Close()
	a := addrPort(c.LocalAddr()).Addr()
	return a, a.IsGlobalUnicast()
}

func interfaceAddresses() (all []netip.Addr) {
	found, _ := interfacePrefixes() // none is an answer, too
	for _, p := range found {
		all = append(all, p.Addr())
	}
	return all
}

// interfacePrefixes are the addresses of this machine with their networks.
func interfacePrefixes() (all []netip.Prefix, err error) {
	found, err := net.InterfaceAddrs()
	for _, a := range found {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				bits, _ := n.Mask.Size()
				all = append(all, netip.PrefixFrom(ip.Unmap(), bits))
			}
		}
	}
	return all, err
}

// host knows the addresses of this machine, which come and go while it runs: those of IPv6
// that are for privacy every day.
type host struct {
	relay      []Address
	interfaces func() ([]netip.Prefix, error)

	mu   sync.Mutex
	all  []netip.Addr // nil = never known
	read time.Time
}

// hostLife is how long a new address of this machine may not be known to be one.
const hostLife = 10 * time.Second

// addresses are those of its interfaces, at which everybody in an IPv4 network of theirs
// is reached among them, and what is advertised. Where the system does not say, as to who
// has as many files open as he may, they are those that it said before; nil if there are
// none. The slice must not be changed.
func (h *host) addresses(now time.Time) []netip.Addr {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all != nil && now.Sub(h.read).Abs() < hostLife {
		return h.all
	}
	found, err := h.interfaces()
	if err != nil {
		return h.all
	}
	h.all, h.read = nil, now
	for _, p := range found {
		h.all = append(h.all, p.Addr())
		if p.Addr().Is4() && p.Bits() < 31 {
			h.all = append(h.all, p.Masked().Addr(), last(p))
		}
	}
	for _, a := range h.relay {
		h.all = append(h.all, a.Local, a.Advertised)
	}
	return h.all
}

// last is the highest address of an IPv4 network.
func last(p netip.Prefix) netip.Addr {
	a := p.Addr().As4()
	n := binary.BigEndian.Uint32(a[:]) | (1<<(32-p.Bits()) - 1)
	binary.BigEndian.PutUint32(a[:], n)
	return netip.AddrFrom4(a)
}

// of returns the relay address of a family.
func (s *Server) of(family uint32) (Address, bool) {
	for _, a := range s.o.Addresses {
		if a.Local.Is4() == (family == v4) {
			return a, true
		}
	}
	return Address{}, false
}

// addrPort is the address of a socket or connection in its plain form.
func addrPort(a net.Addr) netip.AddrPort {
	var p netip.AddrPort
	switch a := a.(type) {
	case *net.UDPAddr:
		p = a.AddrPort()
	case *net.TCPAddr:
		p = a.AddrPort()
	}
	return plain(p)
}

// plain takes an IPv4 address out of IPv6 clothes that a socket put on it.
func plain(p netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}
