// Package keep decides what streams keep: by their retention, limits, holds and erasures.
//
// The catalog has the rules and the archive the fragments; neither knows the other. All
// methods may be called from any number of goroutines.
package keep

import (
	"context"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/quota"
)

// Policies tells the archive what streams keep. It reads all of them at once and again
// after a while, because the archive asks for one after another.
type Policies struct {
	catalog *catalog.Catalog
	book    *quota.Book

	mu   sync.Mutex
	kept map[kvs.StreamID]catalog.Kept
	read time.Time
}

// NewPolicies returns the policies of the streams of a catalog, with the limits of a
// book; nil = there are none.
func NewPolicies(c *catalog.Catalog, b *quota.Book) *Policies { return &Policies{catalog: c, book: b} }

// policyAge is how old a policy may be before it is read again.
const policyAge = 5 * time.Second

// changed forgets what was read: a hold, or a longer retention, must count at once.
func (p *Policies) changed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept = nil
}

// Policy returns what a stream keeps, NotFound for one that is deleted.
func (p *Policies) Policy(ctx context.Context, id kvs.StreamID) (archive.Policy, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k, ok := p.kept[id]
	if !ok && p.kept != nil {
		// It may be newer than what was read: only the catalog says that it is gone.
		if _, err := p.catalog.Open(ctx, id); err != nil {
			return archive.Policy{}, err
		}
	}
	if !ok || time.Since(p.read) > policyAge {
		var err error
		if k, ok, err = p.readFor(ctx, id); err != nil {
			return archive.Policy{}, err
		}
	}
	if !ok {
		return archive.Policy{}, kvs.Errorf(kvs.NotFound, "The stream %d is deleted.", id)
	}
	a := archive.Policy{Hours: k.Retention, Tier: k.Tier}
	if p.book != nil {
		a.Bytes = p.book.View(k.Account, id).Bytes(quota.StreamBytes)
	}
	for _, h := range k.Holds {
		a.Holds = append(a.Holds, archive.Hold{Clock: h.Clock, Range: h.Range})
	}
	return a, nil
}

// readFor reads all policies and returns that of one stream, if it is there. The caller
// holds mu.
func (p *Policies) readFor(ctx context.Context, id kvs.StreamID) (k catalog.Kept, ok bool, err error) {
	all, err := p.catalog.Kept(ctx)
	if err != nil {
		return k, false, err
	}
	p.kept, p.read = all, time.Now()
	k, ok = all[id]
	return k, ok, nil
}
