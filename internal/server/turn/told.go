package turn

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/relay"
)

// maxEntries is how many addresses clients are told of: some look at the first alone.
const maxEntries = 2

// tell makes what clients are told from the listeners and turn.host.
func (t *Turn) tell(host string) {
	o := t.o
	o.Settings.Host = host
	var all [][]string
	for _, l := range t.relay.Listening() {
		if l.Network == "tcp" && len(all) < maxEntries { // each address has one of these
			uris := o.uris(l.Address, t.relay.Addresses())
			all = distinct(all, uris)
			o.Logger.Info("relaying", "listen", l.Address, "uris", strings.Join(uris, " "))
		}
	}
	t.entries.Store(&all)
}

// distinct adds URIs unless they are there: two listeners may have one name.
func distinct(all [][]string, uris []string) [][]string {
	for _, other := range all {
		if slices.Equal(other, uris) {
			return all
		}
	}
	return append(all, uris)
}

// uris are what clients are told of a listener: three, with port and transport, as the
// original service has them; some clients know no others (wire-webrtc section 5.1).
func (o *Options) uris(listener string, relays []relay.Address) []string {
	host, port, _ := net.SplitHostPort(listener)
	at := net.JoinHostPort(o.host(host, relays), port)
	return []string{"turn:" + at + "?transport=udp", "turns:" + at + "?transport=udp", "turns:" + at + "?transport=tcp"}
}

// host is the name by which a listener is reached. Of two addresses the one of IPv4 is told:
// some clients cannot read one of IPv6 out of a URI.
func (o *Options) host(listener string, relays []relay.Address) string {
	if o.Settings.Host != "" {
		return o.Settings.Host
	}
	a := relays[0].Advertised
	if ip, err := netip.ParseAddr(listener); err == nil && !ip.IsUnspecified() {
		a = advertised(ip, relays)
	} else if i := slices.IndexFunc(relays, func(r relay.Address) bool { return r.Advertised.Is4() }); i >= 0 {
		a = relays[i].Advertised
	}
	return hostOf(a, o.Domain)
}

// hostOf is how clients are told an address.
func hostOf(a netip.Addr, domain string) string {
	if domain == "" {
		return a.String()
	}
	return Label(a, domain)
}

// advertised is what clients are told of an address of this machine.
func advertised(local netip.Addr, relays []relay.Address) netip.Addr {
	for _, a := range relays {
		if a.Local == local {
			return a.Advertised
		}
	}
	return local
}

// Label is the name of an address below a domain: 192-0-2-7.kvs.example, or of IPv6 all eight
// groups. Clients in C read the address from it and ask no DNS, those of IPv6 only together
// with one of IPv4, so that they do ask for these (wire-webrtc section 5.2).
func Label(a netip.Addr, domain string) string {
	return strings.NewReplacer(".", "-", ":", "-").Replace(a.StringExpanded()) + "." + domain
}

// Names are those that clients of the relay want to see in its certificate.
func Names(c *config.Turn, domain string) (names []string) {
	if len(c.Listen) == 0 {
		return nil
	}
	if c.Host != "" {
		names = append(names, c.Host)
	}
	for _, a := range told(c) {
		names = append(names, a.String())
		if domain != "" {
			names = append(names, Label(a, domain))
		}
	}
	return names
}

// Uncovered says what is wrong when clients are told a host of turns: that the certificate
// does not have, "" when it has each. covers says for which ones it is good.
func Uncovered(c *config.Turn, domain string, covers func(host string) bool) string {
	if len(c.Listen) == 0 {
		return ""
	}
	hosts := []string{c.Host}
	if c.Host == "" {
		hosts = nil
		for _, a := range told(c) {
			hosts = append(hosts, hostOf(a, domain))
		}
	}
	for _, host := range hosts {
		if !covers(host) {
			return fmt.Sprintf("browsers are told turns:%s, for which the certificate is not good: set turn.host to a name that it has", host)
		}
	}
	return ""
}

// told are the addresses that clients may be told: advertised ones, those of the listeners,
// and if neither says more, all of this machine.
func told(c *config.Turn) (addrs []netip.Addr) {
	all, _ := c.Addresses() // checked before
	for _, a := range all {
		addrs = append(addrs, a.Public)
	}
	wide := false
	for _, l := range c.Listen {
		host, _, _ := net.SplitHostPort(l)
		ip, err := netip.ParseAddr(host)
		switch {
		case err != nil || ip.IsUnspecified():
			wide = true
		case !slices.Contains(addrs, ip):
			addrs = append(addrs, ip)
		}
	}
	if !wide || len(all) > 0 {
		return addrs
	}
	for _, p := range own() {
		if ip := p.Addr(); ip.IsGlobalUnicast() && !slices.Contains(addrs, ip) {
			addrs = append(addrs, ip)
		}
	}
	return addrs
}

// Inland says which relay address would be found where none is set, although the internet does
// not reach it, and nothing in the settings shows that it is meant; "" = none.
func Inland(s *config.Turn) string {
	if len(s.Listen) == 0 || len(s.Advertise) > 0 {
		return ""
	}
	var listeners []relay.Listener
	for _, addr := range s.Listen {
		listeners = append(listeners, relay.Listener{Address: addr})
	}
	return inland(s, relay.Find(listeners))
}

func inland(s *config.Turn, found []relay.Address) string {
	meant, _ := s.Peers() // what is wrong with it is told elsewhere
	for _, a := range found {
		named := slices.ContainsFunc(s.Listen, func(l string) bool {
			listen, err := netip.ParseAddrPort(l)
			return err == nil && listen.Addr() == a.Local
		})
		if !relay.Public(a.Local) && !named && !slices.ContainsFunc(meant, func(p netip.Prefix) bool { return p.Contains(a.Local) }) {
			return fmt.Sprintf("%s would be found as relay address, and the internet does not reach it: behind a NAT or in a network of containers set the outside address, and this one where all peers are in its network", a.Local)
		}
	}
	return ""
}
