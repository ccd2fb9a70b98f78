package hub

import (
	"context"
	"sync"

	"github.com/millrace/millrace/internal/signal"
)

// outbox is what a connection will be sent. It has a writer while there is something in it.
type outbox struct {
	mu      sync.Mutex
	queue   []*message
	bytes   int
	writing bool // a writer takes from it
	stopped bool // the connection has ended
	more    bool // the room has more for it when there is a place
}

// next takes out what is to be written, nil if there is nothing: the writer ends then, and
// asks the room for more if there is some.
func (o *outbox) next() (msg *message, more bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stopped || len(o.queue) == 0 {
		o.writing, o.queue = false, o.queue[:len(o.queue):len(o.queue)]
		if len(o.queue) == 0 {
			o.queue = nil // an idle connection keeps no buffers
		}
		return nil, o.more && !o.stopped
	}
	msg = o.queue[0]
	o.queue[0] = nil
	o.queue = o.queue[1:]
	o.bytes -= len(msg.frame)
	return msg, false
}

// expect notes whether the room has more.
func (o *outbox) expect(more bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.more = more
}

func (o *outbox) halfFree() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.queue) < maxOutbox/2 && o.bytes < maxOutboxBytes/2
}

// stop takes nothing more and gives nothing to write any more.
func (o *outbox) stop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stopped = true
}

// shut stops and returns what nobody began to write.
func (o *outbox) shut() []*message {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stopped = true
	left := o.queue
	o.queue, o.bytes = nil, 0
	return left
}

// What became of a message that was put into an outbox.
type posted uint8

const (
	inOutbox posted = iota
	crowded         // its sender has its part of the outbox already
	isFull
	isOver // the connection has ended
)

// post puts a message into m's outbox. A member whose outbox is full is dropped.
func (m *member) post(msg *message) posted {
	p := m.push(msg)
	if p == isFull {
		m.finish(slow)
	}
	return p
}

// push puts a message into the outbox if it goes in, and begins a writer if there is none.
func (m *member) push(msg *message) posted {
	o := &m.outbox
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.stopped:
		return isOver
	case msg.seq > 0 && o.partTaken(msg):
		o.more = true
		return crowded
	case len(o.queue) >= maxOutbox || o.bytes+len(msg.frame) > maxOutboxBytes:
		return isFull
	}
	o.queue = append(o.queue, msg)
	o.bytes += len(msg.frame)
	if !o.writing {
		o.writing = true
		m.work.Go(m.write)
	}
	return inOutbox
}

// partTaken reports whether the sender of msg has half of the outbox: nobody alone can have
// a member dropped that reads what it can.
func (o *outbox) partTaken(msg *message) bool {
	if len(o.queue) < maxOutbox/2 && o.bytes < maxOutboxBytes/2 {
		return false
	}
	n, bytes := 0, 0
	for _, other := range o.queue {
		if other.sameSender(msg) && other.seq > 0 {
			n, bytes = n+1, bytes+len(other.frame)
		}
	}
	return n >= maxOutbox/2 || bytes >= maxOutboxBytes/2
}

// write is the writer: it ends when there is nothing to write.
func (m *member) write() {
	for {
		msg, more := m.outbox.next()
		if msg == nil {
			if more {
				m.room.do(func() { m.room.refill(m) })
			}
			return
		}
		if !m.send(msg) {
			return
		}
	}
}

// send writes one message, and reports whether the connection is as good as before.
func (m *member) send(msg *message) bool {
	if !msg.die.IsZero() && !m.hub.now().Before(msg.die) {
		m.hub.done(msg, died)
		m.room.complain([]*message{msg})
		return true
	}
	ctx, cancel := context.WithTimeout(m.ctx, writeTimeout)
	defer cancel()
	if err := m.conn.Write(ctx, msg.frame); err != nil {
		m.hub.done(msg, dropped)
		if ctx.Err() == context.DeadlineExceeded {
			m.finish(slow)
		} else {
			m.finish(Ending{Reason: Lost, Code: codeAway, Err: err})
		}
		return false
	}
	m.out.Add(1)
	m.active.Store(m.hub.now().UnixNano())
	m.hub.done(msg, delivered)
	return true
}

// say puts a message of the server's own into the outbox, unless there is no memory for it or
// the client could not take it.
func (m *member) say(t signal.Type) {
	if !m.deaf {
		m.own(t, signal.AppendControl(nil, t))
	}
}

func (m *member) own(t signal.Type, frame []byte) {
	msg := &message{kind: t, frame: frame}
	if m.room.take(msg) && m.post(msg) != inOutbox {
		m.hub.done(msg, dropped)
	}
}
