package relay

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/relay/datagram"
)

const (
	maxAllocations  = 20_000
	maxReservations = 256
	reservationLife = 30 * time.Second
	portTries       = 64
)

// book knows all allocations.
type book struct {
	ports Ports
	most  int

	mu       sync.RWMutex
	closed   bool // no more
	pending  int  // being made
	relayed  map[netip.AddrPort]*allocation
	channels map[kvs.ChannelID]int
	revoked  map[kvs.ChannelID]time.Time // when
	kept     map[string]*reservation     // by token
	gone     chan struct{}               // a hint that an allocation was removed
}

// reservation is a port that is kept for a user.
type reservation struct {
	user    string
	address Address
	conn    *net.UDPConn
	timer   *time.Timer
}

func newBook(p Ports) *book {
	return &book{
		ports: p, most: min(maxAllocations, (int(p.Last)-int(p.First)+2)/2), gone: make(chan struct{}, 1),
		relayed: map[netip.AddrPort]*allocation{}, channels: map[kvs.ChannelID]int{}, revoked: map[kvs.ChannelID]time.Time{}, kept: map[string]*reservation{},
	}
}

// create makes an allocation for a path; code is that of a refusal.
func (s *Server) create(p *path, w wish) (a *allocation, code int) {
	limits := s.o.Limits(w.holder.Account, w.holder.Channel)
	if code := s.book.begin(w.holder.Channel, limits.Allocations); code != 0 {
		if code == quota {
			s.o.Limited()
		}
		return nil, code
	}
	conn, token, ok := s.book.port(&w)
	if !ok {
		s.book.abort(w.holder.Channel)
		return nil, noCapacity
	}
	local := addrPort(conn.LocalAddr())
	a = &allocation{
		path: p, holder: w.holder, user: w.user, key: w.key, token: token, asked: w.asked, conn: datagram.New(conn), limits: limits, began: s.o.Now(),
		local: local, relayed: netip.AddrPortFrom(w.address.Advertised, local.Port()),
		permissions: map[netip.Addr]time.Time{}, numbers: map[uint16]*channel{}, channels: map[netip.AddrPort]*channel{},
	}
	a.extend(w.life)
	p.allocation.Store(a)
	p.way.keep(true)
	s.counts.began(p.transport)
	why := s.book.add(a)
	s.running.Go(a.hear)
	if why != "" {
		a.stop(why)
		return nil, noCapacity
	}
	s.logbook.Check(w.holder.Channel) // it may have been deleted before the server was started
	return a, 0
}

// begin takes a place for an allocation.
func (b *book) begin(channel kvs.ChannelID, most int) (code int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed || len(b.relayed)+b.pending >= b.most:
		return noCapacity
	case most > 0 && b.channels[channel] >= most:
		return quota
	}
	b.pending++
	b.channels[channel]++
	return 0
}

// abort gives the place back.
func (b *book) abort(channel kvs.ChannelID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pending--
	b.release(channel)
}

func (b *book) release(channel kvs.ChannelID) {
	if b.channels[channel]--; b.channels[channel] == 0 {
		delete(b.channels, channel)
	}
}

// add enters an allocation that has a place, and says why it may not be any more, if it may not.
func (b *book) add(a *allocation) (why End) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pending--
	if a.removed { // it was a short life
		return Expired
	}
	b.relayed[a.relayed] = a
	if _, revoked := b.revoked[a.holder.Channel]; revoked {
		return Revoked
	}
	if b.closed {
		return Stopping
	}
	return ""
}

func (b *book) remove(a *allocation) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a.removed = true
	delete(b.relayed, a.relayed)
	b.release(a.holder.Channel)
	select {
	case b.gone <- struct{}{}:
	default:
	}
}

// at returns the allocation with a relay address.
func (b *book) at(relayed netip.AddrPort) *allocation {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.relayed[relayed]
}

// all returns the allocations in no order.
func (b *book) all() []*allocation {
	b.mu.RLock()
	defer b.mu.RUnlock()
	all := make([]*allocation, 0, len(b.relayed))
	for _, a := range b.relayed {
		all = append(all, a)
	}
	return all
}

// revoke notes that a channel is gone, forgets those whose credentials are all expired,
// and returns the channel's allocations.
func (b *book) revoke(channel kvs.ChannelID, now time.Time) (ending []*allocation) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c, when := range b.revoked {
		if now.Sub(when) > maxAge {
			delete(b.revoked, c)
		}
	}
	b.revoked[channel] = now
	for _, a := range b.relayed {
		if a.holder.Channel == channel {
			ending = append(ending, a)
		}
	}
	return ending
}

func (b *book) isRevoked(channel kvs.ChannelID) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	_, is := b.revoked[channel]
	return is
}

// drain refuses new allocations and waits until there are none, or ctx ends.
func (b *book) drain(ctx context.Context) {
	for {
		b.mu.Lock()
		b.closed = true
		n := len(b.relayed)
		b.mu.Unlock()
		if n == 0 {
			return
		}
		select {
		case <-b.gone:
		case <-ctx.Done():
			return
		}
	}
}

// port opens the relay socket that a wish describes.
func (b *book) port(w *wish) (conn *net.UDPConn, token string, ok bool) {
	if w.token != "" {
		conn = b.claim(w)
		return conn, "", conn != nil
	}
	for range portTries {
		at := int(b.ports.First) + mathrand.IntN(int(b.ports.Last)-int(b.ports.First)+1)
		if w.even {
			at &^= 1
		}
		if at < int(b.ports.First) || w.next && at == int(b.ports.Last) {
			continue
		}
		if conn = listenRelay(w.address.Local, at); conn == nil {
			continue
		}
		if !w.next {
			return conn, "", true
		}
		if token, ok = b.reserve(w, at+1); ok {
			return conn, token, true
		}
		conn.Close()
	}
	return nil, "", false
}

func listenRelay(local netip.Addr, port int) *net.UDPConn {
	network := "udp4"
	if local.Is6() {
		network = "udp6"
	}
	conn, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, uint16(port))))
	if err != nil {
		return nil // taken, most of all: another port will do
	}
	return conn
}

// reserve keeps a port for the user's next allocation.
func (b *book) reserve(w *wish, port int) (token string, ok bool) {
	conn := listenRelay(w.address.Local, port)
	if conn == nil {
		return "", false
	}
	var id [4]byte
	rand.Read(id[:])
	token = hex.EncodeToString(id[:])
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || len(b.kept) >= maxReservations || b.kept[token] != nil {
		conn.Close()
		return "", false
	}
	b.kept[token] = &reservation{user: w.user, address: w.address, conn: conn, timer: time.AfterFunc(reservationLife, func() {
		b.mu.Lock()
		r := b.kept[token]
		delete(b.kept, token)
		b.mu.Unlock()
		if r != nil {
			r.conn.Close()
		}
	})}
	return token, true
}

// keeps says whether a port is kept under a token.
func (b *book) keeps(token string) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.kept[token] != nil
}

// claim takes a port that was kept for the user, nil if there is none. It is of the family
// of the one below it, which the request cannot name.
func (b *book) claim(w *wish) *net.UDPConn {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.kept[w.token]
	if r == nil || r.user != w.user {
		return nil
	}
	w.address = r.address
	delete(b.kept, w.token)
	r.timer.Stop()
	return r.conn
}

// close lets nothing begin any more, and gives back the ports that are kept.
func (b *book) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for token, r := range b.kept {
		delete(b.kept, token)
		r.timer.Stop()
		r.conn.Close()
	}
}
