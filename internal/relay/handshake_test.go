package relay

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/dtls/v3"

	"github.com/millrace/millrace/internal/relay/stun"
)

// message is a DTLS record that nobody encrypted, with one whole message of a handshake.
func message(number uint16, size int) []byte {
	b := []byte{handshakeByte, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0}
	b = binary.BigEndian.AppendUint16(b, number) // of the record
	b = binary.BigEndian.AppendUint16(b, uint16(12+size))
	b = append(b, 16, 0) // a message that a client sends later
	b = binary.BigEndian.AppendUint16(b, uint16(size))
	b = binary.BigEndian.AppendUint16(b, number) // of the message
	b = append(b, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(size))
	return append(b, make([]byte, size)...)
}

// The library keeps all messages of a handshake. Who sends more of them than anybody needs is
// not heard any longer.
func TestEndlessHandshake(t *testing.T) {
	r := start(t, everywhere(t), func(o *Options) { o.Now = nil })
	_, hello := hellos(t)
	d := r.dtlsDoor()
	from := netip.AddrPortFrom(netip.MustParseAddr("127.9.9.9"), 9)
	d.receive(hello, from, d.local, &outbox{})
	if r.hall.Empty() {
		t.Fatal("there is no session")
	}
	for n := uint16(1); n*1000 <= mostHandshake+1000; n++ {
		d.receive(message(n, 1000), from, d.local, &outbox{})
	}
	until(t, "the session ends", r.hall.Empty)
}

// forged is a DTLS record that anybody could send.
func forged(kind, epoch byte, number uint16, content ...byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0}, number)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(content))), content...)
}

// Anybody can send records in the name of a client. None ends a session that is there, makes
// it deaf, or keeps it from ending.
func TestForgedRecords(t *testing.T) {
	const many = mostHandshake/1000 + 8 // fewer than wait
	for name, forge := range map[string]func(n uint16) []byte{
		"handshake":              func(n uint16) []byte { return message(n, 1000) },
		"finished":               func(n uint16) []byte { b := message(n, 1000); b[4] = 1; return b },
		"hello":                  func(n uint16) []byte { return forged(handshakeByte, 1, 1000+n, 1, 2, 3) },
		"close_notify":           func(n uint16) []byte { return forged(alert, 0, 1000+n, 1, 0) },
		"fatal alert":            func(n uint16) []byte { return forged(alert, 0, 1000+n, 2, 40) },
		"encrypted alert":        func(n uint16) []byte { return forged(alert, 1, 1000+n, make([]byte, 1000)...) },
		"change_cipher_spec":     func(n uint16) []byte { return forged(changeCipherSpec, 0, 1000+n, 7, 7) },
		"a wrong one, encrypted": func(n uint16) []byte { return forged(changeCipherSpec, 1, 1000+n, 7, 7) },
		"a right one, encrypted": func(n uint16) []byte { return forged(changeCipherSpec, 1, 60_000+n, 1) },
		"data":                   func(n uint16) []byte { return forged(applicationData, 0, 1000+n, 1, 2, 3) },
		"encrypted data":         func(n uint16) []byte { return forged(applicationData, 1, 1000+n, make([]byte, 100)...) },
		"data of the future":     func(n uint16) []byte { return forged(applicationData, 2, 1000+n, 1, 2, 3) },
		"nonsense":               func(n uint16) []byte { return forged(63, 0, 1000+n, 1, 2, 3) },
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, everywhere(t), func(o *Options) { o.Now, o.Sockets = nil, 1 })
			c, conn := r.shakeFrom(t, netip.AddrPortFrom(loopback, 0))
			c.allocate(overIPv4)
			to := net.UDPAddrFromAddrPort(addrPortOf(t, r.on("udp", "127.0.0.1")))
			for n := range uint16(many) {
				if _, err := conn.UDPConn.WriteTo(forge(n), to); err != nil {
					t.Fatal(err)
				}
			}
			if c.must(stun.Refresh, nil); len(r.Top()) != 1 {
				t.Error("the allocation is gone")
			}
			c.conn.Close()
			until(t, "it ends when the client says so", func() bool { return r.Totals().Ends[Left] == 1 })
		})
	}
}

// deaf is a socket that does not get the first answer which ends a handshake.
type deaf struct {
	net.PacketConn
	once bool
}

func (d *deaf) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := d.PacketConn.ReadFrom(b)
		if err != nil || d.once || n == 0 || b[0] != changeCipherSpec {
			return n, from, err
		}
		d.once = true
	}
}

// A client that did not hear the end of the handshake says its last words again, of which some
// are not encrypted, and then hears it.
func TestLostEndOfAHandshake(t *testing.T) {
	r := start(t, everywhere(t), func(o *Options) { o.Now = nil })
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	lossy := &deaf{PacketConn: socket}
	conn, err := dtls.ClientWithOptions(lossy, net.UDPAddrFromAddrPort(addrPortOf(t, r.on("udp", "127.0.0.1"))),
		dtls.WithInsecureSkipVerify(true), dtls.WithFlightInterval(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil || !lossy.once {
		t.Fatal(err, lossy.once)
	}
	c := &client{t: t, conn: conn}
	c.user, c.password, _ = r.Issue(account, front, "anna")
	c.allocate(overIPv4)
}

// Packets for which nobody has had time yet are bounded, and the rest is counted.
func TestBacklogOfASession(t *testing.T) {
	r := start(t, everywhere(t), func(o *Options) { o.Now, o.Sockets = nil, 1 })
	d := r.dtlsDoor()
	key := tuple{from: netip.MustParseAddrPort("127.9.9.9:9"), to: d.local.Addr()}
	s := &session{socket: d, key: key, came: make(chan []byte, packetsWaiting), path: &path{server: r.Server}} // that nobody serves
	s.shaken.Store(true)
	a := &allocation{}
	s.path.allocation.Store(a)
	d.mu.Lock()
	d.sessions[key] = s
	d.mu.Unlock()
	defer d.forget(s)
	for n := range uint16(packetsWaiting + 3) {
		d.secure(key, d.local, forged(applicationData, 1, n, 2, 3))
	}
	if n := a.carried.dropped[backlog].Load(); n != 3 || len(s.came) != packetsWaiting {
		t.Error(n, "are dropped,", len(s.came), "wait")
	}
}

// Data of the application have no bound.
func TestLongSession(t *testing.T) {
	r := start(t, everywhere(t), func(o *Options) { o.Now = nil })
	conn := r.connect(t, DTLS, "127.0.0.1")
	defer conn.Close()
	b := make([]byte, maxDatagram)
	for sent := 0; sent < 2*mostHandshake; sent += 1000 {
		question := stun.NewBuilder(nil, stun.Binding, stun.Request, transaction()).Add(stun.Software, make([]byte, 1000)).Bytes()
		if _, err := conn.WriteTo(question, nil); err != nil {
			t.Fatal(err)
		}
		if n, _, err := conn.ReadFrom(b); err != nil || !stun.Is(b[:n]) {
			t.Fatal(n, err)
		}
	}
}
