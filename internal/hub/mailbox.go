package hub

import (
	"cmp"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/signal"
)

// message is one on its way.
type message struct {
	kind  signal.Type
	from  string // the viewer's id, "" the master
	to    string
	alexa bool // an offer that is no viewer's

	share   *share // that it is held in
	frame   []byte // as it will be sent
	payload string // until it is on its way; none of what the server says itself
	seq     uint64 // 0 of what the server says itself
	die     time.Time
}

// overhead is about what a message takes besides its frame.
const overhead = 256

// size is what the message counts for in the bounds of memory.
func (m *message) size() int { return len(m.frame) + overhead }

// sameSender reports whether two messages to the same recipient belong to the same pair.
func (m *message) sameSender(other *message) bool {
	return m.from == other.from && m.alexa == other.alexa
}

// mailbox has what waits for one recipient, in the order in which it came: the mailboxes of
// all its pairs together.
type mailbox struct{ messages []*message }

// displaced returns what has to go when msg comes: the older description of its kind with
// the candidates that came after it, or the oldest candidate when there are too many.
func (b *mailbox) displaced(msg *message) (out []*message) {
	if msg.kind == signal.Candidate {
		return b.oldestCandidate(msg)
	}
	for _, other := range b.messages {
		switch {
		case !other.sameSender(msg):
		case other.kind == msg.kind, other.kind == signal.Candidate && len(out) > 0:
			out = append(out, other)
		}
	}
	return out
}

func (b *mailbox) oldestCandidate(msg *message) []*message {
	var oldest *message
	n := 0
	for _, other := range b.messages {
		if other.kind != signal.Candidate || !other.sameSender(msg) {
			continue
		}
		if oldest == nil {
			oldest = other
		}
		n++
	}
	if n < maxCandidates {
		return nil
	}
	return []*message{oldest}
}

// remove takes messages out.
func (b *mailbox) remove(which []*message) {
	if len(which) > 0 {
		b.messages = slices.DeleteFunc(b.messages, func(m *message) bool { return slices.Contains(which, m) })
	}
}

// expire takes out what has died.
func (b *mailbox) expire(now time.Time) (dead []*message) {
	for _, m := range b.messages {
		if !now.Before(m.die) {
			dead = append(dead, m)
		}
	}
	b.remove(dead)
	return dead
}

// firstDeath is when the first of the messages dies.
func (b *mailbox) firstDeath() time.Time {
	return slices.MinFunc(b.messages, func(a, b *message) int { return a.die.Compare(b.die) }).die
}

// put puts msg into the mailbox of its pair, and reports whether there was room for it.
func (r *room) put(msg *message) bool {
	box := r.mail[msg.to]
	if box == nil {
		box = &mailbox{}
	}
	out := box.displaced(msg)
	n, bytes := r.waiting+1, r.bytes+msg.size()
	for _, other := range out {
		n, bytes = n-1, bytes-other.size()
	}
	if n > maxWaiting || bytes > maxWaitBytes {
		return false
	}
	box.remove(out)
	for _, other := range out {
		r.forget(other, overtaken)
	}
	box.messages = append(box.messages, msg)
	r.mail[msg.to] = box
	r.waits(msg, +1)
	r.plan(msg.die)
	return true
}

// waits counts a message that comes into a mailbox or leaves it.
func (r *room) waits(msg *message, n int) {
	r.waiting += n
	r.bytes += n * msg.size()
	r.hub.counts.waits(n, n*msg.size())
}

// forget is the end of a message in a mailbox.
func (r *room) forget(msg *message, f fate) {
	r.waits(msg, -1)
	r.hub.done(msg, f)
}

// refill gives a member what waits for it, as long as half of its outbox is free: what
// comes at this moment needs a place too.
func (r *room) refill(m *member) {
	box := r.mail[m.id]
	if box == nil || m.left {
		return
	}
	now := r.hub.now()
	m.outbox.expect(true)
	for len(box.messages) > 0 && m.outbox.halfFree() {
		msg := box.messages[0]
		if now.Before(msg.die) {
			if m.post(msg) != inOutbox {
				return
			}
			r.waits(msg, -1)
		} else {
			r.forget(msg, died)
			r.complain([]*message{msg})
		}
		box.messages = box.messages[1:]
	}
	if len(box.messages) == 0 {
		m.outbox.expect(false)
		delete(r.mail, m.id)
	}
}

// giveBack puts what a connection did not get any more back into the mailbox, at its place
// before what has come since.
func (r *room) giveBack(to string, back []*message) {
	back = slices.DeleteFunc(back, func(msg *message) bool {
		own := msg.seq == 0
		switch {
		case own:
			r.hub.done(msg, dropped)
		case r.over:
			r.hub.done(msg, forgotten)
		}
		return own || r.over
	})
	if box := r.mail[to]; box != nil {
		for _, msg := range box.messages {
			r.waits(msg, -1)
		}
		back = append(back, box.messages...)
		slices.SortStableFunc(back, func(a, b *message) int { return cmp.Compare(a.seq, b.seq) })
		delete(r.mail, to)
	}
	now := r.hub.now()
	for _, msg := range back {
		switch {
		case !now.Before(msg.die):
			r.hub.done(msg, died)
			r.complain([]*message{msg})
		case !r.put(msg):
			r.hub.done(msg, dropped)
		}
	}
}
