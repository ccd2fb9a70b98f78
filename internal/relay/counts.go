package relay

import (
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// The reasons for which packets are dropped.
const (
	bandwidth = iota
	noPermission
	tooLong
	slow
	unsent
	dropReasons
)

// dropNames are the reasons as the metric has them.
var dropNames = [dropReasons]string{"bandwidth", "no permission", "too long", "slow", "unsent"}

type drops [dropReasons]atomic.Uint64

func (d *drops) all() (n uint64) {
	for i := range d {
		n += d[i].Load()
	}
	return n
}

// carried is what an allocation has carried, in bytes of payload. Out is to peers.
type carried struct {
	bytesOut, packetsOut, bytesIn, packetsIn atomic.Uint64

	minute  atomic.Int64 // the last one that carried something, 1 = the first
	minutes atomic.Uint64
	dropped drops
}

func (c *carried) sent(s *Server, a *allocation, now time.Time, n int) {
	c.bytesOut.Add(uint64(n))
	c.packetsOut.Add(1)
	c.connected(s, a, now)
}

func (c *carried) heard(s *Server, a *allocation, now time.Time, n int) {
	c.bytesIn.Add(uint64(n))
	c.packetsIn.Add(1)
	c.connected(s, a, now)
}

// connected counts a minute when its first packet passes.
func (c *carried) connected(s *Server, a *allocation, now time.Time) {
	minute := int64(now.Sub(a.began)/time.Minute) + 1
	if before := c.minute.Load(); minute > before && c.minute.CompareAndSwap(before, minute) {
		c.minutes.Add(1)
		s.counts.connected(a.holder.Channel)
	}
}

// counts are what the server has done since it began.
type counts struct {
	malformed atomic.Uint64 // packets that were nothing
	withheld  atomic.Uint64 // answers that a source was not given
	turned    atomic.Uint64 // connections turned away

	mu       sync.Mutex
	refusals map[int]uint64
	begun    map[Transport]uint64
	ends     map[End]uint64
	past     Traffic // of allocations that ended
	drops    [dropReasons]uint64
	minutes  map[kvs.ChannelID]uint64
}

func bump[K comparable](m *map[K]uint64, k K) {
	if *m == nil {
		*m = map[K]uint64{}
	}
	(*m)[k]++
}

func (c *counts) refused(code int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	bump(&c.refusals, code)
}

func (c *counts) began(t Transport) {
	c.mu.Lock()
	defer c.mu.Unlock()
	bump(&c.begun, t)
}

func (c *counts) connected(channel kvs.ChannelID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	bump(&c.minutes, channel)
}

// forget takes an allocation out of the book and puts what it carried to what all others
// have: at once, so that [Server.Totals] never has it twice or not at all.
func (s *Server) forget(a *allocation, why End) {
	c := &s.counts
	c.mu.Lock()
	defer c.mu.Unlock()
	s.book.remove(a)
	bump(&c.ends, why)
	c.past.add(a.traffic())
	for i := range c.drops {
		c.drops[i] += a.carried.dropped[i].Load()
	}
}

// Traffic is what was carried, in bytes of payload. Out is from clients to peers.
type Traffic struct{ BytesOut, PacketsOut, BytesIn, PacketsIn, Minutes uint64 }

func (t *Traffic) add(o Traffic) {
	t.BytesOut += o.BytesOut
	t.PacketsOut += o.PacketsOut
	t.BytesIn += o.BytesIn
	t.PacketsIn += o.PacketsIn
	t.Minutes += o.Minutes
}

func (a *allocation) traffic() Traffic {
	c := &a.carried
	return Traffic{BytesOut: c.bytesOut.Load(), PacketsOut: c.packetsOut.Load(), BytesIn: c.bytesIn.Load(), PacketsIn: c.packetsIn.Load(), Minutes: c.minutes.Load()}
}

// Totals are what the server has done since it began (section 8).
type Totals struct {
	Traffic
	Live      map[Transport]int    // allocations now
	Begun     map[Transport]uint64 // allocations
	Ends      map[End]uint64       // allocations that ended
	Refusals  map[string]uint64    // requests refused, by code
	Dropped   map[string]uint64    // packets
	Malformed uint64               // packets that were nothing
	Withheld  uint64               // answers that a source was not given
	Turned    uint64               // connections turned away
}

// Totals adds up what the allocations have counted.
func (s *Server) Totals() Totals {
	t := Totals{
		Live: map[Transport]int{}, Begun: map[Transport]uint64{}, Ends: map[End]uint64{}, Refusals: map[string]uint64{}, Dropped: map[string]uint64{},
		Malformed: s.counts.malformed.Load(), Withheld: s.counts.withheld.Load(), Turned: s.counts.turned.Load(),
	}
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	t.Traffic = s.counts.past
	for i, n := range s.counts.drops {
		t.Dropped[dropNames[i]] = n
	}
	for _, a := range s.book.all() {
		t.Live[a.path.transport]++
		t.add(a.traffic())
		for i := range a.carried.dropped {
			t.Dropped[dropNames[i]] += a.carried.dropped[i].Load()
		}
	}
	for k, n := range s.counts.begun {
		t.Begun[k] = n
	}
	for k, n := range s.counts.ends {
		t.Ends[k] = n
	}
	for k, n := range s.counts.refusals {
		t.Refusals[strconv.Itoa(k)] = n
	}
	return t
}

// Minutes is how many minutes of a channel's allocations carried something, since the
// server began (TurnConnectedMinutes).
func (s *Server) Minutes(channel kvs.ChannelID) uint64 {
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	return s.counts.minutes[channel]
}

// Allocation is a row of [Server.Top].
type Allocation struct {
	Account   kvs.AccountID
	Channel   kvs.ChannelID
	Client    string // "" = master
	Transport Transport
	Source    netip.AddrPort // the client as we see it
	Relay     netip.AddrPort // the address that it was lent
	Began     time.Time
	Expires   time.Time
	Peers     int // permissions and channels
	Dropped   uint64
	Traffic
}

// Top returns the allocations, the oldest first.
func (s *Server) Top() (rows []Allocation) {
	for _, a := range s.book.all() {
		a.mu.RLock()
		peers, expires := max(len(a.permissions), len(a.channels)), a.expires
		a.mu.RUnlock()
		rows = append(rows, Allocation{
			Account: a.holder.Account, Channel: a.holder.Channel, Client: a.holder.Client, Transport: a.path.transport, Source: a.path.from,
			Relay: a.relayed, Began: a.began, Expires: expires, Peers: peers, Dropped: a.carried.dropped.all(), Traffic: a.traffic(),
		})
	}
	return rows
}
