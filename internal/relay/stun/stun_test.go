package stun

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
)

// unhex takes the notation of RFC 5769.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The vectors of RFC 5769: their bytes are facts of the protocol.
const (
	vectorRequest = `000100582112a442b7e7a701bc34d686fa87dfae 80220010 5354554e207465737420636c69656e74
		00240004 6e0001ff 80290008 932ff9b151263b36 00060009 6576746a3a68367659202020
		00080014 9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2 80280004 e57a3bcf`
	vectorResponse = `0101003c2112a442b7e7a701bc34d686fa87dfae 8022000b 7465737420766563746f7220
		00200008 0001a147e112a643 00080014 2b91f599fd9e90c38c7489f92af9ba53f06be7d7 80280004 c07d4c96`
	vectorResponse6 = `010100482112a442b7e7a701bc34d686fa87dfae 8022000b 7465737420766563746f7220
		00200014 0002a1470113a9faa5d3f179bc25f4b5bed2b9d9
		00080014 a382954e4be67bf11784c97c8292c275bfe3ed41 80280004 c8fb0b4c`
	vectorLongTerm = `000100602112a44278ad3433c6ad72c029da412e
		00060012 e3839ee38388e383aae38383e382af e382b9 0000
		0015001c 662f2f3439396b39353464364f4c33346f4c394653547679363473 41
		0014000b 6578616d706c652e6f726700
		00080014 f67024656dd64a3e02b8e0712e85c9a28ca89666`
)

func TestVectorsOfRFC5769(t *testing.T) {
	short := []byte("VOkJxbRl1RmTxUk/WvJxBt")
	m, err := Parse(unhex(t, vectorRequest))
	if err != nil || m.Method() != Binding || m.Class() != Request || !m.Signed(short) || m.Signed([]byte("other")) {
		t.Error("sample request:", m.Method(), m.Class(), err)
	}
	if user, _ := m.Get(Username); string(user) != "evtj:h6vY" {
		t.Errorf("user %q", user)
	}
	for text, want := range map[string]string{vectorResponse: "192.0.2.1:32853", vectorResponse6: "[2001:db8:1234:5678:11:2233:4455:6677]:32853"} {
		m, err := Parse(unhex(t, text))
		if err != nil || m.Class() != Success || !m.Signed(short) {
			t.Error(want, err)
		}
		if a, ok := m.Address(XORMappedAddress); !ok || a.String() != want {
			t.Error(a, ok)
		}
	}
	m, err = Parse(unhex(t, vectorLongTerm))
	if err != nil || !m.Signed(Key("マトリックス", "example.org", "TheMatrIX")) {
		t.Error("long-term request", err)
	}
}

// What is written is what the vectors have, sections 2.1 to 2.4. Padding may be anything, and
// those of them that answer or ask with a short password have spaces.
func TestWritingTheVectors(t *testing.T) {
	short := []byte("VOkJxbRl1RmTxUk/WvJxBt")
	spaces := func(b *Builder, n int) *Builder {
		copy(b.raw[len(b.raw)-n:], "   ")
		return b
	}
	answer := func(b *Builder, address string) []byte {
		spaces(b.Add(Software, []byte("test vector")), 1).AddAddress(XORMappedAddress, netip.MustParseAddrPort(address))
		return b.Sign(short).Fingerprint().Bytes()
	}
	for text, write := range map[string]func(id []byte) []byte{
		vectorRequest: func(id []byte) []byte {
			b := NewBuilder(nil, Binding, Request, id).Add(Software, []byte("STUN test client")).AddNumber(icePriority, 0x6e0001ff)
			b.Add(0x8029, []byte{0x93, 0x2f, 0xf9, 0xb1, 0x51, 0x26, 0x3b, 0x36}) // ICE-CONTROLLED
			return spaces(b.Add(Username, []byte("evtj:h6vY")), 3).Sign(short).Fingerprint().Bytes()
		},
		vectorResponse: func(id []byte) []byte { return answer(NewBuilder(nil, Binding, Success, id), "192.0.2.1:32853") },
		vectorResponse6: func(id []byte) []byte {
			return answer(NewBuilder(nil, Binding, Success, id), "[2001:db8:1234:5678:11:2233:4455:6677]:32853")
		},
		vectorLongTerm: func(id []byte) []byte {
			b := NewBuilder([]byte("before"), Binding, Request, id).Add(Username, []byte("マトリックス"))
			b.Add(Nonce, []byte("f//499k954d6OL34oL9FSTvy64sA")).Add(Realm, []byte("example.org"))
			return b.Sign(Key("マトリックス", "example.org", "TheMatrIX")).Bytes()[len("before"):]
		},
	} {
		want := unhex(t, text)
		if got := write(want[8:20]); !bytes.Equal(got, want) {
			t.Errorf("got  %x\nwant %x", got, want)
		}
	}
}

