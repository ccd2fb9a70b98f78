package relay

import (
	"net/netip"
	"time"

	"github.com/millrace/millrace/internal/relay/datagram"
	"github.com/millrace/millrace/internal/relay/stun"
)

// mostBatches is how many relay sockets can have packets in work at once; of the others the
// system keeps them for as long. One has 270 KB.
const mostBatches = 64

// outbox has what the packets of one batch bring for peers, until all of the batch were
// looked at. What is of one allocation leaves together and in its order.
type outbox struct {
	now  time.Time // of the batch
	key  tuple     // of the last packet
	path *path
	out  *datagram.Outbox

	n     int
	items [datagram.Most]item
	loads []load
}

// item is a packet for a peer.
type item struct {
	data []byte
	to   netip.AddrPort
	next int // of the same allocation
}

// load are the items of one allocation.
type load struct {
	allocation  *allocation
	first, last int
}

// begin makes it ready for a batch.
func (o *outbox) begin(now time.Time, out *datagram.Outbox) {
	o.now, o.out, o.key, o.path = now, out, tuple{}, nil
}

// time is that of the batch; a packet that is alone has its own.
func (o *outbox) time(s *Server) time.Time {
	if o == nil {
		return s.o.Now()
	}
	return o.now
}

// add puts a packet to those of its allocation.
func (o *outbox) add(a *allocation, data []byte, to netip.AddrPort) {
	o.items[o.n] = item{data: data, to: to, next: -1}
	l := o.load(a)
	if l.last >= 0 {
		o.items[l.last].next = o.n
	}
	l.last = o.n
	o.n++
}

// load returns that of an allocation. The packets of a client often come one after the other.
func (o *outbox) load(a *allocation) *load {
	for i := len(o.loads) - 1; i >= 0; i-- {
		if o.loads[i].allocation == a {
			return &o.loads[i]
		}
	}
	o.loads = append(o.loads, load{allocation: a, first: o.n, last: -1})
	return &o.loads[len(o.loads)-1]
}

// flush sends everything.
func (o *outbox) flush() {
	if o == nil || o.n == 0 {
		return
	}
	for i := range o.loads {
		o.send(&o.loads[i])
	}
	clear(o.items[:o.n])
	clear(o.loads)
	o.n, o.loads = 0, o.loads[:0]
}

func (o *outbox) send(l *load) {
	var c tally
	for i := l.first; i >= 0; i = o.items[i].next {
		c.add(len(o.items[i].data))
		o.out.Add(o.items[i].data, o.items[i].to)
	}
	a := l.allocation
	// An error here is of some packets: unreachable, or the socket is closing.
	if failed := c.without(o.out.Send(a.conn, nil)); failed > 0 {
		a.carried.dropped[unsent].Add(uint64(failed))
	}
	if c.n > 0 {
		a.carried.sent(a, o.now, c.bytes, c.n)
	}
}

// tally counts packets that leave together.
type tally struct {
	n, bytes int
	sizes    [datagram.Most]uint16 // none is longer than maxDatagram
}

func (t *tally) add(size int) {
	t.sizes[t.n] = uint16(size) //nolint:gosec // see sizes
	t.n++
	t.bytes += size
}

// without takes those back that could not be sent, and says how many that are.
func (t *tally) without(failed []int) int {
	for _, i := range failed {
		t.bytes -= int(t.sizes[i])
	}
	t.n -= len(failed)
	return len(failed)
}

// delivery is what one batch of a relay socket has for the client.
type delivery struct {
	allocation *allocation
	now        time.Time
	out        *datagram.Outbox
	way        *datagrams // of a client of plain UDP; nil = packets are written one by one
	tally      tally

	from, peer netip.AddrPort // of the last packet
	channel    *channel
}

// add takes a packet of n bytes that stands in the buffer behind the headroom.
func (d *delivery) add(buffer []byte, n int, from netip.AddrPort) {
	a := d.allocation
	if d.from != from {
		d.from = from
		d.peer, d.channel = a.whose(from, d.now)
	}
	if d.channel == nil {
		a.carried.dropped[noPermission].Add(1)
		return
	}
	if !a.mayCarry(&a.in, d.now, n) {
		return
	}
	packet := d.wrap(buffer, n)
	switch {
	case d.way != nil:
		d.out.Add(packet, d.way.key.from)
		d.tally.add(n)
	case a.path.way.write(packet):
		a.carried.heard(a, d.now, n, 1)
	default:
		a.carried.dropped[slow].Add(1)
	}
}

// wrap puts around the data in a buffer what the client wants to have them in.
func (d *delivery) wrap(buffer []byte, n int) []byte {
	if d.channel == anyChannel {
		return indication(buffer, n, d.peer)
	}
	packet := buffer[headroom-stun.ChannelHead : headroom+n]
	stun.PutChannel(packet, d.channel.number, n)
	return packet
}

// whose says from which peer packets come, and through what it may send them; nil = not.
func (a *allocation) whose(from netip.AddrPort, now time.Time) (peer netip.AddrPort, c *channel) {
	peer, known := a.path.server.origin(from)
	if !known {
		return peer, nil
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	return peer, a.permitted(now, peer)
}

// flush sends what was put together.
func (d *delivery) flush() {
	a, t := d.allocation, &d.tally
	if t.n == 0 {
		return
	}
	if failed := t.without(d.way.writeAll(d.out)); failed > 0 {
		a.carried.dropped[slow].Add(uint64(failed))
	}
	if t.n > 0 {
		a.carried.heard(a, d.now, t.bytes, t.n)
	}
}
