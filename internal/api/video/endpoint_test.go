package video

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"testing"
)

func TestDataEndpoints(t *testing.T) {
	names := []string{"media.example", "localhost", "127.0.0.1", "::1", "192.0.2.7"}
	for _, c := range []struct {
		name       string
		configured string
		names      []string
		host       string
		port       int // of the listener
		tls        bool
		want       string
	}{
		{"a name of the certificate", "", names, "localhost:8443", 8443, true, "https://localhost:8443"},
		{"the port of the listener, not of the header", "", names, "localhost:9999", 8443, true, "https://localhost:8443"},
		{"without the port, as the C producer writes it", "", names, "127.0.0.1", 8443, true, "https://127.0.0.1:8443"},
		{"in capitals", "", names, "Media.EXAMPLE:8443", 8443, true, "https://media.example:8443"},
		{"a name the certificate does not know", "", names, "evil.example:8443", 8443, true, "https://media.example:8443"},
		{"the usual port", "", names, "media.example", 443, true, "https://media.example"},
		{"the usual port of http", "", names, "media.example", 80, false, "http://media.example"},
		{"https on the port of http", "", names, "media.example", 80, true, "https://media.example:80"},
		{"plain", "", names, "192.0.2.7:8080", 8080, false, "http://192.0.2.7:8080"},
		{"IPv6", "", names, "[::1]:8443", 8443, true, "https://[::1]:8443"},
		{"IPv6 without port", "", names, "[::1]", 443, true, "https://[::1]"},
		{"no certificate: the caller's name", "", nil, "anything:1", 8080, false, "http://anything:8080"},
		{"a wildcard", "", []string{"*.kvs.example"}, "video.kvs.example:8443", 8443, true, "https://video.kvs.example:8443"},
		{"a wildcard is one label", "", []string{"*.kvs.example", "kvs.example"}, "a.b.kvs.example", 443, true, "https://kvs.example"},
		{"nothing but a wildcard", "", []string{"*.kvs.example"}, "other.example", 443, true, "https://other.example"},
		{"configured", "https://kvs.example", names, "localhost:8443", 8443, true, "https://kvs.example"},
		{"configured with slashes", "https://kvs.example:4443//", names, "localhost:8443", 8443, true, "https://kvs.example:4443"},
		{"configured with a path", "https://kvs.example/media/", names, "localhost", 8443, true, "https://kvs.example/media"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := (&http.Request{Host: c.host}).WithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: c.port}))
			if c.tls {
				r.TLS = &tls.ConnectionState{}
			}
			e := Endpoint{Configured: c.configured, Names: func() []string { return c.names }}
			if got := e.For(r); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
