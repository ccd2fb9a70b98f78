// Package peers decides towards which addresses the relay works: a relay that reaches
// everything is a door into the network in which it stands.
//
// A [Policy] is a value that is not changed after it was made; all its methods are pure
// and may be used from any number of goroutines.
package peers

import (
	"net/netip"
	"slices"
)

// Reason says why an address is denied; "" = it is not.
type Reason string

// The reasons.
const (
	Allowed Reason = ""
	Invalid Reason = "invalid" // no address, no port, or IPv4 in the clothes of IPv6
	Special Reason = "special" // in a range that the internet does not route, or that hides another address
	Host    Reason = "host"    // this machine's own
)

// Policy says what is allowed. The zero value denies all special addresses.
type Policy struct {
	Allow []netip.Prefix // reachable although special or our own
	Host  []netip.Addr   // addresses of this machine
}

// special are the ranges that are denied if nothing allows them. What hides an IPv4
// address is denied as a whole: the plain form is there for it.
var special = prefixes(
	"0.0.0.0/8",       // "this" network, and unspecified
	"10.0.0.0/8",      // private
	"100.64.0.0/10",   // shared, behind a carrier's NAT; metadata of some clouds
	"127.0.0.0/8",     // loopback
	"169.254.0.0/16",  // link-local; metadata of most clouds
	"172.16.0.0/12",   // private
	"192.0.0.0/24",    // protocol assignments; metadata of some clouds
	"192.0.2.0/24",    // documentation
	"192.88.99.0/24",  // 6to4 relays
	"192.168.0.0/16",  // private
	"198.18.0.0/15",   // benchmarks
	"198.51.100.0/24", // documentation
	"203.0.113.0/24",  // documentation
	"224.0.0.0/4",     // multicast
	"240.0.0.0/4",     // reserved, and broadcast
	"::/96",           // unspecified, loopback, IPv4-compatible
	"64:ff9b::/96",    // translated IPv4
	"64:ff9b:1::/48",  // translated IPv4, local
	"100::/64",        // discard
	"2001::/32",       // Teredo
	"2001:2::/48",     // benchmarks
	"2001:10::/28",    // ORCHID
	"2001:20::/28",    // ORCHID
	"2001:db8::/32",   // documentation
	"2002::/16",       // 6to4
	"3fff::/20",       // documentation
	"5f00::/16",       // segment routing
	"fc00::/7",        // unique local; metadata of some clouds
	"fe80::/10",       // link-local
	"fec0::/10",       // site-local
	"ff00::/8",        // multicast
)

// global is the part of IPv6 in which there are hosts of the internet (RFC 4291, 2.4).
var global = netip.MustParsePrefix("2000::/3")

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, t := range texts {
		all = append(all, netip.MustParsePrefix(t))
	}
	return all
}

// Denies says why a peer at a is not served. An IPv4 address in IPv6 form is denied
// whatever is allowed, and so is one with a zone.
func (p *Policy) Denies(a netip.Addr) Reason {
	switch {
	case !a.IsValid() || a.Is4In6() || a.Zone() != "":
		return Invalid
	case contains(p.Allow, a):
		return Allowed
	case contains(special, a), a.Is6() && !global.Contains(a):
		return Special
	case slices.Contains(p.Host, a):
		return Host
	}
	return Allowed
}

// Allows says whether a is in the list of what is allowed, special or not.
func (p *Policy) Allows(a netip.Addr) bool { return contains(p.Allow, a) }

func contains(all []netip.Prefix, a netip.Addr) bool {
	for _, p := range all {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
