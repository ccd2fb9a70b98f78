package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Turn says where the server's own STUN and TURN are, and towards whom they relay.
type Turn struct {
	Listen     []string `yaml:"listen"`      // addresses, each for UDP, TCP, TLS and DTLS; none = no relay
	Host       string   `yaml:"host"`        // name or address that clients are told, "" = found
	RelayPorts string   `yaml:"relay_ports"` // FIRST-LAST
	Advertise  []string `yaml:"advertise"`   // relay addresses that clients are told, PUBLIC or LOCAL=PUBLIC; none = found
	AllowPeers []string `yaml:"allow_peers"` // networks that are relayed to although they are private
	Discovery  Switch   `yaml:"discovery"`   // clients may find out what their NAT does; wants two addresses
}

// RelayAddress is an entry of turn.advertise.
type RelayAddress struct {
	Local  netip.Addr // zero = found
	Public netip.Addr
}

// Addresses reads turn.advertise.
func (t *Turn) Addresses() (all []RelayAddress, err error) {
	seen := map[bool]bool{}
	for _, text := range t.Advertise {
		local, public, both := strings.Cut(text, "=")
		if !both {
			local, public = "", text
		}
		var a RelayAddress
		if a.Public, err = netip.ParseAddr(public); err == nil && local != "" {
			a.Local, err = netip.ParseAddr(local)
		}
		switch {
		case err != nil || both && (local == "" || a.Local.Is4() != a.Public.Is4()):
			return nil, fmt.Errorf("%q: write an address, such as 203.0.113.7, or two of one family, such as 10.0.0.5=203.0.113.7", text)
		case a.Public.Is4In6() || a.Local.Is4In6() || a.Public.Zone() != "" || a.Public.IsUnspecified() || a.Local.IsValid() && a.Local.IsUnspecified():
			return nil, fmt.Errorf("%q: is no address that a client could send to", text)
		case seen[a.Public.Is4()]:
			return nil, fmt.Errorf("%q: there is another address of its family", text)
		}
		seen[a.Public.Is4()] = true
		all = append(all, a)
	}
	return all, nil
}

// Ports reads turn.relay_ports.
func (t *Turn) Ports() (first, last uint16, err error) {
	low, high, _ := strings.Cut(t.RelayPorts, "-")
	a, bad1 := strconv.ParseUint(low, 10, 16)
	b, bad2 := strconv.ParseUint(high, 10, 16)
	if bad1 != nil || bad2 != nil || a == 0 || a > b {
		return 0, 0, fmt.Errorf("%q: write the first and the last port, such as 49152-65535", t.RelayPorts)
	}
	return uint16(a), uint16(b), nil
}

// Peers reads turn.allow_peers.
func (t *Turn) Peers() (all []netip.Prefix, err error) {
	for _, text := range t.AllowPeers {
		p, err := parseProxy(text)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// maxTurnHost is how long the name in a URI of ours may be.
const maxTurnHost = maxICEURL - len("turns::65535?transport=udp")

// longestLabel is how long an address is in front of signaling.domain, with a point behind it.
const longestLabel = 8*4 + 7 + 1

// check finds what keeps the relay from working.
func (t *Turn) check(dev bool) (wrong Mistakes) {
	add := func(name string, err error) {
		if err != nil {
			wrong = append(wrong, Mistake{Setting: "turn." + name, Text: err.Error()})
		}
	}
	for _, addr := range t.Listen {
		add("listen", checkAddr(addr, dev))
	}
	if len(t.Listen) > 2 {
		add("listen", fmt.Errorf("there are %d addresses; clients are told of two", len(t.Listen)))
	}
	if ip := net.ParseIP(t.Host); t.Host != "" && ip == nil && !isDomain(t.Host) {
		add("host", errors.New("write a name in small letters, such as turn.example.com, or an address, without a port"))
	}
	if len(t.Host) > maxTurnHost {
		add("host", fmt.Errorf("has %d characters; clients read %d of it at most", len(t.Host), maxTurnHost))
	}
	add("discovery", t.checkDiscovery())
	_, _, err := t.Ports()
	add("relay_ports", err)
	_, err = t.Addresses()
	add("advertise", err)
	_, err = t.Peers()
	add("allow_peers", err)
	return wrong
}

// checkDiscovery finds out whether there are two addresses of one family.
func (t *Turn) checkDiscovery() error {
	var all []netip.Addr
	for _, l := range t.Listen {
		host, _, _ := net.SplitHostPort(l)
		if a, err := netip.ParseAddr(host); err == nil && !a.IsUnspecified() {
			all = append(all, a)
		}
	}
	if bool(t.Discovery) && (len(all) != 2 || all[0] == all[1] || all[0].Is4() != all[1].Is4()) {
		return errors.New("set two addresses of one family in turn.listen, such as 203.0.113.7:3478 and 203.0.113.8:3478")
	}
	return nil
}
