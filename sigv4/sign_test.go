package sigv4

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

func at(stamp string) func() time.Time {
	t, err := time.Parse(stampForm, stamp)
	if err != nil {
		panic(err)
	}
	return func() time.Time { return t }
}

// The two examples of the signing guide whose signatures are published.
func TestPublishedExamples(t *testing.T) {
	const secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	for _, c := range []struct{ name, url, service, contentType, signature string }{
		{"get-vanilla", "https://example.amazonaws.com/", "service", "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"ListUsers", "https://iam.amazonaws.com/?Version=2010-05-08&Action=ListUsers", "iam", "application/x-www-form-urlencoded; charset=utf-8",
			"5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"},
	} {
		r, err := http.NewRequest("GET", c.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.contentType != "" {
			r.Header.Set("Content-Type", c.contentType)
		}
		s := Signer{Credentials{AccessKey: "AKIDEXAMPLE", Secret: secret}, "us-east-1", c.service, at("20150830T123600Z")}
		if err := s.Sign(r, ""); err != nil {
			t.Fatal(err)
		}
		if _, got, _ := strings.Cut(r.Header.Get("Authorization"), "Signature="); got != c.signature {
			t.Errorf("%s: %s", c.name, r.Header.Get("Authorization"))
		}
	}
}

var testSigner = Signer{Credentials{"AKID", "secret", ""}, "us-east-1", "kinesisvideo", at(wireTime)}

func TestSignedRequestsVerifyOverHTTP(t *testing.T) {
	temporary := testSigner
	temporary.SessionToken = "to+ken/="
	for _, c := range []struct {
		name, method, path, body, payload string
		signer                            Signer
		header                            http.Header
		stream                            bool
	}{
		{"control", "POST", "/createStream", `{"StreamName":"a"}`, PayloadHash([]byte(`{"StreamName":"a"}`)), testSigner, http.Header{"Content-Type": {"application/json"}}, false},
		{"token", "POST", "/x", "{}", PayloadHash([]byte("{}")), temporary, nil, false},
		{"stream", "POST", "//putMedia?b=1&a=x y", "media", "", testSigner, http.Header{"X-Amzn-Stream-Name": {"  a  b "}}, true},
		{"unsigned stream", "POST", "/putMedia", "media", UnsignedPayload, temporary, http.Header{"X-Amz-Content-Sha256": {UnsignedPayload}}, true},
		{"escaped", "GET", "/a%20b/%2F/ü?q=%3D&r=+", "", "", testSigner, nil, false},
		{"two values", "GET", "/", "", "", testSigner, http.Header{"X-Amz-Meta-A": {"1", "2"}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got error
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				rec := recording{AccessKey: "AKID", Secret: "secret", Region: "us-east-1", Service: "kinesisvideo", Time: wireTime}
				if c.stream {
					got = rec.check(r, nil)
				} else {
					got = rec.check(r, Body([]byte(c.body)))
				}
			}))
			defer server.Close()
			r, err := http.NewRequest(c.method, server.URL+strings.ReplaceAll(c.path, "x y", "x%20y"), strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range c.header {
				r.Header[k] = v
			}
			if c.stream {
				r.ContentLength = -1
			}
			if err := c.signer.Sign(r, c.payload); err != nil {
				t.Fatal(err)
			}
			resp, err := server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if got != nil {
				t.Error(got)
			}
		})
	}
}

func TestPresign(t *testing.T) {
	s := testSigner
	s.SessionToken = "to+ken/="
	r := httptest.NewRequest("GET", "https://v.example:443/?X-Amz-ClientId=me&X-Amz-ChannelARN=arn:a/b", nil)
	if err := s.Presign(r, 299*time.Second); err != nil {
		t.Fatal(err)
	}
	q := r.URL.Query()
	if r.Host != "v.example" || q.Get("X-Amz-Expires") != "299" || q.Get("X-Amz-Security-Token") != "to+ken/=" || q.Get("X-Amz-SignedHeaders") != "host" {
		t.Errorf("host %s, query %s", r.Host, r.URL.RawQuery)
	}
	rec := recording{AccessKey: "AKID", Secret: "secret", Region: "us-east-1", Service: "kinesisvideo", Time: wireTime}
	if err := rec.check(r, nil); err != nil {
		t.Error(err)
	}
	if err := rec.check(r, Body(nil)); err != nil {
		t.Error(err)
	}
	r.Header.Set("X-Amz-Date", wireTime)
	if err := rec.check(r, nil); err == nil {
		t.Error("verified with a header that is not signed")
	}
}

func TestSignerRefuses(t *testing.T) {
	fine, noHost := httptest.NewRequest("GET", "https://a/", nil), &http.Request{Method: "GET", URL: &url.URL{Path: "/"}}
	for name, c := range map[string]struct {
		s Signer
		r *http.Request
	}{
		"no key":    {Signer{Credentials{Secret: "x"}, "r", "s", nil}, fine},
		"no secret": {Signer{Credentials{AccessKey: "x"}, "r", "s", nil}, fine},
		"no region": {Signer{Credentials{AccessKey: "x", Secret: "x"}, "", "s", nil}, fine},
		"no host":   {testSigner, noHost},
	} {
		if err := c.s.Sign(c.r, ""); err == nil {
			t.Errorf("%s: Sign signed", name)
		}
		if err := c.s.Presign(c.r, time.Minute); err == nil {
			t.Errorf("%s: Presign signed", name)
		}
	}
	if err := testSigner.Presign(fine, time.Millisecond); err == nil {
		t.Error("presigned for less than a second")
	}
}
