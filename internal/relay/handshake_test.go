package relay

import (
	"encoding/binary"
	"net/netip"
	"testing"

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
