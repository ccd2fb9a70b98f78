package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/authority"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/sigv4"
)

// bell is the one signaling channel there is.
var bell = kvs.Channel{ID: 8, Account: account, Region: "us-east-1", Name: "bell", Created: 1_735_442_939_458, TTL: time.Minute, Tags: map[string]string{"at": "door"}}

// channels has the bell.
type channels struct{ tags map[string]string }

func (c channels) find(found bool) (kvs.Channel, error) {
	if !found {
		return kvs.Channel{}, kvs.Errorf(kvs.NotFound, "The requested channel is not found or not active.")
	}
	b := bell
	b.Tags = c.tags
	return b, nil
}

func (c channels) ByName(_ context.Context, a kvs.AccountID, name string) (kvs.Channel, error) {
	return c.find(a == account && name == bell.Name)
}

func (c channels) ByARN(_ context.Context, a kvs.AccountID, arn kvs.ARN) (kvs.Channel, error) {
	return c.find(a == account && arn == bell.ARN())
}

// pier is a server of one socket, whose connections say back what they get.
type pier struct {
	*house
	sockets *Sockets
	server  *httptest.Server
	opened  error // of the next ones
}

func newPier(t *testing.T, limits map[string]string) *pier {
	p := &pier{house: newHouse(t, limits)}
	p.front.o.Channels = channels{bell.Tags}
	p.sockets = p.front.Sockets(func(*http.Request) string { return "ConnectAsViewer" }, Socket{
		Operation: "ConnectAsViewer",
		Target: func(c *Call) (Target, error) {
			arn := c.Request.URL.Query().Get("X-Amz-ChannelARN")
			return Target{ARN: &arn, Kind: kvs.ChannelResource}, nil
		},
		Open: func(_ context.Context, c *Call) (func(context.Context), error) { return p.open(c) },
	})
	p.server = httptest.NewServer(p.sockets)
	t.Cleanup(p.server.Close)
	return p
}

func (p *pier) open(c *Call) (func(context.Context), error) {
	if p.opened != nil {
		return nil, p.opened
	}
	conn, rw, err := http.NewResponseController(c.Writer).Hijack()
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\n"); err != nil {
		return nil, err
	}
	ctx, stop := c.Watch(context.Background())
	return func(serving context.Context) {
		defer stop()
		defer func() { _ = conn.Close() }()
		if serving.Err() != nil || ctx.Err() != nil {
			p.t.Error("the connection ends with its request")
		}
		for {
			line, err := rw.ReadString('\n')
			if err != nil {
				return
			}
			if line == "panic\n" {
				panic("the pier fell in")
			}
			_, _ = io.WriteString(conn, line)
		}
	}, nil
}

