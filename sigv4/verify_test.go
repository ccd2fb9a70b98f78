package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestMacIsHMAC(t *testing.T) {
	for n := range 200 {
		key, text := []byte(strings.Repeat("k", n)), strings.Repeat("t", 3*n)
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		if got := mac(key, text); !hmac.Equal(h.Sum(nil), got[:]) {
			t.Fatalf("key of %d bytes: other result than crypto/hmac", n)
		}
	}
}

// signedWith signs a POST of body with the given payload text and header.
func signedWith(t *testing.T, payload, header string) *Auth {
	t.Helper()
	r := httptest.NewRequest("POST", "https://a/x", nil)
	if header != "" {
		r.Header.Set("X-Amz-Content-Sha256", header)
	}
	if err := testSigner.Sign(r, payload); err != nil {
		t.Fatal(err)
	}
	a, err := Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestPayloadForms: which payload texts a body at hand and a streaming body admit.
func TestPayloadForms(t *testing.T) {
	body := []byte("hello")
	hash, other := PayloadHash(body), PayloadHash([]byte("other"))
	for _, c := range []struct {
		name, payload, header string
		whole, stream         bool // accepted with the body at hand, while it streams
	}{
		{"hash of the body", hash, "", true, false},
		{"hash of the body, named", hash, hash, true, true},
		{"hash of another body", other, "", false, false},
		{"hash of another body, named", other, other, false, true},
		{"hash of nothing", EmptyPayload, "", false, true},
		{"hash of nothing, named", EmptyPayload, EmptyPayload, false, true},
		{"unsigned, not named", UnsignedPayload, "", false, true},
		{"unsigned, named", UnsignedPayload, UnsignedPayload, true, true},
		{"streaming, named", StreamingPayload, StreamingPayload, true, true},
		{"streaming, not named", StreamingPayload, "", false, false},
		{"any text, named", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", false, true},
		{"another text than named", hash, UnsignedPayload, false, false},
	} {
		a := signedWith(t, c.payload, c.header)
		if err := a.Verify("secret", Body(body)); (err == nil) != c.whole {
			t.Errorf("%s, body at hand: %v", c.name, err)
		}
		if err := a.Verify("secret", nil); (err == nil) != c.stream {
			t.Errorf("%s, streaming: %v", c.name, err)
		}
	}
}

// TestBodyIsReadOnlyWhenNeeded: a payload that does not cover the body is decided
// without it, and an error of reading comes back.
func TestBodyIsReadOnlyWhenNeeded(t *testing.T) {
	failing := func() (string, error) { return "", io.ErrUnexpectedEOF }
	if err := signedWith(t, UnsignedPayload, UnsignedPayload).Verify("secret", failing); err != nil {
		t.Error(err)
	}
	if err := signedWith(t, EmptyPayload, "").Verify("secret", failing); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}

// Signers of URLs do not know what the client will write for Host: the port may be missing on
// either side.
func TestHostOfAURL(t *testing.T) {
	for _, c := range []struct {
		signed, received string
		good             bool
	}{
		{"kvs.example", "kvs.example", true}, {"kvs.example", "kvs.example:443", true}, {"kvs.example", "kvs.example:8443", true},
		{"kvs.example:443", "kvs.example", true}, {"kvs.example:8443", "kvs.example", false}, {"kvs.example:8443", "kvs.example:443", false},
		{"[::1]", "[::1]:8443", true}, {"[::1]:443", "[::1]", true}, {"other.example", "kvs.example", false},
	} {
		r := httptest.NewRequest("GET", "https://"+c.signed+"/?a=b", nil)
		if err := (Signer{Credentials: Credentials{AccessKey: "AKID", Secret: "hush"}, Region: "us-east-1", Service: "kinesisvideo"}).Presign(r, time.Minute); err != nil {
			t.Fatal(err)
		}
		r.Host, r.RequestURI = c.received, r.URL.RequestURI()
		a, err := Parse(r)
		if err == nil {
			err = a.Verify("hush", Body(nil))
		}
		if (err == nil) != c.good {
			t.Errorf("signed for %s, received by %s: %v", c.signed, c.received, err)
		}
	}
}

// TestHostAsReceived: the value of the header decides, not the URL or the listener.
func TestHostAsReceived(t *testing.T) {
	r := httptest.NewRequest("POST", "/x", nil)
	r.Host = "kvs.example"
	if err := testSigner.Sign(r, ""); err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]bool{"kvs.example": true, "kvs.example:8443": false, "KVS.example": false, "": false} {
		r.Host = host
		a, err := Parse(r)
		if err == nil {
			err = a.Verify("secret", nil)
		}
		if (err == nil) != want {
			t.Errorf("host %q: %v", host, err)
		}
	}
}

func TestUnsignedExtras(t *testing.T) {
	for _, h := range []string{"X-Amz-Security-Token", "X-Amzn-Trace-Id", "Amz-Sdk-Request", "Accept", "X-Forwarded-For"} {
		r := httptest.NewRequest("POST", "https://a/x", nil)
		if err := testSigner.Sign(r, ""); err != nil {
			t.Fatal(err)
		}
		r.Header.Set(h, "added")
		a, err := Parse(r)
		if err == nil {
			err = a.Verify("secret", nil)
		}
		if err != nil {
			t.Errorf("%s: %v", h, err)
		}
	}
}

func TestVariantsStayApart(t *testing.T) {
	for path, want := range map[string]string{
		"": "/", "/": "/", "/a": "/a", "//putMedia": "//putMedia /putMedia", "/a//b/": "/a//b/ /a/b/",
		"/a%20b": "/a%2520b", "/~.-_": "/~.-_", "/a:b": "/a%3Ab", "/a/./b": "/a/./b", "/a//../b": "/a//../b", "/a//": "/a//",
	} {
		v := paths(path)
		if got := strings.Join(v.all(), " "); got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}

func TestRequestTargets(t *testing.T) {
	for target, want := range map[string]string{
		"/a?b=c":              "/a b=c",
		"//a":                 "//a ",
		"/a%2f?":              "/a%2f ",
		"/a?b?c":              "/a b?c",
		"https://h:1/a?b":     "/a b",
		"https://h":           " ",
		"https://h?x=/y":      " x=/y",
		"*":                   "* ",
		"/a?u=https://b/c":    "/a u=https://b/c",
		"/https://b/c":        "/https://b/c ",
		"http://h/p://q?r=/s": "/p://q r=/s",
	} {
		var m message
		m.setTarget(target)
		if got := m.path + " " + m.query; got != want {
			t.Errorf("%q: %q, want %q", target, got, want)
		}
	}
}

// benchRequest is a PutMedia request of the C producer.
func benchRequest(b *testing.B) *http.Request {
	b.Helper()
	r := httptest.NewRequest("POST", "https://"+wireHost+"/putMedia", http.NoBody)
	for _, h := range javaHeaders[2:] {
		k, v, _ := strings.Cut(h, ": ")
		r.Header.Set(k, v)
	}
	if err := testSigner.Sign(r, ""); err != nil {
		b.Fatal(err)
	}
	return r
}

func BenchmarkVerify(b *testing.B) {
	r := benchRequest(b)
	rules := Rules{Regions: []string{"us-east-1"}, Now: at(wireTime)}
	b.ReportAllocs()
	for b.Loop() {
		a, err := Parse(r)
		if err == nil {
			err = rules.Check(a)
		}
		if err == nil {
			err = a.Verify("secret", nil)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyPresigned(b *testing.B) {
	q := signaling()
	r := httptest.NewRequest(q.Method, q.Target, nil)
	r.Host = wireHost
	b.ReportAllocs()
	for b.Loop() {
		a, err := Parse(r)
		if err == nil {
			err = a.Verify(wireSecret, nil)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	r := benchRequest(b)
	b.ReportAllocs()
	for b.Loop() {
		if err := testSigner.Sign(r, ""); err != nil {
			b.Fatal(err)
		}
	}
}
