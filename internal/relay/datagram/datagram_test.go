package datagram

import (
	"net"
	"net/netip"
	"testing"
)

// Packets of one client come to one socket, and say where they went.
func TestSharing(t *testing.T) {
	all, err := Listen("udp4", "0.0.0.0:0", 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		defer c.Close()
		if c.LocalAddr().String() != all[0].LocalAddr().String() {
			t.Error("another address:", c.LocalAddr())
		}
		if err := WantDestination(c); err != nil {
			t.Error(err)
		}
	}
	if !CanShare {
		return
	}
	to := netip.MustParseAddr("127.0.0.3")
	from, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, all[0].LocalAddr().(*net.UDPAddr).AddrPort().Port())))
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	got := make(chan netip.Addr)
	for _, c := range all {
		go func() {
			b, oob := make([]byte, 10), make([]byte, OOBSize)
			if _, n, _, back, err := c.ReadMsgUDPAddrPort(b, oob); err == nil {
				a, _ := Destination(oob[:n])
				_, _, _ = c.WriteMsgUDPAddrPort([]byte("answer"), LeaveFrom(a), back)
				got <- a
			}
		}()
	}
	if _, err := from.Write([]byte("question")); err != nil {
		t.Fatal(err)
	}
	if a := <-got; a != to {
		t.Error("the packet went to", a)
	}
	// The socket hears only from where it sent to.
	if _, err := from.Read(make([]byte, 10)); err != nil {
		t.Error(err)
	}
}

// Packets of many clients come to more than one socket, each client's to one of them: that is
// what lets all cores work.
func TestSharingSpreads(t *testing.T) {
	if !CanShare {
		return
	}
	const clients, each = 64, 3
	all, err := Listen("udp4", "127.0.0.1:0", 4)
	if err != nil {
		t.Fatal(err)
	}
	type heard struct {
		socket int
		from   netip.AddrPort
	}
	got := make(chan heard)
	for i, c := range all {
		defer c.Close()
		go func() {
			for {
				_, from, err := c.ReadFromUDPAddrPort(make([]byte, 10))
				if err != nil {
					return
				}
				got <- heard{i, from}
			}
		}()
	}
	for range clients {
		from, err := net.DialUDP("udp4", nil, all[0].LocalAddr().(*net.UDPAddr))
		if err != nil {
			t.Fatal(err)
		}
		defer from.Close()
		for range each {
			if _, err := from.Write([]byte("question")); err != nil {
				t.Fatal(err)
			}
		}
	}
	of, sockets := map[netip.AddrPort]int{}, map[int]bool{}
	for range clients * each {
		h := <-got
		if before, known := of[h.from]; known && before != h.socket {
			t.Errorf("%s is heard by socket %d and by %d", h.from, before, h.socket)
		}
		of[h.from], sockets[h.socket] = h.socket, true
	}
	if len(sockets) < 2 {
		t.Errorf("%d clients are heard by one socket of %d", clients, len(all))
	}
}

func FuzzDestination(f *testing.F) {
	f.Add(LeaveFrom(netip.MustParseAddr("127.0.0.1")))
	f.Add(LeaveFrom(netip.MustParseAddr("::1")))
	f.Fuzz(func(_ *testing.T, oob []byte) { Destination(oob) })
}
