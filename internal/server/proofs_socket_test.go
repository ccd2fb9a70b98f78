package server

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/sigv4"
)

// knock connects to a channel: as master, or as the viewer of a name.
func (p *plant) knock(who *client.Client, arn, viewer string) (*websocket.Conn, error) {
	p.t.Helper()
	path, more := "/channel/master", ""
	if viewer != "" {
		path, more = "/channel/viewer", "&X-Amz-ClientId="+viewer
	}
	r, err := http.NewRequest("GET", p.URL("https")+path+"?X-Amz-ChannelARN="+url.QueryEscape(arn)+more, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	signer := sigv4.Signer{Credentials: who.Credentials, Region: "us-east-1", Service: "kinesisvideo", Now: p.config.Now}
	if err := signer.Presign(r, time.Minute); err != nil {
		p.t.Fatal(err)
	}
	ws, resp, err := websocket.Dial(p.t.Context(), r.URL.String(), &websocket.DialOptions{HTTPClient: who.HTTP})
	if resp != nil && resp.StatusCode != http.StatusSwitchingProtocols {
		var body map[string]string
		_ = json.NewDecoder(resp.Body).Decode(&body)
		return nil, &client.Error{Status: resp.StatusCode, Exception: resp.Header.Get("x-amzn-ErrorType"), Message: body["Message"] + body["message"]}
	}
	if err == nil {
		ws.SetReadLimit(1 << 20)
		p.t.Cleanup(func() { _ = ws.CloseNow() })
	}
	return ws, err
}

// join is knock for who must get in.
func (h *hall) join(who *client.Client, ch kvs.Channel, viewer string) *websocket.Conn {
	h.test.Helper()
	ws, err := h.knock(who, ch.ARN().String(), viewer)
	if err != nil {
		h.test.Fatal(err)
	}
	return ws
}

// seated waits until a connection that was let in has begun: that is behind the answer to its
// handshake, and its times count from there.
func (h *hall) seated(ch kvs.Channel) {
	h.test.Helper()
	for len(h.hub.Presence(ch.Account, ch.Name)) == 0 {
		if h.test.Context().Err() != nil {
			h.test.Fatal("nobody is there")
		}
		runtime.Gosched()
	}
}

// closed waits until the server closes a connection, and checks what it says.
func (h *hall) closed(ws *websocket.Conn, reason string) {
	h.test.Helper()
	for {
		_, _, err := ws.Read(h.test.Context())
		if err == nil {
			continue
		}
		if !strings.Contains(err.Error(), reason) {
			h.test.Errorf("it was closed with %v, want %q", err, reason)
		}
		return
	}
}

// hears returns the next message.
func (h *hall) hears(ws *websocket.Conn) string {
	h.test.Helper()
	_, text, err := ws.Read(h.test.Context())
	if err != nil {
		h.test.Fatal(err)
	}
	return string(text)
}

func (h *hall) says(ws *websocket.Conn, text string) {
	h.test.Helper()
	if err := ws.Write(h.test.Context(), websocket.MessageText, []byte(text)); err != nil {
		h.test.Fatal(err)
	}
}

// bounded is a channel of an account for which the limit has the value.
func (h *hall) bounded(l *quota.Limit, value string) (*client.Client, kvs.Channel) {
	h.test.Helper()
	a := kvs.AccountID(fmt.Sprintf("5555%08d", int(l.AWS)*7+len(l.Name)))
	who := h.guest(a, l, value)
	return who, h.channel(a, strings.ReplaceAll(l.Name, ".", "-"))
}

func newestMasterWins(h *hall, l *quota.Limit) {
	ch := h.channel(config.DevAccount, strings.ReplaceAll(l.Name, ".", "-"))
	old := h.join(h.Client, ch, "")
	h.join(h.Client, ch, "")
	h.closed(old, "replaced by a newer connection")
}

func tooManyViewers(h *hall, l *quota.Limit) {
	ch := h.channel(crowd, strings.ReplaceAll(l.Name, ".", "-"))
	var first *websocket.Conn
	for i := range int(l.AWS) {
		if ws := h.join(h.second, ch, fmt.Sprint("v", i)); i == 0 {
			first = ws
		}
	}
	_, err := h.knock(h.second, ch.ARN().String(), "one-more")
	h.refused(err, "ClientLimitExceededException")
	h.join(h.second, ch, "v0") // takes over its own seat
	h.closed(first, "replaced by a newer connection")
	if h.breaches(l) == 0 {
		h.test.Error("the breach is not counted")
	}
}

// The clock stands still but for the proof, which has a hall of its own for that; what is due
// is looked at when the limit would have passed.
func tooOldSocket(h *hall, l *quota.Limit) {
	h = newHall(h.test)
	who, ch := h.bounded(l, "1s")
	ws := h.join(who, ch, "")
	h.seated(ch)
	h.pass(2 * time.Second)
	if got := h.hears(ws); !strings.Contains(got, `"messageType":"GO_AWAY"`) {
		h.test.Errorf("before its end it was told %s", got)
	}
	h.closed(ws, "connected for too long")
}

func idleSocket(h *hall, l *quota.Limit) {
	h = newHall(h.test)
	who, ch := h.bounded(l, "1s")
	ws := h.join(who, ch, "anna")
	h.seated(ch)
	h.pass(2 * time.Second)
	h.closed(ws, "no message for too long")
}

// The grace is that of the server as a whole here: it stops, and says so first.
func goAway(h *hall, l *quota.Limit) {
	h = newHall(h.test, l.Name, "1s")
	ch := h.channel(config.DevAccount, "door")
	ws := h.join(h.Client, ch, "")
	h.seated(ch)
	stopped := make(chan error, 1)
	go func() { stopped <- h.stop() }()
	if got := h.hears(ws); !strings.Contains(got, `"messageType":"GO_AWAY"`) {
		h.test.Errorf("it was told %s", got)
	}
	h.closed(ws, "the server is stopping")
	if err := <-stopped; err != nil {
		h.test.Error(err)
	}
}

// tooFastSocket sends as many messages as may be sent in a second, and one more.
func tooFastSocket(action string) proof {
	return func(h *hall, l *quota.Limit) {
		ch := h.channel(config.DevAccount, strings.ReplaceAll(l.Name, ".", "-"))
		master, viewer := h.join(h.Client, ch, ""), h.join(h.Client, ch, "anna")
		for i := range int(l.AWS) + 1 {
			h.says(viewer, fmt.Sprintf(`{"action":%q,"messagePayload":"e30=","correlationId":"c%d"}`, action, i))
		}
		want := fmt.Sprintf(`"correlationId":"c%d","errorType":"ClientLimitExceededException","statusCode":"400"`, int(l.AWS))
		if got := h.hears(viewer); !strings.Contains(got, want) {
			h.test.Errorf("the sender was told %s, want %s", got, want)
		}
		for range int(l.AWS) {
			if got := h.hears(master); !strings.Contains(got, action) {
				h.test.Errorf("the master got %s", got)
			}
		}
	}
}

// tooLongSocket sends a payload that is as long as may be, and one that is longer.
func tooLongSocket(action string) proof {
	return func(h *hall, l *quota.Limit) {
		ch := h.channel(config.DevAccount, strings.ReplaceAll(l.Name, ".", "-"))
		master, viewer := h.join(h.Client, ch, ""), h.join(h.Client, ch, "anna")
		send := func(n int) string {
			payload := base64.StdEncoding.EncodeToString(make([]byte, n/4*3))
			h.says(viewer, fmt.Sprintf(`{"action":%q,"messagePayload":%q,"correlationId":"c%d"}`, action, payload, n))
			return payload
		}
		payload := send(int(l.AWS))
		if got := h.hears(master); !strings.Contains(got, payload) {
			h.test.Errorf("the master got %.100s", got)
		}
		send(int(l.AWS) + 4)
		want := fmt.Sprintf(`"correlationId":"c%d","errorType":"InvalidArgumentException","statusCode":"400"`, int(l.AWS)+4)
		if got := h.hears(viewer); !strings.Contains(got, want) {
			h.test.Errorf("the sender was told %s, want %s", got, want)
		}
	}
}

// oldICESession has a hall of its own: its clock moves far.
func oldICESession(h *hall, l *quota.Limit) {
	h = newHall(h.test)
	ch := h.channel(config.DevAccount, "door")
	h.join(h.Client, ch, "anna")
	h.seated(ch)
	ask := func(id string) error {
		return h.call(h.Client, "GetIceServerConfig", `{"ChannelARN":"`+ch.ARN().String()+`","ClientId":"`+id+`"}`)
	}
	if err := ask("anna"); err != nil {
		h.test.Error(err)
	}
	h.pass(time.Duration(l.AWS)*time.Second + time.Second)
	h.Client.Now = h.config.Now
	h.refused(ask("anna"), "SessionExpiredException")
	if err := ask("berta"); err != nil {
		h.test.Error(err)
	}
}
