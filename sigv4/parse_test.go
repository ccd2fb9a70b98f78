package sigv4

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const goodCredential = "AKID/20260517/us-west-2/kinesisvideo/aws4_request"

// authorized makes a request with the given Authorization header.
func authorized(text string, headers ...string) *http.Request {
	r := httptest.NewRequest("POST", "/x", nil)
	r.Header.Set("Authorization", text)
	r.Header.Set("X-Amz-Date", wireTime)
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		r.Header.Add(k, v)
	}
	return r
}

func presigned(query string) *http.Request { return httptest.NewRequest("GET", "/?"+query, nil) }

const goodQuery = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20260517%2Fus-west-2%2Fkinesisvideo%2Faws4_request" +
	"&X-Amz-Date=20260517T083015Z&X-Amz-Expires=299&X-Amz-SignedHeaders=host&X-Amz-Signature=00"

func TestParseRefusals(t *testing.T) {
	good := "AWS4-HMAC-SHA256 Credential=" + goodCredential + ", SignedHeaders=host;x-amz-date, Signature=00"
	if _, err := Parse(authorized(good)); err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(presigned(goodQuery)); err != nil {
		t.Fatal(err)
	}
	swap := func(old, new string) *http.Request { return authorized(strings.Replace(good, old, new, 1)) }
	query := func(old, new string) *http.Request { return presigned(strings.Replace(goodQuery, old, new, 1)) }
	undated := authorized(good)
	undated.Header.Del("X-Amz-Date")
	for _, c := range []struct {
		name string
		r    *http.Request
		code Code
		text string
	}{
		{"unsigned", httptest.NewRequest("POST", "/x", nil), MissingAuthenticationToken, "Missing Authentication Token"},
		{"unsigned with a left-over parameter", presigned("X-Amz-Expires=600"), MissingAuthenticationToken, "Missing Authentication Token"},
		{"other scheme", authorized("Bearer abc"), IncompleteSignature, "Unsupported AWS 'algorithm': 'Bearer'; it must be 'AWS4-HMAC-SHA256'."},
		{"other algorithm", swap("SHA256", "SHA512"), IncompleteSignature, "'AWS4-HMAC-SHA512'"},
		{"nothing in it", authorized("AWS4-HMAC-SHA256 "), IncompleteSignature, "(missing equal-sign)"},
		{"no parameters of ours", authorized("AWS4-HMAC-SHA256 Credential="), IncompleteSignature,
			"Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter."},
		{"no signature", swap(", Signature=00", ""), IncompleteSignature, "Authorization header requires 'Signature' parameter."},
		{"twice", swap("Signature=00", "Signature=00,Signature=00"), IncompleteSignature, "Authorization header has 'Signature' twice."},
		{"unknown part", swap("Signature=00", "Signature=00,Extra=1"), IncompleteSignature, "'Extra' is no parameter"},
		{"short credential", swap("/aws4_request", ""), IncompleteSignature, "Credential must have exactly 5 slash-delimited elements"},
		{"empty element", swap("us-west-2", ""), IncompleteSignature, "Each element of Credential"},
		{"odd element", swap("us-west-2", "us\twest"), IncompleteSignature, "Each element of Credential"},
		{"long element", swap("us-west-2", strings.Repeat("x", 200)), IncompleteSignature, "Each element of Credential"},
		{"terminator", swap("aws4_request", "aws5_request"), InvalidSignature, "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'."},
		{"scope date", swap("20260517", "2026051"), IncompleteSignature, "YYYYMMDD"},
		{"another day", swap("20260517", "20260518"), InvalidSignature,
			"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20260518' != '20260517', from '20260517T083015Z'."},
		{"no date", undated, IncompleteSignature, "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."},
		{"two dates", authorized(good, "X-Amz-Date: "+wireTime), IncompleteSignature, "2 x-amz-date headers"},
		{"two tokens", authorized(good, "X-Amz-Security-Token: a", "X-Amz-Security-Token: b"), IncompleteSignature, "2 x-amz-security-token headers"},
		{"two hashes", authorized(good, "X-Amz-Content-Sha256: a", "X-Amz-Content-Sha256: b"), IncompleteSignature, "2 x-amz-content-sha256 headers"},
		{"two authorizations", authorized(good, "Authorization: "+good), IncompleteSignature, "2 authorization headers"},
		{"host not signed", swap("host;", ""), InvalidSignature, "'host' must be a 'SignedHeader' in the AWS Authorization."},
		{"date not signed", swap(";x-amz-date", ""), InvalidSignature, "'x-amz-date' must be a 'SignedHeader' in the AWS Authorization."},
		{"steering header not signed", authorized(good, "X-Amzn-Stream-Name: a"), InvalidSignature, "'x-amzn-stream-name' must be"},
		{"signed header is not there", swap("host;", "host;range;"), InvalidSignature, "does not match the signature you provided"},
		{"too many signed", swap("host;", "host;"+strings.Repeat("x;", 64)), IncompleteSignature, "More than 64 headers are signed."},
		{"too long", swap("Signature=00", "Signature="+strings.Repeat("0", 9000)), IncompleteSignature, "The Authorization header has"},
		{"large header", authorized(strings.Replace(good, "host;", "a;host;", 1), "A: "+strings.Repeat("x", 70000)), IncompleteSignature, "The signed headers have"},
		{"long path", httptest.NewRequest("GET", "/"+strings.Repeat("x", 9000), nil), IncompleteSignature, "The path has"},
		{"long query", presigned(strings.Repeat("x", 20000)), IncompleteSignature, "The query is too long"},
		{"many parameters", presigned(strings.Repeat("a&", 300)), IncompleteSignature, "The query is too long"},

		{"query and header", func() *http.Request { r := authorized(good); r.RequestURI = "/?" + goodQuery; return r }(), IncompleteSignature, "it must be signed in one"},
		{"query algorithm", query("SHA256", "SHA1"), IncompleteSignature, "'AWS4-HMAC-SHA1'"},
		{"query without signature", query("&X-Amz-Signature=00", ""), IncompleteSignature, "AWS query-string parameters must include 'X-Amz-Signature'."},
		{"query without date", query("&X-Amz-Date=20260517T083015Z", ""), IncompleteSignature, "must include 'X-Amz-Date'"},
		{"query parameter twice", query("X-Amz-Date=", "X-Amz-Date=&X-Amz-Date="), IncompleteSignature, "The query has 'X-Amz-Date' twice."},
		{"query spelled otherwise", query("X-Amz-Signature", "x-amz-signature"), IncompleteSignature, "must include 'X-Amz-Signature'"},
		{"query badly escaped", query("=host", "=%zz"), IncompleteSignature, "'X-Amz-SignedHeaders' is not escaped correctly"},
		{"expires 0", query("=299", "=0"), IncompleteSignature, "X-Amz-Expires must be"},
		{"expires negative", query("=299", "=-1"), IncompleteSignature, "X-Amz-Expires must be"},
		{"expires text", query("=299", "=5m"), IncompleteSignature, "Got '5m'"},
		{"expires huge", query("=299", "=99999999999999999999"), IncompleteSignature, "X-Amz-Expires must be"},
		{"date form", query("20260517T083015Z", "2026-05-17"), IncompleteSignature, "Date must be in ISO-8601 'basic format'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse(c.r)
			e, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatalf("%v, want a refusal", err)
			}
			if e.Code != c.code || !strings.Contains(e.Message, c.text) {
				t.Errorf("%s %q\nwant %s %q", e.Code.Exception(), e.Message, c.code.Exception(), c.text)
			}
		})
	}
}

