package signers

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/millrace/millrace/sigv4"
)

var (
	now         = time.Date(2026, 5, 17, 8, 30, 15, 0, time.UTC)
	credentials = aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret/Key+With=Signs", SessionToken: "to+ken/="}
	ours        = sigv4.Signer{
		Credentials: sigv4.Credentials{AccessKey: "AKIDEXAMPLE", Secret: "secret/Key+With=Signs", SessionToken: "to+ken/="},
		Region:      "eu-west-3", Service: "kinesisvideo", Now: func() time.Time { return now },
	}
	rules = sigv4.Rules{Regions: []string{"eu-west-3"}, Services: []string{"kinesisvideo"}, Now: func() time.Time { return now }}
)

// sample is a request to sign.
type sample struct {
	name, method, url string
	header            http.Header
	body              string
	host              string
	stream            bool
}

var samples = []sample{
	{name: "control call", method: "POST", url: "https://h.example/createStream", header: http.Header{"Content-Type": {"application/json"}}, body: `{"a":1}`},
	{name: "no path", method: "GET", url: "https://h.example"},
	{name: "port", method: "POST", url: "https://h.example:8443/x", body: "x"},
	{name: "default port", method: "POST", url: "https://h.example:443/x", body: "x"},
	{name: "default port of http", method: "POST", url: "http://h.example:80/x"},
	{name: "other host", method: "POST", url: "https://h.example/x", host: "front.example"},
	{name: "two slashes", method: "POST", url: "https://h.example//putMedia", stream: true},
	{name: "dots", method: "GET", url: "https://h.example/a/./b/../c//d/"},
	{name: "escapes", method: "GET", url: "https://h.example/a%20b/%2f%2F/%C3%A9/~+:@!$&'()*,;="},
	{name: "query", method: "GET", url: "https://h.example/x?b=2&a=1&a=%2F&a=&c&B=%C3%A9"},
	{name: "query of presigning", method: "POST", url: "https://h.example/putMedia?X-Amz-Expires=600", stream: true},
	{name: "spaces", method: "POST", url: "https://h.example/x", header: http.Header{"X-Amzn-Stream-Name": {"  a   b "}, "X-Amz-Two": {"1  ", " 2"}}},
	{name: "headers nobody signs", method: "POST", url: "https://h.example/x",
		header: http.Header{"User-Agent": {"x"}, "X-Amzn-Trace-Id": {"t"}, "Expect": {"100-continue"}, "Accept": {"*/*"}}},
	{name: "unsigned payload", method: "POST", url: "https://h.example/putMedia", header: http.Header{"X-Amz-Content-Sha256": {sigv4.UnsignedPayload}}, stream: true},
}

func (s sample) request(t *testing.T) *http.Request {
	t.Helper()
	var body *strings.Reader
	r, err := http.NewRequest(s.method, s.url, nil)
	if s.body != "" {
		body = strings.NewReader(s.body)
		r, err = http.NewRequest(s.method, s.url, body)
	}
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range s.header {
		r.Header[k] = append([]string(nil), v...)
	}
	if s.host != "" {
		r.Host = s.host
	}
	return r
}

func (s sample) payload() string {
	if p := s.header.Get("X-Amz-Content-Sha256"); p != "" {
		return p
	}
	return sigv4.PayloadHash([]byte(s.body))
}

// received is r as a server sees it.
func received(r *http.Request) *http.Request {
	in := r.Clone(context.Background())
	in.RequestURI = r.URL.RequestURI()
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	return in
}

func verify(t *testing.T, r *http.Request, s sample) {
	t.Helper()
	a, err := sigv4.Parse(received(r))
	if err == nil {
		err = rules.Check(a)
	}
	if err == nil && s.stream {
		err = a.Verify(credentials.SecretAccessKey, nil)
	} else if err == nil {
		err = a.Verify(credentials.SecretAccessKey, sigv4.Body([]byte(s.body)))
	}
	if err != nil {
		t.Errorf("%v\n%s %s\n%v", err, r.Method, r.URL, r.Header)
	}
}

