package signaling

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/millrace/millrace/internal/quota"
)

const offer = `{"action":"SDP_OFFER","messagePayload":"e30="}`

// A master and a viewer meet by the paths, by what the URL says alone, and in other cases of
// the parameters' names; each gets what the other says.
func TestMasterAndViewerMeet(t *testing.T) {
	for name, c := range map[string]struct {
		master, viewer string
		id             string
	}{
		"by path":      {masterPath, viewerPath, "X-Amz-ClientId=anna"},
		"by client id": {"/", "/", "X-Amz-ClientID=anna"},
		"with slashes": {masterPath + "/", viewerPath + "/", "x-amz-clientid=anna"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStudio(t, quota.Open, Addresses{})
			master, viewer := s.join(c.master), s.join(c.viewer, c.id)
			say(t, viewer, offer)
			if got := hear(t, master); got != `{"messagePayload":"e30=","messageType":"SDP_OFFER","senderClientId":"anna"}` {
				t.Errorf("the master got %s", got)
			}
			say(t, master, `{"action":"SDP_ANSWER","messagePayload":"e30=","RecipientClientId":"anna"}`)
			if got := hear(t, viewer); got != `{"messagePayload":"e30=","messageType":"SDP_ANSWER"}` {
				t.Errorf("the viewer got %s", got)
			}
		})
	}
}

func TestWhoIsRefused(t *testing.T) {
	s := newStudio(t, quota.AWS, Addresses{})
	for _, c := range []struct {
		name, path string
		parameters []string
		status     int
		exception  string
	}{
		{"a viewer without a name", viewerPath, []string{byARN}, 400, "InvalidArgumentException"},
		{"an empty name", viewerPath, []string{byARN, "X-Amz-ClientId="}, 400, "InvalidArgumentException"},
		{"a name with other characters", viewerPath, []string{byARN, "X-Amz-ClientId=a b"}, 400, "InvalidArgumentException"},
		{"a long name", viewerPath, []string{byARN, "X-Amz-ClientId=" + strings.Repeat("a", 257)}, 400, "InvalidArgumentException"},
		{"a reserved name", viewerPath, []string{byARN, "X-Amz-ClientId=aWs_x"}, 400, "InvalidArgumentException"},
		{"two names", viewerPath, []string{byARN, "X-Amz-ClientId=a", "x-amz-clientid=b"}, 400, "InvalidArgumentException"},
		{"no channel", masterPath, nil, 400, "InvalidArgumentException"},
		{"two channels", masterPath, []string{byARN, "x-amz-channelarn=b"}, 400, "InvalidArgumentException"},
		{"no ARN", masterPath, []string{"X-Amz-ChannelARN=bell"}, 400, "InvalidArgumentException"},
		{"an older channel", masterPath, []string{byARN + "0"}, 404, "ResourceNotFoundException"},
		{"another account's", masterPath, []string{strings.Replace(byARN, "1111", "2222", 1)}, 404, "ResourceNotFoundException"},
	} {
		ws, status, exception := s.connect(s.sign(c.path, c.parameters...))
		if ws != nil || status != c.status || exception != c.exception {
			t.Errorf("%s: %d %s", c.name, status, exception)
		}
	}
	if all := s.hub.Presence(account, ""); len(all) > 0 {
		t.Errorf("a refused one has a seat: %+v", all)
	}
}

// The seats of viewers are limited; the same name takes over its own, and who was refused
// leaves none taken.
func TestSeatsOfViewers(t *testing.T) {
	s := newStudio(t, quota.AWS, Addresses{})
	var first *websocket.Conn
	for i := range 10 {
		ws := s.join(viewerPath, fmt.Sprint("X-Amz-ClientId=v", i))
		if i == 0 {
			first = ws
		}
	}
	for range 2 {
		ws, status, exception := s.connect(s.sign(viewerPath, byARN, "X-Amz-ClientId=one-more"))
		if ws != nil || status != 400 || exception != "ClientLimitExceededException" {
			t.Fatal(status, exception)
		}
	}
	s.join(viewerPath, "X-Amz-ClientId=v0")
	_, _, err := first.Read(t.Context())
	if closed, ok := errors.AsType[websocket.CloseError](err); !ok || closed.Reason != "replaced by a newer connection" {
		t.Errorf("the older one was told %v", err)
	}
}

