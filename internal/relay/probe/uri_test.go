package probe

import (
	"net/netip"
	"strings"
	"testing"
)

func contains(text, part string) bool { return strings.Contains(text, part) }

func TestParse(t *testing.T) {
	for uri, want := range map[string]Target{
		"stun:example.com":                              {false, UDP, "example.com", 3478},
		"STUN:192.0.2.1:19302":                          {false, UDP, "192.0.2.1", 19302},
		"stuns:example.com":                             {false, TLS, "example.com", 5349},
		"turn:example.com":                              {true, UDP, "example.com", 3478},
		"turn:example.com:80?transport=tcp":             {true, TCP, "example.com", 80},
		"turn:[2001:db8::1]:3478?transport=udp":         {true, UDP, "2001:db8::1", 3478},
		"turns:[::1]":                                   {true, TLS, "::1", 5349},
		"turns:192-0-2-7.kvs.example:443?Transport=UDP": {true, DTLS, "192-0-2-7.kvs.example", 443},
		"turns:example.com:443?transport=tcp":           {true, TLS, "example.com", 443},
	} {
		if got, err := Parse(uri); err != nil || got != want || !IsURI(uri) {
			t.Errorf("%s: %+v %v", uri, got, err)
		}
	}
	for _, uri := range []string{
		"", "door", "arn:aws:kinesisvideo:us-east-1:123456789012:channel/door/1", "http://example.com", "turn:", "turn:?transport=udp", "turn::3478", "turn:a:0", "turn:a:70000",
		"turn:a:b", "turn:a:", "turn:::1", "turn:[::1", "turn:[::1]3478", "turn:[192.0.2.1]:1", "turn:a?transport=sctp", "turn:a?", "turn:a b", "turn://a", "turn:a@b",
		"turn:" + strings.Repeat("a", 256), "turn:" + strings.Repeat("a", 600),
	} {
		if got, err := Parse(uri); err == nil {
			t.Errorf("%q is taken: %+v", uri, got)
		}
	}
}

// What is taken has a host to resolve or dial and a port to dial.
func FuzzParse(f *testing.F) {
	for _, uri := range []string{"stun:a", "turns:[::1]:1?transport=udp", "turn:a:65535?transport=tcp", "turn:[fe80::1%eth0]"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		got, err := Parse(uri)
		if err != nil {
			return
		}
		_, wrong := netip.ParseAddr(got.Host)
		if got.Host == "" || got.Port == 0 || strings.Contains(got.Host, ":") && wrong != nil || got.Transport.network() == "" || !IsURI(uri) {
			t.Errorf("%q: %+v", uri, got)
		}
	})
}
