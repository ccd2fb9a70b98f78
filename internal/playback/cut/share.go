package cut

import (
	"context"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// Viewer names a session: what one holds is counted together. Of 0 nothing is counted.
type Viewer uint64

// alwaysHeld is how many segments a viewer may hold however large they are: players load one
// of each track, and the next ones.
const alwaysHeld = 4

// shareWait is how long a viewer waits for segments that it holds itself.
const shareWait = 5 * time.Second

// shares bound what each viewer holds, so that who reads slowly, over any number of
// connections, keeps himself waiting and no others. A segment counts once for each viewer,
// however many answers send it.
type shares struct {
	most int64 // bytes, beyond a few segments; 0 = no bound
	mu   sync.Mutex
	all  map[Viewer]*share
}

// share is what one viewer holds. It is guarded by shares.mu.
type share struct {
	bytes    int64
	segments map[key]*holding
	freed    chan struct{} // closed when it holds less; nil when nobody waits
}

type holding struct {
	bytes int64
	times int // that it is being sent
}

// enter counts one more answer that sends a segment. It waits while the viewer holds too
// much, and fails then with the kind Unavailable, or as ctx does.
func (s *shares) enter(ctx context.Context, v Viewer, k key, n int64) error {
	if s.most == 0 || v == 0 {
		return nil
	}
	freed := s.try(v, k, n)
	if freed == nil {
		return nil
	}
	late := time.NewTimer(shareWait)
	defer late.Stop()
	for ; freed != nil; freed = s.try(v, k, n) {
		select {
		case <-freed:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-late.C:
			return kvs.Errorf(kvs.Unavailable, "This streaming session is being sent as much as one may be at a time; read what was asked for, or try again later.")
		}
	}
	return nil
}

// try is enter without waiting: it returns what to wait for, or nil.
func (s *shares) try(v Viewer, k key, n int64) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[Viewer]*share{}
	}
	one := s.all[v]
	if one == nil {
		one = &share{segments: map[key]*holding{}}
		s.all[v] = one
	}
	h := one.segments[k]
	switch {
	case h != nil:
		h.times++
		return nil
	case len(one.segments) < alwaysHeld || one.bytes+n <= s.most:
		one.segments[k] = &holding{bytes: n, times: 1}
		one.bytes += n
		return nil
	case one.freed == nil:
		one.freed = make(chan struct{})
	}
	return one.freed
}

// leave ends an answer that enter counted.
func (s *shares) leave(v Viewer, k key) {
	if s.most == 0 || v == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.all[v]
	h := one.segments[k]
	if h.times--; h.times > 0 {
		return
	}
	one.bytes -= h.bytes
	delete(one.segments, k)
	if one.freed != nil {
		close(one.freed)
		one.freed = nil
	}
	if len(one.segments) == 0 {
		delete(s.all, v)
	}
}
