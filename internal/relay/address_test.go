package relay

import (
	"net/netip"
	"testing"
)

func TestPick(t *testing.T) {
	parse := func(texts []string) (all []netip.Addr) {
		for _, s := range texts {
			all = append(all, netip.MustParseAddr(s))
		}
		return all
	}
	for _, c := range []struct {
		name             string
		near, interfaces []string
		want             []string
	}{
		{"public, behind the default route", []string{"8.1.0.1"}, []string{"127.0.0.1", "9.1.0.1"}, []string{"8.1.0.1"}},
		{"public, on an interface", []string{"10.0.0.5"}, []string{"127.0.0.1", "10.0.0.5", "9.1.0.1"}, []string{"9.1.0.1"}},
		{"private, of a listener", []string{"10.88.1.1", "192.168.0.2"}, []string{"127.0.0.1", "192.168.0.2", "10.88.1.1"}, []string{"10.88.1.1"}},
		{"a listener on loopback", []string{"127.0.0.1", "10.0.0.5"}, []string{"127.0.0.1"}, []string{"10.0.0.5"}},
		{"all interfaces", []string{"0.0.0.0", "::"}, []string{"127.0.0.1", "172.17.0.1"}, nil},
		{"a tunnel beside the default route", []string{"192.168.1.5"}, []string{"127.0.0.1", "100.101.102.103", "192.168.1.5"}, []string{"192.168.1.5"}},
		{"a carrier's NAT, and benchmarks", []string{"100.64.0.9"}, []string{"198.18.0.1", "192.0.0.2"}, []string{"100.64.0.9"}},
		{"IPv6 that is local", []string{"10.0.0.5"}, []string{"fd00::5", "2001:db8::1"}, []string{"10.0.0.5"}},
		{"both families", []string{"10.0.0.5", "2a00:1::5"}, []string{"fe80::1"}, []string{"10.0.0.5", "2a00:1::5"}},
	} {
		got := pick(parse(c.near), parse(c.interfaces))
		want := parse(c.want)
		same := len(got) == len(want)
		for i := range min(len(got), len(want)) {
			same = same && got[i].Local == want[i]
		}
		if !same {
			t.Errorf("%s: %v, want %v", c.name, got, want)
		}
	}
}
