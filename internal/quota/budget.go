package quota

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Budget is the memory that media may take in the whole server: fragments in flight,
// live buffers and buffers of streams without retention. A producer that finds it
// spent waits (back-pressure), after what can be given up was given up.
//
// Who waits is served in the order of age, the oldest fragment first; nobody takes what
// an older one waits for. A part of the budget, the reserve, is kept for one fragment at
// a time, the elder: the oldest of those that wait. Without it, many half-received
// fragments could hold all memory and none could ever be finished. What a fragment took
// out of the reserve is counted apart, so that those who may not use it are not kept
// waiting by those who may.
//
// What is kept for long and cannot be given up, such as a session's header, must leave
// the reserve alone: it is taken with [NoTicket].
type Budget struct {
	limit, reserve int64
	reclaim        func(want int64) int64

	mu     sync.Mutex
	used   int64
	peak   int64
	next   int64           // last ticket given
	loans  map[int64]int64 // bytes out of the reserve by ticket
	loaned int64           // their sum
	elder  int64           // ticket that may use the reserve, 0 = none
	since  time.Time       // it may, later by the time it waited itself
	taken  int64           // by it, since then
	line   []*taker        // by place
	waits  int64
	waited time.Duration // by those who left the line
}

// taker is one who waits.
type taker struct {
	place  int64 // in line: smaller is older
	ticket int64 // NoTicket: keeps off the reserve
	n      int64
	since  time.Time
	served bool          // the bytes are taken; guarded by mu
	wake   chan struct{} // served, or there is more to give up
}

// Figures are what a Budget counts.
type Figures struct {
	Used, Peak, Limit int64         // bytes taken now, the most ever, and how many there are
	Waiting           int           // takers in line now
	Waits             int64         // takers that ever had to wait
	Waited            time.Duration // by all of them together, those in line included
	Oldest            time.Duration // waited so far by the one in line for the longest time
}

// NewBudget makes a budget of limit bytes, of which at most reserve bytes are kept
// for the oldest waiting fragment. The reserve should hold the largest fragment.
func NewBudget(limit, reserve int64) *Budget {
	return &Budget{limit: limit, reserve: min(reserve, limit/2), loans: map[int64]int64{}}
}

// NoTicket is the ticket of bytes that belong to no fragment. They never come out of the
// reserve; in line they are as old as the call. Take all that will be needed at once:
// those who wait here with bytes in their hands could wait for each other.
const NoTicket int64 = 0

// A fragment may have the reserve for elderTime while others wait, which is the longest that
// a fragment lasts, and for the time its bytes take at elderRate: a live one is whole by
// then, and a large one from a file had to come at 3.5 Mbit/s.
const (
	elderTime = 20 * time.Second
	elderRate = 440_000 // bytes a second
)

// OnPressure sets the function that is asked to give up want bytes (by calling
// [Budget.Give]) before anybody has to wait, and again whenever there may be more to
// give up. It says how many bytes it gave, and is called without locks held.
func (b *Budget) OnPressure(reclaim func(want int64) int64) { b.reclaim = reclaim }

// Ticket returns the age mark of a new fragment: smaller is older.
func (b *Budget) Ticket() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	return b.next
}

// Take takes n bytes for the fragment with the given ticket. It waits while the
// budget is spent, until ctx ends. A fragment must call [Budget.Done] in the end.
func (b *Budget) Take(ctx context.Context, ticket, n int64) error {
	missing := b.try(ticket, n)
	if missing == 0 {
		return nil
	}
	if ticket == NoTicket && n > b.limit-b.reserve {
		return fmt.Errorf("%d bytes of memory at once are more than the budget has outside its reserve, %d", n, b.limit-b.reserve)
	}
	b.press(missing) // before the reserve is touched
	w := b.enqueue(ticket, n)
	for {
		missing := b.missing(w)
		if missing == 0 {
			return nil
		}
		if b.press(missing) > 0 {
			continue
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			if b.leave(w) {
				return nil
			}
			return context.Cause(ctx)
		}
	}
}

// Give returns n bytes that were taken with the ticket.
func (b *Budget) Give(ticket, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	if loan := min(n, b.loans[ticket]); loan > 0 {
		b.loaned -= loan
		if b.loans[ticket] -= loan; b.loans[ticket] == 0 {
			delete(b.loans, ticket)
		}
	}
	b.serve()
}

// Retry wakes everybody in line: there may be more to give up now than when they began
// to wait.
func (b *Budget) Retry() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range b.line {
		w.rouse()
	}
}

// Done ends the fragment's claim to the reserve. Its bytes stay taken.
func (b *Budget) Done(ticket int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.elder == ticket {
		b.elder = 0
		b.serve()
	}
}

