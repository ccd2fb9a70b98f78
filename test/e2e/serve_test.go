package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/sigv4"
)

// make run: the block is there within ten seconds, what it says works, and the camera's
// stream grows.
func TestTheDevelopmentServer(t *testing.T) {
	s := newServer(t, "--dev")
	start := time.Now()
	s.launch(t)
	s.out.wait(t, ` get demo --start NOW -o - \| ffplay -$`)
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("the block is printed after %v", took)
	}
	s.key, s.secret, s.account = "AKIAMILLRACEDEV00000", "millrace-dev-secret", "000000000000"
	s.await(t)
	for _, line := range []string{
		`account +000000000000$`, `region +us-east-1$`, `access key +AKIAMILLRACEDEV00000$`, `secret key +millrace-dev-secret$`,
		`CA file +` + s.ca() + `$`, `export AWS_ENDPOINT_URL=` + s.https + ` AWS_CA_BUNDLE=` + s.ca() + `$`,
		`export AWS_ACCESS_KEY_ID=AKIAMILLRACEDEV00000 AWS_SECRET_ACCESS_KEY=millrace-dev-secret AWS_DEFAULT_REGION=us-east-1$`,
		`export CONTROL_PLANE_URI=` + s.https + ` KVSSINK_CA_CERT_PATH=` + s.ca(),
	} {
		s.out.wait(t, line)
	}
	var info struct{ StreamInfo streamInfo }
	eventually(t, "the stream demo", func() error {
		if a := s.caller(t).call(t, "DescribeStream", object{"StreamName": "demo"}); a.Error != nil {
			return a.Error
		}
		return nil
	})
	s.caller(t).must(t, "DescribeStream", object{"StreamName": "demo"}, &info)
	if !strings.HasPrefix(info.StreamInfo.StreamARN, "arn:aws:kinesisvideo:us-east-1:000000000000:stream/demo/") {
		t.Errorf("demo is %s", info.StreamInfo.StreamARN)
	}
	count := func() int {
		return len(strings.Fields(run(t, s.variables(), program(t), "list", "demo", "--json"))) // one object a line
	}
	first := 0
	eventually(t, "demo has fragments", func() error {
		if first = count(); first == 0 {
			return fmt.Errorf("none yet")
		}
		return nil
	})
	eventually(t, "demo grows", func() error {
		if now := count(); now <= first {
			return fmt.Errorf("%d words listed, as before", now)
		}
		return nil
	})
	media := readSome(t, s.caller(t).stream(t, "GetMedia", object{"StreamName": "demo", "StartSelector": object{"StartSelectorType": "NOW"}}))
	if _, complaints, err := try(t, environment(), strings.NewReader(string(media.header)+string(media.cluster)), "ffprobe", "-v", "error", "-"); err != nil || complaints != "" {
		t.Errorf("ffprobe of the camera's picture: %v %s", err, complaints)
	}
	s.stop(t)
	if !strings.Contains(s.out.text(), "stopping") {
		t.Error("the server does not say that it stops")
	}
}

