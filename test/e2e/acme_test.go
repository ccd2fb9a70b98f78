package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority is Pebble, the certificate authority that Let's Encrypt made for tests. It
// finds every name on this machine, because its name server says so.
type authority struct {
	ca        string // file its own HTTPS is trusted by
	directory string
	roots     func(t *testing.T) *x509.CertPool // what its certificates are trusted by
	stop      func()
}

// freePort is a port of loopback that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// tool builds a program that a module beside this one pins.
func tool(t *testing.T, module, dir, path string) string {
	t.Helper()
	out := filepath.Join(dir, filepath.Base(path))
	build := exec.CommandContext(t.Context(), "go", "build", "-o", out, path)
	build.Dir = "../" + module
	build.Env = environment("CGO_ENABLED=0", "GOFLAGS=-mod=readonly")
	if b, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	return out
}

// background runs a program until the test or stop ends it; ready is what it prints first, if it prints.
func background(t *testing.T, env []string, ready string, name string, args ...string) (stop func()) {
	t.Helper()
	out := newOutput()
	c := exec.Command(name, args...)
	c.Env, c.Stdout, c.Stderr = env, out, out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() {
		_ = c.Wait()
		out.close()
		close(gone)
	}()
	stop = func() {
		_ = c.Process.Kill()
		<-gone
	}
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("%s ended with:\n%s", filepath.Base(name), out.tail(30))
		}
	})
	if ready != "" {
		out.wait(t, ready)
	}
	return stop
}

// selfSigned writes a certificate for localhost and its key.
func selfSigned(t *testing.T, cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	for path, b := range map[string]*pem.Block{key: {Type: "PRIVATE KEY", Bytes: secret}, cert: {Type: "CERTIFICATE", Bytes: der}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// newAuthority starts Pebble, which looks for proofs at the given ports of loopback.
func newAuthority(t *testing.T, httpPort, tlsPort string) *authority {
	t.Helper()
	dir := t.TempDir()
	cert, key, config := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "pebble.json")
	selfSigned(t, cert, key)
	names := "127.0.0.1:" + freePort(t)
	listen, manage := "127.0.0.1:"+freePort(t), "127.0.0.1:"+freePort(t)
	b, err := json.Marshal(object{"pebble": object{"listenAddress": listen, "managementListenAddress": manage, "certificate": cert, "privateKey": key,
		"httpPort": json.Number(httpPort), "tlsPort": json.Number(tlsPort), "keyAlgorithm": "ecdsa",
		"profiles": object{"default": object{"description": "as usual", "validityPeriod": 7776000}}}})
	if err == nil {
		err = os.WriteFile(config, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	resolver, pebble := tool(t, "acme", dir, "github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv"), tool(t, "acme", dir, "github.com/letsencrypt/pebble/v2/cmd/pebble")
	background(t, environment(), `Starting management server`, resolver, "-dnsserver", names, "-defaultIPv6", "",
		"-doh", "", "-http01", "", "-https01", "", "-tlsalpn01", "", "-management", "127.0.0.1:"+freePort(t))
	a := &authority{ca: cert, directory: "https://" + listen + "/dir"}
	a.stop = background(t, environment("PEBBLE_VA_NOSLEEP=1"), `ACME directory available`, pebble, "-config", config, "-dnsserver", names)
	a.roots = func(t *testing.T) *x509.CertPool {
		t.Helper()
		resp, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}).Get("https://" + manage + "/roots/0")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(readAll(t, resp.Body)) {
			t.Fatal("the authority shows no root")
		}
		return pool
	}
	return a
}

// A real authority issues certificates by both proofs. Clients without a name get them,
// too; until there is one, and for other names, our own CA's is shown; a restart shows the
// same one again; another domain orders another one.
func TestCertificatesByACME(t *testing.T) {
	t.Parallel()
	httpPort, tlsPort := freePort(t), freePort(t)
	a := newAuthority(t, httpPort, tlsPort)
	for _, c := range []struct{ challenge, listener, name string }{
		{"http-01", "http: 127.0.0.1:" + httpPort, "http.example.com"},
		{"tls-alpn-01", "challenge: tls-alpn-01", "alpn.example.com"},
	} {
		t.Run(c.challenge, func(t *testing.T) {
			config := filepath.Join(t.TempDir(), "millrace.yml")
			acme := func(directory string, domains ...string) {
				settings(t, config, fmt.Sprintf("tls: {acme: {domains: [%s], directory: %q, ca: %s, %s}}", strings.Join(domains, ", "), directory, a.ca, c.listener))
			}
			acme("https://127.0.0.1:1/dir", c.name) // nobody is there
			s := serveWith(t, config, "--https", "127.0.0.1:"+tlsPort)
			s.out.wait(t, `level=ERROR.*no certificate was issued.*connection refused.*shown="that of the server's own CA"`)
			s.create(t, "garden") // our own CA serves meanwhile

			acme(a.directory, c.name)
			s.hangup(t)
			s.out.wait(t, `a certificate was issued`)
			roots := a.roots(t)
			first, err := s.shows(roots, c.name)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.nameless(first); err != nil {
				t.Error(err)
			}
			if _, err := s.shows(s.roots(t), "localhost"); err != nil {
				t.Errorf("our own CA for other names: %v", err)
			}
			private(t, filepath.Join(s.data, "acme"))

			acme(a.directory, c.name, "second."+c.name)
			s.hangup(t)
			eventually(t, "a certificate for both names is shown", func() error {
				_, err := s.shows(roots, "second."+c.name)
				return err
			})
			last, err := s.shows(roots, c.name)
			if err != nil {
				t.Fatal(err)
			}
			s.stop(t)
			s = s.again(t)
			if kept, err := s.shows(roots, c.name); err != nil || !kept.Equal(last) {
				t.Errorf("after a restart another certificate is shown: %v", err)
			}
			s.stop(t)
			if strings.Contains(s.out.text(), "was issued") {
				t.Error("a restart orders again")
			}
		})
	}
}

// nameless looks that a client which sends no server name is shown the certificate.
func (s *server) nameless(want *x509.Certificate) error {
	c, err := tls.Dial("tcp", strings.TrimPrefix(s.https, "https://"), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return err
	}
	defer c.Close()
	if got := c.ConnectionState().PeerCertificates[0]; !got.Equal(want) {
		return fmt.Errorf("a client without a name is shown that of %v", got.DNSNames)
	}
	return nil
}

// private fails the test when somebody else may read a file below dir.
func private(t *testing.T, dir string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		files++
		return err
	})
	if err != nil || files < 4 {
		t.Errorf("%d files: %v", files, err)
	}
}
