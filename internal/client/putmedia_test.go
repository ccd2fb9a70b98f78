package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// session answers 200 at once and then runs f with both directions open.
func session(t *testing.T, f func(body *bufio.Reader, ack func(text string))) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		if err := control.EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		w.Header()["x-amzn-RequestId"] = []string{"id-1"}
		w.WriteHeader(http.StatusOK)
		control.Flush()
		f(bufio.NewReader(r.Body), func(text string) {
			io.WriteString(w, text+"\n")
			control.Flush()
		})
	}
}

func ack(kind string, timecode int) string {
	return fmt.Sprintf(`{"EventType":"%s","FragmentTimecode":%d,"FragmentNumber":"9"}`, kind, timecode)
}

func next(t *testing.T, u *Upload, kind string, timecode int64) {
	t.Helper()
	a, err := u.Next()
	if err != nil || a.Type != kind || a.Timecode != timecode {
		t.Fatalf("%+v, %v; want %s %d", a, err, kind, timecode)
	}
}

// TestPutMedia talks in both directions at once: each piece of media is sent only
// after the acknowledgement of the one before it was read.
func TestPutMedia(t *testing.T) {
	c := serve(t, session(t, func(body *bufio.Reader, send func(string)) {
		for i := range 3 {
			if line, err := body.ReadString('\n'); err != nil || line != fmt.Sprintln("fragment", i) {
				t.Errorf("%q, %v", line, err)
			}
			send(ack(Buffering, i))
		}
		if _, err := body.ReadByte(); !errors.Is(err, io.EOF) {
			t.Errorf("the media did not end cleanly: %v", err)
		}
		send(ack(Persisted, 2))
	}))
	media, producer := io.Pipe()
	u, err := c.PutMedia(t.Context(), PutMediaRequest{StreamName: "demo", Body: media})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	for i := range 3 {
		fmt.Fprintln(producer, "fragment", i)
		next(t, u, Buffering, int64(i))
	}
	producer.Close()
	next(t, u, Persisted, 2)
	if _, err := u.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last ack: %v", err)
	}
	if u.RequestID != "id-1" {
		t.Errorf("request id %q", u.RequestID)
	}
}

func TestPutMediaHeaders(t *testing.T) {
	start := time.UnixMilli(1735442939005)
	for _, test := range []struct {
		request PutMediaRequest
		want    map[string]string
	}{
		{PutMediaRequest{StreamName: "demo"}, map[string]string{
			"x-amzn-stream-name": "demo", "x-amzn-stream-arn": "", "x-amzn-fragment-timecode-type": "ABSOLUTE",
			"x-amzn-fragment-acknowledgment-required": "1", "x-amzn-producer-start-timestamp": ""}},
		{PutMediaRequest{StreamARN: "arn:aws:x", TimecodeType: Relative, ProducerStart: start}, map[string]string{
			"x-amzn-stream-name": "", "x-amzn-stream-arn": "arn:aws:x", "x-amzn-fragment-timecode-type": "RELATIVE",
			"x-amzn-producer-start-timestamp": "1735442939.005"}},
	} {
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			http.NewResponseController(w).EnableFullDuplex() // or it would wait for the media first
			for name, want := range test.want {
				if got := r.Header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if len(r.TransferEncoding) != 1 || r.TransferEncoding[0] != "chunked" {
				t.Errorf("transfer encoding %v", r.TransferEncoding)
			}
		})
		test.request.Body = strings.NewReader("")
		u, err := c.PutMedia(t.Context(), test.request)
		if err != nil {
			t.Fatal(err)
		}
		u.Close()
	}
}

func TestPutMediaRequestRefused(t *testing.T) {
	c := &Client{Endpoint: "http://127.0.0.1:1", Credentials: keys, Region: "x"}
	for _, r := range []PutMediaRequest{
		{StreamName: "demo"},
		{Body: strings.NewReader("")},
		{StreamName: "demo", StreamARN: "arn:aws:x", Body: strings.NewReader("")},
		{StreamName: "demo", TimecodeType: Relative, Body: strings.NewReader("")},
	} {
		if _, err := c.PutMedia(t.Context(), r); err == nil || !strings.HasPrefix(err.Error(), "PutMedia: ") {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

// TestPutMediaRefused: the refusal arrives, and no media was read for it.
func TestPutMediaRefused(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["x-amzn-ErrorType"] = []string{"ResourceNotFoundException"}
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, `{"Message":"no such stream"}`)
	})
	c.patience = time.Hour
	_, err := c.PutMedia(t.Context(), PutMediaRequest{StreamName: "demo", Body: iotest.ErrReader(errors.New("media was read"))})
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Exception != "ResourceNotFoundException" || e.Message != "no such stream" {
		t.Errorf("%v", err)
	}
}