// handshake is a good request for the socket; change may spoil it after signing.
func (p *pier) handshake(arn string, change func(*http.Request)) *http.Request {
	p.t.Helper()
	r, err := http.NewRequest("GET", p.server.URL+"/?X-Amz-ChannelARN="+url.QueryEscape(arn), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	s := sigv4.Signer{Credentials: caller, Region: "us-east-1", Service: "kinesisvideo"}
	if err := s.Presign(r, 7*24*time.Hour); err != nil {
		p.t.Fatal(err)
	}
	for k, v := range map[string]string{"Connection": "keep-alive, Upgrade", "Upgrade": "WebSocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} {
		r.Header.Set(k, v)
	}
	if change != nil {
		change(r)
	}
	return r
}

// dial sends a request as it is, and returns the connection and the answer.
func (p *pier) dial(r *http.Request) (net.Conn, *http.Response) {
	p.t.Helper()
	conn, err := net.Dial("tcp", p.server.Listener.Addr().String())
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	proto := r.Proto
	if proto == "" {
		proto = "HTTP/1.1"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s\r\nHost: %s\r\n", r.Method, r.URL.RequestURI(), proto, r.URL.Host)
	_ = r.Header.Write(&b)
	if _, err := io.WriteString(conn, b.String()+"\r\n"); err != nil {
		p.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReaderSize(conn, 16), r)
	if err != nil {
		p.t.Fatal(err)
	}
	return conn, resp
}

// lines counts the lines of the log that have the text.
func (p *pier) lines(text string) (n int) {
	for line := range strings.Lines(p.log.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// logged waits for the one line that has the text: it is written when the request has ended,
// beside the socket.
func (p *pier) logged(text string) {
	p.t.Helper()
	late := time.After(time.Minute)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for p.lines(text) != 1 {
		select {
		case <-tick.C:
		case <-late:
			p.t.Fatalf("the log has\n%s", p.log.String())
		}
	}
}

func TestSocketsAreServedBehindTheirRequest(t *testing.T) {
	p := newPier(t, nil)
	conn, resp := p.dial(p.handshake(bell.ARN().String(), nil))
	if resp.StatusCode != 101 {
		b, _ := io.ReadAll(resp.Body)
		t.Fatal(resp.StatusCode, string(b))
	}
	again := bufio.NewReader(conn)
	for _, line := range []string{"one\n", "two\n"} {
		_, _ = io.WriteString(conn, line)
		if got, err := again.ReadString('\n'); got != line {
			t.Fatal(got, err)
		}
	}
	soon, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := p.sockets.Wait(soon); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for an open connection: %v", err)
	}
	_ = conn.Close()
	if err := p.sockets.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	p.logged("operation=ConnectAsViewer status=101")
	if p.lines("channel=bell") != 1 {
		t.Errorf("the log has\n%s", p.log.String())
	}
}

// What is refused before the upgrade is answered like every other call, and leaves nothing.
func TestRefusedSockets(t *testing.T) {
	header := func(k, v string) func(*http.Request) { return func(r *http.Request) { r.Header.Set(k, v) } }
	query := func(old, new string) func(*http.Request) {
		return func(r *http.Request) {
			if !strings.Contains(r.URL.RawQuery, old) {
				t.Fatalf("%s is not in %s", old, r.URL.RawQuery)
			}
			r.URL.RawQuery = strings.Replace(r.URL.RawQuery, old, new, 1)
		}
	}
	others := bell.ARN()
	others.Account = "999999999999"
	for _, c := range []struct {
		name, arn string
		change    func(*http.Request)
		status    int
		exception string
	}{
		{"unsigned", "", func(r *http.Request) { r.URL.RawQuery = "" }, 403, "MissingAuthenticationTokenException"},
		{"another signature", "", query("X-Amz-Signature=", "X-Amz-Signature=0"), 403, "InvalidSignatureException"},
		{"another channel", "", query("bell", "cell"), 403, "InvalidSignatureException"},
		{"a parameter more", "", query("X-Amz-Date", "X-Amz-ClientId=eve&X-Amz-Date"), 403, "InvalidSignatureException"},
		{"longer than a week", "", query("604800", "604801"), 403, "IncompleteSignatureException"},
		{"not there", strings.Replace(bell.ARN().String(), "bell", "cell", 1), nil, 404, "ResourceNotFoundException"},
		{"another account's", others.String(), nil, 404, "ResourceNotFoundException"},
		{"a stream's ARN", yard.ARN().String(), nil, 404, "ResourceNotFoundException"},
		{"no ARN", "bell", nil, 400, "InvalidArgumentException"},
		{"POST", "", func(r *http.Request) { r.Method = "POST" }, 400, "InvalidArgumentException"},
		{"HEAD", "", func(r *http.Request) { r.Method = "HEAD" }, 400, "InvalidArgumentException"},
		{"HTTP/1.0", "", func(r *http.Request) { r.Proto = "HTTP/1.0" }, 400, "InvalidArgumentException"},
		{"no upgrade", "", func(r *http.Request) { r.Header.Del("Upgrade") }, 400, "InvalidArgumentException"},
		{"another upgrade", "", header("Upgrade", "h2c"), 400, "InvalidArgumentException"},
		{"no connection header", "", header("Connection", "keep-alive"), 400, "InvalidArgumentException"},
		{"another version", "", header("Sec-WebSocket-Version", "8"), 400, "InvalidArgumentException"},
		{"a short key", "", header("Sec-WebSocket-Key", "c2hvcnQ="), 400, "InvalidArgumentException"},
		{"two keys", "", func(r *http.Request) { r.Header.Add("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==") }, 400, "InvalidArgumentException"},
		{"a body", "", header("Content-Length", "5"), 400, "InvalidArgumentException"},
		{"a body in chunks", "", header("Transfer-Encoding", "chunked"), 400, "InvalidArgumentException"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPier(t, nil)
			if c.arn == "" {
				c.arn = bell.ARN().String()
			}
			_, resp := p.dial(p.handshake(c.arn, c.change))
			if resp.StatusCode != c.status || resp.Header.Get("x-amzn-ErrorType") != c.exception || resp.Header.Get("x-amzn-RequestId") == "" {
				t.Errorf("%d %v", resp.StatusCode, resp.Header)
			}
			if err := p.sockets.Wait(t.Context()); err != nil || p.lines("operation=ConnectAsViewer") != 1 {
				t.Errorf("%v, and the log has\n%s", err, p.log.String())
			}
		})
	}
}

// A cookie opens nothing: any page could have sent it.
func TestALoginOpensNoSocket(t *testing.T) {
	p := newPier(t, nil)
	p.front.o.Logins = anybody{}
	_, resp := p.dial(p.handshake(bell.ARN().String(), func(r *http.Request) {
		r.URL.RawQuery = "X-Amz-ChannelARN=" + url.QueryEscape(bell.ARN().String())
		r.Header.Set("Cookie", "millrace=1")
	}))
	if resp.StatusCode != 403 {
		t.Error(resp.StatusCode)
	}
}

// anybody is logged in.
type anybody struct{}

func (anybody) Login(context.Context, *http.Request) (kvs.Principal, bool, error) {
	return kvs.Principal{Account: account}, true, nil
}

func TestSocketsAreLimitedAndMayFail(t *testing.T) {
	p := newPier(t, map[string]string{"ConnectAsViewer.channel-rate": "1/s"})
	p.opened = kvs.Errorf(kvs.TooManyConnections, "There are as many viewers as may be.")
	arn := bell.ARN().String()
	_, resp := p.dial(p.handshake(arn, nil))
	if got := resp.Header.Get("x-amzn-ErrorType"); resp.StatusCode != 400 || got != "ClientLimitExceededException" {
		t.Errorf("no seat: %d %s", resp.StatusCode, got)
	}
	_, resp = p.dial(p.handshake(arn, nil))
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != 400 || !strings.Contains(string(b), "requests for ConnectAsViewer API for resource 'bell'") {
		t.Errorf("too often: %d %s", resp.StatusCode, b)
	}
}

// A mistake of ours ends one connection.
func TestAPanicBehindASocket(t *testing.T) {
	p := newPier(t, nil)
	conn, _ := p.dial(p.handshake(bell.ARN().String(), nil))
	_, _ = io.WriteString(conn, "panic\n")
	if err := p.sockets.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p.lines(`panic="the pier fell in"`) != 1 {
		t.Errorf("the log has\n%s", p.log.String())
	}
}

// Calls about channels name them as calls about streams name streams.
func TestQuestionsAboutChannels(t *testing.T) {
	onChannel := OnChannel("DescribeSignalingChannel", func(_ context.Context, c *Call, _ *wire.DescribeSignalingChannelInput) (any, error) {
		return nil, expect(c, bell.Name, "")
	})
	onResource := OnResource("ListTagsForResource", func(_ context.Context, c *Call, in *wire.ListTagsForResourceInput) (any, error) {
		if strings.Contains(*in.ResourceARN, ":stream/") {
			return nil, expect(c, "", yard.Name)
		}
		return nil, expect(c, bell.Name, "")
	})
	h := newHouse(t, nil, onChannel, onResource)
	p := &policies{}
	h.front.o.Authorizer, h.front.o.Channels = p, channels{bell.Tags}
	there, gone := bell.ARN().String(), "arn:aws:kinesisvideo:us-east-1:111122223333:channel/bell/5"
	for _, c := range []struct {
		path, body, resource string
		owner                kvs.AccountID
		status               int
	}{
		{"/describeSignalingChannel", `{"ChannelName":"bell"}`, there, account, 200},
		{"/describeSignalingChannel", `{"ChannelARN":"` + there + `"}`, there, account, 200},
		{"/describeSignalingChannel", `{"ChannelName":"barn"}`, "arn:aws:kinesisvideo:us-east-1:111122223333:channel/barn/0", "", 404},
		{"/describeSignalingChannel", `{"ChannelARN":"` + gone + `"}`, gone, "", 404},
		{"/describeSignalingChannel", `{"ChannelName":"yard"}`, "arn:aws:kinesisvideo:us-east-1:111122223333:channel/yard/0", "", 404},
		{"/describeSignalingChannel", `{"ChannelName":"cell","ChannelARN":"` + there + `"}`, "-", "", 400},
		{"/describeSignalingChannel", `{}`, "-", "", 400},
		{"/ListTagsForResource", `{"ResourceARN":"` + there + `"}`, there, account, 200},
		{"/ListTagsForResource", `{"ResourceARN":"` + gone + `"}`, gone, "", 404},
		{"/ListTagsForResource", `{"ResourceARN":"` + yard.ARN().String() + `"}`, yard.ARN().String(), account, 200},
	} {
		p.last = authority.Ask{Resource: "-"}
		if x := h.send(h.request(c.path, c.body, nil, nil)); x.status != c.status {
			t.Errorf("%s: %d %s", c.body, x.status, x.body)
		}
		if d := cmp.Diff([]string{c.resource, string(c.owner)}, []string{p.last.Resource, string(p.last.Owner)}); d != "" {
			t.Errorf("%s: %s", c.body, d)
		}
	}
	if !strings.Contains(h.log.String(), "channel=bell") {
		t.Error("the log names no channel")
	}
}

func expect(c *Call, channel, stream string) error {
	if c.Channel.Name != channel || c.Stream.Name != stream {
		return fmt.Errorf("it is about channel %q and stream %q", c.Channel.Name, c.Stream.Name)
	}
	return nil
}

// The tags of a channel count as they are when it is asked again.
func TestTagsOfAChannelAreReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rooms{}
		f := New(Options{Streams: r, Identifier: r, Authorizer: r, Channels: channels{map[string]string{"at": "gate"}}})
		call := &Call{front: f, Channel: bell, Request: &http.Request{}}
		about(call.question("kinesisvideo:ConnectAsViewer"), call)
		if got := call.ask.Tags["at"]; got != "door" {
			t.Errorf("at first: %s", got)
		}
		_, stop := call.Watch(t.Context())
		defer stop()
		time.Sleep(30 * time.Second)
		r.set(func(r *rooms) {
			if r.asked != 1 || r.last.Tags["at"] != "gate" || r.last.Keys != nil {
				t.Errorf("%d questions, the last %+v", r.asked, r.last)
			}
		})
	})
}
