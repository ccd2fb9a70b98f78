//go:build !linux

package datagram

// longestSegment is none: these systems do not cut packets.
const longestSegment = 0

func canSegment() bool { return false }

// received is what the system needs to read: here nothing.
type received struct{}

func (*received) prepare(*Batch) {}

// read reads one packet, which is all that the libraries here can do at once.
func (r *Reader) read() (*Batch, error) {
	b := r.pool.take()
	slot := b.slot(0)
	size := len(slot)
	n, _, _, from, err := r.conn.ReadMsgUDPAddrPort(slot[:size+1], nil) // one more, to see that it is too long
	if err != nil {
		b.Release()
		return nil, err
	}
	b.all[0] = Packet{Data: slot[:min(n, size)], From: from, Truncated: n > size}
	b.Packets = b.all[:1]
	return b, nil
}

func (r *Reader) attempt(uintptr) bool { return true }

// sending is what the system needs to send: here nothing.
type sending struct{}

func (*sending) prepare(*Outbox) {}

func (o *Outbox) send(c *Conn, control []byte) {
	for i, p := range o.packets[:o.n] {
		if _, _, err := c.WriteMsgUDPAddrPort(p.data, control, p.to); err != nil {
			o.lost(i, i+1)
		}
	}
}
