package relay

import (
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/relay/guard"
	"github.com/millrace/millrace/internal/relay/stun"
)

// sink is a way that goes nowhere and remembers the last packet.
type sink struct {
	n    int
	last []byte
}

func (s *sink) write(b []byte) bool { s.n, s.last = s.n+1, b; return true }
func (s *sink) keep(bool)           {}

// from makes a path of somebody who sends from an address.
func (r *running) from(a netip.Addr) (*path, *sink) {
	s := &sink{}
	return &path{server: r.Server, transport: UDP, from: netip.AddrPortFrom(a, 4000), to: netip.AddrPortFrom(loopback, 3478), way: s}, s
}

// Nobody can have the relay send much to somebody else whose address he forges.
func TestNoAmplification(t *testing.T) {
	r := start(t)
	bare := func(m stun.Method, fill func(*stun.Builder)) []byte {
		b := stun.NewBuilder(nil, m, stun.Request, transaction())
		if fill != nil {
			fill(b)
		}
		return b.Bytes()
	}
	many := func(b *stun.Builder) {
		for i := range 100 {
			b.Add(stun.Attribute(0x7000+i), nil)
		}
	}
	for _, from := range []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")} {
		headers := 28
		if from.Is6() {
			headers = 48
		}
		for _, m := range []stun.Method{stun.Binding, stun.Allocate, stun.Refresh, stun.CreatePermission, stun.ChannelBind, stun.Send, 0xA} {
			for _, fill := range []func(*stun.Builder){nil, overIPv4, many, func(b *stun.Builder) { b.Sign(nil) }, func(b *stun.Builder) { b.Fingerprint() }} {
				p, s := r.from(from)
				question := bare(m, fill)
				p.receive(question)
				if s.n > 1 || len(s.last) > 100 || len(s.last)+headers >= 2*(len(question)+headers) {
					t.Errorf("%s: %d answers of %d bytes to %d", m, s.n, len(s.last), len(question))
				}
			}
		}
	}
}

// A source is answered so often and no more; others are not touched by it.
func TestFloodOfOneSource(t *testing.T) {
	r := start(t)
	p, s := r.from(netip.MustParseAddr("2001:db8::1"))
	question := (&client{}).request(stun.Allocate, overIPv4)
	for i := range 20_000 {
		a := p.from.Addr().As16()
		a[15] = byte(i) // from anywhere in its network
		p.from = netip.AddrPortFrom(netip.AddrFrom16(a), uint16(i))
		p.receive(question)
	}
	if s.n != guard.AnswersAtOnce || r.Totals().Withheld != 20_000-guard.AnswersAtOnce {
		t.Error(s.n, "answers,", r.Totals().Withheld, "withheld")
	}
	r.clock.move(time.Second)
	for range 1000 {
		p.receive(question)
	}
	if s.n != guard.AnswersAtOnce+guard.AnswersPerSecond {
		t.Error(s.n, "answers a second later")
	}
	if other, s := r.from(netip.MustParseAddr("2001:db8:1::1")); true {
		if other.receive(question); s.n != 1 {
			t.Error("somebody else is not answered")
		}
	}
}

// However many sources there are, and whatever they send, nothing stays.
func TestFloodsLeaveNothing(t *testing.T) {
	r := start(t, everywhere(t))
	d := r.dtlsDoor()
	question := (&client{}).request(stun.Allocate, overIPv4)
	flood := func(n int) {
		o := &outbox{}
		for i := range n {
			from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, byte(i >> 16), byte(i >> 8), byte(i)}), 9)
			for _, packet := range [][]byte{question, channelData(0x4001, "x"), []byte("whatever"), {byte(i), byte(i >> 8), 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}} {
				d.receive(packet, from, d.local, o)
			}
		}
		o.flush()
	}
	flood(1000)
	before := heap()
	flood(30_000)
	if grown := heap() - before; grown > 1<<20 {
		t.Errorf("%d bytes are kept", grown)
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	if len(d.paths)+len(d.sessions)+len(d.coming) != 0 {
		t.Error(len(d.paths), "clients are known,", len(d.sessions), "and", len(d.coming), "sessions")
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// FuzzReceive lets a client who has an allocation send anything.
func FuzzReceive(f *testing.F) {
	r := start(f)
	p, s := r.from(netip.MustParseAddr("192.0.2.7"))
	c := &client{realm: []byte("millrace")}
	c.user, c.password, _ = r.Issue(account, front, "fuzz")
	c.nonce = []byte(testSecret(f).Nonce(r.clock.Now(), p.from.Addr()))
	to := netip.MustParseAddrPort("127.0.0.1:9")
	begin := c.request(stun.Allocate, overIPv4)
	f.Add(begin)
	f.Add(c.request(stun.ChannelBind, channelTo(0x4000, to)))
	f.Add(c.request(stun.CreatePermission, toPeer(to)))
	f.Add(c.request(stun.Refresh, nil))
	f.Add(indicationTo(to, "data"))
	f.Add(channelData(0x4000, "data"))
	f.Fuzz(func(_ *testing.T, packet []byte) {
		p.receive(begin)
		p.receive(packet)
		if n := len(s.last); n > 400 {
			panic("an answer of many bytes")
		}
	})
}
