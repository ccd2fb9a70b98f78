package turn

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/relay"
)

// An address that was found and that the internet does not reach is told, unless the settings
// show that it is meant.
func TestInland(t *testing.T) {
	for name, c := range map[string]struct {
		found, listen, allow string
		told                 bool
	}{
		"behind a NAT":         {found: "10.0.0.5", listen: ":3478", told: true},
		"among containers":     {found: "172.17.0.2", listen: "0.0.0.0:3478", told: true},
		"behind a carrier":     {found: "100.64.0.9", listen: ":3478", told: true},
		"this machine alone":   {found: "127.0.0.1", listen: ":3478", told: true},
		"IPv6 of a network":    {found: "fd00::5", listen: "[::]:3478", told: true},
		"public":               {found: "8.1.0.1", listen: ":3478"},
		"named by listen":      {found: "10.0.0.5", listen: "10.0.0.5:3478"},
		"another one is named": {found: "10.0.0.5", listen: "10.0.0.6:3478", told: true},
		"peers in its network": {found: "10.0.0.5", listen: ":3478", allow: "10.0.0.0/8"},
		"peers in another":     {found: "10.0.0.5", listen: ":3478", allow: "192.168.0.0/16", told: true},
	} {
		s := &config.Turn{Listen: []string{c.listen}}
		if c.allow != "" {
			s.AllowPeers = []string{c.allow}
		}
		text := inland(s, []relay.Address{{Local: netip.MustParseAddr("8.8.8.8")}, {Local: netip.MustParseAddr(c.found)}})
		if (text != "") != c.told || c.told && !strings.HasPrefix(text, c.found+" would be found") {
			t.Errorf("%s: %q", name, text)
		}
	}
	for _, s := range []*config.Turn{{}, {Listen: []string{":3478"}, Advertise: []string{"10.0.0.5"}}} {
		if text := Inland(s); text != "" {
			t.Errorf("%+v: %s", s, text)
		}
	}
}
