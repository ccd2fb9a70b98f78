package login

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Whoever guesses is slowed down after some failures, and refused after more. The numbers
// leave room for people, and for many of them behind one address.
const (
	freeFailures = 3                // without delay
	maxFailures  = 20               // before an address is refused
	forgetAfter  = 15 * time.Minute // without a failure
	firstDelay   = 250 * time.Millisecond
	maxDelay     = 4 * time.Second
	maxAddresses = 4096 // that are remembered, some 100 bytes each
	maxDelayed   = 256  // requests that wait at a time, of all addresses
)

// failures counts failed logins by address; the zero value with a clock is ready. At the
// bound the one that has been quiet for the longest, of some, is forgotten.
type failures struct {
	now func() time.Time

	mu      sync.Mutex
	by      map[netip.Prefix]*record
	delayed int
}

// record is what is known of one address.
type record struct {
	count int
	last  time.Time
}

// attempt is a login that counts as failed until it succeeds, so that many at a time count
// as well.
type attempt struct {
	f  *failures
	at netip.Prefix
	n  int // how many failures there are with it
}

// block is the address that failures are counted for: of IPv6 the network of a customer.
func block(a netip.Addr) netip.Prefix {
	bits := 64
	if a = a.Unmap(); a.Is4() {
		bits = 32
	}
	p, _ := a.WithZone("").Prefix(bits) // fails for no address only, which is one for all of them
	return p
}

// begin counts an attempt, or refuses it.
func (f *failures) begin(from netip.Addr) (*attempt, error) {
	at := block(from)
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	r := f.by[at]
	if r != nil && now.Sub(r.last) >= forgetAfter {
		delete(f.by, at)
		r = nil
	}
	if r == nil {
		f.makeRoom(now)
		r = &record{}
		f.by[at] = r
	}
	if r.count >= maxFailures {
		no := refuse(http.StatusTooManyRequests, "Too many logins from this address failed: wait some minutes.")
		no.after = forgetAfter - now.Sub(r.last)
		return nil, no
	}
	r.count, r.last = r.count+1, now
	return &attempt{f, at, r.count}, nil
}

// makeRoom makes room for one address. Callers hold f.mu.
func (f *failures) makeRoom(now time.Time) {
	if f.by == nil {
		f.by = map[netip.Prefix]*record{}
	}
	if len(f.by) < maxAddresses {
		return
	}
	var quiet netip.Prefix
	looked := 0
	for at, r := range f.by { // any ones: the order of a map is random
		if looked == 0 || r.last.Before(f.by[quiet].last) {
			quiet = at
		}
		if looked++; looked == 16 || now.Sub(r.last) >= forgetAfter {
			break
		}
	}
	delete(f.by, quiet)
}

// succeeded takes the attempt back. Others from the address that failed stay counted:
// whoever has one key may be guessing another.
func (a *attempt) succeeded() {
	a.f.mu.Lock()
	defer a.f.mu.Unlock()
	if r := a.f.by[a.at]; r != nil {
		if r.count--; r.count <= 0 {
			delete(a.f.by, a.at)
		}
	}
}

// wait delays the answer to an attempt that failed. When too many wait already it does not:
// they must not hold the server's memory.
func (a *attempt) wait(ctx context.Context) {
	d := a.delay()
	if d == 0 || !a.f.queue(1) {
		return
	}
	defer a.f.queue(-1)
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// delay doubles with every failure.
func (a *attempt) delay() time.Duration {
	if a.n <= freeFailures {
		return 0
	}
	return min(firstDelay<<min(a.n-freeFailures-1, 10), maxDelay)
}

// queue counts requests that wait; false when there are too many.
func (f *failures) queue(n int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n > 0 && f.delayed >= maxDelayed {
		return false
	}
	f.delayed += n
	return true
}
