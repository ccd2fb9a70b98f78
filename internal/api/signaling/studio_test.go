package signaling

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/authority"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/metrics"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/sigv4"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var caller = sigv4.Credentials{AccessKey: "AKIATESTTESTTESTTEST", Secret: "the-secret-of-the-test"}

const account kvs.AccountID = "111122223333"

// bell is the one channel there is.
var bell = kvs.Channel{ID: 8, Account: account, Region: "us-east-1", Name: "bell", Created: 1_735_442_939_458, TTL: time.Minute}

// studio is the door with a real hub behind it; the test plays the rest of the house.
type studio struct {
	t       testing.TB
	server  *httptest.Server
	front   *api.Front
	sockets *api.Sockets
	hub     *hub.Hub
	end     context.CancelFunc // of the hub
	ice     []wire.IceServer
	closing context.CancelFunc
	storage kvs.StreamID

	mu   sync.Mutex
	log  bytes.Buffer
	late time.Duration // of the clock
}

func (s *studio) ByName(_ context.Context, a kvs.AccountID, name string) (kvs.Channel, error) {
	if a != account || name != bell.Name {
		return kvs.Channel{}, kvs.Errorf(kvs.NotFound, "The requested channel is not found or not active.")
	}
	ch := bell
	ch.Storage = s.storage
	return ch, nil
}

func (s *studio) ByARN(ctx context.Context, a kvs.AccountID, arn kvs.ARN) (kvs.Channel, error) {
	ch, err := s.ByName(ctx, a, arn.Name)
	if err == nil && ch.ARN() != arn {
		return s.ByName(ctx, "", "")
	}
	return ch, err
}

func (s *studio) Identify(_ context.Context, key, token string) (kvs.Principal, string, bool, error) {
	return kvs.Principal{Account: account, AccessKey: key}, caller.Secret, key == caller.AccessKey && token == "", nil
}

func (s *studio) Still(context.Context, *kvs.Principal) (bool, error) { return true, nil }

func (s *studio) Authorize(context.Context, *authority.Ask) error { return nil }

func (s *studio) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(b)
}

func (s *studio) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Add(s.late)
}

func newStudio(t testing.TB, profile quota.Profile, addresses Addresses) *studio {
	t.Helper()
	s := &studio{t: t}
	book, err := quota.NewBook(t.Context(), quota.BookOptions{Profile: profile, Settings: map[string]string{"ConnectAsViewer.channel-rate": "none"}})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(s, nil))
	s.hub = hub.New(hub.Options{Logger: log, Now: s.now})
	closing, stop := context.WithCancel(context.Background())
	s.closing = stop
	if addresses.Base == nil {
		addresses.Base = func(*http.Request) string { return "https://kvs.example:8443" }
	}
	o := Options{Hub: s.hub, Limits: book, Addresses: addresses, Closing: closing, Now: s.now,
		ICE: func(context.Context, kvs.Channel, string) ([]wire.IceServer, error) { return s.ice, nil }}
	s.front = api.New(api.Options{Channels: s, Region: "us-east-1", Identifier: s, Authorizer: s, Metrics: metrics.New(), Limits: book, Logger: log,
		Rules: func() sigv4.Rules { return sigv4.Rules{} }}, Routes(o)...)
	s.sockets = s.front.Sockets(addresses.Operation, Sockets(o)...)
	s.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if addresses.Wants(r) {
			s.sockets.ServeHTTP(w, r)
			return
		}
		s.front.ServeHTTP(w, r)
	}))
	running, end := context.WithCancel(context.Background())
	s.end = end
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.hub.Run(running) }()
	t.Cleanup(func() {
		stop()
		end()
		s.server.Close()
		<-ended
		if err := s.sockets.Wait(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// sign makes the URL of a connection from a path and parameters, NAME=VALUE.
func (s *studio) sign(path string, parameters ...string) string {
	s.t.Helper()
	var q []string
	for _, p := range parameters {
		name, value, _ := strings.Cut(p, "=")
		q = append(q, name+"="+url.QueryEscape(value))
	}
	r, err := http.NewRequest("GET", s.server.URL+path+"?"+strings.Join(q, "&"), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := (sigv4.Signer{Credentials: caller, Region: "us-east-1", Service: "kinesisvideo"}).Presign(r, time.Minute); err != nil {
		s.t.Fatal(err)
	}
	return r.URL.String()
}

const byARN = "X-Amz-ChannelARN=arn:aws:kinesisvideo:us-east-1:111122223333:channel/bell/1735442939458"

// connect opens a WebSocket; status and body are those of a refusal.
func (s *studio) connect(at string) (ws *websocket.Conn, status int, exception string) {
	s.t.Helper()
	ws, resp, err := websocket.Dial(s.t.Context(), at, nil)
	if err != nil && resp == nil {
		s.t.Fatal(err)
	}
	if err == nil {
		s.t.Cleanup(func() { _ = ws.CloseNow() })
	}
	return ws, resp.StatusCode, resp.Header.Get("x-amzn-ErrorType")
}

// join connects, and must succeed.
func (s *studio) join(path string, parameters ...string) *websocket.Conn {
	s.t.Helper()
	ws, status, exception := s.connect(s.sign(path, append(parameters, byARN)...))
	if ws == nil {
		s.t.Fatalf("%d %s", status, exception)
	}
	return ws
}

// call makes a signed call and returns status and body.
func (s *studio) call(path, body string) (int, string) {
	s.t.Helper()
	return s.callAs("", path, body)
}

// callAs is call by a client that names itself.
func (s *studio) callAs(agent, path, body string) (int, string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), "POST", s.server.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("User-Agent", agent)
	if err := (sigv4.Signer{Credentials: caller, Region: "us-east-1", Service: "kinesisvideo"}).Sign(r, sigv4.PayloadHash([]byte(body))); err != nil {
		s.t.Fatal(err)
	}
	resp, err := s.server.Client().Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var b bytes.Buffer
	_, _ = b.ReadFrom(resp.Body)
	return resp.StatusCode, b.String()
}

// hear returns the next message of a connection.
func hear(t *testing.T, ws *websocket.Conn) string {
	t.Helper()
	_, text, err := ws.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func say(t *testing.T, ws *websocket.Conn, text string) {
	t.Helper()
	if err := ws.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
		t.Fatal(err)
	}
}
