package hub

import (
	"context"
	"time"

	"github.com/millrace/millrace/internal/signal"
)

// watch begins to ask from time to time whether the member is still there.
func (m *member) watch() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.timer = time.AfterFunc(m.nextLook(m.since), m.tick)
}

// tick does what is due: it ends the connection, says GO_AWAY or pings.
func (m *member) tick() {
	now := m.hub.now()
	if e, due := m.tooLong(now); due {
		m.finish(e)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended {
		return
	}
	if at := m.goAwayAt(); !at.IsZero() && !m.warned && !now.Before(at) {
		m.warned = true
		m.work.Go(func() { m.say(signal.GoAway) })
	}
	if !m.pinging && !now.Before(m.pingAt()) {
		m.pinging = true
		m.work.Go(m.ping)
	}
	m.timer.Reset(m.nextLook(now))
}

// tooLong returns the ending for a connection that is too old or silent for too long.
func (m *member) tooLong(now time.Time) (Ending, bool) {
	switch {
	case m.limits.Age > 0 && now.Sub(m.since) >= m.limits.Age:
		return aged, true
	case m.limits.Idle > 0 && !now.Before(m.idleAt()):
		return idle, true
	}
	return Ending{}, false
}

// idleAt is when the connection is idle, if no message comes or goes.
func (m *member) idleAt() time.Time { return time.Unix(0, m.active.Load()).Add(m.limits.Idle) }

// pingAt is when the connection is pinged, if nothing is heard of it.
func (m *member) pingAt() time.Time { return time.Unix(0, m.heard.Load()).Add(pingAfter) }

// goAwayAt is when the member is told to go because of its age, zero if never.
func (m *member) goAwayAt() time.Time {
	if m.limits.Age <= 0 || m.limits.GoAway <= 0 {
		return time.Time{}
	}
	return m.since.Add(max(0, m.limits.Age-m.limits.GoAway))
}

// nextLook is how long it takes until something may be due. mu is held.
func (m *member) nextLook(now time.Time) time.Duration {
	next := now.Add(pingAfter)
	earlier := func(at time.Time) {
		if at.Before(next) {
			next = at
		}
	}
	if !m.pinging {
		earlier(m.pingAt())
	}
	if m.limits.Age > 0 {
		earlier(m.since.Add(m.limits.Age))
	}
	if at := m.goAwayAt(); !at.IsZero() && !m.warned {
		earlier(at)
	}
	if m.limits.Idle > 0 {
		earlier(m.idleAt())
	}
	return max(next.Sub(now), 0)
}

// ping asks the client whether it is there.
func (m *member) ping() {
	ctx, cancel := context.WithTimeout(m.ctx, pingTimeout)
	defer cancel()
	err := m.conn.Ping(ctx)
	m.mu.Lock()
	m.pinging = false
	m.mu.Unlock()
	switch {
	case err == nil:
		m.heard.Store(m.hub.now().UnixNano())
	case ctx.Err() == context.DeadlineExceeded:
		m.finish(silent)
	default:
		m.finish(Ending{Reason: Lost, Code: codeAway, Err: err})
	}
}
