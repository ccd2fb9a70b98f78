package certs

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
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/millrace/millrace/internal/disk"
)

// Lives of the certificates the server makes. A leaf is renewed when a third of its
// life is left; the CA outlives every device that trusts it for a decade.
const (
	caLife   = 10 * 365 * 24 * time.Hour
	leafLife = 90 * 24 * time.Hour
)

// renew shows a new leaf. Callers hold s.mu.
func (s *Store) renew() error {
	leaf, err := s.sign(s.o.Names)
	if err == nil {
		s.leaf = leaf
	}
	return err
}

// sign makes a leaf for the names. Callers hold s.mu.
func (s *Store) sign(names []string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := s.now()
	template := x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: names[0]},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(leafLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, s.ca, key.Public(), s.caKey)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate for %q: %w", names, err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate for %q: %w", names, err)
	}
	return &tls.Certificate{Certificate: [][]byte{der, s.ca.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// openCA reads the CA from the directory, or makes it. Callers hold s.mu.
func (s *Store) openCA() error {
	pair, err := tls.LoadX509KeyPair(s.path("ca.pem"), s.path("ca.key"))
	if errors.Is(err, os.ErrNotExist) {
		if err := s.makeCA(); err != nil {
			return fmt.Errorf("make the CA: %w", err)
		}
		pair, err = tls.LoadX509KeyPair(s.path("ca.pem"), s.path("ca.key"))
	}
	if err != nil {
		return fmt.Errorf("read the CA: %w", err)
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return fmt.Errorf("read the CA: the key in %s cannot sign", s.path("ca.key"))
	}
	s.ca, s.caKey = pair.Leaf, key
	return nil
}

func (s *Store) path(name string) string { return filepath.Join(s.dir, name) }

// makeCA writes a new CA. The key comes first: a certificate without it is useless.
func (s *Store) makeCA() error {
	now := s.now()
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
	if err := disk.WriteFile(s.path("ca.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600); err != nil {
		return err
	}
	return disk.WriteFile(s.path("ca.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

func serial() *big.Int {
	n, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)) // never fails
	return n
}
