package config

import (
	"strings"
	"testing"
)

func TestTurnSettings(t *testing.T) {
	good := Turn{Listen: []string{":3478", "10.0.0.5:5349"}, Host: "turn.example.com", RelayPorts: "50000-50999",
		Advertise: []string{"10.0.0.5=203.0.113.7", "2001:db8::7"}, AllowPeers: []string{"10.0.0.0/8", "192.168.1.9"}}
	if wrong := good.check(false); len(wrong) > 0 {
		t.Error(wrong)
	}
	all, _ := good.Addresses()
	first, last, _ := good.Ports()
	peers, _ := good.Peers()
	if len(all) != 2 || all[0].Local.String() != "10.0.0.5" || all[1].Local.IsValid() || first != 50000 || last != 50999 || peers[1].String() != "192.168.1.9/32" {
		t.Error(all, first, last, peers)
	}
	for name, bad := range map[string]func(*Turn){
		"listen":      func(t *Turn) { t.Listen = []string{"3478"} },
		"host":        func(t *Turn) { t.Host = "turn.example.com:3478" },
		"relay_ports": func(t *Turn) { t.RelayPorts = "60000-50000" },
		"advertise":   func(t *Turn) { t.Advertise = []string{"10.0.0.5=2001:db8::1"} },
		"allow_peers": func(t *Turn) { t.AllowPeers = []string{"10.0.0.1/8"} },
		"discovery":   func(t *Turn) { t.Discovery = true },
	} {
		c := good
		bad(&c)
		if wrong := c.check(false); len(wrong) != 1 || wrong[0].Setting != "turn."+name {
			t.Error(name, wrong)
		}
	}
	for _, length := range []int{maxTurnHost, maxTurnHost + 1} {
		long := good
		long.Host = strings.Repeat("a", 50) + "." + strings.Repeat("b", length-51)
		if wrong := long.check(false); len(wrong) != length-maxTurnHost {
			t.Errorf("a host of %d characters: %v", length, wrong)
		}
	}
	for _, text := range []string{"", "here", "=203.0.113.7", "10.0.0.5=", "::ffff:10.0.0.5", "0.0.0.0", "203.0.113.7 203.0.113.8"} {
		if _, err := (&Turn{Advertise: []string{text}}).Addresses(); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	if _, err := (&Turn{Advertise: []string{"203.0.113.7", "203.0.113.8"}}).Addresses(); err == nil || !strings.Contains(err.Error(), "family") {
		t.Error(err)
	}
	for listen, ok := range map[string]bool{
		"203.0.113.7:3478 203.0.113.8:3478": true, "[2001:db8::1]:3478 [2001:db8::2]:3478": true, "203.0.113.7:3478": false,
		"203.0.113.7:3478 [2001:db8::1]:3478": false, "203.0.113.7:3478 203.0.113.7:3479": false, "0.0.0.0:3478 203.0.113.7:3479": false,
	} {
		c := Turn{Listen: strings.Fields(listen), RelayPorts: "1-2", Discovery: true}
		if wrong := c.check(false); (len(wrong) == 0) != ok {
			t.Error(listen, wrong)
		}
	}
	dev := Turn{Listen: []string{":3478"}, RelayPorts: "1-2"}
	if wrong := dev.check(true); len(wrong) != 1 {
		t.Error("a development server listens everywhere:", wrong)
	}
}
