package certs

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The conversation with a real authority is proved in test/e2e; here are the decisions
// around it.

func newTestIssuer(t *testing.T, o ACME, dir string, clock *movable) *issuer {
	t.Helper()
	i, err := newIssuer(o, dir, clock.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// issue keeps a certificate for the names as an authority would have issued it.
func issue(t *testing.T, i *issuer, life time.Duration, names ...string) error {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := i.now()
	template := x509.Certificate{SerialNumber: serial(), DNSNames: names, NotBefore: now, NotAfter: now.Add(life)}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return i.keep(key, [][]byte{der})
}

func TestWhenACertificateIsOrdered(t *testing.T) {
	const day = 24 * time.Hour
	dir, clock := t.TempDir(), &movable{now: time.Now()}
	one := ACME{Domains: []string{"a.example.com"}, Directory: "https://authority.example/dir"}
	i := newTestIssuer(t, one, dir, clock)
	if i.certificate() != nil || i.rest() != 0 {
		t.Error("something is there before the first order")
	}
	if err := issue(t, i, 90*day, "b.example.com"); err == nil || i.certificate() != nil {
		t.Errorf("a certificate for another name is shown: %v", err)
	}
	if err := issue(t, i, 90*day, "a.example.com"); err != nil {
		t.Fatal(err)
	}
	if got := i.rest(); got < 59*day || got > 60*day {
		t.Errorf("the next order is in %v, want two thirds of 90 days", got)
	}
	// It is found again, unless another authority is asked or another name is wanted.
	if again := newTestIssuer(t, one, dir, clock); again.rest() == 0 || !again.certificate().Leaf.Equal(i.certificate().Leaf) {
		t.Error("the certificate is forgotten at a restart")
	}
	if other := newTestIssuer(t, ACME{Domains: one.Domains, Directory: "https://authority.example/trial"}, dir, clock); other.certificate() != nil {
		t.Error("what another authority issued is shown")
	}
	if more := newTestIssuer(t, ACME{Domains: []string{"a.example.com", "b.example.com"}, Directory: one.Directory}, dir, clock); more.rest() != 0 || more.certificate() == nil {
		t.Error("a further name orders another certificate, and the first is shown meanwhile")
	}
	clock.pass(61 * day)
	if i.rest() > 0 || i.certificate() == nil {
		t.Error("a third of the life is left: it is renewed, and shown meanwhile")
	}
	clock.pass(30 * day)
	if i.certificate() != nil {
		t.Error("an expired certificate is shown")
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", certificateFile))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.WriteFile(files[0], []byte("half a fi"), 0o600); err != nil {
		t.Fatal(err)
	}
	if again := newTestIssuer(t, one, dir, clock); again.certificate() != nil || again.rest() != 0 {
		t.Error("a damaged file does not order another one")
	}
}

// Tries become rare when an authority refuses, and say what is shown instead.
func TestOrdersThatFail(t *testing.T) {
	var log bytes.Buffer
	authority := httptest.NewServer(http.NotFoundHandler())
	defer authority.Close()
	i, err := newIssuer(ACME{Domains: []string{"a.example.com"}, Directory: authority.URL}, t.TempDir(), time.Now, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	failures := 0
	for _, want := range []time.Duration{time.Minute, 4 * time.Minute, 16 * time.Minute, time.Hour, time.Hour} {
		var wait time.Duration
		if wait, failures = i.step(t.Context(), failures); wait != want {
			t.Errorf("try %d: the next is in %v, want %v", failures, wait, want)
		}
	}
	if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "own CA") {
		t.Errorf("log: %s", log.String())
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, after := i.step(ended, failures); after != failures {
		t.Error("an order that was called off counts as a failure")
	}
}

// What is shown depends on the name a client asks for, and a mistake changes nothing.
func TestReloadTheStore(t *testing.T) {
	clock := &movable{now: time.Now()}
	s := storeIn(t, t.TempDir(), Options{}, clock, &bytes.Buffer{})
	o := s.o
	o.ACME = ACME{Domains: []string{"a.example.com"}, Directory: "https://authority.example/dir"}
	if err := s.Reload(o); err != nil {
		t.Fatal(err)
	}
	if err := issue(t, s.issuer, time.Hour, "a.example.com"); err != nil {
		t.Fatal(err)
	}
	names := func(hello *tls.ClientHelloInfo) string {
		c, err := s.forHello(hello)
		if err != nil {
			return err.Error()
		}
		return strings.Join(c.Leaf.DNSNames, " ")
	}
	for name, want := range map[string]string{"a.example.com": "a.example.com", "": "a.example.com", "localhost": "localhost", "elsewhere.example": "localhost"} {
		if got := names(&tls.ClientHelloInfo{ServerName: name}); got != want {
			t.Errorf("a client that asks for %q is shown %q, want %q", name, got, want)
		}
	}
	if got := names(&tls.ClientHelloInfo{ServerName: "a.example.com", SupportedProtos: []string{challengeProtocol}}); !strings.Contains(got, "no certificate authority was asked") {
		t.Errorf("a stranger who looks for a proof gets %q", got)
	}
	if s.Names()[0] != "a.example.com" {
		t.Errorf("names %v", s.Names())
	}
	kept := s.issuer
	bad := o
	bad.ACME.CA = "/missing.pem"
	if err := s.Reload(bad); err == nil || s.issuer != kept {
		t.Errorf("got %v", err)
	}
	if err := s.Reload(o); err != nil || s.issuer != kept {
		t.Errorf("the same settings give up what goes on: %v", err)
	}
	o.ACME = ACME{}
	if err := s.Reload(o); err != nil || names(&tls.ClientHelloInfo{}) != "localhost" {
		t.Errorf("without domains: %v", err)
	}
}
