package cut

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/internal/archive"
)

// Memory bounds the bytes of segments that are lent. Take may take less than n, at most as
// long as its caller should wait, and returns what is to be given back.
type Memory interface {
	Take(ctx context.Context, n int64) (taken int64, err error)
	Give(n int64)
}

// loans are the segments that are being sent. One that is lent is lent again, whether the
// cache still has it or not: it is in memory, and counts once for all its viewers.
type loans struct {
	memory Memory // nil = no bound
	mu     sync.Mutex
	all    map[key]*loan
}

// loan is one segment that is being sent to some viewers.
type loan struct {
	ready chan struct{} // closed when its memory was taken, or err is set
	err   error
	users int   // guarded by loans.mu
	taken int64 // guarded by loans.mu
	piece atomic.Pointer[piece]
}

// atOnce is the channel of loans that did not wait.
var atOnce = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// Lend is [Cutter.Segment] for one who sends the segment. It counts in [Options.Memory]
// until [Segment.Close]: once, however many send the same one. Its memory is taken before
// anything is cut; the error may be that of the memory, too.
func (c *Cutter) Lend(ctx context.Context, s archive.Stored, track uint64, kind Container, start Start) (_ *Segment, err error) {
	k := keyOf(&s, track, kind, start)
	l, err := c.loans.borrow(ctx, k, weight(&s, k))
	lent := false
	defer func() { // also when a panic passes
		if !lent {
			c.loans.giveBack(k, l)
		}
	}()
	if err != nil {
		return nil, err
	}
	c.asked.Add(1)
	p := l.piece.Load()
	if p == nil {
		if p, err = c.piece(ctx, &s, k); err != nil {
			return nil, err
		}
		p = c.loans.set(l, p)
	}
	segment := p.at(start)
	segment.close = func() { c.loans.giveBack(k, l) }
	lent = true
	return segment, nil
}

// borrow makes one more user of the segment k, also when it returns an error.
func (a *loans) borrow(ctx context.Context, k key, n int64) (*loan, error) {
	a.mu.Lock()
	if l := a.all[k]; l != nil {
		l.users++
		a.mu.Unlock()
		select {
		case <-l.ready:
			return l, l.err
		case <-ctx.Done():
			return l, context.Cause(ctx)
		}
	}
	l := &loan{users: 1, ready: atOnce}
	if a.memory != nil {
		l.ready = make(chan struct{})
	}
	if a.all == nil {
		a.all = map[key]*loan{}
	}
	a.all[k] = l
	a.mu.Unlock()
	if a.memory != nil {
		a.take(ctx, l, n)
	}
	return l, l.err
}

// take takes the memory of a loan. Others may wait for it: it does not end with ctx.
func (a *loans) take(ctx context.Context, l *loan, n int64) {
	taken, err := a.memory.Take(context.WithoutCancel(ctx), n)
	a.mu.Lock()
	l.taken, l.err = taken, err
	a.mu.Unlock()
	close(l.ready)
}

// set says which bytes are lent, and gives back what they do not need. When two made
// them, those of the first are lent.
func (a *loans) set(l *loan, p *piece) *piece {
	if !l.piece.CompareAndSwap(nil, p) {
		return l.piece.Load()
	}
	if a.memory == nil {
		return p
	}
	a.mu.Lock()
	rest := max(0, l.taken-p.size())
	l.taken -= rest
	a.mu.Unlock()
	a.memory.Give(rest)
	return p
}

// giveBack ends one use of a loan. One that was refused is asked for anew by those who
// come now.
func (a *loans) giveBack(k key, l *loan) {
	a.mu.Lock()
	rest := int64(0)
	if l.users--; l.users == 0 {
		rest, l.taken = l.taken, 0
	}
	if (l.users == 0 || l.err != nil) && a.all[k] == l {
		delete(a.all, k)
	}
	a.mu.Unlock()
	if a.memory != nil {
		a.memory.Give(rest)
	}
}

// lent counts the segments that are being sent.
func (a *loans) lent() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return int64(len(a.all))
}

// weight is what a segment is at most, as far as its row tells: containers add something
// to each frame, and lengths may take more bytes than the start codes they replace.
func weight(s *archive.Stored, k key) int64 {
	var bytes, frames int64
	for _, t := range s.Facts.Tracks {
		if k.ts || uint64(t.Number) == k.track {
			bytes, frames = bytes+t.Bytes, frames+int64(t.Frames)
		}
	}
	if len(s.Facts.Tracks) == 0 { // of the first form, which has no facts
		bytes = max(0, s.Length())
	}
	return 4<<10 + bytes + bytes/16 + 256*frames
}
