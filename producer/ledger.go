package producer

import (
	"fmt"
	"sync"
)

// Progress counts the fragments of a session.
type Progress struct {
	Sent      int   // their cluster timecode went out
	Received  int   // the server has them whole
	Persisted int   // they are durable
	Done      int   // nothing more is awaited: Persisted, or Received without an archive
	Last      Ack   // the last acknowledgement
	Timecode  int64 // of the fragment sent last, in timecode units
}

// ledger knows what became of each fragment. Memory is bounded by the fragments on their
// way: what is done is only counted.
type ledger struct {
	acceptReceived bool

	mu     sync.Mutex // over the rest
	counts Progress
	open   map[int64]AckType // by cluster timecode; "" = not acknowledged yet
	failed *AckError         // the first
}

func (l *ledger) sent(timecode int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		l.open = map[int64]AckType{}
	}
	l.counts.Sent++
	l.counts.Timecode = timecode
	l.open[timecode] = ""
}

func (l *ledger) acknowledge(a Ack) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.Last = a
	_, known := l.open[a.Timecode]
	switch {
	case a.Type == Failed:
		if l.failed == nil {
			l.failed = &AckError{a}
		}
	case !known:
	case a.Type == Received:
		l.counts.Received++
		l.open[a.Timecode] = Received
		if l.acceptReceived {
			l.done(a.Timecode)
		}
	case a.Type == Persisted:
		l.counts.Persisted++
		l.done(a.Timecode)
	case a.Type == Buffering:
		l.open[a.Timecode] = Buffering
	}
}

func (l *ledger) done(timecode int64) {
	l.counts.Done++
	delete(l.open, timecode)
}

func (l *ledger) progress() Progress {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts
}

// failure is the first error that the server acknowledged.
func (l *ledger) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed == nil {
		return nil // not a nil *AckError, which would be an error
	}
	return l.failed
}

// unfinished says which fragments are not done, nil when all are.
func (l *ledger) unfinished() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) == 0 {
		return nil
	}
	first, state := int64(-1), AckType("")
	for timecode, s := range l.open {
		if first < 0 || timecode < first {
			first, state = timecode, s
		}
	}
	if state == "" {
		state = "not acknowledged"
	}
	want := Persisted
	if l.acceptReceived {
		want = Received
	}
	return fmt.Errorf("%d of %d fragments are not %s; the first, with cluster timecode %d, is %s",
		len(l.open), l.counts.Sent, want, first, state)
}
