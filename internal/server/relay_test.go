package server

import (
	"net"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/config"
)

// A server that stops asks the clients of channels to leave, and relays until the call is over.
func TestStoppingRelaysLast(t *testing.T) {
	h := newHall(t)
	ch := h.channel(config.DevAccount, "door")
	ws := h.join(h.Client, ch, "anna")
	h.seated(ch)
	peer, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	relayed, err := h.allocate(h.servers(ch))
	if err != nil {
		t.Fatal(err)
	}
	call := func() {
		t.Helper()
		if _, err := relayed.WriteTo([]byte("hello"), peer.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		if n, _, err := peer.ReadFrom(make([]byte, 100)); err != nil || n != 5 {
			t.Fatal(n, err)
		}
	}
	call()
	door := h.bound["https"].Addr().String()
	ended := make(chan error)
	go func() { ended <- h.stop() }()
	if got := h.hears(ws); !strings.Contains(got, `"messageType":"GO_AWAY"`) {
		t.Errorf("heard %s", got)
	}
	call()
	_ = ws.CloseNow()
	h.until("the door is closed", func() bool {
		conn, err := net.Dial("tcp", door)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	call()
	if err := relayed.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	h.wantLog("reason=released")
}
