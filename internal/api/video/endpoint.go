package video

import (
	"net"
	"net/http"
	"slices"
	"strings"
)

// Endpoint says under which address the media of this server can be reached.
type Endpoint struct {
	Configured string          // answered as it is when set
	Names      func() []string // names and addresses of the server's certificate, wildcards included
}

// For is the DataEndpoint for the caller of r: the configured one; else the name the
// caller used if the certificate carries it, else the certificate's first name, with
// the scheme and port of the listener that took the call. Never a trailing slash: the
// C producer appends "/putMedia" to it (wire-media section 1.1).
func (e Endpoint) For(r *http.Request) string {
	if e.Configured != "" {
		return strings.TrimRight(e.Configured, "/")
	}
	name := hostName(r.Host)
	if names := e.Names(); !carries(names, name) {
		name = firstName(names, name)
	}
	scheme, usual := "http", "80"
	if r.TLS != nil {
		scheme, usual = "https", "443"
	}
	port := usual
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		if _, p, err := net.SplitHostPort(a.String()); err == nil {
			port = p
		}
	}
	if strings.Contains(name, ":") {
		name = "[" + name + "]"
	}
	if port == usual {
		return scheme + "://" + name
	}
	return scheme + "://" + name + ":" + port
}

// carries reports whether a certificate with these names is good for name. A wildcard
// stands for one label (RFC 6125 section 6.4.3).
func carries(names []string, name string) bool {
	_, parent, _ := strings.Cut(name, ".")
	return slices.ContainsFunc(names, func(n string) bool {
		return n == name || parent != "" && n == "*."+parent
	})
}

// firstName is the first name that stands for one host; fallback if there is none.
func firstName(names []string, fallback string) string {
	for _, n := range names {
		if !strings.HasPrefix(n, "*.") {
			return n
		}
	}
	return fallback
}

// hostName is a Host header without port and brackets, in lower case.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}