// TestSDKSignaturesVerify: what the SDK signs verifies.
func TestSDKSignaturesVerify(t *testing.T) {
	for _, s := range samples {
		t.Run(s.name, func(t *testing.T) {
			r := s.request(t)
			if err := v4.NewSigner().SignHTTP(t.Context(), credentials, r, s.payload(), "kinesisvideo", "eu-west-3", now); err != nil {
				t.Fatal(err)
			}
			verify(t, r, s)
		})
	}
}

// TestSameSignature: we and the SDK sign alike, to the byte.
func TestSameSignature(t *testing.T) {
	for _, s := range samples {
		t.Run(s.name, func(t *testing.T) {
			sameSignature(t, s)
		})
	}
}

func sameSignature(t *testing.T, s sample) {
	t.Helper()
	theirs, mine := s.request(t), s.request(t)
	if err := v4.NewSigner().SignHTTP(t.Context(), credentials, theirs, s.payload(), "kinesisvideo", "eu-west-3", now); err != nil {
		t.Fatal(err)
	}
	if err := ours.Sign(mine, s.payload()); err != nil {
		t.Fatal(err)
	}
	if got, want := mine.Header.Get("Authorization"), theirs.Header.Get("Authorization"); got != want {
		t.Errorf("%s\ngot  %s\nwant %s", s.url, got, want)
	}
	if mine.URL.RawQuery != theirs.URL.RawQuery {
		t.Errorf("query %s, want %s", mine.URL.RawQuery, theirs.URL.RawQuery)
	}
	verify(t, mine, s)
}

// TestRandomRequests compares the two on paths, queries and headers made at random.
func TestRandomRequests(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	const chars = "abcXYZ019-._~/ :+%!$&'()*,;=@é\x01"
	text := func(n int) string {
		var b strings.Builder
		for range rnd.IntN(n) {
			b.WriteByte(chars[rnd.IntN(len(chars))])
		}
		return b.String()
	}
	for i := range 2000 {
		u := url.URL{Scheme: "https", Host: "h.example", Path: "/" + text(12)}
		q := url.Values{}
		for range rnd.IntN(4) {
			// Names of letters only: the SDK sorts by the unescaped name.
			q.Add(string(chars[rnd.IntN(6)]), fmt.Sprint(rnd.IntN(10))+text(1))
		}
		u.RawQuery = q.Encode()
		s := sample{name: fmt.Sprint(i), method: "GET", url: u.String(), stream: rnd.IntN(2) == 0,
			header: http.Header{"X-Amz-Meta": {strings.Map(func(r rune) rune {
				if r < ' ' || r > '~' {
					return 'x'
				}
				return r
			}, text(20))}}}
		sameSignature(t, s)
		if t.Failed() {
			return
		}
	}
}

// TestSDKPresignedURLs: what the SDK presigns verifies, with and without a life.
func TestSDKPresignedURLs(t *testing.T) {
	for _, target := range []string{
		"https://v.example/?X-Amz-ChannelARN=arn%3Aaws%3Ax&X-Amz-ClientId=me&X-Amz-Expires=299",
		"https://v.example:8443//a%20b/?X-Amz-Expires=604800",
		"https://v.example/x?q=a+b",
	} {
		for _, payload := range []string{sigv4.EmptyPayload, sigv4.UnsignedPayload} {
			r := httptest.NewRequest("GET", target, nil)
			r.RequestURI = ""
			signed, _, err := v4.NewSigner().PresignHTTP(t.Context(), credentials, r, payload, "kinesisvideo", "eu-west-3", now)
			if err != nil {
				t.Fatal(err)
			}
			got, err := http.NewRequest("GET", signed, nil)
			if err != nil {
				t.Fatal(err)
			}
			verify(t, got, sample{})
		}
	}
}