// TestPutMediaServerWantsMediaFirst: a server that answers only after media arrived.
func TestPutMediaServerWantsMediaFirst(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		media, err := io.ReadAll(r.Body)
		fmt.Fprintln(w, ack(Received, len(media)))
		if err != nil {
			t.Error(err)
		}
	})
	c.patience = time.Millisecond
	u, err := c.PutMedia(t.Context(), PutMediaRequest{StreamName: "demo", Body: strings.NewReader("media")})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	next(t, u, Received, 5)
}

// TestPutMediaServerEnds: the server fails the session while media is still to come.
// The ack arrives, a proper end is told from a cut, and the producer is let go.
func TestPutMediaServerEnds(t *testing.T) {
	line := `{"EventType":"ERROR","FragmentTimecode":-1,"FragmentNumber":"","ErrorCode":"INVALID_MKV_DATA","ErrorId":4006}` + "\n"
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(line), line)
	for name, test := range map[string]struct {
		client *Client
		want   error
	}{
		"end": {raw(t, head+"0\r\n\r\n", false), io.EOF},
		"cut": {raw(t, head, true), io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			media, producer := io.Pipe()
			u, err := test.client.PutMedia(t.Context(), PutMediaRequest{StreamName: "demo", Body: media})
			if err != nil {
				t.Fatal(err)
			}
			defer u.Close()
			next(t, u, Failed, -1)
			if _, err := u.Next(); !errors.Is(err, test.want) {
				t.Errorf("the session ended with %v, want %v", err, test.want)
			}
			for err = nil; err == nil; {
				_, err = producer.Write([]byte("media"))
			}
		})
	}
}

// TestPutMediaSourceFails: the error of the media is what the caller sees.
func TestPutMediaSourceFails(t *testing.T) {
	cut := make(chan error, 1)
	c := serve(t, session(t, func(body *bufio.Reader, _ func(string)) {
		_, err := io.Copy(io.Discard, body)
		cut <- err
	}))
	broken := errors.New("camera unplugged")
	u, err := c.PutMedia(t.Context(), PutMediaRequest{StreamName: "demo",
		Body: io.MultiReader(strings.NewReader("media"), iotest.ErrReader(broken))})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	if _, err := u.Next(); !errors.Is(err, broken) {
		t.Errorf("%v, want the camera's error", err)
	}
	if err := <-cut; err == nil {
		t.Error("the server saw a clean end of the media")
	}
}

// TestPutMediaAborts: Close and the end of the context both cut the session: the
// server sees a media that breaks off, and waiting calls return.
func TestPutMediaAborts(t *testing.T) {
	for name, abort := range map[string]func(u *Upload, cancel func()){
		"close":   func(u *Upload, _ func()) { u.Close() },
		"context": func(_ *Upload, cancel func()) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			cut := make(chan error, 1)
			c := serve(t, session(t, func(body *bufio.Reader, send func(string)) {
				send(ack(Buffering, 1))
				_, err := io.Copy(io.Discard, body)
				cut <- err
			}))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			media, producer := io.Pipe()
			u, err := c.PutMedia(ctx, PutMediaRequest{StreamName: "demo", Body: media})
			if err != nil {
				t.Fatal(err)
			}
			defer u.Close()
			next(t, u, Buffering, 1)
			waiting := make(chan error, 1)
			go func() {
				_, err := u.Next()
				waiting <- err
			}()
			abort(u, cancel)
			if err := <-waiting; err == nil || errors.Is(err, io.EOF) {
				t.Errorf("Next returned %v", err)
			}
			if err := <-cut; err == nil {
				t.Error("the server saw a clean end of the media")
			}
			for err = nil; err == nil; {
				_, err = producer.Write([]byte("media"))
			}
		})
	}
}

// TestPutMediaCancelledWhileOpening: the context also ends the wait for the answer.
func TestPutMediaCancelledWhileOpening(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		io.Copy(io.Discard, r.Body)
	})
	c.patience = time.Hour
	media, _ := io.Pipe()
	if _, err := c.PutMedia(ctx, PutMediaRequest{StreamName: "demo", Body: media}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestPutMediaCancelledWhileMediaHangs ends a request that has no answer although its
// media is awaited, and does not come.
func TestPutMediaCancelledWhileMediaHangs(t *testing.T) {
	hangs, leave := make(chan struct{}), make(chan struct{})
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = r.Body.Read(make([]byte, 1))
		close(hangs)
		<-leave
	})
	defer close(leave)
	c.patience = time.Millisecond
	media, producer := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, _ = producer.Write([]byte("media"))
		<-hangs
		cancel()
	}()
	if _, err := c.PutMedia(ctx, PutMediaRequest{StreamName: "s", Body: media}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want the end of the context", err)
	}
	if _, err := producer.Write([]byte("more")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the media is not closed: %v", err)
	}
}
