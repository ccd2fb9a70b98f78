package relay

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/internal/relay/stun"
)

// numbered is a packet with its number and some length.
func numbered(i int) string {
	return fmt.Sprintf("%04d", i) + strings.Repeat("x", []int{300, 300, 300, 30, 350}[i%5])
}

// Many packets at once arrive in the order of their flow, whatever lies between them.
func TestOrder(t *testing.T) {
	r := start(t)
	const n = 300 // what the sockets hold if nobody reads
	var clients [3]*client
	var peers [6]*peer
	var relayed [3]netip.AddrPort
	for i := range clients {
		clients[i] = r.dial(t)
		relayed[i] = clients[i].allocate(overIPv4)
		for k := range 2 {
			p := newPeer(t, loopback)
			peers[2*i+k] = p
			clients[i].must(stun.ChannelBind, channelTo(0x4000+uint16(k), p.addr()))
		}
	}
	for i := range n {
		c := clients[i%3]
		switch i % 7 {
		case 5:
			c.send(indicationTo(peers[2*(i%3)].addr(), numbered(i)))
		case 6:
			c.send(c.request(stun.Refresh, nil))
		default:
			c.send(channelData(0x4000+uint16(i%2), numbered(i)))
		}
		peers[i%6].send(relayed[i%6/2], numbered(i))
	}
	want := [6][]int{}
	for i := range n {
		switch to := 2 * (i % 3); {
		case i%7 == 5:
			want[to] = append(want[to], i)
		case i%7 < 5:
			want[to+i%2] = append(want[to+i%2], i)
		}
	}
	for k, p := range peers {
		for _, i := range want[k] {
			if got, from := p.read(); got != numbered(i) || from != relayed[k/2] {
				t.Fatalf("peer %d: %.4s from %s, want %04d", k, got, from, i)
			}
		}
	}
	for k, c := range clients {
		c.inOrder(2*k, n)
	}
}

// inOrder reads what n packets of all peers bring to the client of two of them.
func (c *client) inOrder(first, n int) {
	c.t.Helper()
	next := map[int]int{first: first, first + 1: first + 1}
	for next[first] < n || next[first+1] < n {
		packet := c.read()
		number, data, ok := stun.Channel(packet)
		if !ok {
			continue // the answer to a request
		}
		k := first + int(number-0x4000)
		if string(data) != numbered(next[k]) {
			c.t.Fatalf("from peer %d: %.4s, want %04d", k, data, next[k])
		}
		next[k] += 6
	}
}

// Nothing is left over from packets of a batch that are dropped, and they are counted.
func TestDroppedOnesBetween(t *testing.T) {
	r := start(t)
	c, p, stranger := r.dial(t), newPeer(t, loopback), newPeer(t, netip.MustParseAddr("127.0.0.9"))
	relayed := c.allocate(overIPv4)
	c.must(stun.ChannelBind, channelTo(0x4000, p.addr()))
	for i := range 60 {
		c.send(channelData(0x4000+uint16(i%2), fmt.Sprint(i)))
		p.send(relayed, fmt.Sprint(i))
		stranger.send(relayed, "stranger")
		if i%20 == 0 {
			p.send(relayed, strings.Repeat("l", maxDatagram+1))
			c.send(channelData(0x4000, strings.Repeat("l", maxDatagram)))
		}
	}
	for i := range 60 {
		if i%2 == 0 {
			if got, _ := p.read(); got != fmt.Sprint(i) {
				t.Fatal(got, "want", i)
			}
		}
		if got := string(c.read()); got != string(channelData(0x4000, fmt.Sprint(i))) {
			t.Fatalf("%q, want %d", got, i)
		}
	}
	until(t, "the others are dropped", func() bool {
		n := r.Totals()
		return n.Dropped["no permission"] == 90 && n.Dropped["too long"] == 3 && n.PacketsOut == 30 && n.PacketsIn == 60
	})
}

// A channel is revoked while its packets flow: what comes after it goes nowhere.
func TestRevokedInWork(t *testing.T) {
	r := start(t)
	c, p := r.dial(t), newPeer(t, loopback)
	relayed := c.allocate(overIPv4)
	c.must(stun.ChannelBind, channelTo(0x4000, p.addr()))
	var over atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !over.Load() {
			_, _ = c.conn.Write(channelData(0x4000, "data"))
			_, _ = p.conn.WriteToUDPAddrPort([]byte("data"), relayed)
		}
	}()
	until(t, "packets flow", func() bool { n := r.Totals(); return n.PacketsOut > 1000 && n.PacketsIn > 1000 })
	r.Revoke(front)
	r.logged(t, "reason=revoked")
	over.Store(true)
	<-done
	if n := r.Totals(); len(n.Live) != 0 || n.Ends[Revoked] != 1 {
		t.Errorf("%+v", n)
	}
}

// Nothing is allocated for a packet that is carried.
func TestNothingIsAllocatedForAPacket(t *testing.T) {
	r := start(t)
	c, p := r.dial(t), newPeer(t, loopback)
	relayed := c.allocate(overIPv4)
	c.must(stun.ChannelBind, channelTo(0x4000, p.addr()))
	packet, data, buffer := channelData(0x4000, "data"), []byte("data"), make([]byte, 100)
	carry := func(n int) {
		for i := range n {
			binary.BigEndian.PutUint32(data, uint32(i))
			_, _ = c.conn.Write(packet)
			_, _, _ = p.conn.ReadFromUDPAddrPort(buffer)
			_, _ = p.conn.WriteToUDPAddrPort(data, relayed)
			_, _ = c.conn.Read(buffer)
		}
	}
	carry(100)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const n = 5000
	carry(n)
	runtime.ReadMemStats(&after)
	if made := after.Mallocs - before.Mallocs; made > n/20 {
		t.Errorf("%d allocations for %d packets", made, 2*n)
	}
}

// BenchmarkCarry sends packets as fast as they go in, with runs of packets and between
// several clients.
func BenchmarkCarry(b *testing.B) {
	for _, size := range []int{120, 1200} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			r := start(b)
			c, p := r.dial(b), newPeer(b, loopback)
			c.allocate(overIPv4)
			c.must(stun.ChannelBind, channelTo(0x4000, p.addr()))
			packet := channelData(0x4000, strings.Repeat("x", size))
			b.ReportAllocs()
			for b.Loop() {
				c.send(packet)
			}
		})
	}
}
