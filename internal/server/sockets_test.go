package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/sigv4"
)

// bell makes a signaling channel and returns its ARN.
func (p *plant) bell(name string, tags ...wire.Tag) string {
	p.t.Helper()
	var out wire.CreateSignalingChannelOutput
	p.ask("CreateSignalingChannel", &wire.CreateSignalingChannelInput{ChannelName: &name, Tags: tags}, &out)
	return *out.ChannelARN
}

// enter is knock for who must get in.
func (p *plant) enter(arn, viewer string) *websocket.Conn {
	p.t.Helper()
	ws, err := p.knock(p.Client, arn, viewer)
	if err != nil {
		p.t.Fatal(err)
	}
	p.until("the connection has begun", func() bool { return p.sits(arn, viewer) }) // it is answered first
	return ws
}

// sits reports whether somebody of the name has a seat on a channel.
func (p *plant) sits(arn, viewer string) bool {
	named, _ := kvs.ParseARN(arn)
	for _, there := range p.hub.Presence(named.Account, named.Name) {
		if viewer == "" && there.Master != nil || slices.ContainsFunc(there.Viewers, func(a hub.Attendance) bool { return a.ClientID == viewer }) {
			return true
		}
	}
	return false
}

// ending is what a connection is closed with.
func (p *plant) ending(ws *websocket.Conn) (heard string, closed error) {
	for {
		_, text, err := ws.Read(p.t.Context())
		if err != nil {
			return heard, err
		}
		heard += string(text)
	}
}

