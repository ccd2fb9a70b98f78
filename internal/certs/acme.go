package certs

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"

	"github.com/millrace/millrace/internal/disk"
)

// LetsEncrypt is the directory that is used when none is named.
const LetsEncrypt = acme.LetsEncryptURL

// ACME says which authority issues the certificate and how it finds out that the names
// are ours.
type ACME struct {
	Domains   []string // names of the certificate; none = no ACME
	Email     string   // contact for the authority, "" = none
	Directory string   // URL of the authority's directory, "" = [LetsEncrypt]
	CA        string   // PEM file that the authority's own HTTPS is trusted by, "" = the system's
	OverTLS   bool     // prove names by tls-alpn-01 on the HTTPS listener, not by http-01
	KeyID     string   // external account binding, "" = none
	MACKey    string   // its key in unpadded base64url
}

// issuer gets and keeps the certificate of one [ACME].
type issuer struct {
	o   ACME
	dir string // of the authority's files
	now func() time.Time
	log *slog.Logger

	client *acme.Client // of Run's goroutine; nil until the first order

	mu      sync.Mutex
	issued  *tls.Certificate
	answers map[string]string           // of http-01, by path
	proofs  map[string]*tls.Certificate // of tls-alpn-01, by domain
}

// newIssuer reads what was issued before.
func newIssuer(o ACME, dir string, now func() time.Time, log *slog.Logger) (*issuer, error) {
	if o.Directory == "" {
		o.Directory = LetsEncrypt
	}
	u, err := url.Parse(o.Directory)
	if err != nil {
		return nil, fmt.Errorf("tls.acme.directory: %w", err)
	}
	// What another authority issued, such as one for trials, is not taken for this one's.
	i := &issuer{o: o, dir: filepath.Join(dir, strings.Trim(strings.Map(fileRune, u.Host+u.Path), "_")), now: now, log: log,
		answers: map[string]string{}, proofs: map[string]*tls.Certificate{}}
	if _, err := i.httpClient(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(i.dir, 0o700); err != nil {
		return nil, err
	}
	i.issued, err = i.read()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("the stored certificate cannot be used; another one is ordered", "error", err)
	}
	return i, nil
}

// fileRune makes a URL a file name.
func fileRune(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
		return r
	}
	return '_'
}

const certificateFile = "certificate.pem"

// read reads key and chain from one file, so that they always belong together.
func (i *issuer) read() (*tls.Certificate, error) {
	b, err := os.ReadFile(filepath.Join(i.dir, certificateFile))
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(b, b)
	if err != nil {
		return nil, err
	}
	return &pair, nil
}

// certificate is the one that was issued and still counts, nil if there is none.
func (i *issuer) certificate() *tls.Certificate {
	if i == nil {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.issued == nil || i.now().After(i.issued.Leaf.NotAfter) {
		return nil
	}
	return i.issued
}

// step orders a certificate if one is due and returns how long to wait for the next
// look, and how often orders have failed in a row.
func (i *issuer) step(ctx context.Context, failures int) (time.Duration, int) {
	if rest := i.rest(); rest > 0 {
		return min(rest, time.Hour), 0 // a machine may sleep
	}
	err := i.order(ctx)
	switch {
	case err == nil:
		i.log.Info("a certificate was issued", "domains", i.o.Domains, "directory", i.o.Directory)
		return time.Minute, 0
	case ctx.Err() != nil:
		return 0, failures
	}
	// Authorities count failures: five an hour are the most that Let's Encrypt takes.
	wait := min(time.Minute<<(2*min(failures, 3)), time.Hour)
	shown := "that of the server's own CA"
	if i.certificate() != nil {
		shown = "the one issued before"
	}
	i.log.Error("no certificate was issued", "error", err, "domains", i.o.Domains, "directory", i.o.Directory, "next", wait, "shown", shown)
	return wait, failures + 1
}

// rest is how long the certificate need not be replaced: two thirds of its life, if it
// carries all domains.
func (i *issuer) rest() time.Duration {
	c := i.certificate()
	if c == nil {
		return 0
	}
	for _, d := range i.o.Domains {
		if c.Leaf.VerifyHostname(d) != nil {
			return 0
		}
	}
	life := c.Leaf.NotAfter.Sub(c.Leaf.NotBefore)
	return c.Leaf.NotAfter.Add(-life / 3).Sub(i.now())
}

// orderTime bounds one order.
const orderTime = 10 * time.Minute

// order gets a certificate for all domains (RFC 8555, section 7.1).
func (i *issuer) order(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, orderTime)
	defer cancel()
	if err := i.register(ctx); err != nil {
		return fmt.Errorf("account: %w", err)
	}
	order, err := i.client.AuthorizeOrder(ctx, acme.DomainIDs(i.o.Domains...))
	if err != nil {
		return fmt.Errorf("order: %w", err)
	}
	for _, u := range order.AuthzURLs {
		if err := i.authorize(ctx, u); err != nil {
			return err
		}
	}
	uri := order.URI
	if order, err = i.client.WaitOrder(ctx, uri); err != nil {
		return fmt.Errorf("order: %w", err)
	}
	order.URI = uri // authorities need not say it again
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: i.o.Domains}, key)
	if err != nil {
		return err
	}
	chain, _, err := i.client.CreateCertFromOrder(ctx, order, csr, true)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	return i.keep(key, chain)
}

