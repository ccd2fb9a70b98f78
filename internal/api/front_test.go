package api

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/authority"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/metrics"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/sigv4"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("internal/poll.runtime_pollWait"))
}

var caller = sigv4.Credentials{AccessKey: "AKIATESTTESTTESTTEST", Secret: "the-secret-of-the-test"}

const account kvs.AccountID = "111122223333"

// yard is the one stream there is.
var yard = kvs.Stream{ID: 7, Account: account, Region: "us-east-1", Name: "yard", Created: 1_735_442_939_457, Status: kvs.Active}

// house is a front with everything it needs; the test plays the rooms.
type house struct {
	*httptest.Server
	t     testing.TB
	front *Front
	log   lockedBuffer
	deny  error
	keys  map[string]string // secrets
	fail  error             // of the key lookup
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (h *house) ByName(_ context.Context, a kvs.AccountID, name string) (kvs.Stream, error) {
	if a != account || name != yard.Name {
		return kvs.Stream{}, kvs.Errorf(kvs.NotFound, "The requested stream is not found or not active.")
	}
	return yard, nil
}

func (h *house) ByARN(_ context.Context, a kvs.AccountID, arn kvs.ARN) (kvs.Stream, error) {
	if a != account || arn != yard.ARN() {
		return kvs.Stream{}, kvs.Errorf(kvs.NotFound, "The requested stream is not found or not active.")
	}
	return yard, nil
}

func (h *house) Identify(_ context.Context, key, token string) (kvs.Principal, string, bool, error) {
	secret, ok := h.keys[key]
	return kvs.Principal{Account: account, ARN: "arn:aws:iam::" + string(account) + ":root", AccessKey: key}, secret, ok && token == "", h.fail
}

func (h *house) Still(_ context.Context, p *kvs.Principal) (bool, error) {
	_, ok := h.keys[p.AccessKey]
	return ok, h.fail
}

func (h *house) Authorize(context.Context, *authority.Ask) error { return h.deny }

func newHouse(t testing.TB, limits map[string]string, routes ...Route) *house {
	h := &house{t: t, keys: map[string]string{caller.AccessKey: caller.Secret}}
	book, err := quota.NewBook(t.Context(), quota.BookOptions{Settings: limits})
	if err != nil {
		t.Fatal(err)
	}
	h.front = New(Options{Streams: h, Region: "us-east-1", Identifier: h, Authorizer: h, Metrics: metrics.New(), Limits: book,
		Rules: func() sigv4.Rules {
			return sigv4.Rules{Regions: []string{"us-east-1"}}
		},
		Logger: slog.New(slog.NewTextHandler(&h.log, nil)),
	}, routes...)
	h.Server = httptest.NewServer(h.front)
	t.Cleanup(h.Close)
	return h
}

// describe is a route that says which stream it was asked about.
func describe(answer any, err error) Route {
	return OnStream("DescribeStream", func(context.Context, *Call, *wire.DescribeStreamInput) (any, error) { return answer, err })
}

// request makes a signed request; change may spoil it before or after signing.
func (h *house) request(path, body string, before, after func(*http.Request)) *http.Request {
	h.t.Helper()
	r, err := http.NewRequest("POST", h.URL+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	if before != nil {
		before(r)
	}
	s := sigv4.Signer{Credentials: caller, Region: "us-east-1", Service: "kinesisvideo"}
	if err := s.Sign(r, sigv4.PayloadHash([]byte(body))); err != nil {
		h.t.Fatal(err)
	}
	if after != nil {
		after(r)
	}
	return r
}

// exchange is an answer as it came over the wire, header names untouched.
type exchange struct {
	status int
	header map[string]string
	body   string
}

// send sends r and reads the answer to the end of the connection.
func (h *house) send(r *http.Request) exchange {
	h.t.Helper()
	r.Close = true
	conn, err := net.Dial("tcp", h.Listener.Addr().String())
	if err != nil {
		h.t.Fatal(err)
	}
	defer conn.Close()
	if err := r.Write(conn); err != nil {
		h.t.Fatal(err)
	}
	return readExchange(h.t, bufio.NewReader(conn))
}

func readExchange(t testing.TB, r *bufio.Reader) exchange {
	t.Helper()
	x := exchange{header: map[string]string{}}
	line, err := r.ReadString('\n')
	if _, e := fmt.Sscanf(line, "HTTP/1.1 %d", &x.status); err != nil || e != nil {
		t.Fatalf("no status line: %q, %v", line, err)
	}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ": ")
		if !ok {
			break
		}
		x.header[name] = value
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	x.body = string(b)
	return x
}

const named = `{"StreamName":"yard"}`

// The signing layer refuses with 403 and a lower-case message (wire-media section 9.2).
func TestRefusedSignatures(t *testing.T) {
	h := newHouse(t, nil, describe(nil, nil))
	shift := func(d time.Duration) func(*http.Request) {
		return func(r *http.Request) {
			s := sigv4.Signer{Credentials: caller, Region: "us-east-1", Service: "kinesisvideo", Now: func() time.Time { return time.Now().Add(d) }}
			if err := s.Sign(r, sigv4.PayloadHash([]byte(named))); err != nil {
				t.Fatal(err)
			}
		}
	}
	as := func(c sigv4.Credentials, region string) func(*http.Request) {
		return func(r *http.Request) {
			if err := (sigv4.Signer{Credentials: c, Region: region, Service: "kinesisvideo"}).Sign(r, sigv4.PayloadHash([]byte(named))); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name  string
		after func(*http.Request)
		begin string
	}{
		{"unsigned", func(r *http.Request) { r.Header.Del("Authorization") }, `{"message":"Missing Authentication Token"}`},
		{"another secret", as(sigv4.Credentials{AccessKey: caller.AccessKey, Secret: "wrong"}, "us-east-1"),
			`{"message":"The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."}`},
		{"unknown key", as(sigv4.Credentials{AccessKey: "AKIANOBODYNOBODYNOBO", Secret: "x"}, "us-east-1"), `{"message":"The security token included in the request is invalid."}`},
		{"a session token", as(sigv4.Credentials{AccessKey: caller.AccessKey, Secret: caller.Secret, SessionToken: "x"}, "us-east-1"), `{"message":"The security token included in the request is invalid."}`},
		{"too old", shift(-6 * time.Minute), `{"message":"Signature expired: `},
		{"too new", shift(6 * time.Minute), `{"message":"Signature not yet current: `},
		{"another region", as(caller, "eu-west-1"), `{"message":"Credential should be scoped to a valid region`},
		{"another body", func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(strings.ToUpper(named))), int64(len(named))
		}, `{"message":"The request signature we calculated does not match`},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := h.send(h.request("/describeStream", named, nil, c.after))
			if x.status != 403 || !strings.HasPrefix(x.body, c.begin) {
				t.Errorf("%d %s", x.status, x.body)
			}
			if x.header["x-amzn-ErrorType"] == "" || x.header["x-amzn-ErrorType"] != x.header["x-amz-ErrorType"] || x.header["x-amzn-RequestId"] == "" {
				t.Errorf("header %v", x.header)
			}
		})
	}
	if x := h.send(h.request("/describeStream", named, nil, nil)); x.status != 200 || x.body != "{}" {
		t.Errorf("the good request: %d %s", x.status, x.body)
	}
}

