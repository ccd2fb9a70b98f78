package certs

import (
	"crypto/tls"
	"net/http"

	"golang.org/x/crypto/acme"
)

// challengeProtocol is what an authority speaks that looks for tls-alpn-01 (RFC 8737).
const challengeProtocol = acme.ALPNProto

// ChallengePath begins the paths that an authority looks for http-01 at (RFC 8555,
// section 8.3).
const ChallengePath = "/.well-known/acme-challenge/"

// answer makes the proof of a domain visible until withdraw is called.
func (i *issuer) answer(domain, token string) (withdraw func(), err error) {
	if i.o.OverTLS {
		c, err := i.client.TLSALPN01ChallengeCert(token, domain)
		if err != nil {
			return nil, err
		}
		i.change(func() { i.proofs[domain] = &c })
		return func() { i.change(func() { delete(i.proofs, domain) }) }, nil
	}
	path := i.client.HTTP01ChallengePath(token)
	text, err := i.client.HTTP01ChallengeResponse(token)
	if err != nil {
		return nil, err
	}
	i.change(func() { i.answers[path] = text })
	return func() { i.change(func() { delete(i.answers, path) }) }, nil
}

func (i *issuer) change(f func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f()
}

// proof is the certificate that proves a domain by tls-alpn-01.
func (i *issuer) proof(domain string) (*tls.Certificate, error) {
	if i == nil {
		return nil, errNoChallenge
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if c := i.proofs[domain]; c != nil {
		return c, nil
	}
	return nil, errNoChallenge
}

// ServeHTTP answers an authority that looks for http-01.
func (s *Store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	iss := s.issuer
	s.mu.Unlock()
	var text string
	if iss != nil {
		iss.change(func() { text = iss.answers[r.URL.Path] })
	}
	if text == "" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write([]byte(text))
}
