package sigv4

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// recording is what a real signer made with fixed keys and a fixed clock
// (test/signers writes the files), or what a device sent over the wire (devices.json).
type recording struct {
	Signer    string
	AccessKey string `json:"access_key"`
	Secret    string
	Region    string
	Service   string
	Time      string
	Requests  []recorded
}

// recorded is one request, as it goes over the wire.
type recorded struct {
	Name    string
	Method  string
	Target  string
	Headers [][2]string
	Body    string
	Token   string
	Stream  bool   // the body is not at hand when the signature is checked
	Late    string // the part of the target that its signer added after signing
}

// rules are those of a server in the recording's region at its time.
func (r *recording) rules() *Rules {
	t, err := time.Parse(stampForm, r.Time)
	if err != nil {
		panic(err)
	}
	return &Rules{Regions: []string{r.Region}, Services: []string{r.Service}, Now: func() time.Time { return t }}
}

// check takes a request through the steps of a server that knows one key.
func (r *recording) check(req *http.Request, body BodyHash) error {
	a, err := Parse(req)
	if err != nil {
		return err
	}
	if err := r.rules().Check(a); err != nil {
		return err
	}
	if a.AccessKey != r.AccessKey {
		return UnknownKey()
	}
	return a.Verify(r.Secret, body)
}

// checkRaw is check for the bytes of a request.
func (r *recording) checkRaw(raw []byte, stream bool) error {
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
	if err != nil {
		return err
	}
	if stream {
		return r.check(req, nil)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return err
	}
	return r.check(req, Body(body))
}

// raw writes the request down.
func (q *recorded) raw() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", q.Method, q.Target)
	for _, h := range q.Headers {
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
	}
	b.WriteString("\r\n" + q.Body)
	return b.Bytes()
}

// recordings are the files of testdata and the requests written down in wire_test.go.
func recordings(t *testing.T) []*recording {
	t.Helper()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) < 3 {
		t.Fatalf("recordings: %v, %v", files, err)
	}
	var all []*recording
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		r := &recording{}
		if err := json.Unmarshal(b, r); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		all = append(all, r)
	}
	return append(all, producers())
}

func each(t *testing.T, f func(t *testing.T, r *recording, q *recorded)) {
	for _, r := range recordings(t) {
		for i := range r.Requests {
			q := &r.Requests[i]
			t.Run(r.Signer+"/"+q.Name, func(t *testing.T) { f(t, r, q) })
		}
	}
}

func TestRecordedRequestsVerify(t *testing.T) {
	each(t, func(t *testing.T, r *recording, q *recorded) {
		if err := r.checkRaw(q.raw(), q.Stream); err != nil {
			t.Fatalf("%v\n%s", err, q.raw())
		}
		req, _ := http.ReadRequest(bufio.NewReader(bytes.NewReader(q.raw())))
		a, err := Parse(req)
		if err != nil || a.SessionToken != q.Token {
			t.Fatalf("session token %q, %v; want %q", a.SessionToken, err, q.Token)
		}
		if err := a.Verify(r.Secret+"x", nil); err == nil {
			t.Fatal("verified with another secret")
		}
	})
}

// coveredHeader reports whether a header of a recorded request is signed.
func coveredHeader(q *recorded, name string) bool {
	list := ""
	for _, h := range q.Headers {
		if strings.EqualFold(h[0], "authorization") {
			_, list, _ = strings.Cut(h[1], "SignedHeaders=")
			list, _, _ = strings.Cut(list, ",")
		}
	}
	if list == "" {
		list = "host"
	}
	for s := range strings.SplitSeq(list, ";") {
		if strings.EqualFold(s, name) {
			return true
		}
	}
	return false
}

// refused fails the test unless err is a refusal: one of ours with status 403, or
// net/http's of a request that is not well formed.
func refused(t *testing.T, err error, what string, raw []byte) {
	t.Helper()
	if err == nil {
		t.Fatalf("%s: still verified\n%q", what, raw)
	}
	if e, ok := errors.AsType[*Error](err); ok && (e.Code.Status() != 403 || e.Message == "") {
		t.Fatalf("%s: status %d, %q", what, e.Code.Status(), e.Message)
	}
}

// TestFlippedBits flips every bit of the method, the target, every signed header's
// value, the Authorization header and the covered body of every recorded request.
func TestFlippedBits(t *testing.T) {
	each(t, func(t *testing.T, r *recording, q *recorded) {
		raw := q.raw()
		try := func(what string, from, to int) {
			for i := from; i < to; i++ {
				for bit := range 8 {
					raw[i] ^= 1 << bit
					refused(t, r.checkRaw(raw, q.Stream), fmt.Sprintf("%s, bit %d of byte %d", what, bit, i-from), raw)
					raw[i] ^= 1 << bit
				}
			}
		}
		try("method", 0, len(q.Method))
		at := len(q.Method) + 1
		// The scheme of an absolute target is not signed; the rest is.
		_, rest, absolute := strings.Cut(q.Target, "://")
		if !absolute {
			rest = q.Target
		}
		try("target", at+len(q.Target)-len(rest), at+len(q.Target)-len(q.Late))
		at += len(q.Target) + len(" HTTP/1.1\r\n")
		for _, h := range q.Headers {
			start := at + len(h[0]) + 2
			at = start + len(h[1]) + 2
			name := strings.ToLower(h[0])
			switch {
			case name == "transfer-encoding": // net/http does not keep its spelling
			case name == "host" && absolute: // nor this one, see message.hosts
			case name == "authorization" || coveredHeader(q, name):
				try(h[0], start, start+len(h[1]))
			}
		}
		if !q.Stream && !strings.Contains(string(raw), UnsignedPayload) && !strings.HasPrefix(q.Name, "presigned for S3") {
			try("body", at+2, len(raw))
		}
	})
}

// TestRemovedHeader removes each signed header in turn, and each parameter of a query.
func TestRemovedHeader(t *testing.T) {
	each(t, func(t *testing.T, r *recording, q *recorded) {
		for i, h := range q.Headers {
			if name := strings.ToLower(h[0]); name != "authorization" && !coveredHeader(q, name) || name == "host" && strings.Contains(q.Target, "://") {
				continue
			}
			less := *q
			less.Headers = append(append([][2]string{}, q.Headers[:i]...), q.Headers[i+1:]...)
			refused(t, r.checkRaw(less.raw(), q.Stream), "without "+h[0], less.raw())
		}
		path, query, _ := strings.Cut(q.Target, "?")
		params := strings.Split(query, "&")
		for i := range params {
			if query == "" || params[i] == strings.Trim(q.Late, "&") {
				break
			}
			less := *q
			less.Target = path + "?" + strings.Join(append(append([]string{}, params[:i]...), params[i+1:]...), "&")
			refused(t, r.checkRaw(less.raw(), q.Stream), "without "+params[i], less.raw())
		}
	})
}

// TestAddedHeader adds headers that would steer a request and are not signed.
func TestAddedHeader(t *testing.T) {
	each(t, func(t *testing.T, r *recording, q *recorded) {
		for _, name := range []string{"X-Amzn-Stream-Arn", "x-amz-meta-x", "X-Amz-Date"} {
			more := *q
			more.Headers = append(append([][2]string{}, q.Headers...), [2]string{name, "x"})
			refused(t, r.checkRaw(more.raw(), q.Stream), "with "+name, more.raw())
		}
	})
}
