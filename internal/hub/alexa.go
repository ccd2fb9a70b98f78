package hub

import (
	"context"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/signal"
)

// ask is an offer of a caller that is no member, which waits for the master's answer. It
// stays until it dies, though it was answered or the caller went: what the master still
// sends to that client id is for nobody.
type ask struct {
	offer  *message    // nil when the call has ended: it is large, and no longer counted as held
	seq    uint64      // of offer
	die    time.Time   // when the offer does
	answer chan string // has room for one
	failed chan error  // has room for one
	waits  bool        // the caller is still there and has no answer
	master bool        // one was there at some time
}

// fail ends the call.
func (a *ask) fail(err error) {
	if a.waits {
		a.waits = false
		a.failed <- err
	}
}

// Offer sends an offer to the master of a channel as if sender were a viewer, and returns
// the payload of the answer. It fails with NotFound when none came within the channel's
// TTL, and with TooManyRequests when a newer offer of the same sender took its place.
func (h *Hub) Offer(ctx context.Context, ch kvs.Channel, sender, payload string) (answer string, err error) {
	payload, ok := signal.Normalize(payload)
	if !ok || !signal.ValidID(sender) {
		return "", kvs.Errorf(kvs.InvalidArgument, "MessagePayload must be base64 of 1 byte or more, and SenderClientId a client id.")
	}
	r, err := h.enter(ch)
	if err != nil {
		return "", err
	}
	a := &ask{answer: make(chan string, 1), failed: make(chan error, 1)}
	a.offer = &message{kind: signal.Offer, from: sender, alexa: true, payload: payload,
		frame: signal.AppendDelivery(nil, signal.Offer, sender, payload)}
	r.look(a.offer)
	r.do(func() { r.ask(a) })
	defer r.last(func() { r.withdraw(a) })
	select {
	case answer := <-a.answer:
		return answer, nil
	case err := <-a.failed:
		return "", err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// ask sends the offer, in place of an older one of the same sender.
func (r *room) ask(a *ask) {
	a.waits = true
	sender := a.offer.from
	switch {
	case r.over:
		a.fail(r.why)
		return
	case r.asked[sender] == nil && len(r.asked) >= maxAsked, !r.take(a.offer):
		a.fail(errTooMuchWaits)
		return
	}
	r.stamp(a.offer)
	a.seq, a.die = a.offer.seq, a.offer.die
	if !r.send(a.offer) {
		r.hub.done(a.offer, limited)
		a.fail(errTooMuchWaits)
		return
	}
	if old := r.asked[sender]; old != nil {
		old.fail(kvs.Errorf(kvs.TooManyRequests, "A newer offer of %s took the place of this one.", sender))
	}
	a.master = r.slots[""] != nil && r.slots[""].member != nil
	r.asked[sender] = a
	r.plan(a.die)
}

// withdraw takes the offer of a call that has ended back, if nobody got it.
func (r *room) withdraw(a *ask) {
	offer, box := a.offer, r.mail[""]
	a.waits, a.offer = false, nil
	if box == nil || !slices.Contains(box.messages, offer) {
		return
	}
	box.remove([]*message{offer})
	r.forget(offer, dropped)
	if len(box.messages) == 0 {
		delete(r.mail, "")
	}
}

// viewerAsks remembers that a viewer waits for an answer: there may be an Alexa offer of
// the same name, and answers go to who waits longest.
func (r *room) viewerAsks(msg *message) {
	const most = 4
	s := r.slots[msg.from]
	if s == nil {
		return
	}
	if len(s.offers) == most {
		s.offers = s.offers[1:]
	}
	s.offers = append(s.offers, asking{msg.seq, msg.die})
}

// answersCaller takes what the master sends to a name if it is for the caller of that name.
func (r *room) answersCaller(msg *message) bool {
	a := r.asked[msg.to]
	s := r.slots[msg.to]
	since := r.waitsSince(s, msg)
	if a == nil {
		return false
	}
	viewer := s != nil && s.member != nil
	switch {
	case msg.kind == signal.Candidate && !viewer, msg.kind == signal.Answer && !a.waits && !viewer:
		r.hub.done(msg, dropped) // the caller cannot take it
		return true
	case msg.kind == signal.Answer && a.waits && (since == 0 || a.seq < since):
		a.waits = false
		a.answer <- msg.payload
		r.hub.done(msg, delivered)
		return true
	}
	return false
}

// waitsSince returns the number of the viewer's oldest offer that waits for the answer, 0 if
// none does, and takes note when this is the answer.
func (r *room) waitsSince(s *slot, msg *message) uint64 {
	if s == nil || msg.kind != signal.Answer {
		return 0
	}
	now := r.hub.now()
	s.offers = slices.DeleteFunc(s.offers, func(o asking) bool { return !now.Before(o.die) })
	if len(s.offers) == 0 {
		return 0
	}
	first := s.offers[0]
	if a := r.asked[msg.to]; a == nil || !a.waits || first.seq < a.seq {
		s.offers = s.offers[1:]
	}
	return first.seq
}

// expireAsked ends the calls that waited for the whole TTL.
func (r *room) expireAsked(now time.Time) {
	for sender, a := range r.asked {
		if now.Before(a.die) {
			r.plan(a.die)
			continue
		}
		what := "no master was connected"
		if a.master || r.slots[""] != nil && r.slots[""].member != nil {
			what = "the master did not answer"
		}
		a.fail(kvs.Errorf(kvs.NotFound, "No answer came within %v: %s.", r.channel.TTL, what))
		delete(r.asked, sender)
	}
}