// With a domain, clients that keep neither port nor path find their role by the name, which
// is in the certificate of the server's own CA.
func TestNamesOfRoles(t *testing.T) {
	p := newPlant(t, func(c *config.Config) { c.Signaling.Domain = "kvs.local" })
	arn := p.bell("bell")
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(p.URL("https"), "https://"))
	var dialer net.Dialer
	transport := p.HTTP.Transport.(*http.Transport).Clone()
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	}
	defer transport.CloseIdleConnections()
	there := p.At("https://r-1.kvs.local")
	there.HTTP = &http.Client{Transport: transport}
	for role, label := range map[string]string{wire.ChannelRoleMaster: "m-1", wire.ChannelRoleViewer: "v-1"} {
		var out wire.GetSignalingChannelEndpointOutput
		p.ask("GetSignalingChannelEndpoint", &wire.GetSignalingChannelEndpointInput{ChannelARN: &arn,
			SingleMasterChannelEndpointConfiguration: &wire.SingleMasterChannelEndpointConfiguration{Role: &role, Protocols: []string{"WSS", "HTTPS"}}}, &out)
		wss, https := *out.ResourceEndpointList[0].ResourceEndpoint, *out.ResourceEndpointList[1].ResourceEndpoint
		if wss != "wss://"+label+".kvs.local:"+port || https != "https://r-1.kvs.local:"+port {
			t.Errorf("%s: %s, %s", role, wss, https)
		}
		// As some clients do it: no path, no port, and a client id whatever the role.
		r, err := http.NewRequest("GET", "https://"+label+".kvs.local/?X-Amz-ClientId=me&X-Amz-ChannelARN="+url.QueryEscape(arn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := (sigv4.Signer{Credentials: p.Credentials, Region: "us-east-1", Service: "kinesisvideo"}).Presign(r, 7*24*time.Hour); err != nil {
			t.Fatal(err)
		}
		ws, _, err := websocket.Dial(t.Context(), r.URL.String(), &websocket.DialOptions{HTTPClient: there.HTTP})
		if err != nil {
			t.Fatalf("%s: %v", role, err)
		}
		defer func() { _ = ws.CloseNow() }()
	}
	all := p.hub.Presence(config.DevAccount, "bell")
	for len(all) != 1 || all[0].Master == nil || len(all[0].Viewers) != 1 { // the seats are taken behind the answer
		if t.Context().Err() != nil {
			t.Fatalf("%+v", all)
		}
		all = p.hub.Presence(config.DevAccount, "bell")
	}
	if err := there.Call(t.Context(), wire.ByName("GetIceServerConfig"), &wire.GetIceServerConfigInput{ChannelARN: &arn}, nil); err != nil {
		t.Error(err)
	}
}

// Who may connect as what, by name and by tag, and who may ask for servers and send offers. A
// denial does not tell whether the channel is there.
func TestRightsOnChannels(t *testing.T) {
	p := newPlant(t, nil)
	arn := p.bell("gate", wire.Tag{Key: new("site"), Value: new("harbour")})
	gone := strings.Replace(arn, "/gate/", "/barn/", 1)
	const named = "arn:aws:kinesisvideo:*:*:channel/gate/*"
	device := p.user("gate", allow(`"kinesisvideo:ConnectAsMaster","kinesisvideo:GetIceServerConfig"`, strings.Replace(named, "gate", "${aws:username}", 1), ""))
	viewer := p.user("anna", allow(`"kinesisvideo:ConnectAsViewer"`, "*", `{"StringEquals":{"aws:ResourceTag/site":"harbour"}}`))
	stranger := p.user("eve", allow(`"kinesisvideo:ConnectAs*","kinesisvideo:GetIceServerConfig","kinesisvideo:SendAlexaOfferToMaster"`, strings.Replace(named, "gate", "other", 1), ""))
	for _, c := range []struct {
		name          string
		who           *client.Client
		master, other bool // may connect as master, may ask for servers
		viewer        bool
	}{
		{"the device", device, true, true, false},
		{"a viewer by tag", viewer, false, false, true},
		{"one with rights elsewhere", stranger, false, false, false},
	} {
		check := func(what string, may bool, try func(arn string) error) {
			t.Helper()
			err := try(arn)
			if may {
				if err != nil {
					t.Errorf("%s may not %s: %v", c.name, what, err)
				}
				return
			}
			denied, ok := errors.AsType[*client.Error](err)
			if !ok || denied.Status != 403 || !strings.Contains(denied.Message, "is not authorized to perform: kinesisvideo:") {
				t.Errorf("%s may %s: %v", c.name, what, err)
				return
			}
			if never := try(gone); never == nil || strings.ReplaceAll(never.Error(), "barn", "gate") != denied.Error() {
				t.Errorf("%s learns who is there: %v, %v", c.name, denied, never)
			}
		}
		socket := func(id string) func(string) error {
			return func(arn string) error {
				ws, err := p.knock(c.who, arn, id)
				if err == nil {
					_ = ws.CloseNow()
				}
				return err
			}
		}
		check("connect as master", c.master, socket(""))
		check("connect as viewer", c.viewer, socket("v"))
		check("ask for servers", c.other, func(arn string) error {
			return c.who.Call(t.Context(), wire.ByName("GetIceServerConfig"), &wire.GetIceServerConfigInput{ChannelARN: &arn}, nil)
		})
		check("send an offer", false, func(arn string) error {
			return c.who.Call(t.Context(), wire.ByName("SendAlexaOfferToMaster"), &wire.SendAlexaOfferToMasterInput{ChannelARN: &arn, SenderClientId: new("a"), MessagePayload: new("bm8=")}, nil)
		})
	}
	if all := p.hub.Presence(config.DevAccount, "barn"); len(all) > 0 {
		t.Errorf("%+v", all)
	}
}

// raw sends bytes to the plain listener and returns the status line and the rest.
func (p *plant) raw(text string) string {
	p.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.URL("http"), "http://"))
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	go func() { _, _ = io.WriteString(conn, text) }() // the server may answer before the end
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err.Error()
	}
	b, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	return fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("x-amzn-ErrorType"), " ", string(b))
}

