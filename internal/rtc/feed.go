package rtc

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// The bounds of what waits for a viewer, and of the group of pictures that is kept for the
// next one to begin with.
const (
	queueFrames = 256
	queueBytes  = 8 << 20
	groupFrames = 256
	groupBytes  = 2 << 20
)

// shot is a frame and when it is shown.
type shot struct {
	Frame
	at time.Duration // since the source began
}

// feed lets a source through at its own speed and gives each frame to all who listen.
type feed struct {
	source Source
	sound  bool

	mu     sync.Mutex // over the rest
	queues map[*queue]struct{}
	group  []shot // since the last key frame
	size   int    // bytes in group
	whole  bool   // group is all there is since the last key frame
}

func newFeed(source Source, sound bool) *feed {
	return &feed{source: source, sound: sound, queues: map[*queue]struct{}{}}
}

// lag is how far a feed may be late before it leaves the lost time out, as behind a sleep of
// the machine.
const lag = time.Second

// run feeds until ctx ends or the source fails.
func (f *feed) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var at time.Duration
	for start := time.Now(); ; {
		frame, err := f.source.Next()
		if err != nil {
			return fmt.Errorf("reading the media: %w", err)
		}
		if late := time.Since(start.Add(at)); late > lag {
			start = start.Add(late)
		}
		timer.Reset(time.Until(start.Add(at)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
		f.give(shot{frame, at})
		at += frame.Duration
	}
}

// give hands a frame to everybody.
func (f *feed) give(s shot) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.sound {
		f.keep(s)
	}
	for q := range f.queues {
		q.push(s)
	}
}

// keep remembers the group of pictures that now goes out, if it is not too large.
func (f *feed) keep(s shot) {
	if s.Key {
		f.group, f.size, f.whole = f.group[:0], 0, true
	}
	if f.size += len(s.Data); f.size > groupBytes || len(f.group) >= groupFrames {
		f.group, f.whole = f.group[:0], false
	}
	if f.whole {
		f.group = append(f.group, s)
	}
}

// hurry is how far apart the frames are shown with which a viewer catches up.
const hurry = time.Millisecond

// listen returns a queue of what comes. It begins with the group of pictures that is on its
// way, in a hurry: who comes in the middle of it sees a picture at once and, a moment later,
// the one that everybody sees.
func (f *feed) listen() *queue {
	q := &queue{wake: make(chan struct{}, 1), starving: !f.sound}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.whole {
		for i, s := range f.group {
			s.at = f.group[len(f.group)-1].at - time.Duration(len(f.group)-1-i)*hurry
			q.push(s)
		}
	}
	f.queues[q] = struct{}{}
	return q
}

// leave ends the listening.
func (f *feed) leave(q *queue) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.queues, q)
}

// queue holds the frames of one viewer.
type queue struct {
	wake chan struct{} // holds an element while there may be something to pop

	mu       sync.Mutex // over the rest
	shots    []shot
	bytes    int
	starving bool // frames are passed over until the next key frame
	skipped  int  // frames that were passed over because the viewer was slow
}

// push adds a frame. When the queue is full all that waits is passed over, and what comes
// until the next key frame.
func (q *queue) push(s shot) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.shots) >= queueFrames || q.bytes+len(s.Data) > queueBytes {
		q.skipped += len(q.shots)
		q.shots, q.bytes, q.starving = q.shots[:0], 0, true
	}
	if q.starving && !s.Key {
		q.skipped++
		return
	}
	q.starving = false
	q.shots = append(q.shots, s)
	q.bytes += len(s.Data)
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// pop waits for frames and returns all there are; the slice becomes the queue's next time.
func (q *queue) pop(ctx context.Context, used []shot) ([]shot, bool) {
	for {
		select {
		case <-q.wake:
		case <-ctx.Done():
			return nil, false
		}
		q.mu.Lock()
		shots := q.shots
		q.shots, q.bytes = used[:0], 0
		q.mu.Unlock()
		if len(shots) > 0 {
			return shots, true
		}
		used = shots
	}
}
