package e2e

import (
	"net"
	"net/netip"
	"testing"

	"github.com/millrace/millrace/internal/relay/stun"
)

// TestDesertedPeers sends to addresses beside the server at which nobody is. The system keeps such
// packets for seconds, until it gives up to look for their neighbour; nobody else waits for that.
func TestDesertedPeers(t *testing.T) {
	t.Parallel()
	if !masqueraded(t) {
		return
	}
	s, port := meeting(t, `listen: ["198.51.100.1:3478"], advertise: [198.51.100.1], allow_peers: [198.51.100.0/24]`)
	at := net.JoinHostPort("198.51.100.1", port)
	c := s.allocated(t, at, stun.IPv4)
	const deserted, first = 10, 0x4000
	for i := range uint16(deserted) {
		peer := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(50 + i)}), peerPort)
		_, code := c.ask(stun.ChannelBind, func(b *stun.Builder) {
			b.AddNumber(stun.ChannelNumber, uint32(first+i)<<16).AddAddress(stun.XORPeerAddress, peer)
		})
		if code != 0 {
			t.Fatal("ChannelBind:", code)
		}
	}
	packet := make([]byte, 1000)
	for i := range 3000 {
		stun.PutChannel(packet, first+uint16(i%deserted), len(packet)-stun.ChannelHead)
		if _, err := c.conn.Write(packet); err != nil {
			t.Fatal(err)
		}
	}
	for range 16 { // as many as meet each socket of the listener
		conn, err := net.Dial("udp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		other := &relayClient{t: t, conn: conn}
		if _, code := other.ask(stun.Binding, func(*stun.Builder) {}); code != 0 {
			t.Error("Binding:", code)
		}
	}
	c.ask(stun.Refresh, func(b *stun.Builder) { b.AddNumber(stun.Lifetime, 0) })
	s.out.wait(t, `relay ended.* reason=released .* dropped=[1-9]\d+`)
}
