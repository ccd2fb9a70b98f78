package hub

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// Presence is who is on a channel.
type Presence struct {
	Channel kvs.Channel
	Master  *Attendance  // nil when there is none
	Viewers []Attendance // by client id
	Waiting int          // messages in its mailboxes
	Bytes   int          // of them
}

// Attendance is a connection that has a seat.
type Attendance struct {
	ClientID  string // "" the master
	Since     time.Time
	Address   string
	UserAgent string
}

// Presence returns who is on the channels of an account, by name; channel is the name of one
// of them, "" for all. A channel that nobody uses is not among them.
func (h *Hub) Presence(a kvs.AccountID, channel string) []Presence {
	var all []Presence
	for _, r := range h.all(func(r *room) bool { return r.account == a && (channel == "" || r.name == channel) }) {
		answer := make(chan Presence, 1)
		r.last(func() { answer <- r.presence() })
		if p := <-answer; p.Master != nil || len(p.Viewers) > 0 || p.Waiting > 0 {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b Presence) int { return cmp.Compare(a.Channel.Name, b.Channel.Name) })
	return all
}

func (r *room) presence() Presence {
	p := Presence{Channel: r.channel, Waiting: r.waiting, Bytes: r.bytes}
	for id, s := range r.slots {
		m := s.member
		if m == nil {
			continue
		}
		a := Attendance{ClientID: id, Since: m.since, Address: m.who.address, UserAgent: m.who.userAgent}
		if m.role == Master {
			p.Master = &a
		} else {
			p.Viewers = append(p.Viewers, a)
		}
	}
	slices.SortFunc(p.Viewers, func(a, b Attendance) int { return cmp.Compare(a.ClientID, b.ClientID) })
	return p
}

// Event is a coming or a going.
type Event struct {
	Number   uint64 // greater is later; those of a later start of the server are greater, too
	Time     time.Time
	Channel  string
	ARN      string
	Role     Role
	ClientID string // "" the master
	Address  string
	Reason   Reason // why it went; "" when it came
}

// Bounds of looking at events.
const (
	keptEvents = 4096
	eventsWait = 20 * time.Second
)

// events are the last ones of all channels, and who waits for the next.
type events struct {
	mu     sync.Mutex
	last   uint64
	ring   []recorded // the last ones, in order from the oldest on and round
	oldest int
	change chan struct{} // closed when there is a new one; nil while nobody waits
}

// recorded is an event with what it is found by.
type recorded struct {
	Event
	account kvs.AccountID
}

// newEvents numbers events from the time of the start in microseconds on, so that a number
// that somebody kept over a restart still means the past.
func newEvents(now time.Time) *events {
	return &events{last: uint64(max(1, now.UnixMicro()))}
}

func (e *events) add(r recorded) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last++
	r.Number = e.last
	if len(e.ring) < keptEvents {
		e.ring = append(e.ring, r)
	} else {
		e.ring[e.oldest] = r
		e.oldest = (e.oldest + 1) % keptEvents
	}
	if e.change != nil {
		close(e.change)
		e.change = nil
	}
}

// after returns the events of an account with a greater number, that of the last event there
// is, and a channel that is closed when there is another.
func (e *events) after(a kvs.AccountID, channel string, after uint64) ([]Event, uint64, <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var found []Event
	n := len(e.ring)
	if missed := e.last - min(after, e.last); missed < uint64(n) {
		n = int(missed) //nolint:gosec // at most keptEvents
	}
	for i := len(e.ring) - n; i < len(e.ring); i++ {
		if r := &e.ring[(e.oldest+i)%len(e.ring)]; r.account == a && (channel == "" || r.Channel == channel) {
			found = append(found, r.Event)
		}
	}
	if e.change == nil {
		e.change = make(chan struct{})
	}
	return found, e.last, e.change
}

// Events returns what came and went on the channels of an account after the event with the
// given number, oldest first, and the number to go on from; channel is the name of one of
// them, "" for all. It waits for up to 20 s until there is something. With after = 0 it
// returns at once, with the number from which what happens next can be asked for. Of what
// is older than the last 4,096 events of the server nothing is known.
func (h *Hub) Events(ctx context.Context, a kvs.AccountID, channel string, after uint64) ([]Event, uint64, error) {
	wait := time.NewTimer(eventsWait)
	defer wait.Stop()
	from := after
	for {
		found, last, change := h.events.after(a, channel, from)
		if after == 0 {
			return nil, last, nil
		}
		if len(found) > 0 {
			return found, last, nil
		}
		from = last
		select {
		case <-change:
		case <-wait.C:
			return nil, last, nil
		case <-ctx.Done():
			return nil, last, ctx.Err()
		}
	}
}

// event records that m came, or why it went.
func (r *room) event(m *member, why Reason) {
	r.hub.events.add(recorded{account: r.account, Event: Event{Time: r.hub.now(), Channel: r.name, ARN: r.arn, Role: m.role,
		ClientID: m.id, Address: m.who.address, Reason: why}})
}
