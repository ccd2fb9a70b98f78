package producer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/mediatest"
	"github.com/millrace/millrace/mkv"
	"github.com/millrace/millrace/sigv4"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeServer answers PutMedia by the book; failAt is the number of a cluster that gets an
// error, drop that of one that is never PERSISTED.
type fakeServer struct {
	failAt, drop int
	retention0   bool

	mu    sync.Mutex
	got   bytes.Buffer
	start http.Header
}

func (f *fakeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/putMedia" {
		fmt.Fprintf(w, `{"DataEndpoint":"http://%s"}`, r.Host)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.start = r.Header
	c := http.NewResponseController(w)
	c.EnableFullDuplex()
	ack := func(kind string, timecode uint64, more string) {
		fmt.Fprintf(w, "{\"EventType\":%q,\"FragmentTimecode\":%d,\"FragmentNumber\":\"91\"%s}\n", kind, timecode, more)
		c.Flush()
	}
	w.WriteHeader(http.StatusOK)
	c.Flush()
	items := mkv.NewReader(io.TeeReader(r.Body, &f.got), mkv.Options{})
	n, open := 0, uint64(0)
	finish := func() {
		if n > 0 {
			ack("RECEIVED", open, "")
			if n != f.drop && !f.retention0 {
				ack("PERSISTED", open, "")
			}
		}
	}
	for it, err := items.Next(); err == nil; it, err = items.Next() {
		if it.Kind != mkv.ClusterTimecode {
			continue
		}
		finish()
		n, open = n+1, it.Timecode
		ack("BUFFERING", open, "")
		if n == f.failAt {
			ack("ERROR", open, `,"ErrorCode":"FRAMES_MISSING_FOR_TRACK","ErrorId":4011`)
			return
		}
	}
	finish()
}

func serve(t *testing.T, f *fakeServer) Config {
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	httpClient := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(httpClient.CloseIdleConnections)
	return Config{Endpoint: server.URL, Region: "us-east-1", HTTP: httpClient, Stream: "garden",
		Credentials: sigv4.Credentials{AccessKey: "AKIA", Secret: "secret"}}
}

func TestSessionWaitsUntilAllIsDurable(t *testing.T) {
	f := &fakeServer{}
	c := serve(t, f)
	var acks []string
	c.OnAck = func(a Ack) { acks = append(acks, string(a.Type)) }
	c.Start = time.UnixMilli(1_700_000_000_123)
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	in := mediatest.Bytes("gstreamer-h264")
	if _, err := io.Copy(s, bytes.NewReader(in)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if p := s.Progress(); p.Sent != 4 || p.Received != 4 || p.Persisted != 4 || p.Done != 4 {
		t.Errorf("progress %+v, want 4 of each", p)
	}
	if len(acks) != 12 {
		t.Errorf("acks %v, want 12", acks)
	}
	if !bytes.Equal(f.got.Bytes(), in) {
		t.Error("the server got other bytes")
	}
	if got := f.start.Get("x-amzn-producer-start-timestamp"); got != "1700000000.123" {
		t.Errorf("producer start %s", got)
	}
}

func TestSessionSaysWhatIsNotDurable(t *testing.T) {
	for name, c := range map[string]struct {
		server   *fakeServer
		received bool
		want     string // "" = no error
	}{
		"persisted is missing":      {&fakeServer{drop: 2}, false, "1 of 4 fragments are not PERSISTED; the first, with cluster timecode 1000, is RECEIVED"},
		"no archive":                {&fakeServer{retention0: true}, true, ""},
		"no archive, not expected":  {&fakeServer{retention0: true}, false, "4 of 4 fragments are not PERSISTED"},
		"the server names an error": {&fakeServer{failAt: 3}, false, "FRAMES_MISSING_FOR_TRACK (4011) to the fragment with cluster timecode 2000"},
	} {
		t.Run(name, func(t *testing.T) {
			config := serve(t, c.server)
			config.AcceptReceived = c.received
			s, err := Open(t.Context(), config)
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.Copy(s, mediatest.Open("ffmpeg-h264"))
			if closed := s.Close(); err == nil {
				err = closed
			}
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error %v, want %q", err, c.want)
			}
			if refused, ok := errors.AsType[*AckError](err); (c.server.failAt > 0) != (ok && refused.ErrorID == 4011) {
				t.Errorf("%v is of type %T", err, err)
			}
		})
	}
}

func TestWritesFailWhenTheServerEndsTheSession(t *testing.T) {
	s, err := Open(t.Context(), serve(t, &fakeServer{failAt: 1}))
	if err != nil {
		t.Fatal(err)
	}
	media := bytes.Repeat(mediatest.Bytes("ffmpeg-h264"), 200)
	_, err = io.Copy(s, bytes.NewReader(media))
	if _, ok := errors.AsType[*AckError](err); !ok {
		t.Errorf("%v, want an *AckError", err)
	}
	s.Close()
}

func TestRefusalComesFromOpen(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("x-amzn-ErrorType", "ResourceNotFoundException")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"Message":"no such stream"}`)
	}))
	defer server.Close()
	httpClient := &http.Client{Transport: &http.Transport{}}
	defer httpClient.CloseIdleConnections()
	_, err := Open(t.Context(), Config{Endpoint: server.URL, Region: "us-east-1", HTTP: httpClient, Stream: "x",
		Credentials: sigv4.Credentials{AccessKey: "AKIA", Secret: "secret"}})
	if err == nil || !strings.Contains(err.Error(), "ResourceNotFoundException") {
		t.Errorf("error %v", err)
	}
}

func TestAbort(t *testing.T) {
	s, err := Open(t.Context(), serve(t, &fakeServer{}))
	if err != nil {
		t.Fatal(err)
	}
	s.Write(mediatest.Bytes("gstreamer-h264")[:1000])
	s.Abort()
	if err := s.Close(); err == nil {
		t.Error("an aborted session closes without an error")
	}
	if _, err := s.Write([]byte("more")); err == nil {
		t.Error("an aborted session takes more")
	}
	var cancelled, cancel = context.WithCancel(t.Context())
	cancel()
	if _, err := Open(cancelled, serve(t, &fakeServer{})); !errors.Is(err, context.Canceled) {
		t.Errorf("Open with an ended context: %v", err)
	}
}
