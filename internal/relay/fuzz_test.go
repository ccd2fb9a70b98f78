package relay

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/millrace/millrace/internal/relay/stun"
)

// FuzzClient lets a client with the right key say anything in any order: each request is signed
// as it should be, its attributes are what they happen to be. What the server keeps stays bounded.
func FuzzClient(f *testing.F) {
	r := start(f)
	from := netip.MustParseAddr("192.0.2.7")
	user, password, _ := r.Issue(account, front, "fuzz")
	key := stun.Key(user, "millrace", password)
	nonce := []byte(testSecret(f).Nonce(r.clock.Now(), from))
	f.Add([]byte{1, 1, 0, 4, 17, 0, 0, 0, 3, 1, 5, 8, 0, 1, 0x21, 0x1b, 0x5e, 0x12, 0xa4, 0x43})
	f.Add([]byte{1, 1, 0, 4, 17, 0, 0, 0, 4, 2, 5, 8, 0, 1, 0x21, 0x1b, 0x5e, 0x12, 0xa4, 0x43, 3, 4, 0x40, 0, 0, 0, 2, 1, 4, 4, 0, 0, 0, 0})
	f.Add([]byte{1, 2, 0, 4, 17, 0, 0, 0, 2, 1, 0x80, 1, 1, 0, 4, 17, 0, 0, 0, 5, 0, 6, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		p, s := r.from(from)
		for in := bytes.NewBuffer(script); in.Len() > 0; {
			s.last = nil
			p.receive(said(in, user, key, nonce))
			if len(s.last) > 400 {
				t.Fatal("an answer of", len(s.last), "bytes")
			}
		}
		a := p.allocation.Load()
		if a == nil {
			return
		}
		if len(a.permissions) > maxPeers || len(a.numbers) > maxPeers || len(a.numbers) != len(a.channels) || len(r.book.all()) != 1 || len(r.book.kept) > maxReservations {
			t.Fatal(len(a.permissions), "permissions,", len(a.numbers), "numbers,", len(a.channels), "channels")
		}
		for peer := range a.permissions {
			if !peer.Is4() || r.denies(peer) {
				t.Fatal(peer, "is permitted")
			}
		}
		a.stop(Released)
		r.book.mu.Lock()
		for _, k := range r.book.kept {
			k.timer.Reset(0)
		}
		r.book.mu.Unlock()
	})
}

// said makes a packet of what a script has next: a method, how many attributes, and of each the
// kind, the length and the value.
func said(in *bytes.Buffer, user string, key, nonce []byte) []byte {
	methods := []stun.Method{stun.Binding, stun.Allocate, stun.Refresh, stun.CreatePermission, stun.ChannelBind, stun.Send, stun.Data, 0xA}
	kinds := []stun.Attribute{
		stun.RequestedTransport, stun.RequestedAddressFamily, stun.EvenPort, stun.ChannelNumber, stun.Lifetime, stun.XORPeerAddress,
		stun.DataValue, stun.ReservationToken, stun.ChangeRequest, 0x8000, 0x1A, stun.Username,
	}
	next := func() int { b, _ := in.ReadByte(); return int(b) }
	what := next()
	if what >= 0x80 {
		return channelData(0x4000|uint16(what&3), string(in.Next(next()&0xF)))
	}
	method, class := methods[what%len(methods)], stun.Request
	if method == stun.Send || method == stun.Data {
		class = stun.Indication
	}
	b := stun.NewBuilder(nil, method, class, make([]byte, 12))
	for range next() % 5 {
		b.Add(kinds[next()%len(kinds)], in.Next(next()&0x1F))
	}
	if class == stun.Request {
		b.Add(stun.Username, []byte(user)).Add(stun.Realm, []byte("millrace")).Add(stun.Nonce, nonce).Sign(key)
	}
	return b.Bytes()
}

// FuzzStream has anything come over a connection, at once or byte for byte: the same is seen in it.
func FuzzStream(f *testing.F) {
	r := start(f)
	whole := (&client{}).request(stun.Binding, nil)
	f.Add(append(channelData(0x4000, "12345\x00\x00\x00"), whole...))
	f.Add(append(channelData(0x4000, ""), "SSH-2.0"...))
	f.Add(whole[:13])
	f.Fuzz(func(t *testing.T, b []byte) {
		see := func(all *bufio.Reader) (answers int, malformed uint64) {
			p, s := r.from(netip.MustParseAddr("192.0.2.7"))
			r.clock.move(1 << 40) // everybody is answered again
			before := r.Totals().Malformed
			(&stream{path: p}).read(all)
			return s.n, r.Totals().Malformed - before
		}
		answers, bad := see(bufio.NewReaderSize(bytes.NewReader(b), maxDatagram+stun.ChannelHead))
		if n, m := see(bufio.NewReaderSize(iotest.OneByteReader(bytes.NewReader(b)), maxDatagram+stun.ChannelHead)); n != answers || m != bad {
			t.Fatal(n, "answers and", m, "bad messages byte for byte,", answers, "and", bad, "at once")
		}
	})
}

// FuzzRecords takes packets of DTLS clients apart: before hands are shaken nothing is left out
// until there is no room, then only what is encrypted is left.
func FuzzRecords(f *testing.F) {
	f.Add(message(1, 100), true)
	f.Add(slices.Concat(message(1, 10), forged(changeCipherSpec, 0, 2, 1), forged(handshakeByte, 1, 3, 1, 2, 3)), true)
	f.Add(slices.Concat(forged(alert, 1, 3, 1, 0), forged(applicationData, 2, 4, 1), forged(applicationData, 1, 5)), true)
	f.Add(forged(applicationData, 1, 3, 1, 2, 3)[:recordHead-1], false)
	f.Fuzz(func(t *testing.T, packet []byte, shaken bool) {
		s := &session{}
		s.shaken.Store(shaken)
		for range 40 {
			before := s.spent
			got := s.admitted(packet)
			if s.spent > mostHandshake || len(got) > len(packet) {
				t.Fatal(s.spent, "bytes are kept, of a packet", len(got))
			}
			if !shaken && before+len(packet) <= mostHandshake && !bytes.Equal(got, packet) {
				t.Fatalf("of %x %x is left", packet, got)
			}
			for rest := got; shaken && len(rest) > 0; {
				if len(rest) <= recordHead || rest[0] < alert || rest[0] > applicationData || rest[3] != 0 || rest[4] != 1 {
					t.Fatalf("%x was let through", rest)
				}
				rest = rest[min(len(rest), recordHead+int(binary.BigEndian.Uint16(rest[recordHead-2:]))):]
			}
		}
		if len(packet) > 0 && isHello(packet) && !isPlain(packet) {
			t.Fatalf("%x is a ClientHello", packet)
		}
		picked(packet)
	})
}
