package signaling

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/sigv4"
)

// keys counts how often credentials were asked for.
type keys struct{ asked atomic.Int32 }

func (k *keys) get(context.Context) (sigv4.Credentials, error) {
	k.asked.Add(1)
	return sigv4.Credentials{AccessKey: "AKIDEXAMPLE", Secret: "secret", SessionToken: "token"}, nil
}

func (s *server) options() (Options, *keys) {
	k := new(keys)
	return Options{Channel: "door", Endpoint: s.URL, Region: "eu-west-1", Credentials: k.get, HTTP: s.Client(), ClientID: "anna"}, k
}

// start runs a peer to the end of the test and returns where its end is told.
func start(t *testing.T, make func(Options) (*Peer, error), o Options) (*Peer, <-chan error) {
	t.Helper()
	p, err := make(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := ends()
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-p.ended
	})
	return p, done
}

func ends() chan error { return make(chan error, 1) }

// next is the next connection that the server got.
func (s *server) next() *websocket.Conn {
	s.t.Helper()
	select {
	case c := <-s.conns:
		return c
	case <-time.After(20 * time.Second):
		s.t.Fatal("nobody connected")
		return nil
	}
}

func (s *server) read(c *websocket.Conn) map[string]string {
	s.t.Helper()
	_, text, err := c.Read(s.t.Context())
	m := map[string]string{}
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

func (s *server) write(c *websocket.Conn, text string) {
	s.t.Helper()
	if err := c.Write(s.t.Context(), websocket.MessageText, []byte(text)); err != nil {
		s.t.Fatal(err)
	}
}

func receive(t *testing.T, p *Peer) Message {
	t.Helper()
	m, err := p.Receive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func send(t *testing.T, p *Peer, m Message) {
	t.Helper()
	if err := p.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

// A master and a viewer say what the service expects of them, and hear all of it.
func TestMessages(t *testing.T) {
	s := newServer(t)
	o, _ := s.options()
	master, _ := start(t, NewMaster, o)
	conn := s.next()
	send(t, master, Message{Type: Answer, Peer: "anna", Payload: []byte(`{"type":"answer"}`), CorrelationID: "7"})
	if m := s.read(conn); m["action"] != "SDP_ANSWER" || m["recipientClientId"] != "anna" || m["correlationId"] != "7" ||
		m["messagePayload"] != base64.StdEncoding.EncodeToString([]byte(`{"type":"answer"}`)) {
		t.Errorf("%v", m)
	}
	s.write(conn, "")
	s.write(conn, "nonsense")
	s.write(conn, `{"messageType":"SDP_OFFER","senderClientId":"anna","messagePayload":"eyJ0eXBlIjoib2ZmZXIifQ=="}`)
	s.write(conn, `{"messageType":"STATUS_RESPONSE","messagePayload":"e30=","statusResponse":{"correlationId":"7","errorType":"InvalidArgumentException","statusCode":"400","description":"no"}}`)
	if m := receive(t, master); m.Type != Offer || m.Peer != "anna" || string(m.Payload) != `{"type":"offer"}` || m.Status != nil {
		t.Errorf("%+v", m)
	}
	if m := receive(t, master); m.Type != StatusResponse || m.Status == nil || m.Status.ErrorType != "InvalidArgumentException" || m.Status.StatusCode != "400" {
		t.Errorf("%+v", m)
	}

	viewer, _ := start(t, NewViewer, o)
	conn = s.next()
	send(t, viewer, Message{Type: Candidate, Peer: "ignored", Payload: []byte(`{}`)})
	if m := s.read(conn); m["action"] != "ICE_CANDIDATE" || m["recipientClientId"] != "" {
		t.Errorf("%v", m)
	}
	s.checkQueries()
}

// checkQueries looks at how a master and then a viewer connected.
func (s *server) checkQueries() {
	for i, raw := range s.queries {
		q, _ := url.ParseQuery(raw)
		want := []string{"", "anna"}[i]
		if q.Get("X-Amz-ChannelARN") != channelARN || q.Get("X-Amz-ClientId") != want || q.Get("X-Amz-Expires") != "300" ||
			!strings.HasSuffix(q.Get("X-Amz-Credential"), "/eu-west-1/kinesisvideo/aws4_request") || q.Get("X-Amz-Security-Token") != "token" {
			s.t.Errorf("%s", raw)
		}
	}
}

// Messages keep their order and none is lost while there is no connection.
func TestOrderAcrossConnections(t *testing.T) {
	s := newServer(t)
	o, _ := s.options()
	viewer, err := NewViewer(o)
	if err != nil {
		t.Fatal(err)
	}
	const n = 100
	for i := range n {
		send(t, viewer, Message{Type: Candidate, Payload: []byte{byte('0' + i%10)}})
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { _ = viewer.Run(ctx) }()
	conn := s.next()
	for i := range n {
		payload, _ := base64.StdEncoding.DecodeString(s.read(conn)["messagePayload"])
		if string(payload) != string([]byte{byte('0' + i%10)}) {
			t.Fatalf("message %d is %s", i, payload)
		}
	}
	conn.CloseRead(context.Background()) // so that it says goodbye
	cancel()
	<-viewer.ended
	if err := viewer.Send(t.Context(), Message{Type: Candidate, Payload: []byte("0")}); !errors.Is(err, ErrEnded) {
		t.Errorf("behind the end: %v", err)
	}
	if _, err := viewer.Receive(t.Context()); !errors.Is(err, ErrEnded) {
		t.Errorf("behind the end: %v", err)
	}
}

// Every end of a connection but one is followed by another, with credentials asked for anew.
func TestConnectsAgain(t *testing.T) {
	s := newServer(t)
	o, k := s.options()
	viewer, done := start(t, NewViewer, o)
	conn := s.next()
	before := k.asked.Load()
	_ = conn.CloseNow() // the network
	conn = s.next()
	if k.asked.Load() == before {
		t.Error("the credentials are the old ones")
	}
	s.write(conn, `{"messageType":"GO_AWAY","messagePayload":"e30="}`)
	conn = s.next()
	send(t, viewer, Message{Type: Offer, Payload: []byte(`{}`)})
	if m := s.read(conn); m["action"] != "SDP_OFFER" {
		t.Errorf("%v", m)
	}
	_ = conn.Close(websocket.StatusPolicyViolation, replaced)
	if err := <-done; !errors.Is(err, ErrReplaced) {
		t.Errorf("replaced: %v", err)
	}
	if _, err := viewer.Receive(t.Context()); !errors.Is(err, ErrReplaced) {
		t.Errorf("replaced: %v", err)
	}
}

// What a second attempt with new credentials would get as well ends Run; what passes does not.
func TestHopeless(t *testing.T) {
	for operation, answer := range map[string]http.HandlerFunc{
		"describeSignalingChannel":    exception(404, "ResourceNotFoundException"),
		"getSignalingChannelEndpoint": exception(401, "NotAuthorizedException"),
		"connect":                     exception(403, "AccessDeniedException"),
	} {
		s := newServer(t)
		s.refuseWith(operation, answer)
		o, k := s.options()
		_, done := start(t, NewViewer, o)
		refused, ok := errors.AsType[*client.Error](<-done)
		if !ok || refused.Message != "because" || s.count(operation) != 2 || k.asked.Load() < 2 {
			t.Errorf("%s: %v, asked %d times", operation, refused, s.count(operation))
		}
		if ok && strings.Contains(refused.Error(), "Signature") {
			t.Errorf("the error holds the signed URL: %v", refused)
		}
	}
}

func TestPassing(t *testing.T) {
	s := newServer(t)
	s.refuseWith("connect", func(w http.ResponseWriter, r *http.Request) {
		exception([]int{503, 400, 503}[s.count("connect")-1], "ClientLimitExceededException")(w, r)
		if s.count("connect") == 3 {
			s.refuseWith("connect", nil)
		}
	})
	o, _ := s.options()
	start(t, NewViewer, o)
	s.next()
}

// A clock that is wrong by a day is set by the server's answer.
func TestClockOfTheServer(t *testing.T) {
	s := newServer(t)
	tomorrow := time.Now().Add(24 * time.Hour)
	s.refuseWith("describeSignalingChannel", func(w http.ResponseWriter, r *http.Request) {
		if at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date")); err == nil && time.Until(at) > time.Hour {
			s.answer(w, r, "describeSignalingChannel")
			return
		}
		w.Header().Set("Date", tomorrow.UTC().Format(http.TimeFormat))
		exception(403, "InvalidSignatureException")(w, r)
	})
	o, _ := s.options()
	start(t, NewViewer, o)
	s.next()
}

// Relays are asked for once while their credentials are good, and anew when the server says so.
func TestICEServers(t *testing.T) {
	s := newServer(t)
	o, _ := s.options()
	viewer, _ := start(t, NewViewer, o)
	conn := s.next()
	for range 3 {
		servers, err := viewer.ICEServers(t.Context())
		if err != nil || len(servers) != 1 || servers[0].TTL != 5*time.Minute || servers[0].URLs[0] != "turn:192.0.2.1:443?transport=udp" {
			t.Fatalf("%v %v", servers, err)
		}
	}
	const ask = "v1/get-ice-server-config"
	if s.count(ask) != 1 || !strings.Contains(s.bodies[ask], `"ClientId":"anna"`) {
		t.Errorf("asked %d times: %s", s.count(ask), s.bodies[ask])
	}
	s.write(conn, `{"messageType":"RECONNECT_ICE_SERVER","messagePayload":"e30="}`)
	if m := receive(t, viewer); m.Type != ReconnectICEServer {
		t.Errorf("%+v", m)
	}
	if _, err := viewer.ICEServers(t.Context()); err != nil || s.count(ask) != 2 {
		t.Errorf("%v, asked %d times", err, s.count(ask))
	}
}

// A signed URL serves who cannot sign.
func TestURL(t *testing.T) {
	s := newServer(t)
	o, _ := s.options()
	o.Channel = channelARN
	viewer, err := NewViewer(o)
	if err != nil {
		t.Fatal(err)
	}
	target, err := viewer.URL(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	conn, _, err := websocket.Dial(t.Context(), target, &websocket.DialOptions{HTTPClient: s.Client()})
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.CloseNow()
	if s.count("describeSignalingChannel") != 0 {
		t.Error("an ARN was looked up")
	}
}

func TestPause(t *testing.T) {
	var p pause
	if d := p.next(0, false); d < 50*time.Millisecond || d > 100*time.Millisecond {
		t.Errorf("the first is %v", d)
	}
	for range 20 {
		p.next(0, false)
	}
	if d := p.next(0, false); d < 5*time.Second || d > 10*time.Second {
		t.Errorf("the last is %v", d)
	}
	if d := p.next(time.Minute, true); d != 0 {
		t.Errorf("behind GO_AWAY %v", d)
	}
	if d := p.next(0, true); d == 0 {
		t.Error("a server that sends everybody away is asked again at once")
	}
	if d := p.next(time.Minute, false); d > 100*time.Millisecond {
		t.Errorf("behind a long connection %v", d)
	}
}
