package archive

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// maxDeletes is how many rows one transaction removes, so that fragments being stored
// never wait long behind an expiry pass.
const maxDeletes = 500

// expireLoop runs passes until ctx ends.
func (a *Archive) expireLoop(ctx context.Context) {
	t := time.NewTicker(a.expireEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		if err := a.Expire(ctx); err != nil && ctx.Err() == nil {
			a.log.Warn("expiry pass failed; the next one goes on", "error", err)
		}
	}
}

// Expire makes one pass: it removes the rows of fragments older than their stream's
// retention and of deleted streams, seals segments that were open for long, and
// removes the files nothing points to any more. A reader that has such a file open
// reads on. Errors of single streams are joined; the others are served.
func (a *Archive) Expire(ctx context.Context) error {
	removed, err := a.expireRows(ctx)
	a.sealAged(ctx)
	files, fileErr := a.removeDead(ctx)
	if removed > 0 || files > 0 {
		a.observer.Expired(removed, files)
	}
	return errors.Join(err, fileErr)
}

// expireRows visits every stream that has rows, in order of their ids.
func (a *Archive) expireRows(ctx context.Context) (removed int, err error) {
	if a.policy == nil {
		return 0, nil
	}
	for id := kvs.StreamID(math.MinInt64); ; {
		next, ok, nextErr := a.index.nextStream(ctx, id)
		if nextErr != nil || !ok {
			return removed, errors.Join(err, nextErr)
		}
		id = next
		n, streamErr := a.expireStream(ctx, id)
		removed += n
		err = errors.Join(err, streamErr)
		if ctx.Err() != nil {
			return removed, err
		}
	}
}

// expireStream removes what its retention no longer covers.
func (a *Archive) expireStream(ctx context.Context, id kvs.StreamID) (removed int, err error) {
	p, horizon, gone, err := a.lookup(ctx, id)
	if err != nil || len(p.Holds) > 0 && !gone {
		return 0, err
	}
	return a.index.removeBefore(ctx, id, horizon)
}

// DeleteStream removes the rows of a stream that was deleted; the next expiry pass
// removes files that held nothing else. Fragments of it that are on their way may
// still come; the pass takes them, too, because their stream is no longer found.
func (a *Archive) DeleteStream(ctx context.Context, id kvs.StreamID) error {
	removed, err := a.index.removeBefore(ctx, id, math.MaxInt64)
	if removed > 0 {
		a.observer.Expired(removed, 0)
	}
	return err
}

// sealAged seals open segments past their class's age; nothing else would, once their
// streams are silent.
func (a *Archive) sealAged(ctx context.Context) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.open {
		if s != nil && s.full(a.segmentBytes, a.now()) {
			a.seal(ctx, s)
		}
	}
}

// removeDead removes the files of sealed segments without rows, then their rows. In
// the other order a crash between the two would leave a file that looks like one the
// index has lost.
func (a *Archive) removeDead(ctx context.Context) (removed int, err error) {
	dead, err := a.index.dead(ctx)
	if err != nil || len(dead) == 0 {
		return 0, err
	}
	var gone []int64
	for id := range dead {
		removeErr := a.disk.Remove(a.segmentPath(id))
		a.files.forget(id)
		err = errors.Join(err, removeErr)
		if removeErr == nil {
			gone = append(gone, id)
		}
	}
	if syncErr := a.disk.SyncDir(a.dir); syncErr != nil {
		return 0, errors.Join(err, syncErr)
	}
	for _, id := range gone {
		err = errors.Join(err, a.index.removeSegment(ctx, id))
	}
	return len(gone), err
}

// nextStream returns the smallest stream id above after that has rows.
func (x *index) nextStream(ctx context.Context, after kvs.StreamID) (id kvs.StreamID, ok bool, err error) {
	err = x.db.Read().QueryRowContext(ctx, `SELECT stream FROM fragments WHERE stream > $1 ORDER BY stream LIMIT 1`, int64(after)).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	return id, err == nil, err
}

// removeBefore removes the rows of a stream whose server timestamp is before horizon.
func (x *index) removeBefore(ctx context.Context, id kvs.StreamID, horizon kvs.Millis) (removed int, err error) {
	for {
		n := 0
		err := x.db.Write(ctx, func(tx *sql.Tx) (err error) {
			n, err = removeSome(ctx, tx, id, horizon)
			return err
		})
		if err != nil {
			return removed, err
		}
		removed += n
		if n < maxDeletes {
			return removed, nil
		}
		if err := ctx.Err(); err != nil {
			return removed, err
		}
	}
}

// share is what a removal takes from one segment.
type share struct{ rows, bytes int64 }

// removeSome removes the oldest maxDeletes of these rows.
func removeSome(ctx context.Context, tx *sql.Tx, id kvs.StreamID, horizon kvs.Millis) (int, error) {
	shares, last, n, err := oldest(ctx, tx, id, horizon)
	if err != nil || n == 0 {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM fragments WHERE stream = $1 AND server < $2 AND (server, n) <= ($3, $4)`,
		int64(id), int64(horizon), int64(last.Time), last.N)
	if err != nil {
		return 0, err
	}
	counts := totals{}
	for segment, s := range shares {
		counts.add(id, -s.rows, -s.bytes)
		_, err := tx.ExecContext(ctx, `UPDATE segments SET live = live - $2, bytes = bytes - $3 WHERE id = $1`, segment, s.rows, s.bytes)
		if err != nil {
			return 0, err
		}
	}
	if err := counts.count(ctx, tx); err != nil {
		return 0, err
	}
	return n, forgetEmpty(ctx, tx, id)
}

// oldest finds the rows removeSome will remove: what they take from each segment, and
// the last of them.
func oldest(ctx context.Context, tx *sql.Tx, id kvs.StreamID, horizon kvs.Millis) (shares map[int64]share, last Position, n int, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT server, n, segment, length FROM fragments
		WHERE stream = $1 AND server < $2 ORDER BY server, n LIMIT $3`, int64(id), int64(horizon), maxDeletes)
	if err != nil {
		return nil, last, 0, err
	}
	defer rows.Close()
	shares = make(map[int64]share)
	for rows.Next() {
		var segment, length int64
		if err := rows.Scan(&last.Time, &last.N, &segment, &length); err != nil {
			return nil, last, 0, err
		}
		s := shares[segment]
		shares[segment] = share{s.rows + 1, s.bytes + length}
		n++
	}
	return shares, last, n, rows.Err()
}
