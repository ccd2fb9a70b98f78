package relay

import (
	"net"
	"net/netip"
	"sync"

	"github.com/millrace/millrace/internal/relay/datagram"
)

// socket is one UDP socket with the clients that the system has assigned to it.
type socket struct {
	server *Server
	conn   *datagram.Conn
	local  netip.AddrPort
	wild   bool // bound to no address in particular

	mu       sync.RWMutex
	paths    map[tuple]*path    // of those who have an allocation
	sessions map[tuple]*session // of DTLS
	coming   map[tuple]*session // whose clients have another session still
}

// tuple tells clients of a socket apart.
type tuple struct {
	from netip.AddrPort
	to   netip.Addr
}

func newSocket(s *Server, conn *net.UDPConn) (*socket, error) {
	d := &socket{
		server: s, conn: datagram.New(conn), local: addrPort(conn.LocalAddr()), wild: unspecified(conn),
		paths: map[tuple]*path{}, sessions: map[tuple]*session{}, coming: map[tuple]*session{},
	}
	// The system may give less, which is no reason not to go on.
	_ = conn.SetReadBuffer(receiveBuffer)
	_ = conn.SetWriteBuffer(receiveBuffer)
	if d.wild {
		return d, datagram.WantDestination(conn)
	}
	return d, nil
}

func (d *socket) listening() Listener { return Listener{Network: "udp", Address: d.local.String()} }

// close ends the sessions and the socket.
func (d *socket) close() {
	d.mu.Lock()
	var all []*session
	for _, s := range d.sessions {
		all = append(all, s)
	}
	for _, s := range d.coming {
		all = append(all, s)
	}
	d.mu.Unlock()
	for _, s := range all {
		s.Close()
	}
	d.conn.Close()
}

// serve reads packets until the socket is closed: all that are there at once, up to a bound.
func (d *socket) serve() {
	reader := datagram.NewReader(d.conn, datagram.NewPool(1, room))
	var o outbox
	for {
		b, err := reader.Read()
		switch {
		case err == nil:
			d.take(b, &o)
		case d.server.ended.Err() != nil:
			return
		default: // of one packet: an answer to it could not be delivered
		}
	}
}

// take deals with the packets of a batch in their order. What they bring for peers goes
// out together.
func (d *socket) take(b *datagram.Batch, o *outbox) {
	defer b.Release()
	o.begin(d.server.o.Now(), &b.Out)
	for i := range b.Packets {
		packet := &b.Packets[i]
		if len(packet.Data) > 0 && !packet.Truncated {
			d.receive(packet.Data, plain(packet.From), arrival(packet.Control, d.local), o)
		}
	}
	o.flush()
}

// receive finds out by the first byte whose packet it is (section 1).
func (d *socket) receive(packet []byte, from, to netip.AddrPort, o *outbox) {
	key := tuple{from: from, to: to.Addr()}
	if packet[0] >= 20 && packet[0] < 64 {
		d.secure(key, to, packet)
		return
	}
	if o.path == nil || o.key != key {
		o.key, o.path = key, d.find(key, to)
	}
	o.path.take(packet, o)
}

// find returns the path of a client.
func (d *socket) find(key tuple, to netip.AddrPort) *path {
	d.mu.RLock()
	p := d.paths[key]
	d.mu.RUnlock()
	if p == nil {
		p = d.path(key, to)
	}
	return p
}

// path makes one for a client, which is forgotten if nothing comes of it.
func (d *socket) path(key tuple, to netip.AddrPort) *path {
	p := &path{server: d.server, transport: UDP, from: key.from, to: to}
	p.way = &datagrams{socket: d, key: key, oob: d.oob(key.to), path: p}
	return p
}

// oob is what a packet needs to go out from the address at which the client's came.
func (d *socket) oob(a netip.Addr) []byte {
	if d.wild {
		return datagram.LeaveFrom(a)
	}
	return nil
}

// datagrams is the way to a client of plain UDP.
type datagrams struct {
	socket *socket
	key    tuple
	oob    []byte
	path   *path
}

func (w *datagrams) write(packet []byte) bool {
	return w.socket.conn.Send(packet, w.oob, w.key.from)
}

// writeAll sends what is in an outbox, and returns which packets could not be sent.
func (w *datagrams) writeAll(o *datagram.Outbox) (failed []int) { return o.Send(w.socket.conn, w.oob) }

func (w *datagrams) keep(yes bool) {
	w.socket.mu.Lock()
	defer w.socket.mu.Unlock()
	if yes {
		w.socket.paths[w.key] = w.path
	} else {
		delete(w.socket.paths, w.key)
	}
}
