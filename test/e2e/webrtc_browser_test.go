package e2e

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// chromium is a headless browser that trusts the CA of a server, driven by webrtc.mjs.
type chromium struct {
	origin string // of the pages in this directory
	stdin  io.WriteCloser
	stderr *output

	mu      sync.Mutex
	next    int
	waiting map[int]chan pageAnswer
	ended   bool
	pages   atomic.Int64 // opened so far
}

// pageAnswer is what webrtc.mjs says.
type pageAnswer struct {
	ID     int             `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  string          `json:"error"`
	Said   []string        `json:"said"` // the page's console
}

// rtcFlags let peers meet on a machine that has no network but its own, without names that
// stand for addresses. Nor is there anybody who would touch a page or hear it.
var rtcFlags = []string{"--allow-loopback-in-peer-connection", "--disable-features=WebRtcHideLocalIpsWithMdns",
	"--autoplay-policy=no-user-gesture-required", "--mute-audio"}

// bundle is the AWS SDK for a browser.
var bundle = sync.OnceValues(func() ([]byte, error) {
	c := exec.Command("node", "webrtc_sdk.mjs")
	c.Env = environment()
	return c.Output()
})

// browse starts a browser that ends with the test.
func (s *server) browse(t testing.TB) *chromium {
	t.Helper()
	go func() { _, _ = bundle() }() // while the browser starts
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal(err)
	}
	files := http.NewServeMux()
	files.Handle("/", http.FileServer(http.Dir(".")))
	files.HandleFunc("/aws.js", func(w http.ResponseWriter, _ *http.Request) {
		sdk, err := bundle()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = w.Write(sdk)
	})
	pages := s.harbour(t, files)
	home := t.TempDir()
	trust(t, home, s.ca())
	ask, err := json.Marshal(object{"executablePath": path, "home": home, "args": append(rtcFlags, "--unsafely-treat-insecure-origin-as-secure="+pages.URL)})
	if err != nil {
		t.Fatal(err)
	}
	b := &chromium{origin: pages.URL, stderr: newOutput(), waiting: map[int]chan pageAnswer{}}
	c := s.where("node", "webrtc.mjs", string(ask))
	c.Env, c.Stderr = environment("HOME="+home), b.stderr
	if b.stdin, err = c.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	received := make(chan struct{})
	go func() { b.receive(stdout); close(received) }()
	t.Cleanup(func() {
		_ = b.stdin.Close()
		select {
		case <-received:
		case <-time.After(patience):
			_ = c.Process.Kill()
		}
		_ = c.Wait()
	})
	return b
}

// harbour serves pages where the server's clients reach them.
func (s *server) harbour(t testing.TB, pages http.Handler) *httptest.Server {
	t.Helper()
	h := httptest.NewUnstartedServer(pages)
	if s.island != "" {
		_ = h.Listener.Close()
		var err error
		if h.Listener, err = net.Listen("tcp", net.JoinHostPort(hostOf(t, s.https), "0")); err != nil {
			t.Fatal(err)
		}
	}
	h.Start()
	t.Cleanup(h.Close)
	return h
}

func (b *chromium) receive(r io.Reader) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		var a pageAnswer
		if err == nil {
			err = json.Unmarshal(line, &a)
		}
		b.mu.Lock()
		if err != nil {
			b.ended = true
			for _, c := range b.waiting {
				close(c)
			}
			b.mu.Unlock()
			return
		}
		if c := b.waiting[a.ID]; c != nil {
			c <- a
			delete(b.waiting, a.ID)
		}
		b.mu.Unlock()
	}
}

// do makes a request of webrtc.mjs and waits for its answer.
func (b *chromium) do(t testing.TB, request object) pageAnswer {
	t.Helper()
	b.mu.Lock()
	b.next++
	c := make(chan pageAnswer, 1)
	b.waiting[b.next] = c
	request["id"] = b.next
	line, err := json.Marshal(request)
	ended := b.ended
	b.mu.Unlock()
	if err == nil && !ended {
		_, err = b.stdin.Write(append(line, '\n'))
	}
	if err != nil || ended {
		t.Fatalf("the browser has ended: %v\n%s", err, b.stderr.tail(20))
	}
	select {
	case a, ok := <-c:
		if !ok {
			t.Fatalf("the browser has ended:\n%s", b.stderr.tail(20))
		}
		return a
	case <-time.After(2 * patience):
		t.Fatalf("the browser does not answer %v\n%s", request["method"], b.stderr.tail(20))
	}
	return pageAnswer{}
}

// tab is a page in a browser, with a profile of its own.
type tab struct {
	b      *chromium
	name   int64
	closed sync.Once
}

// open opens a page and waits until an expression is true there.
func (b *chromium) open(t testing.TB, url, ready string) *tab {
	t.Helper()
	p := &tab{b: b, name: b.pages.Add(1)}
	t.Cleanup(func() { p.close(t) })
	// Who may use a camera sees the machine's addresses.
	a := b.do(t, object{"page": p.name, "url": url, "ready": ready, "permissions": []string{"camera", "microphone"}})
	if a.Error != "" {
		t.Fatalf("%s: %s\n%s", url, a.Error, strings.Join(a.Said, "\n"))
	}
	return p
}

// try calls a function of the page; an error is what it threw.
func (p *tab) try(t testing.TB, method string, argument, result any) (thrown string) {
	t.Helper()
	return p.b.do(t, object{"page": p.name, "method": method, "argument": argument}).decode(t, result)
}

// decode decodes the result, unless result is nil, and returns what was thrown instead of it.
func (a pageAnswer) decode(t testing.TB, result any) (thrown string) {
	t.Helper()
	if a.Error != "" {
		return a.Error + "\n" + strings.Join(a.Said, "\n")
	}
	if result != nil {
		if err := json.Unmarshal(a.Result, result); err != nil {
			t.Fatalf("%v in %.500s", err, a.Result)
		}
	}
	return ""
}

// evaluate evaluates an expression in the page that must not throw.
func (p *tab) evaluate(t testing.TB, expression string, result any) {
	t.Helper()
	if thrown := p.b.do(t, object{"page": p.name, "expression": expression}).decode(t, result); thrown != "" {
		t.Fatal(thrown)
	}
}

// call calls a function of the page that must not throw.
func (p *tab) call(t testing.TB, method string, argument, result any) {
	t.Helper()
	if thrown := p.try(t, method, argument, result); thrown != "" {
		t.Fatalf("%s: %s", method, thrown)
	}
}

// close closes the page, as somebody who closes a tab does: nothing says good-bye. The end of
// the test closes it, too.
func (p *tab) close(t testing.TB) {
	t.Helper()
	p.closed.Do(func() { p.b.do(t, object{"page": p.name, "close": true}) })
}
