package keep

import (
	"context"
	"time"

	"github.com/millrace/millrace/internal/catalog"
)

// How long an erasure that failed waits to be tried again.
const (
	firstRetry = time.Second
	maxRetry   = 10 * time.Minute
)

// again lets Run look at the erasures soon.
func (k *Keeper) again() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Renew carries out the erasures that a failure or a crash interrupted, those of the
// process before, which may have stored fragments behind them, and all whose fragments may
// be back: when the archive's index is new or older than the catalog. What is on hold stays
// until the hold is removed. Call it once, before anybody may read. What fails is logged
// and left to [Keeper.Run]: one order must not keep the server from starting.
func (k *Keeper) Renew(ctx context.Context) (err error) {
	if k.last, err = k.o.Catalog.LastErasure(ctx); err != nil {
		return err
	}
	failed, err := k.renew(ctx)
	if failed {
		k.again()
	}
	return err
}

// Run tries erasures again that failed, until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	var due <-chan time.Time
	wait := firstRetry
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-k.wake:
			wait, due = firstRetry, time.After(firstRetry)
			continue
		case <-due:
		}
		due = nil
		failed, err := k.renew(ctx)
		if err != nil && ctx.Err() == nil {
			k.log.ErrorContext(ctx, "erasures cannot be looked at; it is tried again", "error", err)
		}
		if failed || err != nil {
			wait = min(2*wait, maxRetry)
			due = time.After(wait)
		}
	}
}

// erasurePage is how many records are read at a time.
const erasurePage = 1000

// renew carries out what is due. failed says that some must be tried again.
func (k *Keeper) renew(ctx context.Context) (failed bool, err error) {
	settled, err := k.o.Archive.Erased(ctx)
	if err != nil {
		return false, err
	}
	// Those of this process are left out: fragments may still come that they mean.
	through := k.last
	for after := int64(0); ; {
		all, err := k.o.Catalog.ErasuresDue(ctx, settled, after, erasurePage)
		if err != nil {
			return failed, err
		}
		if len(all) == 0 {
			break
		}
		for _, e := range all {
			after = e.ID
			whole, err := k.renewOne(ctx, e)
			failed = failed || err != nil
			if ctx.Err() != nil {
				return failed, ctx.Err()
			}
			if !whole && e.ID > settled {
				through = min(through, e.ID-1)
			}
		}
	}
	if through == settled {
		return failed, nil
	}
	return failed, k.o.Archive.NoteErased(ctx, through)
}

// renewOne carries out one erasure. whole says that nothing is left that it means.
func (k *Keeper) renewOne(ctx context.Context, e catalog.Erasure) (whole bool, err error) {
	k.orders.Lock()
	defer k.orders.Unlock()
	_, toll, err := k.carryOut(ctx, e)
	switch {
	case err != nil:
		k.log.ErrorContext(ctx, "erasure cannot be carried out; it is tried again", "stream", e.Name, "stream-id", int64(e.Stream), "erasure", e.ID, "error", err)
	case toll.Held > 0 && !k.told[e.ID]:
		k.told[e.ID] = true
		k.log.WarnContext(ctx, "fragments that were erased are there again and on hold: they stay until it is removed", "stream", e.Name, "stream-id", int64(e.Stream), "erasure", e.ID, "fragments", toll.Held)
	}
	return err == nil && toll.Held == 0, err
}