func (s *studio) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// What is no text message of a bounded size ends a connection with the code that says so.
func TestWhatIsNoMessageEndsAConnection(t *testing.T) {
	for name, c := range map[string]struct {
		send func(ctx context.Context, ws *websocket.Conn) error
		code websocket.StatusCode
	}{
		"binary": {func(ctx context.Context, ws *websocket.Conn) error {
			return ws.Write(ctx, websocket.MessageBinary, []byte(offer))
		}, websocket.StatusUnsupportedData},
		"too long": {func(ctx context.Context, ws *websocket.Conn) error {
			return ws.Write(ctx, websocket.MessageText, make([]byte, maxMessage+1))
		}, websocket.StatusMessageTooBig},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStudio(t, quota.Open, Addresses{})
			ws := s.join(masterPath)
			if err := c.send(t.Context(), ws); err != nil {
				t.Fatal(err)
			}
			if _, _, err := ws.Read(t.Context()); websocket.CloseStatus(err) != c.code {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Whole messages come through small buffers, in pieces and at their largest.
func TestLongMessages(t *testing.T) {
	s := newStudio(t, quota.Open, Addresses{})
	master, viewer := s.join(masterPath), s.join(viewerPath, "X-Amz-ClientId=anna")
	master.SetReadLimit(1 << 20)
	payload := strings.Repeat("QUJD", 2500) // 10,000
	text := []byte(`{"action":"SDP_OFFER","messagePayload":"` + payload + `"}`)
	w, err := viewer.Writer(t.Context(), websocket.MessageText)
	if err != nil {
		t.Fatal(err)
	}
	for piece := range slices.Chunk(text, 700) { // each a frame
		if _, err := w.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got := hear(t, master); !strings.Contains(got, payload) {
		t.Errorf("the master got %.100s", got)
	}
	say(t, viewer, string(text)+strings.Repeat(" ", maxMessage-len(text)))
	if got := hear(t, master); !strings.Contains(got, payload) {
		t.Errorf("the master got %.100s", got)
	}
}

// What a client sends with its handshake, before the answer, is its first message.
func TestAClientThatDoesNotWait(t *testing.T) {
	s := newStudio(t, quota.Open, Addresses{})
	master := s.join(masterPath)
	at := strings.TrimPrefix(s.sign(viewerPath, byARN, "X-Amz-ClientId=anna"), s.server.URL)
	conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	frame := append([]byte{0x81, 0x80 | byte(len(offer)), 0, 0, 0, 0}, offer...)
	head := "GET " + at + " HTTP/1.1\r\nHost: " + s.server.Listener.Addr().String() + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Protocol: wss\r\nSec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	if _, err := conn.Write(append([]byte(head), frame...)); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != 101 {
		t.Fatal(resp, err)
	}
	if resp.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" || resp.Header.Get("Sec-WebSocket-Extensions") != "" || resp.Header.Get("Sec-WebSocket-Protocol") != "" {
		t.Errorf("header %v", resp.Header)
	}
	if got := hear(t, master); !strings.Contains(got, `"senderClientId":"anna"`) {
		t.Errorf("the master got %s", got)
	}
}

// A client that breaks the protocol is told so, and the log knows why.
func TestBrokenFrames(t *testing.T) {
	for name, frame := range map[string]string{
		"an unknown opcode":    "\x83\x80\x00\x00\x00\x00",
		"reserved bits":        "\xf1\x80\x00\x00\x00\x00",
		"not masked":           "\x81\x01a",
		"a control in pieces":  "\x09\x80\x00\x00\x00\x00",
		"a long control frame": "\x89\xfe\x01\x00\x00\x00\x00\x00",
		"a lone continuation":  "\x80\x80\x00\x00\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			s := newStudio(t, quota.Open, Addresses{})
			at := strings.TrimPrefix(s.sign(masterPath, byARN), s.server.URL)
			conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if _, err := io.WriteString(conn, "GET "+at+" HTTP/1.1\r\nHost: "+s.server.Listener.Addr().String()+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"+frame); err != nil {
				t.Fatal(err)
			}
			_ = conn.(*net.TCPConn).CloseWrite()
			if _, err := io.Copy(io.Discard, conn); err != nil {
				t.Fatal(err)
			}
			if err := s.sockets.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(s.text(), "reason=protocol") {
				t.Errorf("the log has\n%s", s.text())
			}
		})
	}
}

// Pings of a client show that it is there.
func TestPingsOfClientsAreAnswered(t *testing.T) {
	s := newStudio(t, quota.Open, Addresses{})
	ws := s.join(masterPath)
	ctx := ws.CloseRead(t.Context())
	soon, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := ws.Ping(soon); err != nil {
		t.Error(err)
	}
}

// Once a client goes its seat is free, and the log has two lines about it: who connected,
// and how it ended.
func TestTheLogOfAConnection(t *testing.T) {
	s := newStudio(t, quota.Open, Addresses{})
	ws := s.join(viewerPath, "X-Amz-ClientId=anna")
	_ = ws.Close(websocket.StatusNormalClosure, "bye")
	if err := s.sockets.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"operation=ConnectAsViewer status=101", "channel=bell", "reason=left", "client=anna"} {
		if !strings.Contains(s.text(), want) {
			t.Errorf("%s is not in\n%s", want, s.text())
		}
	}
	if strings.Contains(s.text(), "X-Amz-Signature") {
		t.Error("the log has a signature")
	}
	if all := s.hub.Presence(account, ""); len(all) > 0 {
		t.Errorf("%+v", all)
	}
}
