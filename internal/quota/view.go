package quota

import (
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// View is the limits of one stream or account for a session that looks at them again and
// again: it always says what holds now, and costs next to nothing while nothing changes.
// It may be used from many goroutines.
type View struct {
	book    *Book
	account kvs.AccountID
	stream  kvs.StreamID
	seen    atomic.Pointer[resolved]
}

// View returns the limits of a stream, of an account when id is 0, or of the whole
// server when a is empty, too.
func (b *Book) View(a kvs.AccountID, id kvs.StreamID) *View {
	return &View{book: b, account: a, stream: id}
}

// Duration is a limit on a time for a stream; 0 = none. It is for those who keep no view.
func (b *Book) Duration(l Span, s kvs.Stream) time.Duration {
	return b.current.Load().value(l.Limit, s.Account, s.ID).duration()
}

func (v *View) resolved() *resolved {
	now := v.book.current.Load()
	r := v.seen.Load()
	if r == nil || r.of != now {
		r = now.resolve(v.account, v.stream)
		v.seen.Store(r)
	}
	return r
}

func (v *View) value(l *Limit) Value { return v.resolved().values[l.index] }

// Int is a limit on a number; 0 = none.
func (v *View) Int(l Count) int { return int(v.value(l.Limit)) }

// Bytes is a limit on a size in bytes; 0 = none.
func (v *View) Bytes(l Bytes) int64 { return int64(v.value(l.Limit)) }

// Rate is how often something may happen each second; 0 = as often as it likes.
func (v *View) Rate(l PerSecond) float64 { return float64(v.value(l.Limit)) }

// Bandwidth is a limit in bytes a second; 0 = none.
func (v *View) Bandwidth(l Bandwidth) float64 { return float64(v.value(l.Limit)) }

// Duration is a limit on a time; 0 = none.
func (v *View) Duration(l Span) time.Duration { return v.value(l.Limit).duration() }

// On reports whether a rule holds.
func (v *View) On(l Switch) bool { return v.value(l.Limit) != 0 }
