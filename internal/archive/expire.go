package archive

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"slices"
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
		case <-a.pressure.expire:
		case <-a.recalls.Wake():
			if err := a.recall(ctx); err != nil && ctx.Err() == nil {
				a.log.Warn("fragments that were on their way when they were erased are not removed yet; the next expiry pass goes on", "error", err)
			}
			continue
		case <-ctx.Done():
			return
		}
		if err := a.Expire(ctx); err != nil && ctx.Err() == nil {
			a.log.Warn("expiry pass failed; the next one goes on", "error", err)
		}
	}
}

// Expire makes one pass: it removes the rows of fragments older than their stream's
// retention, beyond its limit of bytes and of deleted streams, but none that is on hold;
// seals segments that were open for long, and removes the files nothing points to any
// more. A reader that has such a file open reads on. Errors of single streams are joined;
// the others are served.
func (a *Archive) Expire(ctx context.Context) error {
	errs := []error{a.recall(ctx), a.expireRows(ctx)}
	for _, step := range []func(context.Context) error{a.sealAged, a.keepFree, a.removeDead, a.punchHoles, a.forwardAll, a.removeDead} {
		if ctx.Err() != nil {
			break
		}
		errs = append(errs, a.maintain(ctx, step))
	}
	if ctx.Err() == nil {
		errs = append(errs, a.moveWarm(ctx), a.maintain(ctx, a.thinTombstones))
	}
	return errors.Join(append(errs, ctx.Err())...)
}

// maintain carries out one step of a pass.
func (a *Archive) maintain(ctx context.Context, step func(context.Context) error) error {
	a.maintenance.Lock()
	defer a.maintenance.Unlock()
	return step(ctx)
}

// victim is a row that is to be removed.
type victim struct {
	stream  kvs.StreamID
	n       int64
	segment int64
	length  int64
	why     reason
}

// reason says why a fragment is removed; docs/design/archive-format.md has the numbers.
type reason uint8

const (
	expired reason = iota + 1
	deleted
	erased
	limited
	torn // found damaged behind what the index knew, at a start
	past // nothing is removed: the stream had this number (see keepTops)
)

// String names the reason as measurements do.
func (r reason) String() string {
	return [...]string{"", "expired", "deleted", "erased", "limit", "torn", "past"}[r]
}

// maxVictims is about how many rows are chosen before they are removed: one sync covers
// all of them, and a hold that is being set waits for no more.
const maxVictims = 4096

// harvest is what a pass chooses before it removes it.
type harvest struct {
	victims []victim
	seen    map[kvs.StreamID]cursor // where to go on once the victims are gone
	gone    []kvs.StreamID          // deleted streams that will have nothing left
}

// cursor says up to where the rows of a stream are known to be on hold, as long as the
// holds are the same: a pass costs nothing for them.
type cursor struct {
	at    Position
	holds []Hold
}

// expireRows visits every stream that has rows, in order of their ids.
func (a *Archive) expireRows(ctx context.Context) (err error) {
	if a.policy == nil {
		return nil
	}
	for id, more := kvs.StreamID(math.MinInt64), true; more && ctx.Err() == nil; {
		var passErr error
		id, more, passErr = a.expireSome(ctx, id)
		err = errors.Join(err, passErr)
	}
	return err
}

// expireSome chooses and removes a few thousand rows, of streams behind after. more says
// that the pass goes on behind last.
func (a *Archive) expireSome(ctx context.Context, after kvs.StreamID) (last kvs.StreamID, more bool, err error) {
	a.maintenance.Lock()
	defer a.maintenance.Unlock()
	h := &harvest{seen: make(map[kvs.StreamID]cursor)}
	for last = after; len(h.victims) < maxVictims; {
		id, ok, nextErr := a.index.nextStream(ctx, last)
		if err = errors.Join(err, nextErr); nextErr != nil || !ok {
			break
		}
		whole, streamErr := a.choose(ctx, h, id)
		err = errors.Join(err, streamErr)
		if more = !whole && streamErr == nil; more {
			break // the same stream again
		}
		last, more = id, true
	}
	if len(h.victims) < maxVictims {
		more = false
	}
	if buryErr := a.bury(ctx, h.victims); buryErr != nil {
		return last, false, errors.Join(err, buryErr)
	}
	a.advanceCursors(h)
	return last, more, errors.Join(err, a.forgetKeys(h.gone))
}

