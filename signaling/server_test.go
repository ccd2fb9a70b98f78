package signaling

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"github.com/millrace/millrace/sigv4"
)

const channelARN = "arn:aws:kinesisvideo:eu-west-1:123456789012:channel/door/1700000000000"

// server is a small signaling service: what it is asked is counted, connections are handed
// to the test.
type server struct {
	*httptest.Server
	t     *testing.T
	conns chan *websocket.Conn

	mu      sync.Mutex
	asked   map[string]int
	refuse  map[string]http.HandlerFunc // by operation
	queries []string
	bodies  map[string]string
}

func newServer(t *testing.T) *server {
	s := &server{t: t, conns: make(chan *websocket.Conn, 8), asked: map[string]int{}, refuse: map[string]http.HandlerFunc{}, bodies: map[string]string{}}
	s.Server = httptest.NewTLSServer(s)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	operation := strings.Trim(r.URL.Path, "/")
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		operation = "connect"
	}
	var body map[string]any
	_ = json.NewDecoder(r.Body).Decode(&body)
	text, _ := json.Marshal(body)
	s.mu.Lock()
	s.asked[operation]++
	s.bodies[operation] = string(text)
	refuse := s.refuse[operation]
	s.mu.Unlock()
	if refuse != nil {
		refuse(w, r)
		return
	}
	s.answer(w, r, operation)
}

func (s *server) answer(w http.ResponseWriter, r *http.Request, operation string) {
	w.Header().Set("Content-Type", "application/json")
	switch operation {
	case "describeSignalingChannel":
		_, _ = w.Write([]byte(`{"ChannelInfo":{"ChannelARN":"` + channelARN + `"}}`))
	case "getSignalingChannelEndpoint":
		_, _ = w.Write([]byte(`{"ResourceEndpointList":[{"Protocol":"HTTPS","ResourceEndpoint":"` + s.URL + `"},` +
			`{"Protocol":"WSS","ResourceEndpoint":"` + strings.Replace(s.URL, "https:", "wss:", 1) + `"}]}`))
	case "v1/get-ice-server-config":
		_, _ = w.Write([]byte(`{"IceServerList":[{"Uris":["turn:192.0.2.1:443?transport=udp"],"Username":"u","Password":"p","Ttl":300}]}`))
	case "connect":
		s.connect(w, r)
	default:
		s.t.Errorf("asked for %s", r.URL.Path)
	}
}

// connect checks the signature as the service does and makes the connection.
func (s *server) connect(w http.ResponseWriter, r *http.Request) {
	auth, err := sigv4.Parse(r)
	if err == nil {
		err = auth.Verify("secret", sigv4.Body(nil))
	}
	if err != nil {
		s.t.Errorf("signature: %v", err)
	}
	s.mu.Lock()
	s.queries = append(s.queries, r.URL.RawQuery)
	s.mu.Unlock()
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		s.t.Error(err)
		return
	}
	s.t.Cleanup(func() { conn.CloseRead(context.Background()) }) // so that it says goodbye
	s.conns <- conn
}

func (s *server) count(operation string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[operation]
}

func (s *server) refuseWith(operation string, h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse[operation] = h
}

// exception refuses with a modelled error.
func exception(status int, name string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("x-amzn-ErrorType", name)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"Message":"because"}`))
	}
}
