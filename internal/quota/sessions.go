package quota

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// connections counts what is open, by limit and stream.
type connections struct {
	mu   sync.Mutex
	open map[connection]int
}

type connection struct {
	limit  int
	stream kvs.StreamID
}

// Connect holds one connection of the stream under the limit until the returned function
// is called (once). It returns an error of kind TooManyConnections when there are as
// many as may be: the new one loses. A limit that is lowered ends no connection.
func (b *Book) Connect(l Count, s kvs.Stream) (release func(), err error) {
	most := int(b.current.Load().value(l.Limit, s.Account, s.ID))
	key := connection{l.index, s.ID}
	c := &b.connections
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.open[key]; most > 0 && n >= most {
		return nil, b.breach(l.Limit, kvs.TooManyConnections, "Connection limit of %d exceeded for %s API for resource '%s'", most, l.Operation, s.Name)
	}
	if c.open == nil {
		c.open = map[connection]int{}
	}
	c.open[key]++
	return func() { c.release(key) }, nil
}

func (c *connections) release(key connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[key]--; c.open[key] <= 0 {
		delete(c.open, key)
	}
}

// pipes are the caps that are in use, by limit and stream.
type pipes struct {
	mu   sync.Mutex
	open map[connection]*pipe
}

// pipe is what sessions share of one cap: the time at which everything that was let
// through will have been brought in by it, in nanoseconds since the book was made, on
// the machine's own clock. (Waiting takes real time, whatever clock a test server has.)
type pipe struct {
	at       atomic.Int64
	cap      atomic.Uint64 // bits of the value that at was reckoned with
	sessions int
}

// Pace slows one session down to a cap. Its methods belong to one goroutine at a time.
type Pace struct {
	view   *View
	limit  *Limit
	held   time.Duration // what may go at once, measured in time
	pipe   *pipe
	shared bool
	timer  *time.Timer // nil until the first wait
}

// head is how much of a bandwidth may go at once: enough for a picture, and too little
// to notice.
const head = 100 * time.Millisecond

// Flow returns the pace of one session under a bandwidth that all sessions of the view's
// stream share. Close it with the session.
func (v *View) Flow(l Bandwidth) *Pace { return v.sharedPace(l.Limit, head) }

// Beat returns the pace of one session under a rate that all sessions of the view's
// stream share; one second's worth may go at once. Close it with the session.
func (v *View) Beat(l PerSecond) *Pace { return v.sharedPace(l.Limit, time.Second) }

// OwnBeat is [View.Beat] for a rate that each session has for itself.
func (v *View) OwnBeat(l PerSecond) *Pace {
	return &Pace{view: v, limit: l.Limit, held: time.Second, pipe: &pipe{}}
}

func (v *View) sharedPace(l *Limit, held time.Duration) *Pace {
	all, key := &v.book.pipes, connection{l.index, v.stream}
	all.mu.Lock()
	defer all.mu.Unlock()
	p := all.open[key]
	if p == nil {
		p = &pipe{}
		if all.open == nil {
			all.open = map[connection]*pipe{}
		}
		all.open[key] = p
	}
	p.sessions++
	return &Pace{view: v, limit: l, held: held, pipe: p, shared: true}
}

// Close gives the session's share back to the others.
func (p *Pace) Close() {
	if p.timer != nil {
		p.timer.Stop()
	}
	if !p.shared {
		return
	}
	all := &p.view.book.pipes
	all.mu.Lock()
	defer all.mu.Unlock()
	if p.pipe.sessions--; p.pipe.sessions == 0 {
		delete(all.open, connection{p.limit.index, p.view.stream})
	}
}

// Delay takes n bytes, or turns, and returns how long to wait before they may go. It is
// for those who have something to do before they wait; see [Pace.Rest].
func (p *Pace) Delay(n int) time.Duration {
	most := float64(p.view.value(p.limit))
	if most == 0 || n == 0 {
		return 0
	}
	takes := int64(min(float64(n)/most*1e9, 1<<60))
	held := max(int64(p.held), int64(min(1e9/most, 1<<60)))
	now := int64(time.Since(p.view.book.made))
	if old := p.pipe.cap.Swap(math.Float64bits(most)); old != math.Float64bits(most) {
		p.pipe.at.Store(now - held) // what was taken under another cap is forgotten
	}
	for {
		// What nobody used does not pile up beyond what may go at once.
		old := p.pipe.at.Load()
		at := max(old, now-held) + takes
		if p.pipe.at.CompareAndSwap(old, at) {
			return time.Duration(max(0, at-now))
		}
	}
}

// look is how long a change of the limit may stay unnoticed by who waits for it.
const look = time.Second

// Rest waits for the time that [Pace.Delay] returned, until ctx ends, or until another
// limit holds.
func (p *Pace) Rest(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	start, most := time.Now(), p.view.value(p.limit)
	defer func() { p.view.book.waited(p.limit, time.Since(start)) }()
	for left := d; left > 0 && p.view.value(p.limit) == most; left = d - time.Since(start) {
		if p.timer == nil {
			p.timer = time.NewTimer(min(left, look))
		} else {
			p.timer.Reset(min(left, look))
		}
		select {
		case <-p.timer.C:
		case <-ctx.Done():
			p.timer.Stop()
			return context.Cause(ctx)
		}
	}
	return nil
}

// Wait takes n bytes, or turns, and waits until they may go, or until ctx ends.
func (p *Pace) Wait(ctx context.Context, n int) error { return p.Rest(ctx, p.Delay(n)) }

func (b *Book) waited(l *Limit, d time.Duration) {
	if b.metrics != nil {
		b.metrics.LimitWaits.WithLabelValues(l.Name).Add(d.Seconds())
	}
}
