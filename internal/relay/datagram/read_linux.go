package datagram

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// message is one of those that recvmmsg(2) and sendmmsg(2) take.
type message struct {
	head unix.Msghdr
	size uint32 // of the packet
}

// received is what the system writes to when a batch is read.
type received struct {
	messages [Most]message
	pieces   [Most]unix.Iovec
	from     [Most]sockaddr
	control  [Most][OOBSize]byte
	used     int // messages that the system has written to and that must be made ready again
}

func (s *received) prepare(b *Batch) {
	for i := range s.messages {
		slot, head := b.slot(i), &s.messages[i].head
		s.pieces[i].Base = &slot[0]
		s.pieces[i].SetLen(len(slot))
		head.Iov = &s.pieces[i]
		head.SetIovlen(1)
		head.Name = (*byte)(unsafe.Pointer(&s.from[i])) //nolint:gosec // what the system writes to
		head.Control = &s.control[i][0]
	}
	s.used = Most
}

// ready says again how much room there is, where the system said how much it used.
func (s *received) ready() {
	for i := range s.messages[:s.used] {
		head := &s.messages[i].head
		head.Namelen, head.Flags = unix.SizeofSockaddrInet6, 0
		head.SetControllen(OOBSize)
	}
	s.used = 0
}

// read waits until the socket has something, and only then takes a batch.
func (r *Reader) read() (*Batch, error) {
	if err := r.conn.raw.Read(r.try); err != nil {
		return nil, err
	}
	b, err := r.batch, r.err
	r.batch, r.err = nil, nil
	return b, err
}

// attempt reads what is there, and says whether there was something.
func (r *Reader) attempt(fd uintptr) bool {
	b := r.pool.take()
	n, errno := b.system.receive(fd)
	switch errno {
	case 0:
		b.open(n)
		r.batch = b
		return true
	case unix.EAGAIN:
		b.Release()
		return false
	}
	b.Release()
	r.err = errno
	return true
}

func (s *received) receive(fd uintptr) (n int, errno syscall.Errno) {
	s.ready()
	for {
		got, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&s.messages[0])), Most, unix.MSG_DONTWAIT, 0, 0) //nolint:gosec // of Most messages
		if errno == unix.EINTR {
			continue
		}
		if errno == 0 {
			s.used = int(got) //nolint:gosec // at most Most
		}
		return s.used, errno
	}
}

// open makes packets of the messages that were read.
func (b *Batch) open(n int) {
	s := &b.system
	for i := range n {
		m := &s.messages[i]
		b.all[i] = Packet{
			Data: b.slot(i)[:m.size], From: s.from[i].get(), Control: s.control[i][:m.head.Controllen],
			Truncated: m.head.Flags&unix.MSG_TRUNC != 0,
		}
	}
	b.Packets = b.all[:n]
}