// readSome is the first whole chunk of an answer.
func readSome(t *testing.T, r io.Reader) *chunk {
	t.Helper()
	k, err := newChunks(r).next()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// A development server has keys that everybody knows and listens on loopback only.
func TestTheDevelopmentServerStaysOnLoopback(t *testing.T) {
	_, stderr, err := try(t, environment(), nil, program(t), "serve", "--dev", "--data", temporary(t, "data"), "--http", "0.0.0.0:0", "--https", "")
	if err == nil || !strings.Contains(stderr, "loopback") {
		t.Errorf("%v: %s", err, stderr)
	}
}

// SIGTERM ends open sessions with their acknowledgements, and what was stored is there at
// the next start, with the same keys, CA and page tokens.
func TestStopAndStartAgain(t *testing.T) {
	s := serve(t)
	s.create(t, "garden")
	var page struct{ NextToken string }
	numbers := s.put(t, "garden", seconds(3, 0)...)
	list := object{"StreamName": "garden", "MaxResults": 2, "FragmentSelector": object{"FragmentSelectorType": "SERVER_TIMESTAMP",
		"TimestampRange": object{"StartTimestamp": date(time.Unix(0, 0)), "EndTimestamp": date(time.Now().Add(time.Hour))}}}
	s.caller(t).must(t, "ListFragments", list, &page)
	producer := s.open(t, "garden")
	producer.send(t, head(), cluster(0, 10, 100, 7), cluster(1000, 10, 100, 8))
	numbers = append(numbers, producer.await(t, "PERSISTED").Number)
	ca, err := os.ReadFile(s.ca())
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	s.stop(t)
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("the server took %v to stop", took)
	}
	for _, a := range producer.rest(t) {
		if a.Type == "PERSISTED" && a.Number != numbers[3] {
			numbers = append(numbers, a.Number)
		}
	}
	s = s.again(t)
	if again, err := os.ReadFile(s.ca()); err != nil || string(again) != string(ca) {
		t.Errorf("another CA after the start: %v", err)
	}
	if strings.Contains(s.out.text(), "SECRET") {
		t.Error("the second start prints a key")
	}
	fragments(t, s, "garden", numbers)
	s.caller(t).must(t, "ListFragments", object{"StreamName": "garden", "NextToken": page.NextToken}, nil)
}

// Two servers never share a data directory; the second says so and leaves it alone.
func TestTheDataDirectoryIsLocked(t *testing.T) {
	s := serve(t)
	out, stderr, err := try(t, environment(), nil, program(t), "serve", "--data", s.data, "--http", "127.0.0.1:0", "--https", "127.0.0.1:0")
	if err == nil || !strings.Contains(stderr, "is in use by another millrace") || strings.Contains(out, "serves") {
		t.Errorf("%v: %s%s", err, out, stderr)
	}
	s.create(t, "garden")
	s.kill()
	s = s.again(t) // a lock does not outlive its process
	s.caller(t).must(t, "DescribeStream", object{"StreamName": "garden"}, nil)
}

// Keys are made, listed, disabled, enabled and deleted while the server runs; the root key
// is replaced while it does not.
func TestKeys(t *testing.T) {
	t.Parallel() // it waits for the server's cache of keys
	s := serve(t)
	s.create(t, "garden")
	key := func(args ...string) string {
		t.Helper()
		return run(t, environment(), program(t), append([]string{"key"}, append(args, "--data", s.data)...)...)
	}
	value := func(text, name string) string {
		_, rest, _ := strings.Cut(text, name+"=")
		v, _, _ := strings.Cut(rest, "\n")
		return v
	}
	made := key("create")
	second := s.caller(t)
	second.Key, second.Secret = value(made, "AWS_ACCESS_KEY_ID"), value(made, "AWS_SECRET_ACCESS_KEY")
	works := func(who caller, want bool) {
		t.Helper()
		eventually(t, fmt.Sprintf("key %s works: %t", who.Key, want), func() error {
			a := who.call(t, "DescribeStream", object{"StreamName": "garden"})
			if (a.Error == nil) != want {
				return fmt.Errorf("the answer is %d %v", a.Status, a.Error)
			}
			if a.Error != nil && a.Status != 403 {
				t.Errorf("refused with %v", a.Error)
			}
			return nil
		})
	}
	works(second, true)
	list := key("list")
	if !strings.Contains(list, second.Key) || !strings.Contains(list, s.key) || strings.Contains(list, second.Secret) || strings.Contains(list, s.secret) {
		t.Errorf("key list:\n%s", list)
	}
	key("disable", second.Key)
	works(second, false)
	key("enable", second.Key)
	works(second, true)
	key("delete", second.Key)
	works(second, false)
	if _, stderr, err := try(t, environment(), nil, program(t), "key", "reset-root", "--data", s.data); err == nil || !strings.Contains(stderr, "in use") {
		t.Errorf("reset-root while the server runs: %v %s", err, stderr)
	}
	s.stop(t)
	old := s.caller(t)
	reset := key("reset-root")
	s.key, s.secret = value(reset, "AWS_ACCESS_KEY_ID"), value(reset, "AWS_SECRET_ACCESS_KEY")
	s = s.again(t)
	works(s.caller(t), true)
	old.Endpoint = s.https
	works(old, false)
	for _, secret := range []string{old.Secret, s.secret, second.Secret} {
		inFiles(t, s.data, secret)
	}
}