// advanceCursors remembers what need not be looked at again.
func (a *Archive) advanceCursors(h *harvest) {
	for id, c := range h.seen {
		if len(c.holds) == 0 {
			delete(a.upkeep.cursors, id)
			continue
		}
		a.upkeep.cursors[id] = c
	}
}

// choose adds the rows of a stream that its policy does not keep. whole is false when
// there may be more.
func (a *Archive) choose(ctx context.Context, h *harvest, id kvs.StreamID) (whole bool, err error) {
	p, horizon, gone, err := a.lookup(ctx, id)
	if err != nil {
		return true, err
	}
	c := cursor{holds: p.Holds}
	if old, ok := a.upkeep.cursors[id]; ok && slices.Equal(old.holds, p.Holds) {
		c.at = old.at
	}
	defer func() { h.seen[id] = c }()
	if gone {
		if whole, err = a.take(ctx, h, id, &p, &c, deleted, horizon, everyRow); err == nil && whole {
			h.gone = append(h.gone, id)
		}
		return whole, err
	}
	whole, err = a.take(ctx, h, id, &p, &c, expired, horizon, everyRow)
	if err != nil || !whole || p.Bytes == 0 {
		return whole, err
	}
	over, err := a.beyond(ctx, h, id, p.Bytes)
	if err != nil || over <= 0 {
		return true, err
	}
	return a.take(ctx, h, id, &p, &c, limited, math.MaxInt64, func(s *Stored) bool {
		goes := over > 0
		if !p.held(&s.Fragment) {
			over -= s.length
		}
		return goes
	})
}

// beyond returns by how many bytes a stream is over its limit once the victims are gone.
func (a *Archive) beyond(ctx context.Context, h *harvest, id kvs.StreamID, limit int64) (over int64, err error) {
	var fragments int64
	err = a.queries.total.QueryRowContext(ctx, int64(id)).Scan(&fragments, &over)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	for _, v := range h.victims {
		if v.stream == id {
			over -= v.length
		}
	}
	return over - limit, err
}

// everyRow is what take is given when time alone decides.
func everyRow(*Stored) bool { return true }

// take adds the rows behind a cursor and before a server timestamp, oldest first, until
// one is to stay, and moves the cursor. What is on hold is stepped over. whole is false
// when the harvest is full.
func (a *Archive) take(ctx context.Context, h *harvest, id kvs.StreamID, p *Policy, c *cursor, why reason, before kvs.Millis, goes func(*Stored) bool) (whole bool, err error) {
	for len(h.victims) < maxVictims {
		page, err := a.oldest(ctx, id, c.at, before)
		if err != nil {
			return true, err
		}
		for i := range page {
			s := &page[i]
			if !goes(s) {
				return true, nil
			}
			if !p.held(&s.Fragment) {
				h.victims = append(h.victims, victim{id, s.Number.N, s.segment, s.length, why})
			}
			c.at = Position{Time: s.Number.Server, N: s.Number.N}
		}
		if len(page) < maxDeletes {
			return true, nil
		}
	}
	return false, nil
}

// placeColumns are those of columns that say where a fragment is: without its facts.
const (
	placeColumns = factColumns + `, timecode, segment, position, length, header`
	placeCount   = factCount + 5
)

// oldest returns the rows of a stream behind a position and before a server timestamp, in
// the order of these.
func (a *Archive) oldest(ctx context.Context, id kvs.StreamID, after Position, before kvs.Millis) (page []Stored, err error) {
	if after == (Position{}) {
		after = Position{Time: math.MinInt64, N: math.MinInt64}
	}
	return a.selectRows(ctx, `SELECT `+placeColumns+` FROM fragments WHERE stream = $1 AND (server, n) > ($2, $3) AND server < $4
		ORDER BY server, n LIMIT $5`, int64(id), int64(after.Time), after.N, int64(before), maxDeletes)
}

