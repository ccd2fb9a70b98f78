package probe

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/turn/v5"
)

// errLate says that a step did not come to an end in its time.
var errLate = errors.New("no answer in time")

// session is one client of a server.
type session struct {
	link   *link
	client *turn.Client
	seen   sight

	relay netip.AddrPort
	hear  atomic.Pointer[func(data []byte, from net.Addr)] // what comes to the relay address

	mu      sync.Mutex
	relayed net.PacketConn // nil = it has no relay address
	over    bool
	running sync.WaitGroup
}

// open connects a client and starts its goroutine, which end stops.
func (o *Options) open(ctx context.Context, s Server, t *Target, at netip.AddrPort, family turn.RequestedAddressFamily) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	l, err := dial(ctx, t, at, o.Roots)
	if err != nil {
		return nil, err
	}
	c := &session{link: l}
	c.client, err = turn.NewClient(&turn.ClientConfig{STUNServerAddr: at.String(), TURNServerAddr: at.String(), Conn: l,
		Username: s.Username, Password: s.Password, RequestedAddressFamily: family, LoggerFactory: silent{}})
	if err != nil {
		_ = l.Close() // it was of no use
		return nil, err
	}
	c.running.Go(c.read)
	return c, nil
}

// read hands what comes to the library, which would stop at the first packet that it does not
// understand if it read by itself.
func (c *session) read() {
	b := make([]byte, 1<<16)
	for {
		n, from, err := c.link.ReadFrom(b)
		if err != nil {
			c.seen.end(err)
			c.client.Close() // who waits for an answer need not wait any more
			_ = c.link.Close()
			return
		}
		c.seen.message(b[:n])
		_, _ = c.client.HandleInbound(b[:n], from) // what it says of strange packets is in seen
	}
}

// within gives a question so much time. What is late, or interrupted, ends the session.
func (c *session) within(ctx context.Context, limit time.Duration, ask func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c.seen.forget()
	stop := context.AfterFunc(ctx, c.end)
	err := ask()
	if !stop() {
		return errLate
	}
	return err
}

// allocate gets a relay address.
func (c *session) allocate(ctx context.Context, limit time.Duration) error {
	return c.within(ctx, limit, func() error {
		relayed, err := c.client.Allocate()
		if err != nil {
			return err
		}
		udp, ok := relayed.LocalAddr().(*net.UDPAddr)
		if !ok {
			return errors.New("the relay address is none of UDP")
		}
		p := udp.AddrPort()
		c.relay = netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
		c.keep(relayed)
		return nil
	})
}

// keep takes over a relay address, unless the session is over.
func (c *session) keep(relayed net.PacketConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		_ = relayed.Close() // nobody wants it any more
		return
	}
	c.relayed = relayed
	c.running.Go(func() { c.listen(relayed) })
}

// listen hands on what comes to the relay address.
func (c *session) listen(relayed net.PacketConn) {
	b := make([]byte, 1<<16)
	for {
		n, from, err := relayed.ReadFrom(b)
		if err != nil {
			return
		}
		if hear := c.hear.Load(); hear != nil {
			(*hear)(b[:n], from)
		}
	}
}

// hears sets what is done with packets that come to the relay address.
func (c *session) hears(f func(data []byte, from net.Addr)) { c.hear.Store(&f) }

// end gives the relay address back and ends the connection. It may be called from anywhere,
// and any number of times.
func (c *session) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	c.over = true
	// Who writes at this moment, the farewell too, does not wait for a server that reads
	// nothing.
	_ = c.link.above.SetWriteDeadline(time.Now().Add(time.Second))
	if c.relayed != nil {
		_ = c.relayed.Close() // a server that does not hear it has a lifetime for it
	}
	c.client.Close()
	_ = c.link.Close() // nothing was left to be sent
}

// leave ends the session and waits until its goroutines have ended.
func (c *session) leave() {
	if c == nil {
		return
	}
	c.end()
	c.running.Wait()
}

// send sends a packet from the relay address.
func (c *session) send(b []byte, to netip.AddrPort) error {
	_, err := c.relayed.WriteTo(b, net.UDPAddrFromAddrPort(to))
	return err
}