func TestWhatIsAskedFor(t *testing.T) {
	h := newHouse(t, nil, describe(nil, nil))
	const unknown = `{"Output":{"__type":"com.amazon.coral.service#UnknownOperationException"},"Version":"1.0"}`
	for _, path := range []string{"/", "/DescribeStream", "/describeStream/", "//describeStream", "/describe%53tream", "/tagresource", "/a/../describeStream"} {
		r := h.request("/x", named, nil, nil)
		r.URL.Opaque = "http://" + r.URL.Host + path // exactly as written
		if x := h.send(r); x.status != 200 || x.body != unknown {
			t.Errorf("%s: %d %s", path, x.status, x.body)
		}
	}
	get := h.request("/describeStream", "", nil, nil)
	get.Method = "GET"
	if x := h.send(get); x.body != unknown {
		t.Errorf("GET: %s", x.body)
	}
	for i := range wire.Operations {
		op := wire.Operations[i]
		if op.Name == "DescribeStream" {
			continue
		}
		body := "{}"
		if op.Input == nil {
			body = "" // a body that streams is not part of the signature
		}
		r := h.request(op.Path, body, func(r *http.Request) { r.Method = op.Method }, nil)
		x := h.send(r)
		if x.status != 501 || x.header["x-amzn-ErrorType"] != "NotImplementedException" || !strings.HasPrefix(x.body, `{"Message":"`+op.Name+" is not served") {
			t.Errorf("%s: %d %s", op.Name, x.status, x.body)
		}
	}
}

