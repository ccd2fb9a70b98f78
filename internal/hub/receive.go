package hub

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/signal"
)

// manners are how a connection behaved; its reader's.
type manners struct {
	rates    [3]bucket // of offers, answers and candidates
	messages bucket
	bytes    bucket

	offences   []time.Time // the last bad messages
	complained time.Time   // when the log last heard of one
}

// bucket leaks at a rate. What is in it is at most what leaks in a second, but for one drop.
type bucket struct {
	level float64
	at    time.Time
}

// leak lets out what has leaked since the last time.
func (b *bucket) leak(now time.Time, rate float64) {
	b.level = max(0, b.level-now.Sub(b.at).Seconds()*rate)
	b.at = now
}

// take puts a drop into the bucket if it does not overflow.
func (b *bucket) take(now time.Time, rate float64) bool {
	b.leak(now, rate)
	if b.level+1 > max(rate, 1)+1e-9 {
		return false
	}
	b.level++
	return true
}

// pour puts n into the bucket, and returns how long it takes until it does not overflow.
func (b *bucket) pour(now time.Time, n, rate float64) time.Duration {
	b.leak(now, rate)
	b.level += n
	return time.Duration(max(0, b.level-rate) / rate * float64(time.Second))
}

// read reads until the connection is over, and returns why. After it has ended for another
// reason it goes on without looking at what comes, since the other side's part in closing
// must be read.
func (m *member) read() Ending {
	for {
		text, err := m.conn.Read(m.ctx)
		if err != nil {
			return readEnding(err)
		}
		if m.isOver() {
			continue
		}
		now := m.hub.now()
		m.heard.Store(now.UnixNano())
		if len(text) > signal.MaxText {
			return readEnding(ErrTooLong)
		}
		m.pause(now, len(text))
		if m.receive(text, now) {
			m.finish(abuse)
		}
	}
}

// pause waits when the connection sends faster than it may: nothing is lost, the other side
// has to wait.
func (m *member) pause(now time.Time, bytes int) {
	wait := max(m.manners.messages.pour(now, 1, paceMessages), m.manners.bytes.pour(now, float64(bytes), paceBytes))
	if wait <= 0 {
		return
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-m.over:
	}
}

// receive takes one text, and reports whether there were too many bad ones.
func (m *member) receive(text []byte, now time.Time) (tooBad bool) {
	in, err := signal.Decode(text)
	if errors.Is(err, signal.ErrEmpty) {
		return false
	}
	m.active.Store(now.UnixNano())
	m.in.Add(1)
	if err == nil {
		err = m.check(in)
	}
	if err != nil {
		m.hub.counts.message(in.Action, refused)
		m.refuse(in.CorrelationID, err)
		m.complain(err, now)
		return m.offend(now)
	}
	m.pass(in, now)
	return false
}

// check holds a message to the rules that depend on who sends it.
func (m *member) check(in signal.Message) error {
	if limit := m.limits.bytes(in.Action); limit > 0 && int64(in.Size) > limit {
		return kvs.Errorf(kvs.InvalidArgument, "messagePayload has %d characters; at most %d are allowed.", in.Size, limit)
	}
	if m.role == Master {
		return signal.CheckID(in.Recipient)
	}
	return nil
}

// pass hands a good message to the room, if the sender may send it now.
func (m *member) pass(in signal.Message, now time.Time) {
	rate := m.limits.rate(in.Action)
	if rate > 0 && !m.manners.rates[in.Action-signal.Offer].take(now, rate) {
		m.hub.counts.message(in.Action, limited)
		m.refuse(in.CorrelationID, kvs.Errorf(kvs.TooManyRequests, "More than %g messages of this kind a second.", rate))
		return
	}
	msg := m.newMessage(in)
	if !m.room.take(msg) {
		m.hub.counts.message(in.Action, limited)
		m.refuse(in.CorrelationID, kvs.Errorf(kvs.TooManyRequests, "Too many messages wait on this server; send again later."))
		return
	}
	m.room.look(msg) // before it is delivered: the answer must not overtake it
	m.room.do(func() { m.room.accept(m, msg, in.CorrelationID) })
}

func (l *Limits) rate(t signal.Type) float64 {
	return [...]float64{l.OfferRate, l.AnswerRate, l.CandidateRate}[t-signal.Offer]
}

func (l *Limits) bytes(t signal.Type) int64 {
	return [...]int64{l.OfferBytes, l.AnswerBytes, l.CandidateBytes}[t-signal.Offer]
}

// refuse tells the sender of a message why it goes nowhere, if it wants to know.
func (m *member) refuse(correlation string, err error) {
	if correlation == "" {
		return
	}
	s := signal.Status{CorrelationID: correlation, ErrorType: "InvalidArgumentException", StatusCode: "400", Description: err.Error()}
	if kvs.KindOf(err) == kvs.TooManyRequests {
		s.ErrorType = "ClientLimitExceededException"
	}
	m.own(signal.StatusResponse, signal.AppendStatus(nil, s))
}

// complain logs that a message broke a rule, once a minute.
func (m *member) complain(err error, now time.Time) {
	if !m.manners.complained.IsZero() && now.Sub(m.manners.complained) < time.Minute {
		return
	}
	m.manners.complained = now
	m.hub.log.LogAttrs(context.Background(), slog.LevelWarn, "bad signaling message", append(m.attrs(), slog.String("error", err.Error()))...)
}

// offend notes a bad message, and reports whether there were too many lately.
func (m *member) offend(now time.Time) bool {
	o := append(m.manners.offences, now)
	if len(o) > maxOffences {
		o = append(o[:0], o[1:]...)
	}
	m.manners.offences = o
	return len(o) == maxOffences && now.Sub(o[0]) < offenceTime
}
