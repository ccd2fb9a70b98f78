package datagram

import (
	"net/netip"
	"sync"
)

// Outbox collects packets that leave through one socket. It keeps the order of packets to
// the same address.
//
// On Linux nothing that is sent waits. The system keeps packets to a neighbour that does not
// answer for seconds, and counts them as the socket's: who sent some to a few such neighbours
// would hold up everybody else whose packets leave through the socket, or come with theirs.
type Outbox struct {
	n       int
	packets [Most]outgoing
	failed  []int
	system  sending
}

type outgoing struct {
	data []byte
	to   netip.AddrPort
}

func (o *Outbox) prepare() {
	o.failed = make([]int, 0, Most)
	o.system.prepare(o)
}

// Add puts a packet into it. The bytes are not copied: they must stay until it was sent.
// There must be room: no more than [Most] go into it.
func (o *Outbox) Add(data []byte, to netip.AddrPort) {
	o.packets[o.n] = outgoing{data: data, to: to}
	o.n++
}

// Send sends the packets through a socket and empties the outbox. Control goes with each:
// see [LeaveFrom]. The answer are the packets that the system did not take, by their
// number in the order of [Outbox.Add]; it is good until the next call.
func (o *Outbox) Send(c *Conn, control []byte) (failed []int) {
	o.failed = o.failed[:0]
	if o.n > 0 {
		o.send(c, control)
	}
	clear(o.packets[:o.n])
	o.n = 0
	return o.failed
}

// lost notes that packets from first up to end could not be sent.
func (o *Outbox) lost(first, end int) {
	for i := first; i < end; i++ {
		o.failed = append(o.failed, i)
	}
}

// singles are outboxes for packets that leave alone.
var singles = sync.Pool{New: func() any {
	o := new(Outbox)
	o.prepare()
	return o
}}

// Send sends one packet, and says whether the system took it. Control is as in [Outbox.Send].
func (c *Conn) Send(data, control []byte, to netip.AddrPort) bool {
	o, _ := singles.Get().(*Outbox) // there is nothing else in it
	defer singles.Put(o)
	o.Add(data, to)
	return len(o.Send(c, control)) == 0
}
