package api

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/metrics"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/sigv4"
)

// Some clients take the first piece of an answer for all of it (wire-media section 1.3),
// so head and body leave in one write.
func TestAnAnswerIsOneWrite(t *testing.T) {
	h := newHouse(t, nil, describe(&wire.DescribeStreamOutput{StreamInfo: &wire.StreamInfo{StreamName: &yard.Name}}, nil))
	writes := &countingListener{made: make(chan struct{}, 100)}
	s := &http.Server{Handler: h.Config.Handler}
	h.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	writes.Listener = l
	go func() { _ = s.Serve(writes) }()
	defer func() { _ = s.Close() }()
	h.URL = "http://" + l.Addr().String()
	h.Listener = l
	for _, body := range []string{named, `{}`} {
		before := len(writes.made)
		x := h.send(h.request("/describeStream", body, nil, nil))
		if n := len(writes.made) - before; n != 1 {
			t.Errorf("%d: %d writes", x.status, n)
		}
	}
}

// countingListener notes the writes of its connections.
type countingListener struct {
	net.Listener
	made chan struct{}
}

func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return countingConn{c, l}, nil
}

type countingConn struct {
	net.Conn
	l *countingListener
}

func (c countingConn) Write(b []byte) (int, error) {
	c.l.made <- struct{}{}
	return c.Conn.Write(b)
}

func TestRequestIDs(t *testing.T) {
	h := newHouse(t, nil, describe(nil, nil))
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[string]bool{}
	for range 10 {
		x := h.send(h.request("/describeStream", named, nil, nil))
		id := x.header["x-amzn-RequestId"]
		if !uuid.MatchString(id) || seen[id] || x.header["x-amz-RequestId"] != id {
			t.Errorf("request id %q in %v", id, x.header)
		}
		seen[id] = true
		if !strings.Contains(h.log.String(), "id="+id) {
			t.Errorf("the log does not know %s", id)
		}
	}
}

// One line for each request says who did what; none holds what would let a reader of the
// log sign for the caller.
func TestTheLog(t *testing.T) {
	h := newHouse(t, nil, describe(nil, nil), JSON("ListStreams",
		func(_ context.Context, c *Call, _ *wire.ListStreamsInput) (any, error) { return nil, nil }))
	var signatures []string
	note := func(r *http.Request) {
		_, sig, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
		signatures = append(signatures, sig)
	}
	h.send(h.request("/describeStream", named, nil, note))
	h.send(h.request("/describeStream", `{"StreamName":"barn"}`, nil, note))
	h.send(h.request("/listStreams", `{}`, nil, note))
	h.send(h.request("/listStreams", `{"x":1}`, nil, func(r *http.Request) { note(r); r.Header.Set("X-Amz-Date", "20200101T000000Z") }))
	h.send(h.request("/listStreams", `{}`, nil, func(r *http.Request) { note(r); r.Header.Set("Accept", "*/*"); r.URL.RawQuery = "X=1" }))
	log := h.log.String()
	lines := strings.Split(strings.TrimSpace(log), "\n")
	for i, want := range []string{
		`level=INFO msg=request id=\S+ operation=DescribeStream status=200 took=\S+ client=127.0.0.1:\d+ key=AKIATESTTESTTESTTEST stream=yard$`,
		`operation=DescribeStream status=404 .* key=AKIATESTTESTTESTTEST error="The requested stream is not found or not active." asked=barn$`,
		`operation=ListStreams status=200 took=\S+ client=127.0.0.1:\d+ key=AKIATESTTESTTESTTEST$`,
		`operation=ListStreams status=403`,
		`operation=ListStreams status=403`,
	} {
		if i >= len(lines) || !regexp.MustCompile(want).MatchString(lines[i]) {
			t.Errorf("line %d is not %s:\n%s", i, want, log)
		}
	}
	for _, s := range append(signatures, caller.Secret) {
		if s == "" || strings.Contains(log, s) {
			t.Errorf("the log holds %q:\n%s", s, log)
		}
	}
}

func TestBrowsersMayCall(t *testing.T) {
	h := newHouse(t, nil, describe(nil, nil))
	ask := httptest.NewRequest("OPTIONS", "/describeStream", nil)
	ask.Header.Set("Origin", "https://viewer.example")
	ask.Header.Set("Access-Control-Request-Method", "POST")
	ask.Header.Set("Access-Control-Request-Headers", "amz-sdk-invocation-id,authorization,x-amz-date")
	w := httptest.NewRecorder()
	h.Config.Handler.ServeHTTP(w, ask)
	head := w.Result().Header
	if w.Code != 204 || head.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(head.Get("Access-Control-Allow-Methods"), "POST") ||
		head.Get("Access-Control-Allow-Headers") != "amz-sdk-invocation-id,authorization,x-amz-date" {
		t.Errorf("%d %v", w.Code, head)
	}
	for status, body := range map[int]string{200: named, 400: "{}"} { // errors must be readable, too
		x := h.send(h.request("/describeStream", body, nil, func(r *http.Request) { r.Header.Set("Origin", "https://viewer.example") }))
		if x.status != status || x.header["Access-Control-Allow-Origin"] != "*" || !strings.Contains(x.header["Access-Control-Expose-Headers"], "x-amzn-ErrorType") {
			t.Errorf("%d %v", x.status, x.header)
		}
	}
	if x := h.send(h.request("/describeStream", named, nil, nil)); x.header["Access-Control-Allow-Origin"] != "" {
		t.Error("a caller that is no browser is told about browsers")
	}
}

