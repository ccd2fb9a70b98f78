package cut

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
)

// Memory bounds the bytes of segments that are lent and that the cache has not. TakeFor may take less than n, at most as
// long as its caller should wait, and returns what is to be given back.
type Memory interface {
	TakeFor(ctx context.Context, stream kvs.StreamID, n int64) (taken int64, err error)
	GiveFor(stream kvs.StreamID, n int64)
}

// loans are the segments that are being sent. One that is lent is lent again: it is in memory, and
// counts once for all its viewers. What the cache has stays there while it is lent, and takes
// no other memory.
type loans struct {
	memory Memory // nil = no bound
	cache  *cache[*piece]
	mu     sync.Mutex
	all    map[key]*loan
}

// loan is one segment that is being sent to some viewers.
type loan struct {
	ready  chan struct{} // closed when it is known where its memory is, or err is set
	err    error
	users  int            // guarded by loans.mu
	taken  int64          // guarded by loans.mu
	pinned *entry[*piece] // in the cache; guarded by loans.mu
	piece  atomic.Pointer[piece]
}

// Lend is [Cutter.Segment] for one who sends the segment, to a viewer. Unless the cache has it, it counts in [Options.Memory]
// until [Segment.Close]: once, however many send the same one. Its memory is taken before
// anything is cut; the error may be that of the memory, too, and has the kind Unavailable when
// the viewer holds its share.
func (c *Cutter) Lend(ctx context.Context, s archive.Stored, track uint64, kind Container, start Start, to Viewer) (_ *Segment, err error) {
	k := keyOf(&s, track, kind, start)
	n := weight(&s, k)
	if err := c.shares.enter(ctx, to, k, n); err != nil {
		return nil, err
	}
	l, err := c.loans.borrow(ctx, k, n)
	lent := false
	back := func() {
		c.loans.giveBack(k, l)
		c.shares.leave(to, k)
	}
	defer func() { // also when a panic passes
		if !lent {
			back()
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
		p = c.loans.set(k, l, p)
	}
	segment := p.at(start)
	segment.close = back
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
	l := &loan{users: 1, ready: make(chan struct{})}
	if a.all == nil {
		a.all = map[key]*loan{}
	}
	a.all[k] = l
	a.mu.Unlock()
	a.place(ctx, k, l, n)
	return l, l.err
}

// place finds the segment in the cache, or takes memory for it. Others may wait for it: it
// does not end with ctx.
func (a *loans) place(ctx context.Context, k key, l *loan, n int64) {
	defer close(l.ready)
	if e := a.cache.pin(k); e != nil {
		l.piece.Store(e.value)
		a.mu.Lock()
		l.pinned = e
		a.mu.Unlock()
		return
	}
	if a.memory == nil {
		return
	}
	taken, err := a.memory.TakeFor(context.WithoutCancel(ctx), k.stream, n)
	a.mu.Lock()
	l.taken, l.err = taken, err
	a.mu.Unlock()
}

// set says which bytes are lent, and gives back what they do not need: everything when the
// cache kept them. When two made them, those of the first are lent.
func (a *loans) set(k key, l *loan, p *piece) *piece {
	if !l.piece.CompareAndSwap(nil, p) {
		return l.piece.Load()
	}
	e := a.cache.pin(k)
	if e != nil && e.value != p { // cut anew meanwhile
		a.cache.unpin(e)
		e = nil
	}
	need := p.size()
	if e != nil {
		need = 0
	}
	a.mu.Lock()
	rest := max(0, l.taken-need)
	l.taken -= rest
	l.pinned = e
	a.mu.Unlock()
	a.give(k, rest)
	return p
}

func (a *loans) give(k key, n int64) {
	if a.memory != nil {
		a.memory.GiveFor(k.stream, n)
	}
}

// giveBack ends one use of a loan. One that was refused is asked for anew by those who
// come now.
func (a *loans) giveBack(k key, l *loan) {
	a.mu.Lock()
	rest, pinned := int64(0), (*entry[*piece])(nil)
	if l.users--; l.users == 0 {
		rest, l.taken = l.taken, 0
		pinned, l.pinned = l.pinned, nil
	}
	if (l.users == 0 || l.err != nil) && a.all[k] == l {
		delete(a.all, k)
	}
	a.mu.Unlock()
	if pinned != nil {
		a.cache.unpin(pinned)
	}
	a.give(k, rest)
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
