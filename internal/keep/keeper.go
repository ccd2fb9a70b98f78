package keep

import (
	"cmp"
	"context"
	"log/slog"
	"sync"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/kvs"
)

// Archive is what a keeper asks of the archive.
type Archive interface {
	// Weigh says what an erasure would remove.
	Weigh(ctx context.Context, id kvs.StreamID, e archive.Erasure) (archive.Toll, error)
	// Erase removes it but for what is on hold.
	Erase(ctx context.Context, id kvs.StreamID, e archive.Erasure) (archive.Toll, error)
	// Settle waits until nothing is being removed by an older policy.
	Settle(ctx context.Context) error
	// Erased returns what NoteErased noted last, 0 when there may be anything.
	Erased(ctx context.Context) (int64, error)
	// NoteErased notes that erasures up to this id are carried out.
	NoteErased(ctx context.Context, id int64) error
	// Newest returns the fragment with the greatest number.
	Newest(ctx context.Context, id kvs.StreamID, horizon kvs.Millis) (archive.Stored, bool, error)
}

// Options are what a keeper is made of. Catalog, Policies and Archive are needed.
type Options struct {
	Catalog  *catalog.Catalog
	Policies *Policies
	Archive  Archive
	Logger   *slog.Logger // nil = silent
}

// Keeper carries out holds and erasures. Make it with [New].
type Keeper struct {
	o   Options
	log *slog.Logger

	// orders is held while a hold is set or an erasure made, so that neither overlooks the
	// other.
	orders sync.Mutex

	last int64         // erasure when Renew was called
	wake chan struct{} // capacity 1: an erasure is not whole
	told map[int64]bool
}

// New returns a keeper.
func New(o Options) *Keeper {
	return &Keeper{o: o, log: cmp.Or(o.Logger, slog.New(slog.DiscardHandler)), wake: make(chan struct{}, 1), told: make(map[int64]bool)}
}

// AddHold sets a hold. When it returns, nothing that the hold covers will be removed any
// more. Errors are those of [catalog.Catalog.AddHold].
func (k *Keeper) AddHold(ctx context.Context, h catalog.Hold) (catalog.Hold, error) {
	k.orders.Lock()
	defer k.orders.Unlock()
	h, err := k.o.Catalog.AddHold(ctx, h)
	if err != nil {
		return h, err
	}
	k.o.Policies.changed()
	k.log.InfoContext(ctx, "hold set", "stream-id", int64(h.Stream), "hold", h.ID, "from", h.Range.Start.Time(), "to", h.Range.End.Time(), "clock", h.Clock.String(), "key", h.Who)
	return h, k.o.Archive.Settle(ctx)
}

// RemoveHold removes a hold of the stream, NotFound if it has none of that id. who is the
// access key that asked. What only the hold kept goes with the next expiry pass.
func (k *Keeper) RemoveHold(ctx context.Context, id kvs.StreamID, hold int64, who string) error {
	k.orders.Lock()
	defer k.orders.Unlock()
	if err := k.o.Catalog.RemoveHold(ctx, id, hold); err != nil {
		return err
	}
	k.o.Policies.changed()
	k.again() // of what was erased, a hold may have kept what came later
	k.log.InfoContext(ctx, "hold removed", "stream-id", int64(id), "hold", hold, "key", who)
	return nil
}

// Changed is told that a retention, a tier or a limit was changed. When it returns, nothing
// will be removed any more by what was in force before.
func (k *Keeper) Changed(ctx context.Context) error {
	k.o.Policies.changed()
	return k.o.Archive.Settle(ctx)
}

// Weigh says what an erasure would remove now.
func (k *Keeper) Weigh(ctx context.Context, id kvs.StreamID, c kvs.Clock, r kvs.TimeRange) (archive.Toll, error) {
	e, err := k.order(ctx, id, c, r)
	if err != nil {
		return archive.Toll{}, err
	}
	return k.o.Archive.Weigh(ctx, id, e)
}

