package catalog

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// block is how many fragment numbers are reserved at a time, and where the counter of
// a new session starts: at the next multiple of it, plus one.
const block = 1000

// clockStep is how far behind the newest fragment the clock may be without a word.
const clockStep = time.Second

// numbers is the counter of a stream's fragments.
//
// Invariants: last <= limit; limit is a multiple of block and moves only by the holder of
// reserving; a number is given only when a reservation up to limit is durable. After a crash the counter goes on at
// the reservation, so no number is ever given twice.
type numbers struct {
	reserving chan struct{} // capacity 1: who is in it may write the reservation

	mu     sync.Mutex // guards the rest; held for memory operations only
	last   int64
	limit  int64
	millis kvs.Millis // largest server time given
	random [4]byte    // here and not on a stack, where it would be allocated
}

// loadNumbers takes up the counter where its reservation ends.
func (e *Entry) loadNumbers(ctx context.Context) error {
	n := &e.numbers
	n.reserving = make(chan struct{}, 1)
	err := e.catalog.db.Read().QueryRowContext(ctx,
		"SELECT reserved, millis FROM numbering WHERE stream = $1", e.id).Scan(&n.limit, &n.millis)
	if errors.Is(err, sql.ErrNoRows) {
		return errNotFound()
	}
	n.last = n.limit
	return err
}

// BeginSession moves the counter to the next thousand, durably: sessions are told apart
// by their numbers, and the first thousand of them need no further write. It fails with
// NotFound when the stream is gone.
func (e *Entry) BeginSession(ctx context.Context) error {
	release, err := e.reserve(ctx)
	if err != nil {
		return err
	}
	defer release()
	n := &e.numbers
	n.mu.Lock()
	limit, millis := n.limit, n.millis
	n.mu.Unlock()
	now := kvs.MillisOf(e.catalog.now())
	if lag := millis.Sub(now); lag > clockStep {
		e.catalog.log.Warn("the clock is behind the newest fragment of the stream; its server timestamps stand still until the clock has caught up",
			"stream", e.Stream().Name, "behind", lag)
	}
	return e.extend(ctx, limit, max(now, millis))
}

// NextNumber gives the next fragment its number. The server time in it is the clock's,
// but never smaller than that of a number given before, than the one stored with the
// last reservation, or than floor. Once in a thousand numbers the reservation is
// extended; ctx bounds that. It fails with NotFound when the stream is gone.
func (e *Entry) NextNumber(ctx context.Context, floor kvs.Millis) (kvs.FragmentNumber, error) {
	for {
		if f, ok := e.numbers.take(max(kvs.MillisOf(e.catalog.now()), floor)); ok {
			select {
			case <-e.gone:
				return kvs.FragmentNumber{}, errNotFound()
			default:
				return f, nil
			}
		}
		if err := e.replenish(ctx); err != nil {
			return kvs.FragmentNumber{}, err
		}
	}
}

// take gives a number when there is one left.
func (n *numbers) take(now kvs.Millis) (kvs.FragmentNumber, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.last >= n.limit {
		return kvs.FragmentNumber{}, false
	}
	n.last++
	n.millis = max(n.millis, now)
	_, _ = rand.Read(n.random[:]) // never fails
	return kvs.FragmentNumber{N: n.last, Server: n.millis, Random: binary.LittleEndian.Uint32(n.random[:]) & kvs.RandomMask}, true
}

// replenish reserves the next thousand, unless somebody did while we waited.
func (e *Entry) replenish(ctx context.Context) error {
	release, err := e.reserve(ctx)
	if err != nil {
		return err
	}
	defer release()
	n := &e.numbers
	n.mu.Lock()
	empty, limit, millis := n.last >= n.limit, n.limit, n.millis
	n.mu.Unlock()
	if !empty {
		return nil
	}
	return e.extend(ctx, limit, max(kvs.MillisOf(e.catalog.now()), millis))
}

// reserve waits for the right to write the reservation.
func (e *Entry) reserve(ctx context.Context) (release func(), err error) {
	select {
	case e.numbers.reserving <- struct{}{}:
		return func() { <-e.numbers.reserving }, nil
	case <-e.gone:
		return nil, errNotFound()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// extend reserves the thousand behind from, durably, and lets the counter go on there;
// what is left below is skipped. Values are absolute: after a commit whose outcome is
// unknown the same reservation is simply written again.
func (e *Entry) extend(ctx context.Context, from int64, millis kvs.Millis) error {
	err := e.catalog.db.Write(ctx, func(tx *sql.Tx) error {
		res, err := tx.Exec("UPDATE numbering SET reserved = $1, millis = $2 WHERE stream = $3", from+block, millis, e.id)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err == nil && n == 0 {
			err = errNotFound()
		}
		return err
	})
	if err != nil {
		return err
	}
	e.numbers.mu.Lock()
	defer e.numbers.mu.Unlock()
	e.numbers.last, e.numbers.limit = from, from+block
	return nil
}
