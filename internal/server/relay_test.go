package server

import (
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/relay"
	"github.com/millrace/millrace/internal/wire"
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

// Whom clients may reach, and what they are told, changes without a restart; addresses do not.
func TestReloadOfTheRelay(t *testing.T) {
	h := newHall(t)
	ch := h.channel(config.DevAccount, "door")
	relayed, err := h.allocate(h.servers(ch))
	if err != nil {
		t.Fatal(err)
	}
	next := h.config
	next.Turn.Host, next.Turn.AllowPeers, next.Turn.Advertise = "turn.example.com", nil, []string{"127.0.0.2"}
	if err := h.Reload(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	if told := h.servers(ch); !strings.HasPrefix(told.Uris[2], "turns:turn.example.com:") || len(told.Uris) != 3 {
		t.Errorf("%q", told.Uris)
	}
	_, err = relayed.WriteTo([]byte("hello"), &net.UDPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 9})
	h.refusedBy(403, err)
	if !slices.Contains(h.certs.Names(), "turn.example.com") {
		t.Errorf("the certificate's names are %s", h.certs.Names())
	}
	h.wantLog(`"setting changed" setting=turn.host`)
	h.wantLog(`"setting needs a restart" setting=turn.advertise`)
	next.Turn.AllowPeers = []string{"10.0.0.0/8"}
	if err := h.Reload(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	if _, err = relayed.WriteTo([]byte("hello"), &net.UDPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 9}); err != nil {
		t.Error(err)
	}
}

// A server without a certificate of its own for calls has one for the relay, so that clients
// are told of three ways always, and a domain that it is not for is told to who runs it.
func TestTheRelayHasACertificate(t *testing.T) {
	c := config.Default()
	c.Data, c.HTTP, c.HTTPS, c.Account = t.TempDir(), "127.0.0.1:0", "", config.DevAccount
	c.Archive.Reserve = 0
	c.Turn.Listen, c.Turn.Advertise = []string{"127.0.0.1:0"}, []string{"203.0.113.7"}
	c.TLS.ACME.Domains = []string{"video.example.com"}
	if all := Concerns(c); len(all) != 1 || all[0].Setting != "turn.host" || !strings.Contains(all[0].Text, "turns:203.0.113.7") {
		t.Errorf("%+v", all)
	}
	c.Turn.Host = "video.example.com"
	if all := Concerns(c); len(all) != 0 {
		t.Errorf("%+v", all)
	}
	c.TLS.ACME.Domains = nil
	s, err := New(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.shut(); err != nil {
			t.Error(err)
		}
	}()
	told := s.turn.Servers(kvs.Channel{ID: 7, Account: config.DevAccount}, "")
	if len(told) != 1 || len(told[0].Uris) != 3 || s.certs == nil || s.names() != nil {
		t.Errorf("%+v", told)
	}
}

// Who got credentials of a channel that was deleted is not relayed for, although a restart
// forgets whom the relay was told of.
func TestDeletedChannelsAfterARestart(t *testing.T) {
	before := newHall(t)
	door, yard := before.channel(config.DevAccount, "door"), before.channel(config.DevAccount, "yard")
	gone, kept := before.servers(door), before.servers(yard)
	before.ask("DeleteSignalingChannel", &wire.DeleteSignalingChannelInput{ChannelARN: new(door.ARN().String())}, nil)
	if err := before.stop(); err != nil {
		t.Fatal(err)
	}
	after := &hall{test: t, plant: newPlant(t, func(c *config.Config) {
		c.Data, c.Turn = before.config.Data, before.config.Turn
	})}
	at := after.servers(yard).Uris
	gone.Uris, kept.Uris = at, at
	if _, err := after.allocate(kept); err != nil {
		t.Fatal(err)
	}
	if _, err := after.allocate(gone); err != nil {
		t.Fatal(err)
	}
	after.until("what began in a channel that is gone has ended", func() bool {
		rows, _ := after.turn.Top(relay.Query{})
		return len(rows) == 1 && rows[0].Channel == yard.ID
	})
	_, err := after.allocate(gone)
	after.refusedBy(401, err)
	if n := after.gauge(`millrace_turn_endings_total{reason="revoked"}`); n != 1 {
		t.Errorf("%v endings are counted", n)
	}
}