// order is an erasure of what is there now.
func (k *Keeper) order(ctx context.Context, id kvs.StreamID, c kvs.Clock, r kvs.TimeRange) (e archive.Erasure, err error) {
	newest, _, err := k.o.Archive.Newest(ctx, id, 0)
	return archive.Erasure{Clock: c, Range: r, Through: newest.Number.N}, err
}

// Erase removes the fragments of a stream that lie in a range of time, or partly, and
// leaves a record of it. It fails with InUse, and removes nothing, when a hold covers one
// of them. who is the access key that asked.
func (k *Keeper) Erase(ctx context.Context, id kvs.StreamID, c kvs.Clock, r kvs.TimeRange, who string) (catalog.Erasure, error) {
	k.orders.Lock()
	defer k.orders.Unlock()
	order, err := k.order(ctx, id, c, r)
	if err != nil {
		return catalog.Erasure{}, err
	}
	toll, err := k.o.Archive.Weigh(ctx, id, order)
	if err != nil {
		return catalog.Erasure{}, err
	}
	if toll.Held > 0 {
		return catalog.Erasure{}, kvs.Errorf(kvs.InUse, "%d of the %d fragments are on hold: nothing was erased. millrace hold list shows the holds.", toll.Held, toll.Fragments)
	}
	// The record comes first: a failure or a crash behind it leaves an order that Run or the
	// next start carries out, one before it nothing at all.
	e, err := k.o.Catalog.BeginErasure(ctx, catalog.Erasure{Stream: id, Clock: c, Range: r, Who: who,
		Through: order.Through, Fragments: toll.Fragments, Bytes: toll.Bytes})
	if err != nil {
		return e, err
	}
	if e, _, err = k.carryOut(ctx, e); err != nil {
		k.again()
	}
	return e, err
}

// carryOut removes what an erasure that was begun means. What is on hold keeps it from
// being done. The caller holds orders.
func (k *Keeper) carryOut(ctx context.Context, e catalog.Erasure) (catalog.Erasure, archive.Toll, error) {
	toll, err := k.o.Archive.Erase(ctx, e.Stream, archive.Erasure{Clock: e.Clock, Range: e.Range, Through: e.Through})
	if err != nil {
		return e, toll, err
	}
	ends := !e.Done && toll.Held == 0
	if ends {
		// After a crash in between some of them may be gone already: what was weighed then
		// is the better number.
		e.Fragments, e.Bytes, e.Done = max(e.Fragments, toll.Fragments), max(e.Bytes, toll.Bytes), true
		err = k.o.Catalog.FinishErasure(ctx, e.ID, e.Fragments, e.Bytes)
	}
	if toll.Fragments > 0 || ends {
		k.log.InfoContext(ctx, "fragments erased", "stream", e.Name, "stream-id", int64(e.Stream), "erasure", e.ID,
			"from", e.Range.Start.Time(), "to", e.Range.End.Time(), "clock", e.Clock.String(), "key", e.Who, "fragments", toll.Fragments, "bytes", toll.Bytes)
	}
	return e, toll, err
}

// Holds returns the holds of a stream in the order in which they were set.
func (k *Keeper) Holds(ctx context.Context, id kvs.StreamID) ([]catalog.Hold, error) {
	return k.o.Catalog.Holds(ctx, id)
}

// AccountHolds returns holds of an account as [catalog.Catalog.AccountHolds] does.
func (k *Keeper) AccountHolds(ctx context.Context, a kvs.AccountID, after int64, limit int) ([]catalog.StreamHold, error) {
	return k.o.Catalog.AccountHolds(ctx, a, after, limit)
}

// Erasures returns records of an account as [catalog.Catalog.Erasures] does.
func (k *Keeper) Erasures(ctx context.Context, a kvs.AccountID, id kvs.StreamID, after int64, limit int) ([]catalog.Erasure, error) {
	return k.o.Catalog.Erasures(ctx, a, id, after, limit)
}
