package relay

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
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
	backlog
	dropReasons
)

// dropNames are the reasons as the metric has them.
var dropNames = [dropReasons]string{"bandwidth", "no permission", "too long", "slow", "unsent", "backlog"}

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

func (c *carried) sent(a *allocation, now time.Time, n, packets int) {
	c.bytesOut.Add(uint64(n))
	c.packetsOut.Add(uint64(packets))
	c.connected(a, now)
}

func (c *carried) heard(a *allocation, now time.Time, n, packets int) {
	c.bytesIn.Add(uint64(n))
	c.packetsIn.Add(uint64(packets))
	c.connected(a, now)
}

// connected counts a minute when its first packet passes.
func (c *carried) connected(a *allocation, now time.Time) {
	minute := int64(now.Sub(a.began)/time.Minute) + 1
	if before := c.minute.Load(); minute > before && c.minute.CompareAndSwap(before, minute) {
		c.minutes.Add(1)
	}
}

// counts are what the server has done since it began.
type counts struct {
	malformed atomic.Uint64 // packets that were nothing
	withheld  atomic.Uint64 // answers that a source was not given
	turned    atomic.Uint64 // connections turned away

	mu       sync.Mutex
	refusals map[int]uint64
	denied   map[Unauthorized]uint64 // of refusals with 401
	begun    map[Transport]uint64
	ends     map[End]uint64
	past     Traffic // of allocations that ended
	drops    [dropReasons]uint64
	channels map[kvs.ChannelID]*Use // past of those that exist, without Live
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

func (c *counts) unauthorized(why Unauthorized) {
	c.mu.Lock()
	defer c.mu.Unlock()
	bump(&c.denied, why)
}

func (c *counts) began(t Transport) {
	c.mu.Lock()
	defer c.mu.Unlock()
	bump(&c.begun, t)
}

// forget takes an allocation out of the book and puts what it carried to what all others
// have: at once, so that [Server.Totals] never has it twice or not at all.
func (s *Server) forget(a *allocation, why End) {
	c := &s.counts
	c.mu.Lock()
	defer c.mu.Unlock()
	s.book.remove(a)
	bump(&c.ends, why)
	t := a.traffic()
	c.past.add(t)
	if h := &a.holder; t != (Traffic{}) && !s.book.isRevoked(h.Channel) {
		c.of(h.Account, h.Channel).add(t)
	}
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
	Live      map[Transport]int       // allocations now
	Begun     map[Transport]uint64    // allocations
	Ends      map[End]uint64          // allocations that ended
	Refusals  map[string]uint64       // requests refused, by code
	Denied    map[Unauthorized]uint64 // those with 401, by reason
	Dropped   map[string]uint64       // packets
	Malformed uint64                  // packets that were nothing
	Withheld  uint64                  // answers that a source was not given
	Turned    uint64                  // connections turned away
	Missing   uint64                  // lines that the log lacks
}

// Totals adds up what the allocations have counted.
func (s *Server) Totals() Totals {
	t := Totals{
		Live: map[Transport]int{}, Begun: map[Transport]uint64{}, Ends: map[End]uint64{}, Refusals: map[string]uint64{}, Dropped: map[string]uint64{},
		Malformed: s.counts.malformed.Load(), Withheld: s.counts.withheld.Load(), Turned: s.counts.turned.Load(), Missing: s.logbook.Lost(),
	}
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	t.Traffic, t.Denied = s.counts.past, maps.Clone(s.counts.denied)
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

// Query says of which allocations somebody wants to know; its zero value, of all.
type Query struct {
	Account kvs.AccountID // "" = of all accounts
	Channel kvs.ChannelID // 0 = of all channels
	Most    int           // rows; 0 = all
}

// Use is what was carried for a channel since the server began. Minutes are what
// TurnConnectedMinutes measures.
type Use struct {
	Account kvs.AccountID
	Channel kvs.ChannelID
	Live    int // allocations now
	Traffic
}

// of returns the row of a channel. The caller holds mu.
func (c *counts) of(account kvs.AccountID, channel kvs.ChannelID) *Use {
	u := c.channels[channel]
	if u == nil {
		if c.channels == nil {
			c.channels = map[kvs.ChannelID]*Use{}
		}
		u = &Use{Account: account, Channel: channel}
		c.channels[channel] = u
	}
	return u
}

// drop forgets what a channel had that was deleted: what is kept does not grow for ever.
func (c *counts) drop(channel kvs.ChannelID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.channels, channel)
}

// Usage returns what was carried for channels, in the order of their numbers: those behind
// a number, and at most so many. Channels that were deleted are not among them.
func (s *Server) Usage(q Query, after kvs.ChannelID) []Use {
	asked := func(a kvs.AccountID, c kvs.ChannelID) bool {
		return c > after && (q.Account == "" || a == q.Account) && (q.Channel == 0 || c == q.Channel)
	}
	var c counts // a copy
	s.counts.mu.Lock()
	for _, u := range s.counts.channels {
		if asked(u.Account, u.Channel) {
			c.of(u.Account, u.Channel).add(u.Traffic)
		}
	}
	for _, a := range s.book.all() {
		if h := &a.holder; asked(h.Account, h.Channel) {
			u := c.of(h.Account, h.Channel)
			u.Live++
			u.add(a.traffic())
		}
	}
	s.counts.mu.Unlock()
	all := make([]Use, 0, len(c.channels))
	for _, id := range slices.Sorted(maps.Keys(c.channels)) {
		if q.Most > 0 && len(all) == q.Most {
			break
		}
		all = append(all, *c.channels[id])
	}
	return all
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
	RateOut, RateIn float64 // bytes of payload a second, lately
}

// Top returns the allocations that are asked for, the fastest first and the older ones of
// those, and how many there are besides. It costs something for each allocation of the
// account, and a row for those that are returned.
func (s *Server) Top(q Query) (rows []Allocation, more int) {
	type entry struct {
		a       *allocation
		out, in float64
	}
	var all []entry
	now := s.o.Now()
	for _, a := range s.book.all() {
		if (q.Account == "" || a.holder.Account == q.Account) && (q.Channel == 0 || a.holder.Channel == q.Channel) {
			out, in := a.rates(now)
			all = append(all, entry{a, out, in})
		}
	}
	slices.SortFunc(all, func(x, y entry) int {
		return cmp.Or(cmp.Compare(y.out+y.in, x.out+x.in), x.a.began.Compare(y.a.began), x.a.relayed.Compare(y.a.relayed))
	})
	if q.Most > 0 && len(all) > q.Most {
		all, more = all[:q.Most], len(all)-q.Most
	}
	for _, e := range all {
		row := e.a.row()
		row.RateOut, row.RateIn = e.out, e.in
		rows = append(rows, row)
	}
	return rows, more
}

func (a *allocation) row() Allocation {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return Allocation{
		Account: a.holder.Account, Channel: a.holder.Channel, Client: a.holder.Client, Transport: a.path.transport, Source: a.path.from,
		Relay: a.relayed, Began: a.began, Expires: a.expires, Peers: max(len(a.permissions), len(a.channels)), Dropped: a.carried.dropped.all(), Traffic: a.traffic(),
	}
}

// sample is what an allocation had carried at a moment.
type sample struct {
	at      time.Time
	out, in uint64 // bytes
}

// sampleEvery is half of the time of which rates tell, and the least of it.
const sampleEvery = 5 * time.Second

// sampling takes samples until the server ends.
func (s *Server) sampling() {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.sample()
			s.batches.Trim()
		case <-s.ended.Done():
			return
		}
	}
}

// sample notes what each allocation has carried so far, and forgets the note before the last.
func (s *Server) sample() {
	now := s.o.Now()
	for _, a := range s.book.all() {
		next := sample{now, a.carried.bytesOut.Load(), a.carried.bytesIn.Load()}
		a.mu.Lock()
		a.samples = [2]sample{a.samples[1], next}
		a.mu.Unlock()
	}
}

// rates are bytes a second since the older of two samples, or since the beginning.
func (a *allocation) rates(now time.Time) (out, in float64) {
	a.mu.RLock()
	from := a.samples[0]
	a.mu.RUnlock()
	if from.at.IsZero() {
		from.at = a.began
	}
	seconds := max(now.Sub(from.at).Seconds(), 1) // what has just begun has no rate yet
	return float64(a.carried.bytesOut.Load()-from.out) / seconds, float64(a.carried.bytesIn.Load()-from.in) / seconds
}
