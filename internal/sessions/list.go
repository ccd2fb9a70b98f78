package sessions

import (
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// Status is a session at one moment.
type Status struct {
	About
	Since          time.Time
	Bytes          int64         // of media, since the beginning
	BytesPerSecond float64       // over the last minute
	Fragments      int64         // received whole, or begun to be sent
	Persisted      int64         // acknowledged as durable; PutMedia only
	Failed         int64         // refused fragments and other errors; PutMedia only
	LastAck        string        // type of the last acknowledgement, "" = none yet
	LastAckTime    time.Time     // zero = none yet
	Idle           time.Duration // since media moved last
	Delay          time.Duration // PutMedia: of the last RECEIVED or PERSISTED; else the age of the fragment being sent
	Held           time.Duration // how long the producer was held up in all
}

// List returns the open sessions of an account in no order, and how many more there are
// of all accounts that are not listed.
func (r *Registry) List(account kvs.AccountID) (open []Status, unlisted int) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for s := range r.open {
		if s.about.Stream.Account == account {
			open = append(open, s.status(now))
		}
	}
	return open, r.unlisted
}

func (s *Session) status(now time.Time) Status {
	last := time.UnixMilli(s.lastData.Load())
	st := Status{
		About: s.about, Since: s.since, Bytes: s.bytes.total.Load(), BytesPerSecond: s.bytes.rate(s.since, now),
		Fragments: s.fragments.Load(), Persisted: s.persisted.Load(), Failed: s.failed.Load(),
		Idle: max(0, now.Sub(last)), Delay: time.Duration(s.delay.Load()) * time.Millisecond,
		Held: time.Duration(s.held.Load()) * time.Millisecond,
	}
	if s.intake != nil && s.asking.Load() == 0 && st.Bytes > 0 && st.Idle >= noticed*time.Millisecond {
		st.Held += st.Idle // it is being held up now
	}
	if ack := events[s.lastAck.Load()]; ack != "" {
		st.LastAck, st.LastAckTime = ack, time.UnixMilli(s.ackTime.Load())
	}
	return st
}

// Rate is how much a stream took in each second of the last minute: bytes of Matroska
// and fragments received whole, of all its producers.
func (r *Registry) Rate(id kvs.StreamID) (bytes, fragments float64) {
	now := r.now()
	r.mu.Lock()
	in := r.streams[id]
	r.mu.Unlock()
	if in == nil {
		return 0, 0
	}
	return in.bytes.rate(in.since, now), in.fragments.rate(in.since, now)
}
