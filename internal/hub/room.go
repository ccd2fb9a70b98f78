package hub

import (
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/signal"
)

// room is a channel that has members, messages or Alexa offers. One goroutine, in run, owns
// everything below inbox; others hand it functions to do.
type room struct {
	hub     *Hub
	id      kvs.ChannelID
	account kvs.AccountID
	name    string
	arn     string
	share   *share // of its account
	users   int    // who may still hand it something to do; under hub.mu
	inbox   chan func()

	channel kvs.Channel
	slots   map[string]*slot    // by client id, "" the master
	mail    map[string]*mailbox // by recipient, "" the master
	asked   map[string]*ask     // Alexa offers, by sender
	waiting int                 // messages in mail
	bytes   int                 // of them
	seq     uint64              // of the last message and the last seat

	due   time.Time // when the next thing dies, zero if nothing does
	timer *time.Timer

	goAway bool   // everybody was told to go
	over   bool   // nobody may come any more
	end    Ending // for who comes nevertheless
	why    error  // the same for callers
}

// slot is the seat of one name.
type slot struct {
	member   *member // who sits on it, nil while there is nobody yet
	reserved int     // how many are about to
	offers   []asking
}

// asking is an offer of a viewer that was not answered yet.
type asking struct {
	seq uint64
	die time.Time
}

func newRoom(h *Hub, c kvs.Channel) *room {
	timer := time.NewTimer(0)
	timer.Stop()
	return &room{hub: h, id: c.ID, account: c.Account, name: c.Name, arn: c.ARN().String(), channel: c, inbox: make(chan func()), timer: timer,
		slots: map[string]*slot{}, mail: map[string]*mailbox{}, asked: map[string]*ask{}}
}

// run does what it is handed until nobody uses the room and nothing is in it.
func (r *room) run() {
	for {
		select {
		case do := <-r.inbox:
			do()
		case <-r.timer.C:
			r.expire()
		}
		if r.empty() && r.hub.remove(r) {
			return
		}
	}
}

func (r *room) empty() bool {
	return len(r.slots) == 0 && len(r.mail) == 0 && len(r.asked) == 0
}

// do hands over something to do. The caller is a user of the room.
func (r *room) do(what func()) { r.inbox <- what }

// last hands over the last thing of a user.
func (r *room) last(what func()) {
	r.inbox <- func() {
		what()
		r.hub.exit(r)
	}
}

// shut ends all connections and calls, and forgets what waits: the channel or the server
// is no more.
func (r *room) shut(e Ending, why error) {
	r.over, r.end, r.why = true, e, why
	for _, s := range r.slots {
		if m := s.member; m != nil {
			r.leave(m, e.Reason)
			m.finish(e)
		}
	}
	for to, box := range r.mail {
		for _, msg := range box.messages {
			r.forget(msg, forgotten)
		}
		delete(r.mail, to)
	}
	for sender, a := range r.asked {
		a.fail(why)
		delete(r.asked, sender)
	}
}

// tell says something of the server's own to everybody.
func (r *room) tell(t signal.Type) {
	r.goAway = r.goAway || t == signal.GoAway
	for _, s := range r.slots {
		if s.member != nil {
			s.member.say(t)
		}
	}
}

// plan sees to it that the room wakes up when something that dies at the given time does.
func (r *room) plan(die time.Time) {
	if !r.due.IsZero() && !die.Before(r.due) {
		return
	}
	r.due = die
	r.timer.Reset(die.Sub(r.hub.now()))
}

// expire drops what has died, and plans the next time.
func (r *room) expire() {
	now := r.hub.now()
	r.due = time.Time{}
	for to, box := range r.mail {
		dead := box.expire(now)
		for _, msg := range dead {
			r.forget(msg, died)
		}
		r.complain(dead)
		if len(box.messages) == 0 {
			delete(r.mail, to)
		} else {
			r.plan(box.firstDeath())
		}
	}
	r.expireAsked(now)
}