// What is begun cannot become an error.
func TestAnAnswerThatStreams(t *testing.T) {
	m := metrics.New()
	h := newHouse(t, nil, OnStream("GetMedia",
		func(ctx context.Context, c *Call, _ *wire.GetMediaInput) (any, error) {
			out := NewOutput(ctx, c, nil, "video/webm", time.Minute, m.PutBytes)
			if _, err := out.Write([]byte("media")); err != nil || out.Flush() != nil || out.Bytes() != 5 {
				t.Errorf("%v, %d bytes", err, out.Bytes())
			}
			return nil, kvs.Errorf(kvs.NotFound, "the stream was deleted")
		}))
	x := h.send(h.request("/getMedia", `{"StreamName":"yard","StartSelector":{"StartSelectorType":"NOW"}}`, nil, nil))
	if x.status != 200 || x.header["Content-Type"] != "video/webm" || x.header["Transfer-Encoding"] != "chunked" || !strings.Contains(x.body, "media") ||
		strings.Contains(x.body, "Message") || x.header["x-amzn-ErrorType"] != "" {
		t.Errorf("%+v", x)
	}
	if !strings.Contains(h.log.String(), `status=200`) || !strings.Contains(h.log.String(), `error="the stream was deleted"`) {
		t.Errorf("log: %s", h.log.String())
	}
}

// A consumer that takes nothing is cut.
func TestAConsumerThatTakesNothing(t *testing.T) {
	ended := make(chan error, 1)
	h := newHouse(t, nil, JSON("GetMedia",
		func(ctx context.Context, c *Call, _ *wire.GetMediaInput) (any, error) {
			out := NewOutput(ctx, c, nil, "video/webm", 50*time.Millisecond, metrics.New().PutBytes)
			for {
				if _, err := out.Write(make([]byte, 1<<20)); err != nil {
					ended <- err
					return nil, err
				}
			}
		}))
	conn, err := net.Dial("tcp", h.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := h.request("/getMedia", `{"StreamName":"yard","StartSelector":{"StartSelectorType":"NOW"}}`, nil, nil).Write(conn); err != nil {
		t.Fatal(err)
	}
	<-ended
}

// A refused PutMedia must not hold a connection: its client may be sending, or waiting,
// for ever.
func TestARefusedPutMediaIsLetGo(t *testing.T) {
	h := newHouse(t, nil)
	for _, sending := range []bool{false, true} {
		conn, err := net.Dial("tcp", h.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "POST /putMedia HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nx-amzn-stream-name: yard\r\n\r\n")
		done := make(chan struct{})
		go func() {
			defer close(done)
			for sending {
				if _, err := fmt.Fprintf(conn, "5\r\nPOST \r\n"); err != nil {
					return
				}
			}
		}()
		r := bufio.NewReader(conn)
		answer, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("sending %v: %v", sending, err)
		}
		body, _ := io.ReadAll(answer.Body)
		if answer.StatusCode != 403 || !answer.Close || !strings.Contains(string(body), "Missing Authentication Token") {
			t.Errorf("%d %v %s", answer.StatusCode, answer.Header, body)
		}
		if rest, _ := io.ReadAll(r); len(rest) > 0 {
			t.Errorf("what was sent passed for a request: %s", rest)
		}
		conn.Close()
		<-done
	}
}

func TestSignedPages(t *testing.T) {
	h := newHouse(t, nil)
	f := h.Config.Handler.(*Front)
	page := f.Signed("millrace:GetMetrics", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "figures") }))
	get := func(sign bool) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "http://127.0.0.1/metrics", nil)
		if sign {
			if err := (sigv4.Signer{Credentials: caller, Region: "us-east-1", Service: "kinesisvideo"}).Sign(r, ""); err != nil {
				t.Fatal(err)
			}
		}
		w := httptest.NewRecorder()
		page.ServeHTTP(w, r)
		return w
	}
	if w := get(false); w.Code != 403 || strings.Contains(w.Body.String(), "figures") {
		t.Errorf("unsigned: %d %s", w.Code, w.Body)
	}
	if w := get(true); w.Code != 200 || w.Body.String() != "figures" {
		t.Errorf("signed: %d %s", w.Code, w.Body)
	}
	h.deny = kvs.Errorf(kvs.Denied, "no")
	if w := get(true); w.Code != 403 || w.Body.String() != `{"Message":"no"}` {
		t.Errorf("denied: %d %s", w.Code, w.Body)
	}
}
