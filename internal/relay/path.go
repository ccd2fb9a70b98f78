package relay

import (
	"net/netip"
	"sync/atomic"

	"github.com/millrace/millrace/internal/relay/stun"
)

// Transport is how a client speaks to us.
type Transport string

// The transports.
const (
	UDP  Transport = "udp"
	TCP  Transport = "tcp"
	TLS  Transport = "tls"
	DTLS Transport = "dtls"
)

// path is the way to one client and what TURN calls a 5-tuple.
type path struct {
	server     *Server
	transport  Transport
	from, to   netip.AddrPort // the client's address as we see it; ours
	way        way
	allocation atomic.Pointer[allocation]
}

// way brings packets to a client.
type way interface {
	// write sends a packet, and says if it was taken. It does not wait for a slow client.
	write(packet []byte) bool
	// keep is told when the path gets an allocation, and false when it loses it.
	keep(yes bool)
}

// maxDatagram is the longest packet that is taken from either side (section 6).
const maxDatagram = 4000

// receive takes one packet from the client. It keeps nothing of it.
func (p *path) receive(packet []byte) { p.take(packet, nil) }

// take is receive for a packet of a batch: what it has for a peer goes out with the others'.
func (p *path) take(packet []byte, o *outbox) {
	if stun.IsChannel(packet) {
		if a := p.allocation.Load(); a != nil {
			a.fromChannel(packet, o)
		}
		return
	}
	m, err := stun.Parse(packet)
	if err != nil {
		p.server.counts.malformed.Add(1)
		return
	}
	switch {
	case m.Class() == stun.Indication && m.Method() == stun.Send:
		if a := p.allocation.Load(); a != nil {
			a.fromIndication(m, o)
		}
	case m.Class() == stun.Request:
		o.flush() // what came before it is not touched by what it changes
		p.request(m)
	}
}

// request answers a request. Only Binding is answered to everybody.
func (p *path) request(m stun.Message) {
	switch m.Method() {
	case stun.Binding:
		p.binding(m)
	case stun.Allocate:
		p.allocate(m)
	case stun.Refresh, stun.CreatePermission, stun.ChannelBind:
		a, key, ok := p.authenticate(m)
		switch {
		case !ok:
		case a == nil:
			p.fail(m, key, mismatch)
		case len(m.Unknown()) > 0:
			p.unknown(m, key)
		case m.Method() == stun.Refresh:
			p.refresh(a, m)
		case m.Method() == stun.CreatePermission:
			p.permit(a, m)
		default:
			p.bind(a, m)
		}
	}
}

// binding says how the client is seen from here.
func (p *path) binding(m stun.Message) {
	if !p.mayAnswer() {
		return
	}
	if v := p.server.discovery; v.serves(p) {
		v.binding(p, m)
		return
	}
	if len(m.Unknown()) > 0 {
		p.unknown(m, nil)
		return
	}
	p.answer(m, p.begin(m, stun.Success).AddAddress(stun.XORMappedAddress, p.from), nil)
}

// mayAnswer says whether somebody who has shown no credentials gets an answer.
func (p *path) mayAnswer() bool {
	if p.server.quiet.Take(p.server.since(p.server.o.Now()), p.from.Addr()) {
		return true
	}
	p.server.counts.withheld.Add(1)
	return false
}

// begin starts an answer.
func (p *path) begin(m stun.Message, class stun.Class) *stun.Builder {
	return stun.NewBuilder(make([]byte, 0, 160), m.Method(), class, m.Transaction())
}

// answer finishes an answer, signed if there is a key, and sends it.
func (p *path) answer(m stun.Message, b *stun.Builder, key []byte) {
	if key != nil {
		b.Sign(key)
	}
	if m.Fingerprinted() {
		b.Fingerprint()
	}
	p.way.write(b.Bytes())
}

// The codes of refusals that have no better name than their number (RFC 8656, 19; RFC
// 8489, 14.8).
const (
	badRequest   = 400
	unauthorized = 401
	forbidden    = 403
	unknown      = 420
	mismatch     = 437
	stale        = 438
	wrongUser    = 441
	wrongFamily  = 440
	wrongPeer    = 443
	noTransport  = 442
	quota        = 486
	noCapacity   = 508
)

func (p *path) fail(m stun.Message, key []byte, code int) {
	p.server.counts.refused(code)
	p.answer(m, p.begin(m, stun.Failure).AddError(code), key)
}

// unknown names what was not understood, up to eight: the answer is never much longer
// than the question. What is in also was.
func (p *path) unknown(m stun.Message, key []byte, also ...stun.Attribute) {
	kinds := m.Unknown(also...)
	p.server.counts.refused(unknown)
	p.answer(m, p.begin(m, stun.Failure).AddError(unknown).AddUnknown(kinds[:min(len(kinds), 8)]), key)
}
