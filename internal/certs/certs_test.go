package certs

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

func storeIn(t *testing.T, dir string, o Options, clock *movable, log *bytes.Buffer) *Store {
	t.Helper()
	o.Dir, o.Now, o.Log = dir, clock.Now, slog.New(slog.NewTextHandler(log, nil))
	o.Names = append(HostNames(true), o.Names...)
	c, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func shown(t *testing.T, c *Store) *x509.Certificate {
	t.Helper()
	leaf, err := c.forHello(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	return leaf.Leaf
}

func TestTheLeafIsRenewedInTime(t *testing.T) {
	dir, clock := t.TempDir(), &movable{now: time.Now()}
	c := storeIn(t, dir, Options{Names: []string{"kvs.example", "192.0.2.77"}}, clock, &bytes.Buffer{})
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
	if !slices.Contains(c.Names(), "192.0.2.77") || !slices.Contains(c.Names(), "localhost") {
		t.Errorf("names %v", c.Names())
	}
	// The CA outlives the process, and clients that trust it.
	again := storeIn(t, dir, Options{}, clock, &bytes.Buffer{})
	if _, err := shown(t, again).Verify(x509.VerifyOptions{Roots: roots, DNSName: "localhost", CurrentTime: clock.Now()}); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "ca.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the CA's key: %v, %v", info.Mode(), err)
	}
}

// writeFiles writes the certificate that c shows where an operator would put one.
func writeFiles(t *testing.T, c *Store, files Options, at time.Time) {
	t.Helper()
	leaf, err := c.forHello(&tls.ClientHelloInfo{})
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
	one, two := storeIn(t, t.TempDir(), Options{}, clock, &bytes.Buffer{}), storeIn(t, t.TempDir(), Options{}, clock, &bytes.Buffer{})
	dir := t.TempDir()
	files := Options{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	writeFiles(t, one, files, clock.Now())
	var log bytes.Buffer
	c := storeIn(t, t.TempDir(), files, clock, &log)
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
	if _, err := Open(Options{Dir: dir, Cert: "missing", Key: "missing"}); err == nil {
		t.Error("a start without certificate")
	}
}
