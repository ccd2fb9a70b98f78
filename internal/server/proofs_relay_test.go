package server

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/pion/turn/v5"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/relay"
	"github.com/millrace/millrace/internal/wire"
)

// servers are what a client of a channel is told.
func (h *hall) servers(ch kvs.Channel) wire.IceServer {
	h.test.Helper()
	var out wire.GetIceServerConfigOutput
	h.ask("GetIceServerConfig", &wire.GetIceServerConfigInput{ChannelARN: new(ch.ARN().String())}, &out)
	if len(out.IceServerList) != 1 {
		h.test.Fatalf("%+v", out)
	}
	return out.IceServerList[0]
}

// allocate lets a client of a library get a relay address with what it was told.
func (h *hall) allocate(told wire.IceServer) (relayed net.PacketConn, err error) {
	h.test.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		h.test.Fatal(err)
	}
	h.test.Cleanup(func() { _ = conn.Close() })
	at := strings.TrimSuffix(strings.TrimPrefix(told.Uris[0], "turn:"), "?transport=udp")
	c, err := turn.NewClient(&turn.ClientConfig{TURNServerAddr: at, Conn: conn, Username: *told.Username, Password: *told.Password})
	if err != nil {
		h.test.Fatal(err)
	}
	h.test.Cleanup(c.Close)
	if err := c.Listen(); err != nil {
		h.test.Fatal(err)
	}
	if relayed, err = c.Allocate(); err == nil {
		h.test.Cleanup(func() { _ = relayed.Close() })
	}
	return relayed, err
}

func (h *hall) refusedBy(code int, err error) {
	h.test.Helper()
	if err == nil || !strings.Contains(err.Error(), fmt.Sprint("error ", code)) {
		h.test.Errorf("got %v, want error %d", err, code)
	}
}

func tooManyAllocations(h *hall, l *quota.Limit) {
	told := h.servers(h.channel(config.DevAccount, "crowded"))
	for range int(l.AWS) {
		if _, err := h.allocate(told); err != nil {
			h.test.Fatal(err)
		}
	}
	_, err := h.allocate(told)
	h.refusedBy(486, err)
	if _, err := h.allocate(h.servers(h.channel(config.DevAccount, "quiet"))); err != nil {
		h.test.Error("another channel:", err)
	}
	if n := h.breaches(l); n != 1 {
		h.test.Errorf("%v refusals are counted", n)
	}
}

// The clock of its hall stands still: a second's worth passes at once, and nothing behind it.
func tooMuchRelayed(h *hall, l *quota.Limit) {
	h = newHall(h.test)
	peer, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		h.test.Fatal(err)
	}
	defer peer.Close()
	relayed, err := h.allocate(h.servers(h.channel(config.DevAccount, "loud")))
	if err != nil {
		h.test.Fatal(err)
	}
	const size = 1000
	fits := uint64(l.AWS) / size
	look := func() relay.Allocation {
		rows, _ := h.turn.Top(relay.Query{})
		return rows[0]
	}
	for n := uint64(1); n <= fits+20; n++ {
		if _, err := relayed.WriteTo(bytes.Repeat([]byte{1}, size), peer.LocalAddr()); err != nil {
			h.test.Fatal(err)
		}
		h.until("a packet is counted", func() bool { a := look(); return a.PacketsOut+a.Dropped == n })
	}
	if a := look(); a.PacketsOut != fits || a.Dropped != 20 {
		h.test.Errorf("%d packets were relayed and %d dropped, want %d and 20", a.PacketsOut, a.Dropped, fits)
	}
	if n := h.gauge(`millrace_turn_dropped_total{reason="bandwidth"}`); n != 20 {
		h.test.Errorf("%v are counted", n)
	}
}

// Expiry ends no allocation that began before it.
func oldRelayCredentials(h *hall, l *quota.Limit) {
	h = newHall(h.test)
	told := h.servers(h.channel(config.DevAccount, "door"))
	h.pass(time.Duration(l.AWS)*time.Second - time.Second)
	early, err := h.allocate(told)
	if err != nil {
		h.test.Fatal(err)
	}
	h.pass(2 * time.Second)
	_, err = h.allocate(told)
	h.refusedBy(401, err)
	peer, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		h.test.Fatal(err)
	}
	defer peer.Close()
	if _, err := early.WriteTo([]byte("still there"), peer.LocalAddr()); err != nil { // asks for a permission first
		h.test.Error("an allocation that began in time:", err)
	}
}