// Overdue reports whether the fragment has had the reserve for so long, with others
// waiting, that it must be given up: a producer that sends a byte now and then must not
// stop all others.
func (b *Budget) Overdue(ticket int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if ticket == NoTicket || b.elder != ticket || len(b.line) == 0 {
		return false
	}
	if allowed := elderTime + time.Duration(b.taken)*time.Second/elderRate; time.Since(b.since) <= allowed {
		return false
	}
	// While it waits itself it is not its producer that is slow.
	return !slices.ContainsFunc(b.line, func(w *taker) bool { return w.ticket == ticket })
}

// Use reports the bytes taken now, the most ever taken, the limit, and how many
// fragments are waiting.
func (b *Budget) Use() (used, peak, limit int64, waiting int) {
	f := b.Figures()
	return f.Used, f.Peak, f.Limit, f.Waiting
}

// Figures reports what was counted.
func (b *Budget) Figures() Figures {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := Figures{Used: b.used, Peak: b.peak, Limit: b.limit, Waiting: len(b.line), Waits: b.waits, Waited: b.waited}
	for _, w := range b.line {
		d := time.Since(w.since)
		f.Waited += d
		f.Oldest = max(f.Oldest, d)
	}
	return f
}

func (b *Budget) press(missing int64) (given int64) {
	if b.reclaim == nil {
		return 0
	}
	return b.reclaim(missing)
}

// open is what those may have who keep off the reserve.
func (b *Budget) open() int64 { return b.limit - b.reserve }

// try takes n bytes if nobody older waits, or says how many are missing.
func (b *Budget) try(ticket, n int64) (missing int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.line) == 0 && b.used+n <= b.open() {
		// There is no pressure any more: the reserve is whole again.
		clear(b.loans)
		b.loaned, b.elder = 0, 0
	}
	first := len(b.line) == 0 || ticket != NoTicket && ticket < b.line[0].place
	if b.take(ticket, n, first) {
		return 0
	}
	return b.short(n)
}

// short is how many bytes must be given up for n more.
func (b *Budget) short(n int64) int64 {
	return max(b.used-b.loaned+n-b.open(), 1)
}

// take takes n bytes if there are so many: from the open part when nobody older waits
// for it, the rest from the reserve for the elder.
func (b *Budget) take(ticket, n int64, first bool) bool {
	var open, loan int64
	if first {
		open = max(0, min(n, b.open()-(b.used-b.loaned)))
	}
	loan = n - open
	if loan > 0 && (ticket == NoTicket || b.elder != ticket || b.loaned+loan > b.reserve) {
		return false
	}
	if loan > 0 {
		b.loans[ticket] += loan
		b.loaned += loan
	}
	if ticket != NoTicket && ticket == b.elder {
		b.taken += n
	}
	b.used += n
	b.peak = max(b.peak, b.used)
	return true
}

// enqueue puts a taker in line by age.
func (b *Budget) enqueue(ticket, n int64) *taker {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := &taker{place: ticket, ticket: ticket, n: n, since: time.Now(), wake: make(chan struct{}, 1)}
	if ticket == NoTicket {
		b.next++
		w.place = b.next
	}
	i, _ := slices.BinarySearchFunc(b.line, w.place, func(o *taker, place int64) int { return cmp.Compare(o.place, place) })
	b.line = slices.Insert(b.line, i, w)
	b.waits++
	b.serve()
	return w
}

// serve gives what there is to those in line, the oldest first. The oldest fragment
// that must wait becomes the elder when there is none.
func (b *Budget) serve() {
	first := true
	for i := 0; i < len(b.line); {
		w := b.line[i]
		if b.take(w.ticket, w.n, first) || b.promote(w.ticket) && b.take(w.ticket, w.n, first) {
			w.served = true
			if w.ticket == b.elder {
				b.since = b.since.Add(min(time.Since(w.since), time.Since(b.since)))
			}
			b.remove(i)
			w.rouse()
			continue
		}
		first = false
		i++
	}
}

// promote makes the fragment the elder if there is none.
func (b *Budget) promote(ticket int64) bool {
	if b.elder != 0 || ticket == NoTicket {
		return false
	}
	b.elder, b.since, b.taken = ticket, time.Now(), 0
	return true
}

// missing is how many bytes must be given up before w can be served, 0 = it was.
func (b *Budget) missing(w *taker) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.served {
		return 0
	}
	return b.short(w.n)
}

// leave takes w out of the line, or reports that it was served.
func (b *Budget) leave(w *taker) (served bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !w.served {
		b.remove(slices.Index(b.line, w))
		b.serve()
	}
	return w.served
}

func (b *Budget) remove(i int) {
	b.waited += time.Since(b.line[i].since)
	b.line = slices.Delete(b.line, i, i+1)
}

// rouse wakes w, or sees to it that its next wait is none.
func (w *taker) rouse() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}
