package ingest

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/quota"
)

// idleAfter is the silence after which IDLE is sent, idleEvery the time between two.
const (
	idleAfter = 3 * time.Second
	idleEvery = time.Second
)

// holdLimit is how long a fragment may stop growing while producers wait for memory.
const holdLimit = 30 * time.Second

// maxQueued is how many acknowledgements may wait before no fragment is taken any more:
// a producer that does not read them must not fill the memory with tiny fragments.
const maxQueued = 1000

// ackQueue carries acknowledgements from the reading goroutine and the archive to the
// goroutine that writes them.
type ackQueue struct {
	g      *Ingest
	id     string // of the request
	watch  Watcher
	gone   <-chan struct{} // the stream was deleted
	limits *quota.View
	cancel context.CancelCauseFunc
	begun  time.Time
	holds  func() bool   // the session holds memory that others wait for
	late   func() bool   // the fragment in flight kept others from memory for too long
	ring   chan struct{} // wakes the writer
	taken  chan struct{} // wakes the reading goroutine when there is room again

	mu       sync.Mutex
	queue    []Ack
	spare    []Ack
	expected int  // fragments whose PERSISTED or ERROR is still to come
	closed   bool // the reading goroutine ended
	lastData time.Time
	paused   bool      // the reading goroutine waits for a limit: the producer is not silent
	asked    time.Time // since when the reading goroutine waits for data; zero while it does not

	// Of the writing goroutine, read after it ended.
	persisted, failed int
	refused           refusals
	line              []byte
}

func newAckQueue(g *Ingest, r Request, l *quota.View, cancel context.CancelCauseFunc) *ackQueue {
	now := g.o.Now()
	return &ackQueue{g: g, id: r.ID, watch: r.Watcher, gone: r.Stream.Gone(), limits: l, cancel: cancel, begun: now, lastData: now, ring: make(chan struct{}, 1), taken: make(chan struct{}, 1)}
}

// add queues an acknowledgement.
func (q *ackQueue) add(a Ack) {
	q.mu.Lock()
	q.queue = append(q.queue, a)
	q.mu.Unlock()
	q.wake()
}

// fail queues an ERROR that is about no fragment.
func (q *ackQueue) fail(f *Fault) {
	q.add(Ack{Type: Failed, Code: f.Code, Whole: true, why: f.Reason})
}

// expect announces an acknowledgement that the archive will settle.
func (q *ackQueue) expect() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.expected++
}

// settle queues an announced acknowledgement.
func (q *ackQueue) settle(a Ack) {
	q.mu.Lock()
	q.expected--
	q.queue = append(q.queue, a)
	q.mu.Unlock()
	q.wake()
}

// room waits, until ctx ends, while too many acknowledgements are not yet written.
func (q *ackQueue) room(ctx context.Context) error {
	for {
		q.mu.Lock()
		n := len(q.queue)
		q.mu.Unlock()
		if n < maxQueued {
			return nil
		}
		select {
		case <-q.taken:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// asks notes that data are waited for, data that they came.
func (q *ackQueue) asks(now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.asked = now
}

func (q *ackQueue) data(now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lastData, q.asked, q.paused = now, time.Time{}, false
}

// pause notes that nothing is read because a limit says so, until data or asks is called.
func (q *ackQueue) pause() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.paused = true
}

// close says that no fragment will come any more.
func (q *ackQueue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.wake()
}

func (q *ackQueue) wake() { signal(q.ring) }

// signal wakes who waits on c, or the next who will.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run writes acknowledgements until the last expected one, and watches the session's
// clocks. After an error of writing, which ends the session, nothing is written, but the
// archive's answers are still awaited, so that nothing outlives the session.
func (q *ackQueue) run(w AckWriter) {
	timer := time.NewTimer(idleAfter)
	defer timer.Stop()
	gone := q.gone
	var broken error
	for {
		batch, done := q.take()
		for _, a := range batch {
			if broken != nil {
				continue
			}
			if broken = q.write(w, a); broken != nil {
				// What is not acknowledged will be sent again.
				q.cancel(fault(unread, "acknowledgements cannot be written").because(broken).quietly())
			}
		}
		if done {
			return
		}
		if len(batch) > 0 {
			continue
		}
		select {
		case <-q.ring:
		case <-gone:
			gone = nil
			q.cancel(fault(streamGone, "the stream was deleted"))
		case <-timer.C:
			timer.Reset(q.tick())
		}
	}
}

// take returns what is queued, and whether nothing more will come.
func (q *ackQueue) take() (batch []Ack, done bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	batch = q.queue
	q.queue, q.spare = q.spare[:0], batch
	signal(q.taken)
	return batch, len(batch) == 0 && q.closed && q.expected == 0
}

// tick looks at the clocks and returns when to look again.
func (q *ackQueue) tick() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.g.o.Now()
	if q.closed {
		return idleAfter
	}
	if age := q.limits.Duration(quota.PutSessionAge); age > 0 && now.Sub(q.begun) >= age {
		q.cancel(fault(tooOld, "the session is older than %v", age))
		return idleAfter
	}
	if q.late() {
		q.cancel(fault(tooSlow, "the fragment took too long while others waited for the memory kept for it: send it faster, or smaller fragments"))
		return idleAfter
	}
	if q.paused {
		return idleAfter
	}
	silence := now.Sub(q.lastData)
	if silence < idleAfter {
		return idleAfter - silence
	}
	q.queue = append(q.queue, Ack{Type: Idle})
	if end := q.limits.Duration(quota.PutIdle); end > 0 && silence >= end && q.unanswered(now) > end-idleEvery {
		q.cancel(fault(noData, "no data for %v", end).quietly())
	}
	if silence >= holdLimit && q.unanswered(now) > holdLimit-idleEvery && q.holds() {
		q.cancel(fault(heldMemory, "no data for %v while others wait for the memory that the session holds", holdLimit))
	}
	return idleEvery
}

// unanswered is how long the producer has been asked in vain. A producer that could
// send but is held up, for want of memory or by the archive, is not silent.
func (q *ackQueue) unanswered(now time.Time) time.Duration {
	if q.asked.IsZero() {
		return 0
	}
	return now.Sub(q.asked)
}

// write sends one acknowledgement and measures how late it is.
func (q *ackQueue) write(w AckWriter, a Ack) error {
	q.line = a.AppendJSON(q.line[:0])
	if err := w.WriteAck(q.line); err != nil {
		return err
	}
	m, now := q.g.o.Metrics, q.g.o.Now()
	m.Acks.WithLabelValues(string(a.Type)).Inc()
	switch a.Type {
	case Failed:
		q.failed++
		q.refused.add(a)
		m.AckErrors.WithLabelValues(strconv.Itoa(int(a.Code))).Inc()
	case Buffering, Received, Persisted:
		if a.Type == Persisted {
			q.persisted++
		}
		m.AckSeconds.Observe(string(a.Type), now.Sub(a.since), q.id, now)
	}
	q.watch.Acked(string(a.Type), now.Sub(a.since), now)
	return nil
}
