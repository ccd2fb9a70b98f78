package archive

import (
	"context"
	"math"
	"slices"

	"github.com/millrace/millrace/internal/kvs"
)

// Policy says what a stream keeps. It is asked for again before anything is removed, so
// that a change holds from the next look on.
type Policy struct {
	Hours int             // retention; 0 = nothing is kept
	Bytes int64           // records beyond this many bytes go, the oldest first; 0 = no limit
	Tier  kvs.StorageTier // of the segments that new fragments go to; "" = HOT
	Holds []Hold          // what stays whatever the other members say
}

// Hold keeps fragments from being removed: by expiry, by limits and by erasure.
type Hold struct {
	Clock kvs.Clock
	Range kvs.TimeRange // both ends inclusive
}

// Covers reports whether some of the fragment lies in the range. An instant belongs to
// the fragment that begins there, not to the one that ends there.
func (h Hold) Covers(f *kvs.Fragment) bool {
	from := f.At(h.Clock)
	return from <= h.Range.End && (from >= h.Range.Start || from+kvs.Millis(f.Duration) > h.Range.Start)
}

// held reports whether a hold covers the fragment.
func (p *Policy) held(f *kvs.Fragment) bool {
	return slices.ContainsFunc(p.Holds, func(h Hold) bool { return h.Covers(f) })
}

// horizon is the oldest server timestamp that the retention still covers.
func (p *Policy) horizon(now kvs.Millis) kvs.Millis {
	return kvs.Stream{Retention: p.Hours}.Horizon(now)
}

// lookup returns the policy of a stream and the horizon it means now. gone says that
// the stream was deleted: then everything is behind the horizon.
func (a *Archive) lookup(ctx context.Context, id kvs.StreamID) (p Policy, horizon kvs.Millis, gone bool, err error) {
	p, err = a.policy(ctx, id)
	if err != nil && kvs.KindOf(err) == kvs.NotFound {
		return Policy{}, math.MaxInt64, true, nil
	}
	return p, p.horizon(kvs.MillisOf(a.now())), false, err
}
