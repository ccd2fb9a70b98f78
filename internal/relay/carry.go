package relay

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/millrace/millrace/internal/relay/datagram"
	"github.com/millrace/millrace/internal/relay/guard"
	"github.com/millrace/millrace/internal/relay/stun"
)

// headroom is what a Data indication puts before the data of a peer: its header, the
// address, and the head of the data.
const headroom = 20 + 24 + 4

// room is what the buffer of a packet has: for the longest one, and what is put around it.
var room = datagram.Room{Head: headroom, Data: maxDatagram, Tail: 4}

// fromChannel carries ChannelData of the client to its peer.
func (a *allocation) fromChannel(packet []byte, o *outbox) {
	number, data, ok := stun.Channel(packet)
	if !ok {
		a.path.server.counts.malformed.Add(1)
		return
	}
	now := o.time(a.path.server)
	a.mu.RLock()
	c := a.numbers[number]
	a.mu.RUnlock()
	if c == nil || c.until.Load() < a.path.server.since(now) {
		a.carried.dropped[noPermission].Add(1)
		return
	}
	a.carry(o, now, data, c.peer)
}

// fromIndication carries the data of a Send indication. What is wrong with it is never
// answered.
func (a *allocation) fromIndication(m stun.Message, o *outbox) {
	peer, ok := m.Address(stun.XORPeerAddress)
	data, ok2 := m.Get(stun.DataValue)
	if !ok || !ok2 || len(m.Unknown()) > 0 {
		a.path.server.counts.malformed.Add(1)
		return
	}
	now := o.time(a.path.server)
	a.mu.RLock()
	permitted := a.permitted(now, peer) != nil
	a.mu.RUnlock()
	if !permitted || peer.Port() == 0 {
		a.carried.dropped[noPermission].Add(1)
		return
	}
	a.carry(o, now, data, peer)
}

// anyChannel stands for a permission without a channel.
var anyChannel = new(channel)

// permitted returns the channel of a peer, anyChannel if it only has a permission, or
// nil. The caller holds mu.
func (a *allocation) permitted(now time.Time, peer netip.AddrPort) *channel {
	if c := a.channels[peer]; c != nil && c.until.Load() >= a.path.server.since(now) {
		return c
	}
	if until, ok := a.permissions[peer.Addr()]; ok && !now.After(until) {
		return anyChannel
	}
	return nil
}

// carry sends data out through the relay socket, with what else the outbox has if there is
// one.
func (a *allocation) carry(o *outbox, now time.Time, data []byte, peer netip.AddrPort) {
	if !a.mayCarry(&a.out, now, len(data)) {
		return
	}
	to, ok := a.path.server.destination(peer)
	if !ok {
		a.carried.dropped[noPermission].Add(1)
		return
	}
	if o != nil {
		o.add(a, data, to)
		return
	}
	// This packet alone is unreachable, or the socket is closing.
	if !a.conn.Send(data, nil, to) {
		a.carried.dropped[unsent].Add(1)
		return
	}
	a.carried.sent(a, now, len(data), 1)
}

// mayCarry takes a packet from the bandwidth of one way.
func (a *allocation) mayCarry(b *guard.Bucket, now time.Time, n int) bool {
	if a.limits.Bandwidth <= 0 || b.Take(a.path.server.since(now), int64(n), a.limits.Bandwidth, a.limits.Bandwidth) {
		return true
	}
	a.carried.dropped[bandwidth].Add(1)
	return false
}

// hear brings what comes to the relay socket to the client, until the allocation ends, which
// it has logged.
func (a *allocation) hear() {
	defer a.log()
	reader := datagram.NewReader(a.conn, a.path.server.batches)
	for {
		b, err := reader.Read()
		if err != nil {
			a.stop(Failed) // unless it is stopped already
			return
		}
		a.deliver(b)
	}
}

// deliver passes the packets of a batch on to the client.
func (a *allocation) deliver(b *datagram.Batch) {
	defer b.Release()
	d := delivery{allocation: a, now: a.path.server.o.Now(), out: &b.Out}
	d.way, _ = a.path.way.(*datagrams)
	for i := range b.Packets {
		packet := &b.Packets[i]
		if packet.Truncated {
			a.carried.dropped[tooLong].Add(1)
			continue
		}
		d.add(b.Whole(i), len(packet.Data), plain(packet.From))
	}
	d.flush()
}

// indication makes a Data indication around the n bytes in the buffer.
func indication(buffer []byte, n int, peer netip.AddrPort) []byte {
	head := headroom
	if peer.Addr().Is4() {
		head -= 12
	}
	packet := buffer[headroom-head : headroom+n]
	var transaction [12]byte
	binary.NativeEndian.PutUint64(transaction[:], rand.Uint64()) //nolint:gosec // nobody answers an indication
	stun.NewBuilder(packet[:0], stun.Data, stun.Indication, transaction[:]).AddAddress(stun.XORPeerAddress, peer).Around(stun.DataValue, n)
	return packet[:head+n+stun.Padding(n)]
}

// ours says whether an address is one of our relay addresses.
func (s *Server) ours(a netip.Addr) bool {
	for _, o := range s.o.Addresses {
		if a == o.Advertised {
			return true
		}
	}
	return false
}

// destination is where to send what is for a peer. Peers at our own relay addresses are
// allocations, and nothing else behind these addresses can be reached (section 5).
func (s *Server) destination(peer netip.AddrPort) (netip.AddrPort, bool) {
	if !s.ours(peer.Addr()) {
		return peer, true
	}
	if a := s.book.at(peer); a != nil {
		return a.local, true
	}
	return peer, s.peers.Load().Allows(peer.Addr())
}

// origin is as whom a peer is known from whom a packet came: what another allocation of
// ours sends comes from its advertised address. From our addresses nothing else is heard,
// unless it is allowed.
func (s *Server) origin(from netip.AddrPort) (peer netip.AddrPort, ok bool) {
	for _, o := range s.o.Addresses {
		if from.Addr() != o.Local {
			continue
		}
		if peer := netip.AddrPortFrom(o.Advertised, from.Port()); s.book.at(peer) != nil {
			return peer, true
		}
		return from, s.peers.Load().Allows(from.Addr())
	}
	return from, true
}
