package server

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/config"
)

// movable is a clock that the test moves.
type movable struct {
	mu  sync.Mutex
	now time.Time
}

func (m *movable) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

func (m *movable) pass(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = m.now.Add(d)
}

func certificatesIn(t *testing.T, dir string, files config.TLS, clock *movable, log *bytes.Buffer) *certificates {
	t.Helper()
	c, err := openCertificates(&dataDir{root: dir}, &config.Config{TLS: files, Now: clock.Now}, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func shown(t *testing.T, c *certificates) *x509.Certificate {
	t.Helper()
	leaf, err := c.current()
	if err != nil {
		t.Fatal(err)
	}
	return leaf.Leaf
}

func TestTheLeafIsRenewedInTime(t *testing.T) {
	dir, clock := t.TempDir(), &movable{now: time.Now()}
	c := certificatesIn(t, dir, config.TLS{Names: []string{"kvs.example", "192.0.2.77"}}, clock, &bytes.Buffer{})
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	first := shown(t, c)
	last := first
	renewed := 0
	for day := range 400 {
		leaf := shown(t, c)
		for _, name := range []string{"localhost", "127.0.0.1", "::1", "kvs.example", "192.0.2.77"} {
			if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: clock.Now()}); err != nil {
				t.Fatalf("day %d: %s: %v", day, name, err)
			}
		}
		if leaf != last {
			renewed++
		}
		if rest := leaf.NotAfter.Sub(clock.Now()); rest < leafLife/3-24*time.Hour {
			t.Fatalf("day %d: %v are left", day, rest)
		}
		last = leaf
		clock.pass(24 * time.Hour)
	}
	if renewed < 5 || renewed > 8 {
		t.Errorf("renewed %d times in 400 days", renewed)
	}
	if !slices.Contains(c.names(), "192.0.2.77") || !slices.Contains(c.names(), "localhost") {
		t.Errorf("names %v", c.names())
	}
	// The CA outlives the process, and clients that trust it.
	again := certificatesIn(t, dir, config.TLS{}, clock, &bytes.Buffer{})
	if _, err := shown(t, again).Verify(x509.VerifyOptions{Roots: roots, DNSName: "localhost", CurrentTime: clock.Now()}); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "ca.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the CA's key: %v, %v", info.Mode(), err)
	}
}

// writeFiles writes the certificate that c shows where an operator would put one.
func writeFiles(t *testing.T, c *certificates, files config.TLS, at time.Time) {
	t.Helper()
	leaf, err := c.current()
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for path, b := range map[string][]byte{files.Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Certificate[0]}), files.Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCertificateFilesAreReadAgain(t *testing.T) {
	clock := &movable{now: time.Now()}
	one, two := certificatesIn(t, t.TempDir(), config.TLS{}, clock, &bytes.Buffer{}), certificatesIn(t, t.TempDir(), config.TLS{}, clock, &bytes.Buffer{})
	dir := t.TempDir()
	files := config.TLS{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	writeFiles(t, one, files, clock.Now())
	var log bytes.Buffer
	c := certificatesIn(t, t.TempDir(), files, clock, &log)
	if !shown(t, c).Equal(shown(t, one)) {
		t.Error("another certificate is shown")
	}
	clock.pass(2 * time.Minute)
	if err := os.WriteFile(files.Cert, []byte("half a fi"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !shown(t, c).Equal(shown(t, one)) || !bytes.Contains(log.Bytes(), []byte("level=ERROR")) {
		t.Errorf("a bad file took the certificate away, or nobody was told: %s", log.String())
	}
	clock.pass(2 * time.Minute)
	writeFiles(t, two, files, clock.Now())
	if !shown(t, c).Equal(shown(t, two)) {
		t.Error("the new files were not read")
	}
	if _, err := openCertificates(&dataDir{root: dir}, &config.Config{TLS: config.TLS{Cert: "missing", Key: "missing"}, Now: clock.Now}, c.log); err == nil {
		t.Error("a start without certificate")
	}
}

func TestOnlyHTTP1IsOffered(t *testing.T) {
	p := newPlant(t, nil)
	addr := p.URL("https")[len("https://"):]
	for _, c := range []struct {
		offer []string
		want  string
		fails bool
	}{{[]string{"h2", "http/1.1"}, "http/1.1", false}, {nil, "", false}, {[]string{"h2"}, "", true}} {
		conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: c.offer})
		if (err != nil) != c.fails {
			t.Errorf("%v: %v", c.offer, err)
		}
		if err != nil {
			continue
		}
		if got := conn.ConnectionState().NegotiatedProtocol; got != c.want || conn.ConnectionState().Version < tls.VersionTLS12 {
			t.Errorf("%v: %q", c.offer, got)
		}
		_ = conn.Close()
	}
}
