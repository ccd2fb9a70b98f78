package hub

import (
	"context"
	"strings"
	"sync"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/signal"
)

// Seat is a place on a channel that was given to somebody who may now connect.
type Seat struct {
	member *member
	once   sync.Once // the seat is used, or given back
}

// Reserve takes a seat for somebody who is about to connect. It fails with TooManyRequests
// when the channel has as many viewers as it may have, with Unavailable while the server
// stops, and with NotFound when the channel was just deleted. The older connection of the
// same name keeps its seat until Serve. The seat must be served or released.
func (h *Hub) Reserve(m Member) (*Seat, error) {
	r, err := h.enter(m.Channel)
	if err != nil {
		return nil, err
	}
	s := &Seat{member: newMember(h, r, m)}
	refused := make(chan error, 1)
	r.do(func() { refused <- r.reserve(s.member) })
	if err := <-refused; err != nil {
		r.last(func() {})
		return nil, err
	}
	return s, nil
}

func newMember(h *Hub, r *room, m Member) *member {
	// The texts of a request are parts of longer ones, and may be long themselves, which should
	// not stay for the hours of a connection.
	out := &member{hub: h, room: r, role: m.Role, limits: m.Limits, deaf: m.Unwarned, over: make(chan struct{}), closed: make(chan struct{}),
		who: identity{short(m.Client), short(m.UserAgent), short(m.AccessKey), short(m.RequestID)}}
	if m.Role == Viewer {
		out.id = strings.Clone(m.ClientID)
	}
	return out
}

// short is as much of a client's text as is kept of it.
func short(text string) string { return strings.Clone(text[:min(len(text), maxClientText)]) }

// Release gives back a seat that nobody will sit on. After Serve it does nothing.
func (s *Seat) Release() {
	s.once.Do(func() {
		m := s.member
		m.room.last(func() { m.room.release(m) })
	})
}

// Serve is the whole life of a connection: it returns how it ended, when it is closed.
// The end of ctx ends it too, for the reason that its cause says: an error of kind Denied
// is a right that was taken away, Expired, NotFound; anything else is the server's end.
func (s *Seat) Serve(ctx context.Context, c Conn) Ending {
	served := false
	s.once.Do(func() { served = true })
	if !served {
		panic("hub: a seat is served once")
	}
	m := s.member
	m.begin(c)
	m.room.do(func() { m.room.join(m) })
	stop := context.AfterFunc(ctx, func() { m.finish(outsideEnding(context.Cause(ctx))) })
	defer stop()
	m.stay()
	return m.ending
}

// stay reads until the connection is over and closed. A mistake of ours in between, which
// whoever called answers for, leaves nothing behind either.
func (m *member) stay() {
	ending := failed
	defer func() {
		m.finish(ending)
		<-m.closed
		m.work.Wait()
		m.record(m.ending)
		m.room.last(func() {})
	}()
	ending = m.read()
}

// begin makes the member ready to be joined.
func (m *member) begin(c Conn) {
	m.conn = c
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.since = m.hub.now()
	m.heard.Store(m.since.UnixNano())
	m.active.Store(m.since.UnixNano())
	m.watch()
}

// Heard says that the client showed itself otherwise than by a message, by a ping: it will
// not be asked for a while whether it is there.
func (s *Seat) Heard() { s.member.heard.Store(s.member.hub.now().UnixNano()) }

// reserve gives m a seat if there is one.
func (r *room) reserve(m *member) error {
	if r.over {
		return r.why
	}
	s := r.slots[m.id]
	if s == nil {
		if m.role == Viewer && m.limits.Viewers > 0 && r.viewers() >= m.limits.Viewers {
			return kvs.Errorf(kvs.TooManyRequests, "The channel has %d viewers already, as many as are allowed.", m.limits.Viewers)
		}
		s = &slot{}
		r.slots[m.id] = s
	}
	s.reserved++
	r.seq++
	m.number = r.seq
	return nil
}

// release gives back a seat that was reserved.
func (r *room) release(m *member) {
	if s := r.slots[m.id]; s != nil {
		s.reserved--
		r.tidy(m.id, s)
	}
}

// tidy forgets a slot that nobody has.
func (r *room) tidy(id string, s *slot) {
	if s.member == nil && s.reserved == 0 {
		delete(r.slots, id)
	}
}

// viewers is how many seats of viewers are taken.
func (r *room) viewers() int {
	n := len(r.slots)
	if r.slots[""] != nil {
		n--
	}
	return n
}

// join lets m in, in place of an older connection of the same name, and gives it what
// waited for it.
func (r *room) join(m *member) {
	defer r.release(m) // it sits now
	s := r.slots[m.id]
	old := s.member
	switch {
	case r.over:
		r.turnAway(m, r.end)
		return
	case old != nil && old.number > m.number:
		r.turnAway(m, replaced)
		return
	case old != nil:
		r.leave(old, Replaced)
		old.finish(replaced)
	}
	s.member = m
	if m.role == Master {
		for _, a := range r.asked {
			a.master = true
		}
	}
	r.hub.counts.joined(m.role, +1)
	r.event(m, "")
	if r.goAway {
		m.say(signal.GoAway)
	}
	r.refill(m)
}

// turnAway ends a connection that never sat.
func (r *room) turnAway(m *member, e Ending) {
	m.left = true
	m.finish(e)
	r.giveBack(m.id, m.outbox.shut()) // it may have been told already what was wrong with its first messages
}

// leave takes the seat of m away and what it did not get back into the mailbox.
func (r *room) leave(m *member, why Reason) {
	if m.left {
		return
	}
	m.left = true
	s := r.slots[m.id]
	s.member = nil
	r.tidy(m.id, s)
	r.hub.counts.joined(m.role, -1)
	r.event(m, why)
	r.giveBack(m.id, m.outbox.shut())
}
