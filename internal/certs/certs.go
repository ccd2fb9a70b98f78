// Package certs shows a certificate to TLS clients: one from files, read again when they
// change, one issued by a certificate authority that speaks ACME (RFC 8555), or one
// signed by a CA of our own and renewed in time.
//
// The assembly opens a [Store] and gives its [Store.Config] to the listeners;
// [Store.Run] gets certificates by ACME. All methods may be called from any goroutine.
package certs

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"time"
)

// Options say which certificate is shown.
type Options struct {
	Dir   string           // directory of the CA's files and of what ACME issued
	Cert  string           // PEM file of a certificate, "" = none
	Key   string           // PEM file of its key
	Names []string         // names and addresses of a certificate of our own
	ACME  ACME             // used when it has domains and no file is named
	Now   func() time.Time // nil = time.Now
	Log   *slog.Logger     // nil = discard
}

// Store holds the certificates of a server.
type Store struct {
	dir     string
	now     func() time.Time
	log     *slog.Logger
	changed chan struct{} // wakes Run

	mu      sync.Mutex
	o       Options
	ca      *x509.Certificate // nil while files are shown
	caKey   crypto.Signer
	leaf    *tls.Certificate // of the files, or our own
	modTime time.Time        // of the file the leaf was read from
	checked time.Time
	issuer  *issuer // nil without ACME
	abandon func()  // ends the order that Run is at
}

// Open reads or makes what is shown first.
func Open(o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{dir: o.Dir, now: o.Now, log: o.Log, changed: make(chan struct{}, 1), abandon: func() {}}
	return s, s.Reload(o)
}

// Reload shows what the options name from now on. Dir, Now and Log stay as they were.
// After an error nothing has changed.
func (s *Store) Reload(o Options) error {
	o.Dir = s.dir
	s.mu.Lock()
	defer s.mu.Unlock()
	iss, err := s.issuerOf(o)
	if err != nil {
		return err
	}
	leaf, modTime, err := s.leafOf(o)
	if err != nil {
		return err
	}
	if iss != s.issuer {
		s.issuer = iss
		s.abandon() // an order of the issuer before
		select {
		case s.changed <- struct{}{}:
		default:
		}
	}
	s.o, s.leaf, s.modTime, s.checked = o, leaf, modTime, s.now()
	return nil
}

// leafOf reads the certificate that the options name, or signs one. Callers hold s.mu.
func (s *Store) leafOf(o Options) (*tls.Certificate, time.Time, error) {
	if o.Cert != "" {
		return readFiles(o.Cert, o.Key)
	}
	if s.ca == nil {
		if err := s.openCA(); err != nil {
			return nil, time.Time{}, err
		}
	}
	leaf, err := s.sign(o.Names)
	return leaf, time.Time{}, err
}

// issuerOf is the issuer that the options ask for, the present one if it is the same.
// Callers hold s.mu.
func (s *Store) issuerOf(o Options) (*issuer, error) {
	switch {
	case o.Cert != "" || len(o.ACME.Domains) == 0:
		return nil, nil
	case s.issuer != nil && reflect.DeepEqual(o.ACME, s.o.ACME):
		return s.issuer, nil
	}
	return newIssuer(o.ACME, filepath.Join(s.dir, "acme"), s.now, s.log)
}

// Config is the TLS configuration of the API listeners. HTTP/1.1 alone is offered:
// the C producers sign headers that HTTP/2 does not have (wire-media section 2.3). The
// other protocol is how a certificate authority looks whether a name is ours.
func (s *Store) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1", challengeProtocol}, GetCertificate: s.forHello}
}

// forHello chooses by the name that the client asked for. Embedded producers often name
// none: they get the first domain's certificate.
func (s *Store) forHello(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	iss := s.issuer
	s.mu.Unlock()
	if slices.Equal(hello.SupportedProtos, []string{challengeProtocol}) {
		return iss.proof(hello.ServerName)
	}
	if c := iss.certificate(); c != nil && (hello.ServerName == "" || c.Leaf.VerifyHostname(hello.ServerName) == nil) {
		return c, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current()
}

// Names are what the certificates now shown are good for; the first is the one to tell
// to clients.
func (s *Store) Names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := slices.Clone(s.o.ACME.Domains)
	if s.issuer == nil {
		names = nil
	}
	leaf, err := s.current()
	if err != nil {
		return names
	}
	names = append(names, leaf.Leaf.DNSNames...)
	for _, ip := range leaf.Leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// Expires is when the certificate shown to clients that name no host ends.
func (s *Store) Expires() time.Time {
	c, err := s.forHello(&tls.ClientHelloInfo{})
	if err != nil {
		return time.Time{}
	}
	return c.Leaf.NotAfter
}

// current returns the certificate of files or of our own, a new one if it is time.
// Callers hold s.mu.
func (s *Store) current() (*tls.Certificate, error) {
	now := s.now()
	if s.leaf != nil && now.Sub(s.checked) < time.Minute {
		return s.leaf, nil
	}
	s.checked = now
	var err error
	if s.o.Cert != "" {
		err = s.reread()
	} else if s.leaf == nil || now.After(s.leaf.Leaf.NotAfter.Add(-leafLife/3)) {
		err = s.renew()
	}
	if err != nil && s.leaf != nil { // a bad file on disk must not take the service down
		s.log.Error("the TLS certificate stays as it was", "error", err, "expires", s.leaf.Leaf.NotAfter)
		return s.leaf, nil
	}
	return s.leaf, err
}

// reread reads the files again if they changed.
func (s *Store) reread() error {
	info, err := os.Stat(s.o.Cert)
	if err != nil {
		return fmt.Errorf("tls.cert: %w", err)
	}
	if info.ModTime().Equal(s.modTime) {
		return nil
	}
	leaf, modTime, err := readFiles(s.o.Cert, s.o.Key)
	if err == nil {
		s.leaf, s.modTime = leaf, modTime
	}
	return err
}

func readFiles(cert, key string) (*tls.Certificate, time.Time, error) {
	info, err := os.Stat(cert)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("tls.cert: %w", err)
	}
	leaf, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("tls.cert and tls.key: %w", err)
	}
	return &leaf, info.ModTime(), nil
}

// Run gets certificates by ACME, and renews them, until ctx ends.
func (s *Store) Run(ctx context.Context) error {
	var failures int
	for {
		wait := time.Duration(math.MaxInt64) // until the settings change
		iss, step, cancel := s.begin(ctx)
		if iss != nil {
			wait, failures = iss.step(step, failures)
		}
		cancel()
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-s.changed:
			failures = 0
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		timer.Stop()
	}
}

// begin returns the issuer of the settings in force and a context that ends with them.
func (s *Store) begin(ctx context.Context) (*issuer, context.Context, context.CancelFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.changed: // what changed so far is what is taken now
	default:
	}
	ctx, cancel := context.WithCancel(ctx)
	s.abandon = cancel
	return s.issuer, ctx, cancel
}

// HostNames are the names and addresses this machine is reached by; of loopback alone
// when local is set.
func HostNames(local bool) []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	if local {
		return names
	}
	var first []string
	if h, err := os.Hostname(); err == nil && h != "localhost" && CheckName(h) == nil {
		first = append(first, h)
	}
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			names = append(names, n.IP.String())
		}
	}
	return append(first, names...)
}

var errNoChallenge = errors.New("no certificate authority was asked to prove this name")
