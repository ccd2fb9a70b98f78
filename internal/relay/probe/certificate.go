package probe

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxNames is how many names of a certificate are told.
const maxNames = 8

// verify looks at a server's certificates as its clients do, and says what they would object
// to. TLS and DTLS have libraries of their own; here they speak with one tongue.
func verify(chain []*x509.Certificate, host string, roots *x509.CertPool) *Problem {
	if len(chain) == 0 {
		return &Problem{Step: StepHandshake, Text: "the server shows no certificate"}
	}
	leaf, between := chain[0], x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
	if err != nil {
		return untrusted(leaf, err)
	}
	if leaf.VerifyHostname(host) != nil {
		return &Problem{Step: StepHandshake,
			Text:   fmt.Sprintf("the certificate is not for %s: it is for %s", host, names(leaf)),
			Advice: "name the server as its certificate does (turn.host), or get it a certificate with that name"}
	}
	return nil
}

// untrusted says why a certificate is not believed.
func untrusted(leaf *x509.Certificate, err error) *Problem {
	p := &Problem{Step: StepHandshake, Text: fmt.Sprintf("the certificate for %s is not valid: %v", names(leaf), err)}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		p.Text = fmt.Sprintf("the certificate for %s is of %q, which is not trusted here", names(leaf), authority(leaf))
		p.Advice = "--ca FILE trusts ca.pem of the server's data directory; cameras and browsers must trust it, too, or the server needs a certificate of a public authority"
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		p.Text = fmt.Sprintf("the certificate for %s is not valid now: it is from %s to %s", names(leaf),
			leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339))
		p.Advice = "renew it; or this machine's clock is wrong"
	}
	return p
}

// authority is who made a certificate.
func authority(c *x509.Certificate) string {
	if c.Issuer.CommonName != "" {
		return c.Issuer.CommonName
	}
	return c.Issuer.String()
}

// names are those that a certificate is for.
func names(c *x509.Certificate) string {
	all := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	switch {
	case len(all) == 0:
		return "no name at all"
	case len(all) > maxNames:
		return strings.Join(all[:maxNames], ", ") + fmt.Sprintf(" and %d more", len(all)-maxNames)
	}
	return strings.Join(all, ", ")
}
