package datagram

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"
)

const longest = 2000

var places = map[string]string{"udp4": "127.0.0.1:0", "udp6": "[::1]:0", "udp": ":0"}

// open opens a socket, or returns nil where the system has no such family.
func open(t *testing.T, network string) *Conn {
	t.Helper()
	a, err := net.ResolveUDPAddr(network, places[network])
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.ListenUDP(network, a)
	if err != nil && network != "udp4" {
		t.Log("this machine has no IPv6")
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetReadBuffer(4 << 20)
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	return New(c)
}

func (c *Conn) at(host string) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(host), c.LocalAddr().(*net.UDPAddr).AddrPort().Port())
}

// send sends packets in as many turns as it takes.
func send(t *testing.T, c *Conn, to netip.AddrPort, packets [][]byte) {
	t.Helper()
	b := NewPool(1, Room{Data: 1}).take()
	for len(packets) > 0 {
		n := min(len(packets), Most)
		for _, p := range packets[:n] {
			b.Out.Add(p, to)
		}
		if failed := b.Out.Send(c, nil); len(failed) > 0 {
			t.Fatal("not sent:", failed)
		}
		packets = packets[n:]
	}
}

// expect reads packets and compares them.
func expect(t *testing.T, c *Conn, from netip.AddrPort, packets [][]byte) {
	t.Helper()
	r := NewReader(c, NewPool(1, Room{Head: 3, Data: longest, Tail: 5}))
	for at := 0; at < len(packets); {
		b, err := r.Read()
		if err != nil {
			t.Fatal(err, "at", at)
		}
		for i, p := range b.Packets {
			if !bytes.Equal(p.Data, packets[at]) || p.Truncated {
				t.Fatalf("packet %d has %d bytes, want %d", at, len(p.Data), len(packets[at]))
			}
			if got := netip.AddrPortFrom(p.From.Addr().Unmap(), p.From.Port()); got != from {
				t.Fatal("from", got, "want", from)
			}
			if !bytes.Equal(b.Whole(i)[3:3+len(p.Data)], p.Data) || cap(b.Whole(i)) < 3+longest+5 {
				t.Fatal("the buffer has no room for", at)
			}
			at++
		}
		b.Release()
	}
}

// sizes makes packets that no two of which are the same.
func sizes(lengths ...int) (all [][]byte) {
	for i, n := range lengths {
		all = append(all, bytes.Repeat([]byte{byte(i), byte(i >> 8)}, (n+1)/2)[:n])
	}
	return all
}

// alternating are so many packets of lengths that come again and again.
func alternating(n int, lengths ...int) (all []int) {
	for i := range n {
		all = append(all, lengths[i%len(lengths)])
	}
	return all
}

// Packets arrive as they were sent, however they lie beside each other.
func TestBatches(t *testing.T) {
	for name, lengths := range map[string][]int{
		"one": {7}, "empty": {0}, "empty ones between": {5, 0, 5, 5, 0, 0, 5},
		"a run": alternating(Most, 120), "runs": alternating(3*Most+5, 1200), "a shorter end": {900, 900, 900, 20, 900, 900},
		"growing": {1, 2, 3, 4, 5}, "falling": {5, 4, 3, 2, 1}, "mixed": alternating(2*Most, 1200, 1200, 90, 1300, 0),
		"too long to be cut": alternating(20, longest), "around the bound": {1452, 1452, 1453, 1453, 1451, 1452},
	} {
		for network, host := range map[string]string{"udp4": "127.0.0.1", "udp6": "::1", "udp": "127.0.0.1"} {
			t.Run(name+"/"+network, func(t *testing.T) {
				from, to := open(t, network), open(t, network)
				if from == nil || to == nil {
					return
				}
				packets := sizes(lengths...)
				send(t, from, to.at(host), packets)
				expect(t, to, from.at(host), packets)
			})
		}
	}
}

// Packets to several addresses arrive in order at each.
func TestSeveralAddresses(t *testing.T) {
	from, one, other := open(t, "udp4"), open(t, "udp4"), open(t, "udp4")
	packets := sizes(alternating(Most, 50)...)
	b := NewPool(1, Room{Data: 1}).take()
	var first, second [][]byte
	for i, p := range packets {
		if i%5 < 3 {
			first = append(first, p)
			b.Out.Add(p, one.at("127.0.0.1"))
		} else {
			second = append(second, p)
			b.Out.Add(p, other.at("127.0.0.1"))
		}
	}
	if failed := b.Out.Send(from, nil); len(failed) > 0 {
		t.Error(failed)
	}
	expect(t, one, from.at("127.0.0.1"), first)
	expect(t, other, from.at("127.0.0.1"), second)
}