// selectRows reads rows of placeColumns.
func (a *Archive) selectRows(ctx context.Context, query string, args ...any) (page []Stored, err error) {
	rows, err := a.index.db.Read().QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for c := newCells(); rows.Next(); {
		var s Stored
		if err := c.scan(rows, &s, placeCount); err != nil {
			return nil, err
		}
		page = append(page, s)
	}
	return page, rows.Err()
}

// DeleteStream removes the rows of a stream that was deleted; the next expiry pass
// removes files that held nothing else. Fragments of it that are on their way may
// still come; the pass takes them, too, because their stream is no longer found.
func (a *Archive) DeleteStream(ctx context.Context, id kvs.StreamID) error {
	for whole := false; !whole; {
		var err error
		if whole, err = a.deleteSome(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

func (a *Archive) deleteSome(ctx context.Context, id kvs.StreamID) (whole bool, err error) {
	a.maintenance.Lock()
	defer a.maintenance.Unlock()
	h := &harvest{}
	whole, err = a.take(ctx, h, id, &Policy{}, &cursor{}, deleted, math.MaxInt64, everyRow)
	if err == nil {
		err = a.bury(ctx, h.victims)
	}
	if err != nil || !whole {
		return false, err
	}
	delete(a.upkeep.cursors, id)
	a.recalls.Forget(id)
	return true, a.forgetKeys([]kvs.StreamID{id})
}

// forgetKeys drops the data keys of deleted streams: whatever is left of their bytes can
// never be read again.
func (a *Archive) forgetKeys(ids []kvs.StreamID) error {
	if len(ids) == 0 || a.keys == nil {
		return nil
	}
	return a.keys.Forget(ids...)
}

// unlessDeleted is the error of a data key, or that its stream is gone: then keys are
// forgotten while fragments that were on their way may still have rows.
func (a *Archive) unlessDeleted(ctx context.Context, id kvs.StreamID, err error) error {
	if a.policy != nil {
		if _, _, deleted, _ := a.lookup(ctx, id); deleted {
			return gone(err)
		}
	}
	return err
}

// sealAged seals open segments past their class's age; nothing else would, once their
// streams are silent. Those that something was erased from are sealed, too: in an open
// one no hole can be punched.
func (a *Archive) sealAged(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.open {
		if s != nil && (s.full(a.segmentBytes, a.now()) || a.upkeep.wiped[s.ID]) {
			a.seal(ctx, s)
		}
	}
	return nil
}

// nextStream returns the smallest stream id above after that has rows.
func (x *index) nextStream(ctx context.Context, after kvs.StreamID) (id kvs.StreamID, ok bool, err error) {
	err = x.db.Read().QueryRowContext(ctx, `SELECT stream FROM fragments WHERE stream > $1 ORDER BY stream LIMIT 1`, int64(after)).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	return id, err == nil, err
}

// share is what a removal takes from one segment.
type share struct{ rows, bytes int64 }

// Erasure selects stored fragments of a stream that lie in a range of time, or partly.
type Erasure struct {
	Clock   kvs.Clock
	Range   kvs.TimeRange // both ends inclusive
	Through int64         // counter of the last fragment that is meant
}

// Covers reports whether the fragment is meant.
func (e Erasure) Covers(f *kvs.Fragment) bool {
	return f.Number.N <= e.Through && Hold{Clock: e.Clock, Range: e.Range}.Covers(f)
}

// Toll says what an erasure takes, or would take.
type Toll struct {
	Fragments int64
	Bytes     int64 // of their records
	Held      int64 // those of them that a hold covers
}

// Weigh says what an erasure would remove. What it costs grows with that.
func (a *Archive) Weigh(ctx context.Context, id kvs.StreamID, e Erasure) (toll Toll, err error) {
	p, _, gone, err := a.lookup(ctx, id)
	if err != nil || gone {
		return toll, err
	}
	for after := (Position{N: math.MinInt64}); ; {
		page, last, err := a.page(ctx, id, e, after)
		if err != nil || len(page) == 0 {
			return toll, err
		}
		after = last
		for i := range page {
			if !e.Covers(&page[i].Fragment) {
				continue
			}
			toll.Fragments++
			toll.Bytes += page[i].length
			if p.held(&page[i].Fragment) {
				toll.Held++
			}
		}
	}
}

// Erase removes what an erasure means but for what is on hold. Fragments that it means and
// that are still on their way go when they are stored.
func (a *Archive) Erase(ctx context.Context, id kvs.StreamID, e Erasure) (toll Toll, err error) {
	if a.running.Load() {
		a.recalls.Add(id, e)
	}
	after := Position{N: math.MinInt64}
	for more := true; more && err == nil; {
		var taken Toll
		taken, after, more, err = a.eraseSome(ctx, id, e, after)
		toll.Fragments += taken.Fragments
		toll.Bytes += taken.Bytes
		toll.Held += taken.Held
	}
	if toll.Fragments > 0 {
		a.wipe(ctx)
	}
	return toll, err
}

// recall erases what was stored behind an erasure that meant it.
func (a *Archive) recall(ctx context.Context) (errs error) {
	for _, c := range a.recalls.Take() {
		toll, err := a.Erase(ctx, c.Stream, c.Order)
		if err != nil {
			a.recalls.Return(c)
			errs = errors.Join(errs, err)
		}
		if toll.Fragments > 0 {
			a.log.Info("fragments that were on their way when they were erased are removed", "stream-id", int64(c.Stream), "fragments", toll.Fragments)
		}
	}
	return errs
}

// wipe gives the bytes of what was erased back to the disk. What does not work now, the
// next pass does.
func (a *Archive) wipe(ctx context.Context) {
	for _, step := range []func(context.Context) error{a.sealAged, a.removeDead, a.punchHoles} {
		if err := a.maintain(ctx, step); err != nil {
			a.log.Warn("what was erased is not off the disk yet; the next expiry pass goes on", "error", err)
			return
		}
	}
}

// page returns the next rows that may lie in the range of an erasure, in order of their
// start, and the position of the last.
func (a *Archive) page(ctx context.Context, id kvs.StreamID, e Erasure, after Position) (page []Stored, last Position, err error) {
	column := [...]string{kvs.ServerClock: "server", kvs.ProducerClock: "producer"}[e.Clock]
	if first := e.Range.Start - kvs.Millis(a.longest.Load()); after.Time < first {
		after = Position{Time: first, N: math.MinInt64}
	}
	page, err = a.selectRows(ctx, `SELECT `+placeColumns+` FROM fragments WHERE stream = $1 AND (`+column+`, n) > ($2, $3) AND `+column+` <= $4
		ORDER BY `+column+`, n LIMIT $5`, int64(id), int64(after.Time), after.N, int64(e.Range.End), maxDeletes)
	if len(page) > 0 {
		s := &page[len(page)-1]
		last = Position{Time: s.At(e.Clock), N: s.Number.N}
	}
	return page, last, err
}

// eraseSome removes those behind a position that are meant, a few hundred at most.
func (a *Archive) eraseSome(ctx context.Context, id kvs.StreamID, e Erasure, after Position) (taken Toll, last Position, more bool, err error) {
	a.maintenance.Lock()
	defer a.maintenance.Unlock()
	var p Policy
	if a.policy != nil {
		if p, _, _, err = a.lookup(ctx, id); err != nil {
			return taken, last, false, err
		}
	}
	page, last, err := a.page(ctx, id, e, after)
	if err != nil {
		return taken, last, false, err
	}
	var victims []victim
	for i := range page {
		switch s := &page[i]; {
		case !e.Covers(&s.Fragment):
		case p.held(&s.Fragment):
			taken.Held++
		default:
			victims = append(victims, victim{id, s.Number.N, s.segment, s.length, erased})
			taken.Fragments++
			taken.Bytes += s.length
		}
	}
	if err := a.bury(ctx, victims); err != nil {
		return Toll{}, last, false, err
	}
	return taken, last, len(page) > 0, nil
}

// Settle waits until nothing is being removed by a policy older than the call.
func (a *Archive) Settle(context.Context) error {
	a.maintenance.Lock()
	defer a.maintenance.Unlock()
	return nil
}
