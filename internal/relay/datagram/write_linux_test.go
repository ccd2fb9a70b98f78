package datagram

import (
	"net/netip"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Where the system does not cut, packets go out one by one, and it is not asked again.
func TestNotCut(t *testing.T) {
	from, to := open(t, "udp4"), open(t, "udp4")
	if from.segment.Load() == 0 {
		t.Log("this system never cuts")
		return
	}
	// Without checksums nothing is cut.
	raw, err := from.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if e := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_NO_CHECK, 1) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
	packets := sizes(append(alternating(10, 1000), 3, 3, 200, 200, 200, 1000, 1000)...)
	send(t, from, to.at("127.0.0.1"), packets)
	expect(t, to, from.at("127.0.0.1"), packets)
	if n := from.segment.Load(); n >= 3 {
		t.Error("packets of", n, "bytes are still to be cut")
	}
}

// full is a socket that has no room.
type full struct{ syscall.RawConn }

func (full) Control(func(uintptr)) error { return nil }

func (full) Write(func(uintptr) bool) error { panic("it would wait") }

// What there is no room for is lost, and nobody waits.
func TestWithoutRoom(t *testing.T) {
	from, to := open(t, "udp4"), open(t, "udp4")
	raw := from.raw
	from.raw = full{raw}
	b := NewPool(1, Room{Data: 1}).take()
	for _, p := range sizes(10, 20, 20, 30) {
		b.Out.Add(p, to.at("127.0.0.1"))
	}
	if failed := b.Out.Send(from, nil); !slices.Equal(failed, []int{0, 1, 2, 3}) {
		t.Error(failed)
	}
	if from.Send([]byte("alone"), nil, to.at("127.0.0.1")) {
		t.Error("there was no room, and yet it was sent")
	}
	from.raw = raw
	if !from.Send([]byte("alone"), nil, to.at("127.0.0.1")) {
		t.Error("it was not sent")
	}
	expect(t, to, from.at("127.0.0.1"), [][]byte{[]byte("alone")})
}

// An address to which nothing can be sent says nothing about cutting: whoever sends from port 0
// would slow down everybody else.
func TestNothingIsLearntFromAnAddress(t *testing.T) {
	from := open(t, "udp4")
	b := NewPool(1, Room{Data: 1}).take()
	for _, p := range sizes(500, 500, 500) {
		b.Out.Add(p, netip.MustParseAddrPort("127.0.0.1:0"))
	}
	before := from.segment.Load()
	if failed := b.Out.Send(from, nil); len(failed) != 3 || from.segment.Load() != before {
		t.Error(failed, from.segment.Load())
	}
}

func TestWhatIsLearntFromRefusals(t *testing.T) {
	for err, want := range map[error]int32{unix.EIO: 0, unix.EINVAL: 999, unix.EMSGSIZE: 999, unix.EPERM: longestSegment} {
		c := &Conn{}
		c.segment.Store(longestSegment)
		if again := c.shorten(1000, err); again != (want != longestSegment) || c.segment.Load() != want {
			t.Error(err, again, c.segment.Load())
		}
	}
}

// Addresses are written and read as the system has them.
func FuzzAddresses(f *testing.F) {
	f.Add([]byte{127, 0, 0, 1}, uint16(3478), uint32(0))
	f.Add(netip.MustParseAddr("fe80::1").AsSlice(), uint16(1), uint32(3))
	f.Fuzz(func(t *testing.T, b []byte, port uint16, zone uint32) {
		a, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		var s sockaddr
		length := s.put(netip.AddrPortFrom(a, port), true)
		s.Scope_id = zone
		got := s.get()
		if length != unix.SizeofSockaddrInet6 || got.Addr().WithZone("").Unmap() != a.Unmap() || got.Port() != port || scope(got.Addr().Zone()) != zone {
			t.Error(got)
		}
		if !a.Unmap().Is4() {
			return
		}
		if s = (sockaddr{}); s.put(netip.AddrPortFrom(a, port), false) != unix.SizeofSockaddrInet4 || s.get() != netip.AddrPortFrom(a.Unmap(), port) {
			t.Error(s.get())
		}
	})
}
