package datagram

import (
	"errors"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The bounds of a packet that the system is to cut into packets of one length (UDP_SEGMENT).
// What is longer than a packet over Ethernet may be would not be cut, but refused.
const (
	longestSegment = 1500 - 40 - 8
	longestRun     = 65_000
)

// segmentControl is the length of what tells the system to cut.
var segmentControl = unix.CmsgSpace(2)

// controlSize is enough for an address from which a packet leaves, and for its cutting.
const controlSize = OOBSize + 32

// canSegment says whether the system knows how to cut. One that does not would send a
// packet that is too long.
var canSegment = sync.OnceValue(func() bool {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	_, err = unix.GetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT)
	return err == nil
})

// sending is what the system reads from when packets are sent.
type sending struct {
	messages [Most]message
	pieces   [Most]unix.Iovec
	to       [Most]sockaddr
	control  [Most][controlSize / 8]uint64 // begins where the system wants it
	first    [Most + 1]int                 // packet of each message
	made, at int                           // messages; those that are done

	outbox *Outbox
	conn   *Conn
	extra  []byte // control of each
	once   func(fd uintptr)
}

func (s *sending) prepare(o *Outbox) {
	s.outbox = o
	s.once = s.transmit
	for i := range s.messages {
		s.messages[i].head.Name = (*byte)(unsafe.Pointer(&s.to[i])) //nolint:gosec // what the system reads from
	}
}

// send sends all packets. What the system has no room for is lost.
func (o *Outbox) send(c *Conn, control []byte) {
	s := &o.system
	s.conn, s.extra = c, control
	s.build(0)
	_ = c.raw.Control(s.once) // if it fails, nothing was sent
	o.lost(s.first[s.at], o.n)
	s.conn, s.extra = nil, nil
}

// build makes messages of the packets from one on: a message of each run.
func (s *sending) build(from int) {
	o := s.outbox
	s.made, s.at = 0, 0
	for i, p := range o.packets[:o.n] {
		if i < from {
			continue
		}
		s.pieces[i].Base = unsafe.SliceData(p.data)
		s.pieces[i].SetLen(len(p.data))
	}
	for from < o.n {
		end := o.run(from, int(s.conn.segment.Load()))
		s.put(from, end)
		from = end
	}
	s.first[s.made] = o.n
}

// run says where the run ends that begins with a packet: packets to one address, of one
// length but for the last, which may be shorter.
func (o *Outbox) run(from, longest int) (end int) {
	first := o.packets[from]
	length, sum := len(first.data), len(first.data)
	end = from + 1
	if length == 0 || length > longest {
		return end
	}
	for end < o.n {
		p := &o.packets[end]
		n := len(p.data)
		if n == 0 || n > length || sum+n > longestRun || p.to != first.to {
			return end
		}
		sum += n
		end++
		if n < length {
			return end
		}
	}
	return end
}

// put makes the message of a run.
func (s *sending) put(from, end int) {
	i := s.made
	head := &s.messages[i].head
	head.Iov = &s.pieces[from]
	head.SetIovlen(end - from)
	head.Namelen = s.to[i].put(s.outbox.packets[from].to, s.conn.is6)
	control := unsafe.Slice((*byte)(unsafe.Pointer(&s.control[i])), controlSize) //nolint:gosec // the same as bytes
	n := copy(control, s.extra)
	if end-from > 1 {
		cut(control[n:], len(s.outbox.packets[from].data))
		n += segmentControl
	}
	head.Control = nil
	if n > 0 {
		head.Control = &control[0]
	}
	head.SetControllen(n)
	s.first[i] = from
	s.made++
}

// cut writes that a message is to be cut into packets of a length.
func cut(b []byte, length int) {
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0])) //nolint:gosec // it stands where the system wants it
	h.Level, h.Type = unix.SOL_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	*(*uint16)(unsafe.Pointer(&b[unix.CmsgLen(0)])) = uint16(length) //nolint:gosec // at most longestSegment
}

// transmit sends messages until all are done or there is no room for more.
func (s *sending) transmit(fd uintptr) {
	for s.at < s.made {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&s.messages[s.at])), uintptr(s.made-s.at), unix.MSG_DONTWAIT, 0, 0) //nolint:gosec // of messages that are there
		switch {
		case errno == 0:
			s.at += int(n) //nolint:gosec // at most made
		case errno == unix.EINTR:
		case errno == unix.EAGAIN:
			return
		default:
			s.refused(errno)
		}
	}
}

// refused deals with the message that the system did not take. If it was a run, nothing
// was sent of it: the packets go out one by one, and what could not be cut is not tried
// again on this socket.
func (s *sending) refused(err error) {
	first, end := s.first[s.at], s.first[s.at+1]
	run := &s.outbox.packets[first]
	if end-first > 1 && run.to.Port() != 0 && s.conn.shorten(len(run.data), err) { // nothing can be sent to port 0, cut or not
		s.build(first)
		return
	}
	s.outbox.lost(first, end)
	s.at++
}

// shorten learns from an error what the system does not cut: nothing, where the network
// card or a tunnel leaves it to us (EIO), or what is longer than a packet on that way.
func (c *Conn) shorten(length int, err error) bool {
	switch {
	case errors.Is(err, unix.EIO):
		c.segment.Store(0)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EMSGSIZE):
		for old := c.segment.Load(); int(old) >= length; old = c.segment.Load() {
			if c.segment.CompareAndSwap(old, int32(length-1)) { //nolint:gosec // a segment's
				break
			}
		}
	default:
		return false
	}
	return true
}
