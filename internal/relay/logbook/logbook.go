// Package logbook writes what a relay says of its allocations to the log: line by line, in
// order, and with the names that operators know channels by. Nobody who has a line waits for
// the log, nor for the database that has the names.
//
// What waits is bounded: lines that find no room are counted, and in their place stands one
// that says how many are missing. Who looks up names also sees which channels are gone: it
// looks for those that it is asked to check, and tells.
package logbook

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// Most is how many lines may wait: more than there are allocations that end when a server
// stops.
const Most = 32_768

// lot is how many lines are taken from those that wait at once.
const lot = 256

// Options say where lines go. Now and Logger are needed.
type Options struct {
	// Name returns a channel's name, or an error of kind NotFound if there is no such
	// channel; nil = none has a name. It is never called twice at once.
	Name func(kvs.ChannelID) (string, error)
	// Gone is called when a channel that was to be checked certainly does not exist.
	Gone   func(kvs.ChannelID)
	Now    func() time.Time
	Logger *slog.Logger

	most int // lines that wait, and channels; 0 = Most
}

// Line is one line of the log. With a channel its attributes begin with account and channel.
type Line struct {
	Level   slog.Level
	Text    string
	Account kvs.AccountID
	Channel kvs.ChannelID // 0 = of none
	More    []any         // attributes, as slog takes them

	missing uint64 // lines that found no room since the one ahead of it
}

// Logbook takes lines from any number of goroutines. [Logbook.Run] writes them, or
// [Logbook.Close].
type Logbook struct {
	o      Options
	names  names
	wake   chan struct{}
	lost   atomic.Uint64
	hurry  atomic.Bool
	writer sync.Mutex // of who writes

	mu      sync.Mutex
	waiting []Line
	missing uint64 // of the next line
	checks  map[kvs.ChannelID]bool
	later   map[kvs.ChannelID]bool // to be checked again
	again   *time.Timer            // when; nil = there is nothing
	closed  bool
}

// New makes one that has no lines. It must be closed if lines are written to it.
func New(o Options) *Logbook {
	if o.most == 0 {
		o.most = Most
	}
	return &Logbook{o: o, wake: make(chan struct{}, 1)}
}

// Write leaves a line to be written. It never waits.
func (l *Logbook) Write(line Line) {
	if !l.o.Logger.Enabled(context.Background(), line.Level) {
		return
	}
	l.mu.Lock()
	if len(l.waiting) >= l.o.most {
		l.missing++
		l.lost.Add(1)
	} else {
		line.missing, l.missing = l.missing, 0
		l.waiting = append(l.waiting, line)
	}
	l.mu.Unlock()
	l.ring()
}

// Lost is how many lines found no room.
func (l *Logbook) Lost() uint64 { return l.lost.Load() }

// Forget is told of a channel that is deleted: its name is good no longer.
func (l *Logbook) Forget(id kvs.ChannelID) { l.names.forget(id) }

// ring says that there is something to do.
func (l *Logbook) ring() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Run writes until the context ends.
func (l *Logbook) Run(ctx context.Context) {
	for {
		select {
		case <-l.wake:
			l.write()
		case <-ctx.Done():
			return
		}
	}
}

// closing is how long names are asked for when the end has begun: a database that is slow
// must not hold it up for each line.
const closing = 2 * time.Second

// Hurry says that the end has begun: soon lines are written with the names that are known.
// The caller calls the function that it returns when all is over.
func (l *Logbook) Hurry() (over func()) {
	timer := time.AfterFunc(closing, func() { l.hurry.Store(true) })
	return func() { timer.Stop() }
}

// Close writes what waits and returns when it is written. What is left later waits for the
// next call. Nothing is checked any more.
func (l *Logbook) Close() {
	l.mu.Lock()
	l.checks, l.later, l.closed = nil, nil, true
	if l.again != nil {
		l.again.Stop()
	}
	l.mu.Unlock()
	l.write()
}

// write writes until nothing waits.
func (l *Logbook) write() {
	l.writer.Lock()
	defer l.writer.Unlock()
	for {
		checks, lines, missing := l.take()
		for id := range checks {
			l.verify(id)
		}
		for i := range lines {
			l.put(&lines[i])
		}
		if l.miss(missing); len(lines) == 0 && len(checks) == 0 {
			return
		}
		clear(lines) // they are a part of what may be kept for longer
	}
}

// take takes what is to be checked and some of the lines that wait, the oldest ones. If these
// are all, missing are those behind them that found no room.
func (l *Logbook) take() (checks map[kvs.ChannelID]bool, lines []Line, missing uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	checks, l.checks = l.checks, nil
	n := min(lot, len(l.waiting))
	if lines, l.waiting = l.waiting[:n:n], l.waiting[n:]; len(l.waiting) == 0 {
		missing, l.missing, l.waiting = l.missing, 0, nil
	}
	return checks, lines, missing
}

// put writes a line.
func (l *Logbook) put(line *Line) {
	l.miss(line.missing)
	all := line.More
	if line.Channel != 0 {
		all = append([]any{"account", line.Account, "channel", l.name(line.Channel)}, all...)
	}
	l.o.Logger.Log(context.Background(), line.Level, line.Text, all...)
}

// miss says how many lines are missing at this place.
func (l *Logbook) miss(n uint64) {
	if n > 0 {
		l.o.Logger.Warn("relay lines missing", "lines", n)
	}
}

// name is what the log calls a channel: by its number if there is no name.
func (l *Logbook) name(id kvs.ChannelID) string {
	if name, known := l.look(id); known && name != "" {
		return name
	}
	return strconv.FormatInt(int64(id), 10)
}
