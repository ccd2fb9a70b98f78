package quota

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/millrace/millrace/internal/kvs"
)

// Rates holds one token bucket per operation and account, and one per operation and
// resource. A bucket is made when it is first needed and forgotten when it is full
// again, so memory follows the callers of the last second, not all there ever were.
type Rates struct {
	limits map[string]Rate
	now    func() time.Time

	mu      sync.Mutex
	buckets map[bucketKey]*rate.Limiter
	sweep   time.Time // when full buckets were last dropped
}

type bucketKey struct{ operation, owner string }

// NewRates makes the buckets for the rates of l.
func NewRates(l Limits, now func() time.Time) *Rates {
	return &Rates{limits: l.Rates, now: now, buckets: map[bucketKey]*rate.Limiter{}}
}

// Allow takes one token for a call of operation by account on resource (empty for
// calls on no resource). It returns a kvs.TooManyRequests error when a bucket is
// empty.
func (r *Rates) Allow(operation string, account kvs.AccountID, resource string) error {
	lim, ok := r.limits[operation]
	if !ok {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	r.dropFull(now)
	if lim.Account > 0 && !r.bucket(operation, string(account), lim.Account).AllowN(now, 1) {
		return kvs.Errorf(kvs.TooManyRequests, "Limit exceeded on number of requests for %s API for account '%s'", operation, account)
	}
	if lim.Resource > 0 && resource != "" && !r.bucket(operation, string(account)+"/"+resource, lim.Resource).AllowN(now, 1) {
		return kvs.Errorf(kvs.TooManyRequests, "Limit exceeded on number of requests for %s API for resource '%s'", operation, resource)
	}
	return nil
}

// bucket returns the bucket of owner. The burst is one second's worth.
func (r *Rates) bucket(operation, owner string, perSecond float64) *rate.Limiter {
	k := bucketKey{operation, owner}
	b := r.buckets[k]
	if b == nil {
		b = rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond)))
		r.buckets[k] = b
	}
	return b
}

// dropFull forgets the buckets that are full: a new one would be no different.
func (r *Rates) dropFull(now time.Time) {
	if now.Sub(r.sweep) < time.Second {
		return
	}
	r.sweep = now
	for k, b := range r.buckets {
		if b.TokensAt(now) >= float64(b.Burst()) {
			delete(r.buckets, k)
		}
	}
}
