package server

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/config"
)

// stage is a server on a plain listener whose clock stands at the time of a recording
// until it is started, and that remembers each write of each connection.
type stage struct {
	*Server
	clock *stageClock
	tap   *tapListener
}

// stageClock stands until start: what is stored has known times. A consumer's answer
// ends by the clock, so it must go then.
type stageClock struct {
	at time.Time

	mu      sync.Mutex
	started time.Time
}

func (c *stageClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.started.IsZero() {
		return c.at
	}
	return c.at.Add(time.Since(c.started))
}

func (c *stageClock) start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.started = time.Now()
}

// stageEndpoint is what the server calls itself.
const stageEndpoint = "https://127.0.0.1:8443"

func newStage(t *testing.T, at time.Time) *stage {
	t.Helper()
	clock := &stageClock{at: at}
	c := config.Default()
	c.Data, c.HTTP, c.HTTPS = t.TempDir(), "127.0.0.1:0", ""
	c.Endpoint, c.Account = stageEndpoint, config.DevAccount
	c.GetMedia.Idle = 50 * time.Millisecond
	c.Now = clock.now
	ctx, cancel := context.WithCancel(context.Background())
	s, err := New(ctx, c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.keys.EnsureKey(ctx, config.DevAccount, config.DevAccessKey, config.DevSecret); err != nil {
		t.Fatal(err)
	}
	tap := &tapListener{Listener: s.listeners[0].net}
	s.listeners[0].net = tap
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return &stage{s, clock, tap}
}

// tapListener remembers what its connections write.
type tapListener struct {
	net.Listener
	mu    sync.Mutex
	conns map[string]*tapConn // by the client's address
}

func (l *tapListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conns == nil {
		l.conns = map[string]*tapConn{}
	}
	t := &tapConn{Conn: c}
	l.conns[c.RemoteAddr().String()] = t
	return t, nil
}

type tapConn struct {
	net.Conn
	mu     sync.Mutex
	writes []string
}

func (c *tapConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.writes = append(c.writes, string(p))
	c.mu.Unlock()
	return c.Conn.Write(p)
}

// line is the producer's end of a replayed connection.
type line struct {
	net.Conn
	r   *bufio.Reader
	raw bytes.Buffer // everything read
	tap *tapListener
}

func (s *stage) dial(t *testing.T) *line {
	t.Helper()
	c, err := net.Dial("tcp", s.listeners[0].net.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	// Far above what any step takes: it only keeps a failing test from hanging.
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	l := &line{Conn: c, tap: s.tap}
	l.r = bufio.NewReader(io.TeeReader(c, &l.raw))
	return l
}

// writes are the server's writes on this connection so far.
func (l *line) writes() []string {
	l.tap.mu.Lock()
	c := l.tap.conns[l.LocalAddr().String()]
	l.tap.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.writes...)
}

func (l *line) send(t *testing.T, segments ...[]byte) {
	t.Helper()
	for _, s := range segments {
		if _, err := l.Write(s); err != nil {
			t.Fatal(err)
		}
	}
}

// head reads up to the blank line that ends the head of an answer.
func (l *line) head(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for !strings.HasSuffix(b.String(), "\r\n\r\n") {
		s, err := l.r.ReadString('\n')
		if err != nil {
			t.Fatalf("after %q: %v", b.String(), err)
		}
		b.WriteString(s)
	}
	return b.String()
}

// call replays a control call and returns status and body. Small producers read one
// buffer and take what is in it for the whole answer (wire-media section 1.3).
func (s *stage) call(t *testing.T, c recorded) (status int, body string) {
	t.Helper()
	l := s.dial(t)
	l.send(t, c.segments...)
	resp, err := http.ReadResponse(l.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if w := l.writes(); len(w) != 1 || len(w[0]) > 2048 {
		t.Errorf("the answer came in %d writes of together %d bytes; want one of at most 2048: %q", len(w), len(strings.Join(w, "")), w)
	}
	if want := fmt.Sprint(len(b)); resp.Header.Get("Content-Length") != want || len(resp.TransferEncoding) > 0 {
		t.Errorf("Content-Length %q, Transfer-Encoding %q; want %s and none", resp.Header.Get("Content-Length"), resp.TransferEncoding, want)
	}
	return resp.StatusCode, string(b)
}

// ack is one acknowledgement, taken from the exact bytes of its chunk.
type ack struct{ event, timecode, number string }

var ackChunk = regexp.MustCompile(`^([0-9a-f]+)\r\n(\{"EventType":"([A-Z]+)","FragmentTimecode":([0-9]+),"FragmentNumber":"([0-9]{47})"\}\n)\r\n$`)

func parseAck(chunk string) (ack, error) {
	m := ackChunk.FindStringSubmatch(chunk)
	if m == nil {
		return ack{}, fmt.Errorf("%q is not one acknowledgement in one chunk", chunk)
	}
	if want := fmt.Sprintf("%x", len(m[2])); m[1] != want {
		return ack{}, fmt.Errorf("chunk size %s of %q; want %s", m[1], chunk, want)
	}
	return ack{m[3], m[4], m[5]}, nil
}

// chunk reads one chunk with its framing.
func (l *line) chunk() (string, error) {
	size, err := l.r.ReadString('\n')
	if err != nil {
		return "", err
	}
	var n int
	if _, err := fmt.Sscanf(size, "%x\r\n", &n); err != nil {
		return "", fmt.Errorf("chunk size %q: %w", size, err)
	}
	b := make([]byte, n+2)
	_, err = io.ReadFull(l.r, b)
	return size + string(b), err
}
