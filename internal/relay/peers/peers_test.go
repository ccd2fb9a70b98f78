package peers

import (
	"net/netip"
	"testing"
)

// The forms that a forger tries, each of which must be denied by a policy that allows nothing.
var denied = []string{
	"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254",
	"169.254.0.1", "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.168.0.1",
	"192.168.255.255", "198.18.0.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "100.100.100.200",
	"::", "::1", "::127.0.0.1", "::10.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::ffff:169.254.169.254",
	"64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::a00:1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:0:1::1",
	"fc00::1", "fd00:ec2::254", "fdff::1", "fe80::1", "fe80::1%eth0", "febf::1", "fec0::1", "ff02::1", "ff0e::1",
	"100::1", "2001:db8::1", "64:3030::1", "4000::1", "1fff::1", "8000::1",
}

var allowed = []string{"8.8.8.8", "1.1.1.1", "11.0.0.1", "100.63.255.255", "100.128.0.1", "126.0.0.1", "128.0.0.1", "169.253.0.1",
	"172.15.0.1", "172.32.0.1", "192.167.0.1", "192.169.0.1", "223.255.255.255", "2a00::1", "2606:4700::1111", "2001:4860::8888", "2003::1"}

func TestDenied(t *testing.T) {
	for _, text := range denied {
		if (&Policy{}).Denies(netip.MustParseAddr(text)) == Allowed {
			t.Error(text, "is allowed")
		}
	}
	for _, text := range allowed {
		if r := (&Policy{}).Denies(netip.MustParseAddr(text)); r != Allowed {
			t.Error(text, "is denied:", r)
		}
	}
	if (&Policy{}).Denies(netip.Addr{}) != Invalid {
		t.Error("no address is allowed")
	}
}

func TestHostsOwn(t *testing.T) {
	p := Policy{Host: []netip.Addr{netip.MustParseAddr("8.8.8.8")}}
	if p.Denies(p.Host[0]) != Host || p.Denies(netip.MustParseAddr("8.8.4.4")) != Allowed {
		t.Error("the host's own address is not the one denied")
	}
}

func TestAllowLists(t *testing.T) {
	p := Policy{
		Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("::/0")},
		Host:  []netip.Addr{netip.MustParseAddr("127.0.0.1")},
	}
	for text, want := range map[string]Reason{
		"127.0.0.1": Allowed, "fd00::1": Allowed, "::1": Allowed, "10.0.0.1": Special,
		"::ffff:127.0.0.1": Invalid, // its own form is allowed, this one never
		"fe80::1%eth0":     Invalid,
	} {
		if got := p.Denies(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// Whatever is not denied is routed on the internet, and hides no other address.
func FuzzDenies(f *testing.F) {
	for _, text := range append(denied, allowed...) {
		a := netip.MustParseAddr(text)
		f.Add(a.AsSlice())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ok := netip.AddrFromSlice(b)
		if (&Policy{}).Denies(a) != Allowed {
			return
		}
		if !ok || a.Is4In6() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() || !a.IsGlobalUnicast() {
			t.Fatal(a, "is allowed")
		}
		if a.Is6() {
			s := a.As16()
			if s[0] == 0x20 && s[1] == 0x02 || s[0] == 0 && s[1] == 0x64 || s[0]&0xfe == 0xfc {
				t.Fatal(a, "is allowed")
			}
		}
	})
}