// What is too long is seen as such; what comes behind it is whole.
func TestTruncated(t *testing.T) {
	from, to := open(t, "udp4"), open(t, "udp4")
	send(t, from, to.at("127.0.0.1"), sizes(longest, longest+1, 9000, 3))
	r := NewReader(to, NewPool(1, Room{Data: longest, Tail: 1}))
	var got []bool
	for len(got) < 4 {
		b, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range b.Packets {
			got = append(got, p.Truncated)
			if len(p.Data) > longest {
				t.Error(len(p.Data), "bytes")
			}
		}
		b.Release()
	}
	if got[0] || !got[1] || !got[2] || got[3] {
		t.Error(got)
	}
}

// A packet that cannot be sent is named, and holds back no other.
func TestUnsent(t *testing.T) {
	from, to := open(t, "udp4"), open(t, "udp4")
	packets := sizes(10, 10, 10, 10, 10, 10)
	b := NewPool(1, Room{Data: 1}).take()
	for i, p := range packets {
		at := to.at("127.0.0.1")
		if i == 2 || i == 3 {
			at = to.at("2001:db8::1") // not for a socket of IPv4
		}
		b.Out.Add(p, at)
	}
	if failed := b.Out.Send(from, nil); len(failed) != 2 || failed[0] != 2 || failed[1] != 3 {
		t.Error(failed)
	}
	expect(t, to, from.at("127.0.0.1"), append(packets[:2:2], packets[4:]...))
	from.Close()
	b.Out.Add(packets[0], to.at("127.0.0.1"))
	b.Out.Add(packets[1], to.at("127.0.0.1"))
	if failed := b.Out.Send(from, nil); len(failed) != 2 {
		t.Error("through a closed socket:", failed)
	}
	if failed := b.Out.Send(from, nil); len(failed) != 0 {
		t.Error("nothing was to be sent:", failed)
	}
}

// A pool lends no more than it may have, and what comes back is lent again.
func TestPool(t *testing.T) {
	p := NewPool(2, Room{Data: 10})
	a, b := p.take(), p.take()
	got := make(chan *Batch)
	go func() { got <- p.take() }()
	a.Release()
	if c := <-got; c != a {
		t.Error("another one is made")
	}
	b.Release()
	if p.take() != b {
		t.Error("the last one is not the next")
	}
}

// A reader ends with its socket.
func TestClosed(t *testing.T) {
	c := open(t, "udp4")
	ended := make(chan error)
	go func() {
		_, err := NewReader(c, NewPool(1, Room{Data: 10})).Read()
		ended <- err
	}()
	c.Close()
	if err := <-ended; err == nil {
		t.Error("it read something")
	}
}

// What a burst needed does not stay for good.
func TestPoolAfterABurst(t *testing.T) {
	p := NewPool(2*kept, Room{Data: 10})
	var all []*Batch
	for range 2 * kept {
		all = append(all, p.take())
	}
	for _, b := range all {
		b.Release()
	}
	if len(p.free) != kept || p.made != kept {
		t.Errorf("%d of %d batches are kept, want %d", len(p.free), p.made, kept)
	}
	for range 2 * kept { // as many as before can be had
		p.take()
	}
}

// What nobody has needed for a while goes, and the rest stays.
func TestTrim(t *testing.T) {
	p := NewPool(4, Room{Data: 10})
	lend := func(n int) {
		var all []*Batch
		for range n {
			all = append(all, p.take())
		}
		for _, b := range all {
			b.Release()
		}
	}
	lend(4)
	for i, c := range []struct{ needs, want int }{{4, 4}, {3, 3}, {1, 1}, {1, 1}, {0, 0}, {0, 0}, {4, 4}} {
		lend(c.needs)
		if p.Trim(); len(p.free) != c.want || p.made != c.want {
			t.Errorf("step %d: %d are kept, %d counted; want %d", i, len(p.free), p.made, c.want)
		}
	}
	held := []*Batch{p.take(), p.take(), p.take(), p.take()}
	if p.Trim(); p.made != 4 {
		t.Error("what is lent is counted no longer")
	}
	for _, b := range held {
		b.Release()
	}
	if p.Trim(); len(p.free) != 4 {
		t.Error("what came back just now is gone")
	}
}
