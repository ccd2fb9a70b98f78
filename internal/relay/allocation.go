package relay

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/relay/credential"
	"github.com/millrace/millrace/internal/relay/datagram"
	"github.com/millrace/millrace/internal/relay/guard"
	"github.com/millrace/millrace/internal/relay/logbook"
)

// Permissions and channels of one allocation (section 6). Nothing that calls needs more:
// clients have a permission for each candidate of the other side.
const maxPeers = 64

// End is why an allocation ended: what the log and the metric call it (section 7).
type End string

// The ends.
const (
	Released End = "released"
	Expired  End = "expired"
	Left     End = "left"
	Revoked  End = "revoked"
	Stopping End = "stopping"
	Failed   End = "failed"
)

// allocation is a relay address that a client has. What the fields before mu say never
// changes.
type allocation struct {
	path    *path
	holder  credential.Holder
	user    string
	key     []byte
	token   string // of the port above, kept for the same user
	asked   string // see [asks]
	conn    *datagram.Conn
	local   netip.AddrPort // of conn
	relayed netip.AddrPort // what clients are told
	limits  Limits
	began   time.Time

	out, in guard.Bucket
	carried carried
	removed bool // from the book, whose mu holds it
	ending  sync.Once
	why     End // when it has ended

	mu          sync.RWMutex
	expires     time.Time
	timer       *time.Timer
	permissions map[netip.Addr]time.Time // until when
	numbers     map[uint16]*channel
	channels    map[netip.AddrPort]*channel
	samples     [2]sample // the older one first
}

// channel stands for one peer in ChannelData, and permits it.
type channel struct {
	number uint16
	peer   netip.AddrPort
	until  atomic.Int64 // as [Server.since] counts
}

// used says whether the client has done anything with the allocation.
func (a *allocation) used() bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return len(a.permissions) > 0 || len(a.channels) > 0
}

// left is how long the allocation lives if nothing happens.
func (a *allocation) left() time.Duration {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return max(0, a.expires.Sub(a.path.server.o.Now()))
}

// extend lets the allocation live that long from now on.
func (a *allocation) extend(life time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.expires = a.path.server.o.Now().Add(life)
	if a.timer == nil {
		a.timer = time.AfterFunc(life, func() { a.stop(Expired) })
		return
	}
	a.timer.Reset(life)
}

// permit lets peers in, all or none.
func (a *allocation) permit(all []netip.AddrPort) bool {
	now := a.path.server.o.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.admit(all, now)
}

// admit is permit for who holds mu.
func (a *allocation) admit(all []netip.AddrPort, now time.Time) bool {
	if len(a.permissions)+len(all) > maxPeers && a.fresh(all, now) > maxPeers {
		return false
	}
	for _, peer := range all {
		a.permissions[peer.Addr()] = now.Add(permissionLife)
	}
	return true
}

// fresh forgets what has expired and returns how many permissions there would be with
// all. The caller holds mu.
func (a *allocation) fresh(all []netip.AddrPort, now time.Time) (n int) {
	for peer, until := range a.permissions {
		if now.After(until) {
			delete(a.permissions, peer)
		}
	}
	seen := map[netip.Addr]bool{}
	for _, peer := range all {
		if _, ok := a.permissions[peer.Addr()]; !ok {
			seen[peer.Addr()] = true
		}
	}
	return len(a.permissions) + len(seen)
}

// bind gives a peer a number or keeps it for longer, and permits all ports of its address
// as CreatePermission does; code is that of a refusal.
func (a *allocation) bind(number uint16, peer netip.AddrPort) (code int) {
	s := a.path.server
	clock := s.o.Now()
	now := s.since(clock)
	a.mu.Lock()
	defer a.mu.Unlock()
	for n, c := range a.numbers {
		if c.until.Load() < now && (n == number || c.peer == peer || len(a.numbers) >= maxPeers) {
			delete(a.numbers, n)
			delete(a.channels, c.peer)
		}
	}
	c := a.numbers[number]
	switch {
	case c != nil && c.peer != peer, c == nil && a.channels[peer] != nil:
		return badRequest
	case c == nil && len(a.numbers) >= maxPeers, !a.admit([]netip.AddrPort{peer}, clock):
		return noCapacity
	case c == nil:
		c = &channel{number: number, peer: peer}
		a.numbers[number], a.channels[peer] = c, c
	}
	c.until.Store(now + int64(channelLife))
	return 0
}

// stop ends the allocation. The first reason counts.
func (a *allocation) stop(why End) {
	a.ending.Do(func() {
		s := a.path.server
		a.mu.Lock()
		a.timer.Stop()
		a.mu.Unlock()
		a.path.way.keep(false) // first: the next allocation of the client would be forgotten with this one
		a.path.allocation.Store(nil)
		a.conn.Close()
		s.forget(a, why)
		a.why = why
	})
}

// log leaves the one line of an allocation that has ended.
func (a *allocation) log() {
	s, c := a.path.server, &a.carried
	s.logbook.Write(logbook.Line{Text: "relay ended", Account: a.holder.Account, Channel: a.holder.Channel, More: []any{
		"client", a.holder.Client, "reason", a.why, "transport", a.path.transport, "source", a.path.from, "relay", a.relayed, "lasted", s.o.Now().Sub(a.began).Round(time.Millisecond),
		"bytes_out", c.bytesOut.Load(), "packets_out", c.packetsOut.Load(), "bytes_in", c.bytesIn.Load(), "packets_in", c.packetsIn.Load(),
		"dropped", c.dropped.all()}})
}
