package certs

import (
	"bytes"
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What CheckName takes can be signed, and read back.
func TestNamesOfCertificates(t *testing.T) {
	long := strings.Repeat("a", 63)
	c := storeIn(t, t.TempDir(), Options{}, &movable{now: time.Now()}, &bytes.Buffer{})
	for _, good := range []string{"kvs.example", "KVS", "*.example.com", "192.0.2.7", "::1", "my_host", "xn--mnchen-3ya.example", long + ".b"} {
		if err := CheckName(good); err != nil {
			t.Errorf("%s: %v", good, err)
		} else if _, err := c.sign([]string{good}); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", ".", "a..b", "a.", "-a", "a-", "a b", "*", "a.*.b", "a/b", "host:8443", "münchen.example", "a\xffb", "a\x00b", long + "a", strings.Repeat(long+".", 4) + "b"} {
		if CheckName(bad) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// After options that cannot be shown the listener goes on with what it had, also when
// it is time to renew that.
func TestAFailedReloadChangesNothing(t *testing.T) {
	dir, clock := t.TempDir(), &movable{now: time.Now()}
	c := storeIn(t, dir, Options{Names: []string{"ok.example"}}, clock, &bytes.Buffer{})
	file := filepath.Join(dir, "bad.pem")
	if err := os.WriteFile(file, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := shown(t, c)
	for what, bad := range map[string]Options{
		"a name that cannot be signed": {Names: []string{"münchen.example"}},
		"a file that is none":          {Cert: file, Key: file},
		"a name and an authority":      {Names: []string{"münchen.example"}, ACME: ACME{Domains: []string{"a.example"}}},
		"an authority's bad CA":        {Names: []string{"other.example"}, ACME: ACME{Domains: []string{"a.example"}, CA: file}},
	} {
		if err := c.Reload(bad); err == nil {
			t.Errorf("%s: no error", what)
		}
		leaf, err := c.forHello(&tls.ClientHelloInfo{ServerName: "ok.example"})
		if err != nil || !leaf.Leaf.Equal(before) || c.issuer != nil {
			t.Fatalf("%s: the certificate is gone: %v", what, err)
		}
	}
	clock.pass(leafLife)
	if err := shown(t, c).VerifyHostname("ok.example"); err != nil {
		t.Errorf("renewed: %v", err)
	}
}