func TestTypes(t *testing.T) {
	for _, method := range []Method{Binding, Allocate, Refresh, Send, Data, CreatePermission, ChannelBind, 0x07F} {
		for _, class := range []Class{Request, Indication, Success, Failure} {
			m, err := Parse(NewBuilder(nil, method, class, make([]byte, 12)).Fingerprint().Bytes())
			if err != nil || m.Method() != method || m.Class() != class {
				t.Error(method, class, "became", m.Method(), m.Class(), err)
			}
		}
	}
}

// Attributes behind MESSAGE-INTEGRITY are not covered by it and must not count.
func TestWhatIsNotSignedDoesNotCount(t *testing.T) {
	key := Key("user", "realm", "password")
	b := NewBuilder(nil, Refresh, Request, make([]byte, 12)).AddNumber(Lifetime, 600).Sign(key)
	b.AddAddress(XORPeerAddress, netip.MustParseAddrPort("192.0.2.1:9")).Add(0x7ABC, nil)
	m, err := Parse(b.Fingerprint().Bytes())
	if err != nil || !m.Signed(key) || !m.Fingerprinted() {
		t.Fatal(err)
	}
	if _, ok := m.Address(XORPeerAddress); ok || len(m.Unknown()) != 0 {
		t.Error("an attribute was smuggled in")
	}
}

func TestMalformed(t *testing.T) {
	good := NewBuilder(nil, Allocate, Request, make([]byte, 12)).AddNumber(RequestedTransport, 17<<24).Fingerprint().Bytes()
	for n := range good {
		if _, err := Parse(good[:n]); err == nil {
			t.Error(n, "bytes of it are taken for a message")
		}
	}
	for i := range good {
		if i == 28 || i == 29 {
			continue // another kind of attribute: there is no fingerprint then
		}
		bad := bytes.Clone(good)
		bad[i] ^= 0x80
		if _, err := Parse(bad); err == nil {
			t.Error("a message is taken whose fingerprint does not fit, byte", i)
		}
	}
}

func TestFrames(t *testing.T) {
	message := NewBuilder(nil, Binding, Request, make([]byte, 12)).Bytes()
	channel := append([]byte{0x40, 1, 0, 5}, "12345\x00\x00\x00"...)
	for _, c := range []struct {
		b    []byte
		n    int
		fail bool
	}{
		{nil, 0, false}, {message[:3], 0, false}, {message[:7], 0, false}, {message, len(message), false},
		{channel[:3], 0, false}, {channel[:4], 12, false}, {[]byte{0x40, 0, 0, 0}, 4, false}, {[]byte{0x4F, 0xFF, 0xFF, 0xFF}, 65540, false},
		{[]byte("\x80SH-2.0"), 0, true}, {[]byte{0x7F, 0, 0, 0}, 4, false}, {[]byte{0x80, 0, 0, 0}, 0, true}, {[]byte{0, 1, 0, 3}, 0, true}, {[]byte{0, 1, 0, 0, 1, 2, 3, 4}, 0, true},
	} {
		if n, err := Frame(c.b); n != c.n || (err != nil) != c.fail {
			t.Errorf("%x: %d, %v", c.b, n, err)
		}
	}
	if n, payload, ok := Channel(channel); n != 0x4001 || string(payload) != "12345" || !ok {
		t.Error(n, payload, ok)
	}
}

// A message that is taken can be looked at in every way.
func FuzzParse(f *testing.F) {
	for _, v := range []string{vectorRequest, vectorResponse, vectorResponse6, vectorLongTerm} {
		f.Add(unhex(f, v))
	}
	f.Add([]byte{0x40, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := Frame(b); err == nil && n != 0 && n%4 != 0 {
			t.Fatal("a frame that is not padded:", n)
		}
		Channel(b)
		m, err := Parse(b)
		if err != nil {
			return
		}
		m.Unknown()
		m.Fingerprinted()
		m.Signed([]byte("key"))
		for _, k := range []Attribute{XORMappedAddress, XORPeerAddress} {
			m.Address(k)
			m.Addresses(k)
		}
		m.Number(Lifetime)
		if n, err := Frame(b); n != len(b) || err != nil {
			t.Fatal("whole, but its frame is", n, err)
		}
	})
}