// Whatever a stranger sends, a channel that is there is answered like one that never was, and
// nobody gets a seat.
func TestStrangersAtTheDoorOfChannels(t *testing.T) {
	p := newPlant(t, nil)
	arn := p.bell("bell")
	gone := strings.Replace(arn, "/bell/", "/cell/", 1)
	const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	host := "Host: " + strings.TrimPrefix(p.URL("http"), "http://") + "\r\n"
	signed := func(arn string, c sigv4.Credentials, at time.Time, expires time.Duration) string {
		r, err := http.NewRequest("GET", p.URL("http")+"/channel/master?X-Amz-ChannelARN="+url.QueryEscape(arn), nil)
		if err != nil {
			t.Fatal(err)
		}
		s := sigv4.Signer{Credentials: c, Region: "us-east-1", Service: "kinesisvideo", Now: func() time.Time { return at }}
		if err := s.Presign(r, expires); err != nil {
			t.Fatal(err)
		}
		return r.URL.RequestURI()
	}
	now := time.Now()
	for _, c := range []struct {
		name string
		send func(arn string) string
		want string
	}{
		{"no signature", func(arn string) string {
			return "GET /channel/master?X-Amz-ChannelARN=" + arn + " HTTP/1.1\r\n" + host + upgrade + "\r\n"
		}, "403 MissingAuthenticationTokenException"},
		{"a key of nobody", func(arn string) string {
			return "GET " + signed(arn, sigv4.Credentials{AccessKey: "AKIANOBODYNOBODYNOBO", Secret: "x"}, now, time.Minute) + " HTTP/1.1\r\n" + host + upgrade + "\r\n"
		}, "403 UnrecognizedClientException"},
		{"another secret", func(arn string) string {
			return "GET " + signed(arn, sigv4.Credentials{AccessKey: config.DevAccessKey, Secret: "x"}, now, time.Minute) + " HTTP/1.1\r\n" + host + upgrade + "\r\n"
		}, "403 InvalidSignatureException"},
		{"an expired URL", func(arn string) string {
			return "GET " + signed(arn, p.Credentials, now.Add(-8*24*time.Hour), 7*24*time.Hour) + " HTTP/1.1\r\n" + host + upgrade + "\r\n"
		}, "403 InvalidSignatureException"},
		{"a parameter that was changed", func(arn string) string {
			return "GET " + strings.Replace(signed(arn, p.Credentials, now, time.Minute), "%2F", "/", 1) + "&X-Amz-ClientId=eve HTTP/1.1\r\n" + host + upgrade + "\r\n"
		}, "403 InvalidSignatureException"},
		{"POST", func(arn string) string {
			return "POST " + signed(arn, p.Credentials, now, time.Minute) + " HTTP/1.1\r\n" + host + upgrade + "Content-Length: 0\r\n\r\n"
		}, "400 InvalidArgumentException"},
		{"HTTP/1.0", func(arn string) string {
			return "GET " + signed(arn, p.Credentials, now, time.Minute) + " HTTP/1.0\r\n" + host + upgrade + "\r\n"
		}, "400 InvalidArgumentException"},
		{"no WebSocket", func(arn string) string {
			return "GET " + signed(arn, p.Credentials, now, time.Minute) + " HTTP/1.1\r\n" + host + "\r\n"
		}, "400 InvalidArgumentException"},
		{"a huge head", func(arn string) string {
			return "GET " + signed(arn, p.Credentials, now, time.Minute) + " HTTP/1.1\r\n" + host + upgrade + "X: " + strings.Repeat("x", 1<<20) + "\r\n\r\n"
		}, "431 "},
		{"a huge query", func(arn string) string {
			return "GET " + signed(arn, p.Credentials, now, time.Minute) + "&x=" + strings.Repeat("x", 20<<10) + " HTTP/1.1\r\n" + host + upgrade + "\r\n"
		}, "403 IncompleteSignatureException"},
		{"no HTTP", func(string) string { return "\x16\x03\x01\x02\x00\r\n\r\n" }, "400 "},
	} {
		there, never := p.raw(c.send(arn)), p.raw(c.send(gone))
		if !strings.HasPrefix(there, c.want) || strings.ReplaceAll(there, "bell", "cell") != strings.ReplaceAll(never, "bell", "cell") {
			t.Errorf("%s: %.300s\nwhat never was: %.300s", c.name, there, never)
		}
	}
	if all := p.hub.Presence(config.DevAccount, ""); len(all) > 0 {
		t.Errorf("somebody has a seat: %+v", all)
	}
}

