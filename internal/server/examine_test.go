package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/config"
)

func TestExamine(t *testing.T) {
	dir := t.TempDir()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	warm := t.TempDir()
	p, other := newPlant(t, func(c *config.Config) { c.Archive.WarmDir = warm }), newPlant(t, nil)
	stopped := other.config.Data
	if err := other.stop(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, setting, says string // setting "" = nothing is wrong
		change              func(*config.Config)
	}{
		{"as it is", "", "", func(*config.Config) {}},
		{"a new directory", "", "", func(c *config.Config) { c.Data = filepath.Join(dir, "a", "b") }},
		{"another program's address", "http", "in use by another program", func(c *config.Config) { c.HTTP = taken.Addr().String() }},
		{"another program's address, while no server runs", "http", "in use by another program", func(c *config.Config) { c.HTTP, c.Data = taken.Addr().String(), stopped }},
		{"the running server's address", "", "", func(c *config.Config) {
			c.HTTPS, c.Data, c.Archive.WarmDir = strings.TrimPrefix(p.URL("https"), "https://"), p.config.Data, warm
		}},
		{"a file for a directory", "data", "is not a directory", func(c *config.Config) { c.Data = file }},
		{"below a file", "data", "not a directory", func(c *config.Config) { c.Data = filepath.Join(file, "x") }},
		{"somebody's directory", "data", "is not empty", func(c *config.Config) { c.Data = dir }},
		{"nobody's address", "http", "is not one of this machine", func(c *config.Config) { c.HTTP = "192.0.2.1:4711" }},
		{"one address twice", "https", "is already that of http", func(c *config.Config) { c.HTTP, c.HTTPS = "127.0.0.1:4711", "127.0.0.1:4711" }},
		{"no certificate", "tls.cert", "no such file", func(c *config.Config) { c.TLS.Cert, c.TLS.Key = filepath.Join(dir, "none"), file }},
		{"a running server's warm folder", "", "", func(c *config.Config) { c.Data, c.Archive.WarmDir = p.config.Data, warm }},
		{"another server's warm folder", "archive.warm_dir", "another installation", func(c *config.Config) { c.Data, c.Archive.WarmDir = stopped, warm }},
		{"another server's warm folder for a new one", "archive.warm_dir", "another installation", func(c *config.Config) { c.Archive.WarmDir = warm }},
		{"a credential that cannot be read", "signaling.ice_servers", "no such file", func(c *config.Config) {
			c.Signaling.ICEServers = []string{"stun:a:1", "turn:a:1?transport=udp username=u credential_file=" + filepath.Join(dir, "none")}
		}},
		{"a domain without names in the certificate", "tls.cert", "does not fit signaling.domain", func(c *config.Config) {
			c.TLS.Cert, c.TLS.Key = certificateOf(t, "*.kvs.local")
			c.Signaling.Domain = "kvs.example"
		}},
		{"a domain with names in the certificate", "", "", func(c *config.Config) {
			c.TLS.Cert, c.TLS.Key = certificateOf(t, "*.kvs.local")
			c.Signaling.Domain = "kvs.local"
		}},
		{"no memory", "memory.budget", "more than", func(c *config.Config) { c.Memory.Budget = 1 << 60 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := config.Default()
			s.Data, s.HTTP, s.HTTPS = t.TempDir(), "127.0.0.1:0", "127.0.0.1:0"
			c.change(&s)
			wrong := Examine(s)
			if c.setting == "" {
				if len(wrong) > 0 {
					t.Error(wrong)
				}
				return
			}
			if len(wrong) != 1 || wrong[0].Setting != c.setting || !strings.Contains(wrong[0].Text, c.says) {
				t.Errorf("got %v, want %s: %s", wrong, c.setting, c.says)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "a")); err == nil {
		t.Error("examining made a directory")
	}
}

// A start tells what is wrong with an address in the words of the check.
func TestBindingNobodysAddress(t *testing.T) {
	c := config.Default()
	c.Data, c.HTTP, c.HTTPS = t.TempDir(), "192.0.2.1:4711", ""
	_, err := New(t.Context(), c, slog.New(slog.DiscardHandler))
	if err == nil || err.Error() != "http: address 192.0.2.1:4711 is not one of this machine" {
		t.Error(err)
	}
}

// certificateOf makes a certificate of the name and returns the files of it and its key.
func certificateOf(t *testing.T, name string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}