func TestParseParts(t *testing.T) {
	for _, text := range []string{
		"AWS4-HMAC-SHA256 Credential=" + goodCredential + ", SignedHeaders=host;x-amz-date, Signature=00",
		"AWS4-HMAC-SHA256 Credential=" + goodCredential + ",SignedHeaders=host;x-amz-date,Signature=00",
		"AWS4-HMAC-SHA256  Signature=00 ,  SignedHeaders=host;x-amz-date,\tCredential=" + goodCredential,
	} {
		a, err := Parse(authorized(text, "X-Amz-Security-Token: token"))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if a.AccessKey != "AKID" || a.Date != "20260517" || a.Region != "us-west-2" || a.Service != "kinesisvideo" ||
			a.SessionToken != "token" || strings.Join(a.Signed, " ") != "host x-amz-date" || a.Presigned ||
			!a.Time.Equal(time.Date(2026, 5, 17, 8, 30, 15, 0, time.UTC)) {
			t.Errorf("%s: %+v", text, a)
		}
	}
	a, err := Parse(presigned(goodQuery + "&X-Amz-Security-Token=a+b%2Fc%3D"))
	if err != nil {
		t.Fatal(err)
	}
	if !a.Presigned || a.Expires != 299*time.Second || a.SessionToken != "a+b/c=" {
		t.Errorf("%+v", a)
	}
}

func TestDateHeader(t *testing.T) {
	want := time.Date(2026, 5, 17, 8, 30, 15, 0, time.UTC)
	for _, text := range []string{
		"Sun, 17 May 2026 08:30:15 GMT", "Sun, 17 May 2026 08:30:15 -0000", "Sunday, 17-May-26 08:30:15 GMT", "20260517T083015Z",
	} {
		r := authorized("AWS4-HMAC-SHA256 Credential="+goodCredential+", SignedHeaders=date;host, Signature=00", "Date: "+text)
		r.Header.Del("X-Amz-Date")
		a, err := Parse(r)
		if err != nil || !a.Time.Equal(want) || a.stamp != wireTime {
			t.Errorf("%s: %v, %+v", text, err, a)
		}
	}
}

// FuzzParse looks for panics and for work out of proportion. Whatever is accepted must
// name a host and must not verify.
func FuzzParse(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential="+goodCredential+", SignedHeaders=host;x-amz-date, Signature=00", "a=b&c", wireTime)
	f.Add("", goodQuery, "")
	f.Add("", goodQuery+"&X-Amz-Security-Token=%41+", wireTime)
	f.Add("AWS4-HMAC-SHA256 Credential=/,SignedHeaders=;,Signature==", "&&=&=%", "Sun, 17 May 2026 08:30:15 GMT")
	f.Fuzz(func(t *testing.T, auth, query, date string) {
		r := httptest.NewRequest("POST", "//putMedia", nil)
		r.RequestURI = "//putMedia?" + query
		if auth != "" {
			r.Header["Authorization"] = []string{auth}
		}
		r.Header["X-Amz-Date"] = []string{date}
		a, err := Parse(r)
		if err != nil {
			if e, ok := errors.AsType[*Error](err); !ok || e.Message == "" || len(e.Message) > 1000 {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		if len(a.Signed) > maxSigned || a.AccessKey == "" || a.Time.IsZero() && a.Date != "00010101" {
			t.Fatalf("accepted %+v", a)
		}
		rules := Rules{Now: func() time.Time { return a.Time }}
		_ = rules.Check(a)
		if err := a.Verify("a secret nobody signed with", nil); err == nil {
			t.Fatal("verified")
		}
	})
}