// keep stores a certificate and shows it from now on.
func (i *issuer) keep(key *ecdsa.PrivateKey, chain [][]byte) error {
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	b := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	for _, der := range chain {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	pair, err := tls.X509KeyPair(b, b)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	for _, d := range i.o.Domains {
		if err := pair.Leaf.VerifyHostname(d); err != nil {
			return fmt.Errorf("certificate: %w", err)
		}
	}
	if err := disk.WriteFile(filepath.Join(i.dir, certificateFile), b, 0o600); err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.issued = &pair
	return nil
}

// register makes the account, or finds the one that the key has.
func (i *issuer) register(ctx context.Context) error {
	if i.client != nil {
		return nil
	}
	key, err := i.accountKey()
	if err != nil {
		return err
	}
	web, err := i.httpClient()
	if err != nil {
		return err
	}
	client := &acme.Client{Key: key, HTTPClient: web, DirectoryURL: i.o.Directory, UserAgent: "millrace"}
	account := &acme.Account{}
	if i.o.Email != "" {
		account.Contact = []string{"mailto:" + i.o.Email}
	}
	if i.o.KeyID != "" {
		mac, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(i.o.MACKey, "="))
		if err != nil {
			return errors.New("tls.acme.mac_key is not base64url")
		}
		account.ExternalAccountBinding = &acme.ExternalAccountBinding{KID: i.o.KeyID, Key: mac}
	}
	if _, err := client.Register(ctx, account, acme.AcceptTOS); err != nil && !errors.Is(err, acme.ErrAccountAlreadyExists) {
		return err
	}
	i.client = client
	return nil
}

// accountKey reads the account's key, made when it is first needed.
func (i *issuer) accountKey() (crypto.Signer, error) {
	path := filepath.Join(i.dir, "account.key")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, err
		}
		return key, disk.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%s holds no key", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	signer, ok := key.(crypto.Signer)
	if err != nil || !ok {
		return nil, fmt.Errorf("%s holds no key that can sign: %w", path, err)
	}
	return signer, nil
}

// httpClient trusts the authority's own certificate.
func (i *issuer) httpClient() (*http.Client, error) {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, IdleConnTimeout: time.Minute}
	if i.o.CA != "" {
		b, err := os.ReadFile(i.o.CA)
		if err != nil {
			return nil, fmt.Errorf("tls.acme.ca: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("tls.acme.ca: %s holds no certificate", i.o.CA)
		}
		t.TLSClientConfig = &tls.Config{RootCAs: roots}
	}
	return &http.Client{Transport: t, Timeout: time.Minute}, nil
}

// wanted is the kind of proof that is offered.
func (i *issuer) wanted() string {
	if i.o.OverTLS {
		return "tls-alpn-01"
	}
	return "http-01"
}

// authorize proves one name.
func (i *issuer) authorize(ctx context.Context, uri string) error {
	z, err := i.client.GetAuthorization(ctx, uri)
	if err != nil {
		return fmt.Errorf("authorization: %w", err)
	}
	if z.Status == acme.StatusValid {
		return nil
	}
	n := slices.IndexFunc(z.Challenges, func(c *acme.Challenge) bool { return c.Type == i.wanted() })
	if n < 0 {
		return fmt.Errorf("the authority does not offer %s for %s", i.wanted(), z.Identifier.Value)
	}
	withdraw, err := i.answer(z.Identifier.Value, z.Challenges[n].Token)
	if err != nil {
		return err
	}
	defer withdraw()
	if _, err := i.client.Accept(ctx, z.Challenges[n]); err != nil {
		return fmt.Errorf("%s of %s: %w", i.wanted(), z.Identifier.Value, err)
	}
	if _, err := i.client.WaitAuthorization(ctx, z.URI); err != nil {
		return fmt.Errorf("%s of %s: %w", i.wanted(), z.Identifier.Value, err)
	}
	return nil
}
