package archive

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/kvs"
)

// lister walks through a stream page by page while it changes, and knows what it must see.
type lister struct {
	y       *yard
	rnd     *rand.Rand
	n       int64
	horizon kvs.Millis
	query   Query
	must    map[int64]kvs.Fragment // that are ahead of it and alive
	seen    []kvs.Fragment
}

// ahead reports whether the place of a fragment in the list is behind those seen.
func (l *lister) ahead(f kvs.Fragment) bool {
	at := f.At(l.query.Clock)
	p := l.query.After
	return at <= l.query.Range.End && at >= l.query.Range.Start &&
		(p == Position{} || at > p.Time || at == p.Time && f.Number.N > p.N)
}

// store adds fragments: most now, by the producer's clock some long ago, some ahead of time,
// many at the same moment.
func (l *lister) store(count int) {
	var all []Record
	for range count {
		l.n++
		r := hourly(1, l.n/10+1)
		r.Fragment.Number.N = l.n
		r.Fragment.Producer = kvs.Millis(l.rnd.IntN(400)) * hour / 10
		if l.rnd.IntN(2) == 0 {
			r.Fragment.Producer = r.Fragment.Number.Server
		}
		all = append(all, r)
		if l.ahead(r.Fragment) && r.Fragment.Number.Server >= l.horizon {
			l.must[l.n] = r.Fragment
		}
	}
	l.y.mustStore(all...)
}

// expire moves the clock on, and removes rows or leaves them to a later pass.
func (l *lister) expire() {
	l.horizon += kvs.Millis(l.rnd.IntN(3)) * hour
	for n, f := range l.must {
		if f.Number.Server < l.horizon {
			delete(l.must, n)
		}
	}
	if l.rnd.IntN(2) == 0 {
		l.y.policy.Hours = 1
		l.y.expire(int64(l.horizon)/hour + 1)
	}
}

// page asks for the next page.
func (l *lister) page(t *testing.T) (more bool) {
	l.query.Horizon = l.horizon
	page, last, more, err := l.y.List(t.Context(), 1, l.query)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range page {
		if f.Number.Server < l.horizon || !l.ahead(f) {
			t.Fatalf("fragment %d at %d is on a page behind %+v, horizon %d", f.Number.N, f.At(l.query.Clock), l.query.After, l.horizon)
		}
		delete(l.must, f.Number.N)
	}
	l.seen = append(l.seen, page...)
	if len(page) > 0 {
		l.query.After = last
	}
	return more
}

// Whatever comes and goes between two pages, what stays is listed once and in order; so is
// what comes behind the page.
func TestPagesAreStableWhileFragmentsComeAndGo(t *testing.T) {
	for seed := range uint64(24) {
		l := &lister{y: newYard(t, 0), rnd: rand.New(rand.NewPCG(seed, 1)), must: map[int64]kvs.Fragment{}}
		l.query = Query{Clock: kvs.Clock(seed % 2), Max: 1 + l.rnd.IntN(12), Range: kvs.TimeRange{Start: kvs.Millis(l.rnd.IntN(10) * hour), End: 35 * hour}}
		l.store(120)
		for l.page(t) {
			switch l.rnd.IntN(3) {
			case 0:
				l.store(l.rnd.IntN(12))
			case 1:
				l.expire()
			}
		}
		if len(l.must) > 0 {
			t.Errorf("seed %d: %d fragments are on no page", seed, len(l.must))
		}
		sorted := slices.IsSortedFunc(l.seen, func(a, b kvs.Fragment) int {
			if d := a.At(l.query.Clock) - b.At(l.query.Clock); d != 0 {
				return int(d)
			}
			return int(a.Number.N - b.Number.N)
		})
		if !sorted {
			t.Errorf("seed %d: the pages together are not in order", seed)
		}
	}
}
