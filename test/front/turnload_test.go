package front

import (
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// flow is one direction through a relay, of one or several allocations.
type flow struct {
	packet    []byte // as it is sent
	length    int    // of a packet that arrives
	run       int    // how many one sender sends before it is the next one's turn
	senders   []int  // sockets of which the runtime knows nothing
	receivers []int
	entrance  []netip.AddrPort // the sockets of the relay to which the packets go
	exit      []netip.AddrPort // those of the receivers
}

// The generator: one thread sends as fast as the system lets it, one packet after the other with
// up to 64 in a call and no segmentation offload, because no relay gets its packets in one piece
// from its clients. A second one looks every 2 ms at what has come, so that the relay never
// has to wake it, and takes it without copying it.
const (
	receiveAtOnce = 256
	receivePause  = 2 * time.Millisecond
	receiveRoom   = 32 << 20 // where the system gives less, packets that were relayed are not received
)

// generator is a flow that runs.
type generator struct {
	flow
	stop              atomic.Bool
	sent, got         atomic.Int64
	sending, gettings atomic.Int64 // processor time of the threads
	running           sync.WaitGroup
	processors        int // that the runtime had before
}

func (f flow) start() *generator {
	// The threads never tell the runtime that they wait, which would cost more than they do.
	g := &generator{flow: f, processors: runtime.GOMAXPROCS(runtime.NumCPU() + 2)}
	g.running.Go(g.send)
	g.running.Go(g.receive)
	return g
}

func (g *generator) end() {
	g.stop.Store(true)
	g.running.Wait()
	runtime.GOMAXPROCS(g.processors)
}

func (g *generator) send() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	packets := messages(g.run, g.packet)
	next := time.Now()
	for i := 0; !g.stop.Load(); i++ {
		if *turnPace > 0 {
			next = rest(next, time.Duration(g.run)*time.Second/time.Duration(*turnPace))
		}
		// What the system does not take now is not sent: it may be an answer that nobody listens.
		g.sent.Add(int64(many(unix.SYS_SENDMMSG, g.senders[i%len(g.senders)], packets, unix.MSG_DONTWAIT)))
		if i%64 == 0 {
			g.sending.Store(threadTime())
		}
	}
}

// rest waits until it is time to send again, and returns when the time after that is. It sleeps
// for a millisecond at least, so what is to be sent in one leaves together.
func rest(next time.Time, each time.Duration) time.Time {
	if early := time.Until(next); early >= time.Millisecond {
		pause := unix.NsecToTimespec(early.Nanoseconds())
		_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&pause)), 0, 0)
	}
	return next.Add(each)
}

func (g *generator) receive() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	packets := messages(receiveAtOnce, make([]byte, 1))
	pause := unix.NsecToTimespec(receivePause.Nanoseconds())
	for !g.stop.Load() {
		for _, fd := range g.receivers {
			g.got.Add(g.drain(fd, packets))
		}
		g.gettings.Store(threadTime())
		_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&pause)), 0, 0)
	}
}

// drain takes what waits at a socket, and counts the packets that are as long as they must be.
func (g *generator) drain(fd int, packets []unix.Mmsghdr) (right int64) {
	for {
		n := many(unix.SYS_RECVMMSG, fd, packets, unix.MSG_DONTWAIT|unix.MSG_TRUNC)
		for i := range n {
			if int(packets[i].Len) == g.length {
				right++
			}
		}
		if n < len(packets) {
			return right
		}
	}
}

// messages are n that have the same bytes, or the same room for them.
func messages(n int, data []byte) []unix.Mmsghdr {
	v := &unix.Iovec{Base: &data[0]}
	v.SetLen(len(data))
	all := make([]unix.Mmsghdr, n)
	for i := range all {
		all[i].Hdr.Iov = v
		all[i].Hdr.SetIovlen(1)
	}
	return all
}

// many is sendmmsg or recvmmsg, and returns how many messages went. It does not wait.
func many(call uintptr, fd int, packets []unix.Mmsghdr, flags int) int {
	n, _, err := unix.RawSyscall6(call, uintptr(fd), uintptr(unsafe.Pointer(&packets[0])), uintptr(len(packets)), uintptr(flags), 0, 0)
	if err != 0 {
		return 0
	}
	return int(n)
}

func threadTime() int64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t)
	return t.Nano()
}

// detach takes a socket away from the runtime, which is woken by each packet of its sockets
// at the cost of who sends it.
func detach(b *testing.B, c *net.UDPConn) (fd int) {
	b.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		b.Fatal(err)
	}
	if problem := raw.Control(func(n uintptr) { fd, err = unix.Dup(int(n)) }); problem != nil || err != nil {
		b.Fatal(problem, err)
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveRoom) != nil {
		_ = c.SetReadBuffer(receiveRoom)
	}
	_ = c.Close()
	return fd
}

// attach gives it back.
func attach(b *testing.B, fd int) *net.UDPConn {
	b.Helper()
	f := os.NewFile(uintptr(fd), "udp")
	defer func() { _ = f.Close() }()
	c, err := net.FileConn(f)
	if err != nil {
		b.Fatal(err)
	}
	return c.(*net.UDPConn)
}

// carried is what happened in a span of time.
type carried struct {
	span                      time.Duration
	server, sending, gettings time.Duration // of processors
	sent, got                 int64
	unread, missed            int64 // dropped by the system in front of the relay, and of the receivers
}

func (c carried) sub(o carried) carried {
	return carried{span: c.span - o.span, server: c.server - o.server, sending: c.sending - o.sending, gettings: c.gettings - o.gettings,
		sent: c.sent - o.sent, got: c.got - o.got, unread: c.unread - o.unread, missed: c.missed - o.missed}
}

// perPacket is the processor time of the server for each packet that arrived, in nanoseconds.
func (c carried) perPacket() float64 { return float64(c.server.Nanoseconds()) / float64(max(c.got, 1)) }

// kpps is how many thousand packets arrived in a second.
func (c carried) kpps() float64 { return float64(c.got) / 1000 / c.span.Seconds() }

// share is a processor time as a part of one processor.
func (c carried) share(d time.Duration) float64 { return d.Seconds() / c.span.Seconds() }

// over lets a flow run through a server for a while and says what happened after a warm-up.
func (s *turnServer) over(b *testing.B, f flow, warm, span time.Duration) carried {
	b.Helper()
	begun := time.Now()
	g := f.start()
	defer g.end()
	read := func() carried {
		return carried{span: time.Since(begun), server: s.used(b), sending: time.Duration(g.sending.Load()), gettings: time.Duration(g.gettings.Load()),
			sent: g.sent.Load(), got: g.got.Load(), unread: lost(b, f.entrance), missed: lost(b, f.exit)}
	}
	time.Sleep(warm)
	before := read()
	time.Sleep(span)
	return read().sub(before)
}