// inFiles fails the test when a file of the directory holds the secret.
func inFiles(t *testing.T, dir, secret string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(b), secret) {
			t.Errorf("%s holds a secret", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// Anybody may ask for the health; measurements are for signers, or for all who reach the
// listener made for them.
func TestHealthAndMetrics(t *testing.T) {
	s := serve(t, "--metrics", "127.0.0.1:0")
	s.create(t, "garden")
	s.put(t, "garden", seconds(2, 0)...)
	get := func(url string, change func(*http.Request)) (int, string) {
		t.Helper()
		r, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		change(r)
		resp, err := s.client(t).HTTP.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode, string(readAll(t, resp.Body))
	}
	plain := func(*http.Request) {}
	sign := func(r *http.Request) {
		signer := sigv4.Signer{Credentials: sigv4.Credentials{AccessKey: s.key, Secret: s.secret}, Region: region, Service: "kinesisvideo"}
		if err := signer.Sign(r, ""); err != nil {
			t.Fatal(err)
		}
	}
	if status, body := get(s.https+"/healthz", plain); status != 200 || body != "ok\n" {
		t.Errorf("/healthz: %d %s", status, body)
	}
	if status, body := get(s.https+"/metrics", plain); status != 403 && status != 400 || strings.Contains(body, "millrace_") {
		t.Errorf("unsigned /metrics: %d %s", status, body)
	}
	status, body := get(s.https+"/metrics", sign)
	if status != 200 {
		t.Fatalf("signed /metrics: %d %s", status, body)
	}
	for _, name := range []string{`millrace_acks_total{type="PERSISTED"} 2`, "millrace_memory_budget_bytes ", "millrace_archive_queue 0"} {
		if !strings.Contains(body, "\n"+name) {
			t.Errorf("no %q in the measurements", name)
		}
	}
	if t.Failed() {
		t.Log(body)
	}
}

// A server with a certificate of its own shows that one, also after it was exchanged, and
// names itself by it.
func TestACertificateFromFiles(t *testing.T) {
	t.Parallel() // it waits until the server looks at the files again
	dir := t.TempDir()
	certificate := func(serial int64) *x509.CertPool {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		der8, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		for name, b := range map[string]*pem.Block{"key.pem": {Type: "PRIVATE KEY", Bytes: der8}, "cert.pem": {Type: "CERTIFICATE", Bytes: der}} {
			file := filepath.Join(dir, name)
			if err := os.WriteFile(file+".new", pem.EncodeToMemory(b), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(file+".new", file); err != nil {
				t.Fatal(err)
			}
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AddCert(cert)
		return pool
	}
	roots := certificate(1)
	config := filepath.Join(dir, "millrace.yml")
	text := fmt.Sprintf("account: \"%s\"\ntls:\n  cert: %s\n  key: %s\n", account, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serveWith(t, config)
	shown := func(roots *x509.CertPool) error {
		c, err := tls.Dial("tcp", strings.TrimPrefix(s.https, "https://"), &tls.Config{RootCAs: roots, ServerName: "localhost"})
		if err == nil {
			_ = c.Close()
		}
		return err
	}
	if err := shown(roots); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.ca()); err == nil {
		t.Error("a CA was made although there are files")
	}
	next := certificate(2)
	eventually(t, "the new certificate is shown", func() error { return shown(next) })
}