// A client that vanishes in the middle of a frame, or of its head, costs a connection and
// nothing else: others meet meanwhile.
func TestHalfOpenConnections(t *testing.T) {
	p := newPlant(t, nil)
	arn := p.bell("bell")
	for _, text := range []string{"", "GET /channel/master?X-Amz-Ch", "GET /channel/viewer HTTP/1.1\r\nUpgrade: web"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.URL("http"), "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, text)
	}
	half := p.enter(arn, "half")
	w, err := half.Writer(t.Context(), websocket.MessageText)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(w, `{"action":`)
	p.meet("https", "bell")
	_ = half.CloseNow()
}

// Who is connected to a channel that is deleted is told why the connection ends.
func TestDeletingAChannelEndsItsConnections(t *testing.T) {
	p := newPlant(t, nil)
	arn := p.bell("bell")
	ws := p.enter(arn, "")
	p.ask("DeleteSignalingChannel", &wire.DeleteSignalingChannelInput{ChannelARN: &arn}, nil)
	if _, err := p.ending(ws); !strings.Contains(fmt.Sprint(err), "channel deleted") {
		t.Error(err)
	}
	if _, err := p.knock(p.Client, arn, ""); err == nil || !strings.Contains(err.Error(), "ResourceNotFoundException") {
		t.Error(err)
	}
}

// New ICE servers hold at once, and who is connected is told that the old ones are old. Their
// secrets are in no log.
func TestICEServersOfTheSettings(t *testing.T) {
	p := newPlant(t, func(c *config.Config) {
		c.Signaling.ICEServers = []string{"turn:turn.example:3478?transport=udp username=u credential=hush-one", "stun:stun.example:3478"}
	})
	arn := p.bell("bell")
	servers := func() (text string) {
		var out wire.GetIceServerConfigOutput
		p.ask("GetIceServerConfig", &wire.GetIceServerConfigInput{ChannelARN: &arn}, &out)
		for _, s := range out.IceServerList {
			text += fmt.Sprint(s.Uris, wire.Value(s.Username), ":", wire.Value(s.Password), " ", *s.Ttl, "; ")
		}
		return text
	}
	if got := servers(); got != "[turn:turn.example:3478?transport=udp]u:hush-one 300; [stun:stun.example:3478]none:none 300; " {
		t.Error(got)
	}
	ws := p.enter(arn, "")
	next := p.config
	next.Signaling.ICEServers = []string{"turn:turn.example:3478?transport=udp username=u credential=hush-two"}
	next.Signaling.Domain = "kvs.local"
	if err := p.Reload(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	_, text, err := ws.Read(t.Context())
	if err != nil || !strings.Contains(string(text), `"messageType":"RECONNECT_ICE_SERVER"`) {
		t.Errorf("%s, %v", text, err)
	}
	if got := servers(); !strings.Contains(got, "hush-two") {
		t.Error(got)
	}
	if log := p.log.String(); strings.Contains(log, "hush") || !strings.Contains(log, `setting=signaling.domain`) {
		t.Errorf("the log has\n%s", log)
	}
}

// A development server may refuse a connection on purpose.
func TestChosenFaultsOfSockets(t *testing.T) {
	p := faulty(t, "ConnectAsViewer:status=503,times=1", "ConnectAsMaster:error=ClientLimitExceededException,times=1")
	arn := p.bell("bell")
	for id, want := range map[string]string{"anna": "ServiceUnavailableException", "": "ClientLimitExceededException"} {
		if _, err := p.knock(p.Client, arn, id); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", id, err)
		}
		p.enter(arn, id)
	}
}