func TestBodies(t *testing.T) {
	h := newHouse(t, nil, describe(nil, nil))
	for _, c := range []struct {
		name, body string
		status     int
		says       string
	}{
		{"by name", named, 200, "{}"},
		{"spaces and members nobody knows", " { \"StreamName\" : \"yard\" , \"Colour\": [1,{\"a\":null}] } ", 200, "{}"},
		{"by ARN", `{"StreamARN":"` + yard.ARN().String() + `"}`, 200, "{}"},
		{"by both", `{"StreamName":"yard","StreamARN":"` + yard.ARN().String() + `"}`, 200, "{}"},
		{"null is absent", `{"StreamName":"yard","StreamARN":null}`, 200, "{}"},
		{"neither", `{}`, 400, "Either StreamName or StreamARN"},
		{"no body", ``, 400, "Either StreamName or StreamARN"},
		{"two that differ", `{"StreamName":"barn","StreamARN":"` + yard.ARN().String() + `"}`, 400, "name different streams"},
		{"no JSON", `{"StreamName"`, 400, ""},
		{"an array", `[]`, 400, ""},
		{"two values", `{}{}`, 400, ""},
		{"a number for a name", `{"StreamName":5}`, 400, "StreamName"},
		{"a name too long", `{"StreamName":"` + strings.Repeat("a", 257) + `"}`, 400, "StreamName"},
		{"a name with a slash", `{"StreamName":"a/b"}`, 400, "StreamName"},
		{"an ARN that is none", `{"StreamARN":"yard"}`, 400, "StreamARN"},
		{"a large body", `{"StreamName":"` + strings.Repeat("a", maxBody) + `"}`, 400, "larger than"},
		{"deep nesting", `{"a":` + strings.Repeat("[", 100_000) + `}`, 400, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := h.send(h.request("/describeStream", c.body, nil, nil))
			if x.status != c.status || !strings.Contains(x.body, c.says) {
				t.Errorf("%d %s", x.status, x.body)
			}
			if c.status == 400 && (x.header["x-amzn-ErrorType"] != "InvalidArgumentException" || !strings.HasPrefix(x.body, `{"Message":"`)) {
				t.Errorf("%v %s", x.header, x.body)
			}
			if x.header["Content-Length"] != fmt.Sprint(len(x.body)) || x.header["Content-Type"] != "application/json" {
				t.Errorf("header %v for %d bytes", x.header, len(x.body))
			}
		})
	}
}

// For what is not the caller's the answer is that for what is not there.
func TestOthersStreams(t *testing.T) {
	h := newHouse(t, nil, describe(nil, nil))
	own := yard.ARN()
	var answers []string
	for _, change := range []func(*kvs.ARN){
		func(a *kvs.ARN) { a.Account = "999999999999" },
		func(a *kvs.ARN) { a.Name = "barn" },
		func(a *kvs.ARN) { a.Region = "eu-west-1" },
		func(a *kvs.ARN) { a.Code = "1" },
		func(a *kvs.ARN) { a.Kind = kvs.ChannelResource },
	} {
		arn := own
		change(&arn)
		x := h.send(h.request("/describeStream", `{"StreamARN":"`+arn.String()+`"}`, nil, nil))
		answers = append(answers, fmt.Sprint(x.status, x.header["x-amzn-ErrorType"], x.body))
	}
	x := h.send(h.request("/describeStream", `{"StreamName":"nothing"}`, nil, nil))
	want := fmt.Sprint(x.status, x.header["x-amzn-ErrorType"], x.body)
	if x.status != 404 || x.header["x-amzn-ErrorType"] != "ResourceNotFoundException" {
		t.Errorf("got %s", want)
	}
	for _, a := range answers {
		if a != want {
			t.Errorf("got  %s\nwant %s", a, want)
		}
	}
}

func TestDenial(t *testing.T) {
	h := newHouse(t, nil, describe(nil, nil), JSON("CreateStream",
		func(context.Context, *Call, *wire.CreateStreamInput) (any, error) { return nil, nil }))
	h.deny = kvs.Errorf(kvs.Denied, "User: arn:aws:iam::111122223333:user/x is not authorized to perform: kinesisvideo:DescribeStream on resource: yard")
	for path, name := range map[string]string{"/describeStream": "NotAuthorizedException", "/createStream": "AccessDeniedException"} {
		x := h.send(h.request(path, named, nil, nil))
		if x.status != 403 || x.header["x-amzn-ErrorType"] != name || !strings.HasPrefix(x.body, `{"Message":"User: arn:aws:iam::111122223333:user/x is not authorized`) {
			t.Errorf("%s: %d %v %s", path, x.status, x.header, x.body)
		}
	}
}

func TestRateLimits(t *testing.T) {
	h := newHouse(t, map[string]string{"DescribeStream.stream-rate": "1/d"}, describe(nil, nil))
	if x := h.send(h.request("/describeStream", named, nil, nil)); x.status != 200 {
		t.Errorf("the first call: %d %s", x.status, x.body)
	}
	x := h.send(h.request("/describeStream", named, nil, nil))
	if x.status != 400 || x.header["x-amzn-ErrorType"] != "ClientLimitExceededException" ||
		x.body != `{"Message":"Limit exceeded on number of requests for DescribeStream API for resource 'yard'"}` {
		t.Errorf("%d %v %s", x.status, x.header, x.body)
	}
}

func TestOurOwnFaults(t *testing.T) {
	secret := errors.New("disk sda1 at /var/lib is broken")
	h := newHouse(t, nil, describe(nil, secret))
	for range 2 {
		x := h.send(h.request("/describeStream", named, nil, nil))
		if x.status != 500 || x.header["x-amzn-ErrorType"] != "InternalFailure" || strings.Contains(x.body, "sda1") {
			t.Errorf("%d %v %s", x.status, x.header, x.body)
		}
		if !strings.Contains(h.log.String(), "level=ERROR") || !strings.Contains(h.log.String(), "sda1") {
			t.Errorf("log: %s", h.log.String())
		}
		h.fail = secret // next: the key lookup
	}
}
