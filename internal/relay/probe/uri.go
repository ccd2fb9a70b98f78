package probe

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Transport is how a client speaks to a server.
type Transport string

// The transports.
const (
	UDP  Transport = "udp"
	TCP  Transport = "tcp"
	TLS  Transport = "tls"  // over TCP
	DTLS Transport = "dtls" // over UDP
)

// network is the one below.
func (t Transport) network() string {
	if t == UDP || t == DTLS {
		return "udp"
	}
	return "tcp"
}

// secured says whether there is a certificate.
func (t Transport) secured() bool { return t == TLS || t == DTLS }

// Target is what a URI says (RFC 7064, RFC 7065).
type Target struct {
	Relay     bool // TURN; else STUN alone
	Transport Transport
	Host      string // a name, or an address without brackets
	Port      uint16
}

// Ports that are meant if a URI has none.
const (
	plainPort  = 3478
	securePort = 5349
)

// maxURI is longer than any URI that clients take.
const maxURI = 512

// IsURI says whether text begins like a URI that [Parse] is for.
func IsURI(text string) bool {
	scheme, _, ok := strings.Cut(text, ":")
	_, known := schemes[strings.ToLower(scheme)]
	return ok && known
}

// schemes say whether there is a relay, and whether TLS.
var schemes = map[string]struct{ relay, secure bool }{"stun": {}, "stuns": {secure: true}, "turn": {relay: true}, "turns": {true, true}}

// Parse reads a URI such as turns:turn.example.com:3478?transport=udp. Without a transport
// turn: and stun: mean UDP, turns: and stuns: TLS over TCP. The error says how one is written.
func Parse(uri string) (t Target, err error) {
	scheme, rest, ok := strings.Cut(uri, ":")
	kind, known := schemes[strings.ToLower(scheme)]
	if !ok || !known || len(uri) > maxURI {
		return t, fmt.Errorf("%.60q is no URI of a relay; write turn:HOST:PORT?transport=udp, turns:HOST:PORT?transport=tcp or stun:HOST:PORT", uri)
	}
	t.Relay, t.Transport, t.Port = kind.relay, UDP, plainPort
	if kind.secure {
		t.Transport, t.Port = TLS, securePort
	}
	place, query, asked := strings.Cut(rest, "?")
	if asked {
		if t.Transport, err = transport(query, kind.secure); err != nil {
			return Target{}, fmt.Errorf("%.60q: %w", uri, err)
		}
	}
	if err := t.place(place); err != nil {
		return Target{}, fmt.Errorf("%.60q: %w", uri, err)
	}
	return t, nil
}

// transport reads what follows the question mark.
func transport(query string, secure bool) (Transport, error) {
	switch strings.ToLower(query) {
	case "transport=udp":
		if secure {
			return DTLS, nil
		}
		return UDP, nil
	case "transport=tcp":
		if secure {
			return TLS, nil
		}
		return TCP, nil
	}
	return "", errors.New("behind the question mark stands transport=udp or transport=tcp")
}

// place reads host and port.
func (t *Target) place(text string) error {
	var host, port string
	if strings.HasPrefix(text, "[") {
		inside, behind, ok := strings.Cut(text[1:], "]")
		a, err := netip.ParseAddr(inside)
		if !ok || err != nil || a.Is4() || behind != "" && !strings.HasPrefix(behind, ":") {
			return errors.New("what stands in brackets is an IPv6 address")
		}
		host, port = inside, strings.TrimPrefix(behind, ":")
	} else if host, port, _ = strings.Cut(text, ":"); strings.Contains(port, ":") {
		return errors.New("an IPv6 address stands in brackets")
	}
	if host == "" || len(host) > 255 || strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || strings.ContainsRune(`/@?#[]\`, r) }) {
		return errors.New("the host is a name or an address")
	}
	t.Host = host
	if strings.HasSuffix(text, ":") {
		return errors.New("there is no port behind the colon")
	}
	if port == "" {
		return nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return errors.New("the port is a number from 1 to 65535")
	}
	t.Port = uint16(n)
	return nil
}
