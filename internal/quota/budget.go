package quota

import (
	"context"
	"sync"
)

// Budget is the memory that media may take in the whole server: fragments in flight,
// live buffers and buffers of streams without retention. A producer that finds it
// spent waits (back-pressure), after what can be given up was given up.
//
// A part of the budget, the reserve, is kept for one fragment at a time: the oldest
// of those that wait. Without it, many half-received fragments could hold all memory
// and none could ever be finished.
//
// What is kept for long and cannot be given up, such as a session's header, must leave
// the reserve alone: it is taken with [NoTicket].
type Budget struct {
	limit, reserve int64

	mu      sync.Mutex
	used    int64
	peak    int64
	elder   int64 // ticket that may use the reserve, 0 = none
	next    int64 // last ticket given
	waiting map[int64]chan struct{}
	reclaim func(want int64)
}

// NewBudget makes a budget of limit bytes, of which at most reserve bytes are kept
// for the oldest waiting fragment. The reserve should hold the largest fragment.
func NewBudget(limit, reserve int64) *Budget {
	return &Budget{limit: limit, reserve: min(reserve, limit/2), waiting: map[int64]chan struct{}{}}
}

// NoTicket is the ticket of bytes that belong to no fragment. They never come out of the
// reserve, and who waits for them keeps no fragment from it. Take all that will be
// needed at once: those who wait here with bytes in their hands could wait for each
// other.
const NoTicket int64 = 0

// firstWithout is where the places in line begin of those without a ticket: behind
// every ticket there is.
const firstWithout int64 = 1 << 62

// OnPressure sets the function that is asked to give up want bytes (by calling
// [Budget.Give]) before anybody has to wait, and again whenever a waiting fragment was
// woken in vain. It is called without locks held.
func (b *Budget) OnPressure(reclaim func(want int64)) { b.reclaim = reclaim }

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
	ticket, missing := b.try(ticket, n)
	if missing == 0 {
		return nil
	}
	b.press(missing) // before the reserve is touched
	for {
		var wake <-chan struct{}
		if wake, missing = b.enqueue(ticket, n); missing == 0 {
			return nil
		}
		b.press(missing) // what is given up here has woken us by the time we wait
		select {
		case <-wake:
		case <-ctx.Done():
			b.leave(ticket)
			return context.Cause(ctx)
		}
	}
}

// Give returns n bytes.
func (b *Budget) Give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	b.wakeAll()
}

// Retry wakes everybody in line: there may be more to give up now than when they began
// to wait.
func (b *Budget) Retry() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wakeAll()
}

// Done ends the fragment's claim to the reserve. Its bytes stay taken.
func (b *Budget) Done(ticket int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.elder == ticket {
		b.elder = 0
		b.wakeAll()
	}
}

// Use reports the bytes taken now, the most ever taken, the limit, and how many
// fragments are waiting.
func (b *Budget) Use() (used, peak, limit int64, waiting int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used, b.peak, b.limit, len(b.waiting)
}

func (b *Budget) press(missing int64) {
	if b.reclaim != nil {
		b.reclaim(missing)
	}
}

// try takes n bytes, or says how many are missing. It also gives the place in line,
// which is the ticket if there is one.
func (b *Budget) try(ticket, n int64) (place, missing int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if ticket == NoTicket {
		b.next++
		ticket = firstWithout + b.next
	}
	return ticket, b.tryLocked(ticket, n)
}

// tryLocked takes n bytes, or says how many would have to be given back before.
func (b *Budget) tryLocked(ticket, n int64) (missing int64) {
	limit := b.limit - b.reserve
	if b.elder == ticket {
		limit = b.limit
	}
	if b.used+n > limit {
		return b.used + n - limit
	}
	b.used += n
	b.peak = max(b.peak, b.used)
	return 0
}

// enqueue tries again and else waits in line. The oldest in line becomes the elder
// when there is none, but not while it can do without.
func (b *Budget) enqueue(ticket, n int64) (<-chan struct{}, int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	missing := b.tryLocked(ticket, n)
	if missing > 0 && b.elder == 0 && ticket < firstWithout && b.oldest(ticket) {
		b.elder = ticket
		missing = b.tryLocked(ticket, n)
	}
	if missing == 0 {
		delete(b.waiting, ticket)
		return nil, 0
	}
	wake := b.waiting[ticket]
	if wake == nil {
		wake = make(chan struct{}, 1)
		b.waiting[ticket] = wake
	}
	return wake, missing
}

func (b *Budget) oldest(ticket int64) bool {
	for t := range b.waiting {
		if t < ticket {
			return false
		}
	}
	return true
}

func (b *Budget) leave(ticket int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.waiting, ticket)
	b.wakeAll()
}

// wakeAll lets everybody in line try again. Lines are short: one entry per session.
func (b *Budget) wakeAll() {
	for _, c := range b.waiting {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}
