package datagram

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
)

// Most is how many packets are read or sent at once, at most.
const Most = 64

// kept is how many batches a pool keeps when nobody needs them at the moment: as many as the
// processors of most machines work on at one time. More are for bursts, whose memory is given
// back at once; those that are kept are when [Pool.Trim] finds that nobody has come.
const kept = 16

// Conn is a UDP socket from which packets are read and sent in batches.
type Conn struct {
	*net.UDPConn
	raw     syscall.RawConn
	is6     bool         // addresses are given to the system as those of IPv6
	segment atomic.Int32 // the longest packet that the system may cut out of a longer one
}

// New makes one of a socket.
func New(conn *net.UDPConn) *Conn {
	c := &Conn{UDPConn: conn}
	c.raw, _ = conn.SyscallConn() // fails for no socket that was opened
	if a, ok := conn.LocalAddr().(*net.UDPAddr); ok {
		c.is6 = !a.AddrPort().Addr().Is4()
	}
	if canSegment() {
		c.segment.Store(longestSegment)
	}
	return c
}

// Packet is one that was read.
type Packet struct {
	Data      []byte // in a buffer with the room that its pool gives to packets
	From      netip.AddrPort
	Control   []byte // what the system says of it, see [Destination]
	Truncated bool   // it was longer than a packet may be, and the rest is lost
}

// Batch is what is read at once, with what it takes to send it on. It is the reader's
// until it is released.
type Batch struct {
	Packets []Packet
	Out     Outbox

	pool   *Pool
	memory []byte // of all packets
	all    [Most]Packet
	system received
}

// Room is how many bytes the buffer of a packet has: for what is put before it, for the
// packet, and for what is put behind it.
type Room struct{ Head, Data, Tail int }

// stride is how far packets stand apart in memory: not by a power of two, else they would
// all compete for the same lines of a cache. There is a byte more, by which it can be seen
// that a packet is too long.
func (r Room) stride() int { return (r.Head+r.Data+r.Tail+1+63)/64*64 | 64 }

// Pool lends batches to readers that have something to read: sockets at which nothing
// arrives cost no memory. It makes no more than were allowed; who needs one then waits.
type Pool struct {
	room Room
	most int

	mu   sync.Mutex
	back sync.Cond
	made int
	free []*Batch // the last used last, which is the one that caches have
	idle int      // how many in the beginning of free were not needed since the last Trim
}

// NewPool makes one of so many batches at most.
func NewPool(most int, room Room) *Pool {
	p := &Pool{room: room, most: most}
	p.back.L = &p.mu
	return p
}

func (p *Pool) take() *Batch {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.free) == 0 {
		if p.made < p.most {
			p.made++
			return p.batch()
		}
		p.back.Wait()
	}
	last := len(p.free) - 1
	b := p.free[last]
	p.free[last] = nil
	p.free = p.free[:last]
	p.idle = min(p.idle, last)
	return b
}

// Trim gives back the memory of the batches that nobody has needed since it was called before.
func (p *Pool) Trim() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.made -= p.idle
	p.free = slices.Delete(p.free, 0, p.idle)
	p.idle = len(p.free)
}

func (p *Pool) batch() *Batch {
	b := &Batch{pool: p, memory: make([]byte, Most*p.room.stride())}
	b.system.prepare(b)
	b.Out.prepare()
	return b
}

// slot is the buffer of a packet, without the room around it.
func (b *Batch) slot(i int) []byte {
	at := i*b.pool.room.stride() + b.pool.room.Head
	return b.memory[at : at+b.pool.room.Data : at+b.pool.room.Data+b.pool.room.Tail+1]
}

// Whole returns the whole buffer of a packet; its data begin behind the head.
func (b *Batch) Whole(i int) []byte {
	stride := b.pool.room.stride()
	return b.memory[i*stride : (i+1)*stride : (i+1)*stride]
}

// Release gives the batch back; nothing in it may be used any more.
func (b *Batch) Release() {
	p := b.pool
	b.Packets = nil
	p.mu.Lock()
	if len(p.free) < kept {
		p.free = append(p.free, b)
	} else {
		p.made--
	}
	p.mu.Unlock()
	p.back.Signal()
}

// Reader reads batches from a socket. It is for one goroutine.
type Reader struct {
	conn  *Conn
	pool  *Pool
	batch *Batch
	err   error
	try   func(fd uintptr) bool
}

// NewReader makes one that takes batches from a pool.
func NewReader(conn *Conn, pool *Pool) *Reader {
	r := &Reader{conn: conn, pool: pool}
	r.try = r.attempt
	return r
}

// Read waits until there are packets and returns those that are there.
func (r *Reader) Read() (*Batch, error) { return r.read() }
