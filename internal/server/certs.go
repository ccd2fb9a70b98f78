package server

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/config"
)

// Lives of the certificates the server makes. A leaf is renewed when a third of its
// life is left; the CA outlives every device that trusts it for a decade.
const (
	caLife   = 10 * 365 * 24 * time.Hour
	leafLife = 90 * 24 * time.Hour
)

// certificates shows a certificate to clients: from files, read again when they
// change, or signed by a CA of our own and renewed in time.
type certificates struct {
	files   config.TLS
	subject []string // names of our own certificate
	now     func() time.Time
	log     *slog.Logger
	ca      *x509.Certificate
	caKey   crypto.Signer

	mu      sync.Mutex
	leaf    *tls.Certificate
	modTime time.Time // of the file the leaf was read from
	checked time.Time
}

// openCertificates reads or makes the CA and the first leaf.
func openCertificates(d *dataDir, s *config.Config, log *slog.Logger) (*certificates, error) {
	t := s.TLS
	c := &certificates{files: t, now: s.Now, log: log}
	if t.Cert == "" {
		c.subject = append(hostNames(s.Dev), t.Names...)
		if err := c.openCA(d); err != nil {
			return nil, err
		}
	}
	_, err := c.current()
	return c, err
}

// config is the TLS configuration of the API listeners. HTTP/1.1 alone is offered:
// the C producers sign headers that HTTP/2 does not have (wire-media section 2.3).
func (c *certificates) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current() },
	}
}

// names are what the certificate now shown is good for.
func (c *certificates) names() []string {
	leaf, err := c.current()
	if err != nil {
		return nil
	}
	names := slices.Clone(leaf.Leaf.DNSNames)
	for _, ip := range leaf.Leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// current returns the certificate to show, a new one if it is time.
func (c *certificates) current() (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if c.leaf != nil && now.Sub(c.checked) < time.Minute {
		return c.leaf, nil
	}
	c.checked = now
	var err error
	if c.files.Cert != "" {
		err = c.reload()
	} else if c.leaf == nil || now.After(c.leaf.Leaf.NotAfter.Add(-leafLife/3)) {
		err = c.renew(now)
	}
	if err != nil && c.leaf != nil { // a bad file on disk must not take the service down
		c.log.Error("the TLS certificate stays as it was", "error", err, "expires", c.leaf.Leaf.NotAfter)
		return c.leaf, nil
	}
	return c.leaf, err
}

// reload reads the files again if they changed.
func (c *certificates) reload() error {
	info, err := os.Stat(c.files.Cert)
	if err != nil {
		return fmt.Errorf("tls.cert: %w", err)
	}
	if c.leaf != nil && info.ModTime().Equal(c.modTime) {
		return nil
	}
	leaf, err := tls.LoadX509KeyPair(c.files.Cert, c.files.Key)
	if err != nil {
		return fmt.Errorf("tls.cert and tls.key: %w", err)
	}
	c.leaf, c.modTime = &leaf, info.ModTime()
	return nil
}

// renew signs a new leaf.
func (c *certificates) renew(now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: c.subject[0]},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(leafLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, n := range c.subject {
		if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, c.ca, key.Public(), c.caKey)
	if err != nil {
		return err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	c.leaf = &tls.Certificate{Certificate: [][]byte{der, c.ca.Raw}, PrivateKey: key, Leaf: leaf}
	return nil
}

// openCA reads the CA from the data directory, or makes it.
func (c *certificates) openCA(d *dataDir) error {
	pair, err := tls.LoadX509KeyPair(d.path("ca.pem"), d.path("ca.key"))
	if errors.Is(err, os.ErrNotExist) {
		if err := makeCA(d, c.now()); err != nil {
			return fmt.Errorf("make the CA: %w", err)
		}
		pair, err = tls.LoadX509KeyPair(d.path("ca.pem"), d.path("ca.key"))
	}
	if err != nil {
		return fmt.Errorf("read the CA: %w", err)
	}
	c.ca, c.caKey = pair.Leaf, pair.PrivateKey.(crypto.Signer)
	return nil
}

// makeCA writes a new CA. The key comes first: a certificate without it is useless.
func makeCA(d *dataDir, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Millrace CA", Organization: []string{"Millrace"}},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(caLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := writeSynced(d.path("ca.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600); err != nil {
		return err
	}
	return writeSynced(d.path("ca.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

func serial() *big.Int {
	n, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)) // never fails
	return n
}

// hostNames are the names and addresses this machine is reached by.
func hostNames(dev bool) []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	if dev {
		return names
	}
	var first []string
	if h, err := os.Hostname(); err == nil && h != "" && h != "localhost" {
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
