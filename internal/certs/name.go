package certs

import (
	"errors"
	"net"
	"strings"
)

// CheckName says why a certificate cannot carry a name, and what would be right. It takes
// addresses and host names, also with * for the first label. Names of the DNS are ASCII
// (RFC 5280, section 7.2: others stand in a certificate in punycode).
func CheckName(name string) error {
	if net.ParseIP(name) != nil {
		return nil
	}
	for _, r := range name {
		if r > '~' {
			return errors.New("a certificate holds ASCII names only: write it in punycode, such as xn--mnchen-3ya.example for münchen.example")
		}
	}
	labels := strings.Split(strings.TrimPrefix(name, "*."), ".")
	for _, l := range labels {
		if !isLabel(l) {
			return errors.New("write a host name, such as video.example.com, or an address, such as 192.0.2.7, without port")
		}
	}
	if len(name) > 253 {
		return errors.New("a host name has at most 253 characters")
	}
	return nil
}

// isLabel reports whether a text is one part of a host name. The underscore is in none,
// but in names that machines and containers have.
func isLabel(l string) bool {
	return l != "" && len(l) <= 63 && l[0] != '-' && l[len(l)-1] != '-' &&
		strings.Trim(strings.ToLower(l), "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}
