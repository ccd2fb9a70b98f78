package hub

import (
	"log/slog"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/signal"
)

// fate is how the life of a message ended.
type fate uint8

// The fates of messages (signaling.md, section 5).
const (
	delivered fate = iota
	died           // its time came
	overtaken      // a newer one took its place, or there were too many candidates
	refused        // it broke a rule
	limited        // it came too fast, or there was no place for it
	dropped        // its connection failed while it was written, or nobody can take it
	forgotten      // with its channel, or with the server
)

var fates = [...]string{"delivered", "expired", "replaced", "refused", "limited", "dropped", "forgotten"}

func (f fate) String() string { return fates[f] }

// done is the end of a message that the hub held.
func (h *Hub) done(msg *message, f fate) {
	h.release(msg)
	h.counts.message(msg.kind, f)
}

// newMessage makes a message of m out of what came.
func (m *member) newMessage(in signal.Message) *message {
	msg := &message{kind: in.Action, from: m.id}
	if m.role == Master {
		msg.to = in.Recipient
	}
	msg.frame = signal.AppendDelivery(make([]byte, 0, signal.DeliverySize(in.Action, m.id, in.Payload)), in.Action, m.id, in.Payload)
	msg.payload = in.Payload
	return msg
}

// accept begins the life of a message of m: the owner of the room does it.
func (r *room) accept(m *member, msg *message, correlation string) {
	if r.over {
		r.hub.done(msg, forgotten)
		return
	}
	r.stamp(msg)
	switch {
	case m.role == Viewer && msg.kind == signal.Offer:
		r.viewerAsks(msg)
	case m.role == Master && r.answersCaller(msg):
		return
	}
	if !r.send(msg) {
		r.hub.done(msg, limited)
		m.refuse(correlation, errTooMuchWaits)
	}
}

var errTooMuchWaits = kvs.Errorf(kvs.TooManyRequests, "Too many messages wait on this channel for somebody to come; send again later.")

// stamp gives a message its place and its time to die.
func (r *room) stamp(msg *message) {
	r.seq++
	msg.seq = r.seq
	msg.die = r.hub.now().Add(r.channel.TTL)
}

// send puts a message into the outbox of its recipient or, if there is none, or something
// waits for it already, or the sender has its part of the outbox, into the mailbox of the
// pair. It reports whether there was room.
func (r *room) send(msg *message) bool {
	msg.payload = "" // the frame has it, and is what counts as held
	if s := r.slots[msg.to]; s != nil && s.member != nil && !r.waitsFrom(msg) {
		switch s.member.post(msg) {
		case inOutbox:
			return true
		case isFull, isOver:
			r.leave(s.member, s.member.why())
		case crowded: // what waits follows when the outbox is empty
		}
	}
	return r.put(msg)
}

// waitsFrom reports whether something waits from the sender of msg for its recipient.
func (r *room) waitsFrom(msg *message) bool {
	box := r.mail[msg.to]
	if box == nil {
		return false
	}
	for _, other := range box.messages {
		if other.sameSender(msg) {
			return true
		}
	}
	return false
}

// why is the reason for which m ended.
func (m *member) why() Reason {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ending.Reason
}

// complain logs messages to one recipient that nobody took in time, in one line for each
// sender.
func (r *room) complain(dead []*message) {
	type tally struct{ offers, answers, candidates int }
	by := map[string]*tally{}
	for _, msg := range dead {
		t := by[msg.from]
		if t == nil {
			t = &tally{}
			by[msg.from] = t
		}
		switch msg.kind {
		case signal.Offer:
			t.offers++
		case signal.Answer:
			t.answers++
		default:
			t.candidates++
		}
	}
	for from, t := range by {
		r.hub.log.Info("signaling messages expired", slog.String("channel", r.name), slog.String("from", called(from)),
			slog.String("to", called(dead[0].to)), slog.Int("offers", t.offers), slog.Int("answers", t.answers), slog.Int("candidates", t.candidates))
	}
}

// called is how the log calls a member.
func called(id string) string {
	if id == "" {
		return "the master"
	}
	return id
}
