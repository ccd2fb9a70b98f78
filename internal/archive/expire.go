package archive

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"slices"
	"sync"
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
		if err := a.pass(ctx); err != nil && ctx.Err() == nil {
			a.log.Warn("expiry pass failed; the next one goes on", "error", err)
		}
	}
}

// copyLoop copies what is better off somewhere else until ctx ends. Expiry does not wait
// for it: a copy may take as long as its disk likes.
func (a *Archive) copyLoop(ctx context.Context) {
	t := time.NewTicker(a.expireEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		if err := a.rearrange(ctx); err != nil && ctx.Err() == nil {
			a.log.Warn("segments are not where they belong; the next pass goes on", "error", err)
		}
	}
}

// Expire makes one pass: it removes the rows of fragments older than their stream's
// retention, beyond its limit of bytes and of deleted streams, but none that is on hold;
// seals segments that were open for long, and removes the files nothing points to any
// more. Then it copies what is left of segments with little in it, and moves segments to
// the warm folder. A reader that has such a file open reads on. Errors of single streams
// are joined; the others are served.
func (a *Archive) Expire(ctx context.Context) error {
	return errors.Join(a.pass(ctx), a.rearrange(ctx), a.thinTombstones(ctx), ctx.Err())
}

// pass is Expire without the copies. Each step holds maintenance for a part of its work
// only, so that nobody waits long who wants to delete something or to keep it.
func (a *Archive) pass(ctx context.Context) error {
	return a.steps(ctx, a.recall, a.expireRows, a.sealAged, a.clearDead, a.punchHoles, a.keepFree, a.punchHoles, a.thinTombstones)
}

// rearrange is the other half of Expire.
func (a *Archive) rearrange(ctx context.Context) error {
	a.rearranging.Lock()
	defer a.rearranging.Unlock()
	return a.steps(ctx, a.forwardAll, a.clearDead, a.moveWarm)
}

// steps carries out steps until ctx ends.
func (a *Archive) steps(ctx context.Context, all ...func(context.Context) error) error {
	var errs []error
	for _, step := range all {
		if ctx.Err() != nil {
			break
		}
		errs = append(errs, step(ctx))
	}
	return errors.Join(append(errs, ctx.Err())...)
}

// maintain does something that nothing else may be removed or moved beside.
func (a *Archive) maintain(ctx context.Context, do func(context.Context) error) error {
	a.maintenance.Lock()
	defer a.maintenance.Unlock()
	return do(ctx)
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

// cursors are those of all streams that have holds.
type cursors struct {
	mu   sync.Mutex
	at   map[kvs.StreamID]cursor
	seen map[kvs.StreamID]kvs.Millis // by stream that is looked at: the oldest fragment that came since
}

func newCursors() *cursors {
	return &cursors{at: make(map[kvs.StreamID]cursor), seen: make(map[kvs.StreamID]kvs.Millis)}
}

// begin returns where to go on in a stream.
func (c *cursors) begin(id kvs.StreamID, holds []Hold) cursor {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(holds) > 0 {
		c.seen[id] = math.MaxInt64
	}
	if old, ok := c.at[id]; ok && slices.Equal(old.holds, holds) {
		return old
	}
	return cursor{holds: holds}
}

// arrived takes note of fragments that are stored now. One that was on its way for long
// may stand before a cursor.
func (c *cursors) arrived(runs []*run) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.at) == 0 && len(c.seen) == 0 {
		return
	}
	for _, r := range runs {
		for _, p := range r.records {
			server := p.Number.Server
			if old, ok := c.at[p.Stream]; ok && server <= old.at.Time {
				delete(c.at, p.Stream)
			}
			if oldest, ok := c.seen[p.Stream]; ok {
				c.seen[p.Stream] = min(oldest, server)
			}
		}
	}
}

// end remembers what need not be looked at again, once everything else there is gone.
func (c *cursors) end(all map[kvs.StreamID]cursor) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, at := range all {
		if oldest, ok := c.seen[id]; ok && oldest > at.at.Time {
			c.at[id] = at
		} else {
			delete(c.at, id)
		}
	}
	clear(c.seen)
}

// forget forgets a stream.
func (c *cursors) forget(id kvs.StreamID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.at, id)
}

// expireRows visits every stream that has rows, in order of their ids. Only where
// something is to be removed does it keep others from removing.
func (a *Archive) expireRows(ctx context.Context) (err error) {
	if a.policy == nil {
		return nil
	}
	for after, more := kvs.StreamID(math.MinInt64), true; more && ctx.Err() == nil; {
		var due []kvs.StreamID
		var someErr error
		due, after, more, someErr = a.dueStreams(ctx, after)
		err = errors.Join(err, someErr)
		for len(due) > 0 && ctx.Err() == nil {
			n, someErr, buryErr := a.expireSome(ctx, due)
			if err = errors.Join(err, someErr, buryErr); buryErr != nil {
				return err
			}
			due = due[n:]
		}
	}
	return err
}

// maxVisited is how many streams are asked for at a time.
const maxVisited = 500

// dueStreams looks at the next streams behind an id and returns those that have something
// to be removed. It does so for all streams in each pass, so it asks only for the times of
// their oldest fragments, which are in an index by themselves.
func (a *Archive) dueStreams(ctx context.Context, after kvs.StreamID) (due []kvs.StreamID, last kvs.StreamID, more bool, err error) {
	all, err := a.index.oldest(ctx, after)
	if err != nil || len(all) == 0 {
		return nil, after, false, err
	}
	for _, s := range all {
		p, horizon, gone, lookErr := a.lookup(ctx, s.id)
		err = errors.Join(err, lookErr)
		if lookErr == nil && (gone || s.oldest < horizon || p.Bytes > 0 && s.bytes > p.Bytes) {
			due = append(due, s.id)
		}
	}
	return due, all[len(all)-1].id, len(all) == maxVisited, err
}

// streamAge is what a pass asks of every stream.
type streamAge struct {
	id     kvs.StreamID
	bytes  int64
	oldest kvs.Millis // server timestamp of the oldest fragment
}

const oldestQuery = `SELECT stream, bytes, (SELECT server FROM fragments AS f WHERE f.stream = s.stream ORDER BY server, n LIMIT 1)
	FROM streams AS s WHERE stream > $1 ORDER BY stream LIMIT $2`

// oldest returns the next streams behind an id.
func (x *index) oldest(ctx context.Context, after kvs.StreamID) (all []streamAge, err error) {
	rows, err := x.db.Read().QueryContext(ctx, oldestQuery, int64(after), maxVisited)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s streamAge
		var oldest sql.NullInt64
		if err := rows.Scan(&s.id, &s.bytes, &oldest); err != nil {
			return nil, err
		}
		if s.oldest = math.MaxInt64; oldest.Valid {
			s.oldest = kvs.Millis(oldest.Int64)
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

// expireSome chooses and removes a few thousand rows of the first of some streams, and
// returns how many of these are done with.
func (a *Archive) expireSome(ctx context.Context, ids []kvs.StreamID) (done int, err, buryErr error) {
	a.maintenance.Lock()
	defer a.maintenance.Unlock()
	h := &harvest{seen: make(map[kvs.StreamID]cursor)}
	for _, id := range ids {
		whole, streamErr := a.choose(ctx, h, id)
		err = errors.Join(err, streamErr)
		if !whole && streamErr == nil {
			break // the same stream again
		}
		if done++; len(h.victims) >= maxVictims {
			break
		}
	}
	if buryErr := a.bury(ctx, h.victims); buryErr != nil {
		a.upkeep.cursors.end(nil)
		return done, err, buryErr
	}
	a.upkeep.cursors.end(h.seen)
	a.tellLimited(h.victims)
	return done, errors.Join(err, a.forgetKeys(h.gone)), nil
}

// choose adds the rows of a stream that its policy does not keep. whole is false when
// there may be more.
func (a *Archive) choose(ctx context.Context, h *harvest, id kvs.StreamID) (whole bool, err error) {
	p, horizon, gone, err := a.lookup(ctx, id)
	if err != nil {
		return true, err
	}
	c := a.upkeep.cursors.begin(id, p.Holds)
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
	for size := firstPage; len(h.victims) < maxVictims; size = maxDeletes {
		page, err := a.oldest(ctx, id, c.at, before, size)
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
		if len(page) < size {
			return true, nil
		}
	}
	return false, nil
}

// firstPage is how many rows of a stream are looked at first: mostly a few are to go, or
// none.
const firstPage = 64

// placeColumns are those of columns that say where a fragment is: without its facts.
const (
	placeColumns = factColumns + `, timecode, segment, position, length, header`
	placeCount   = factCount + 5
)

// oldest returns the rows of a stream behind a position and before a server timestamp, in
// the order of these.
func (a *Archive) oldest(ctx context.Context, id kvs.StreamID, after Position, before kvs.Millis, size int) (page []Stored, err error) {
	if after == (Position{}) {
		after = Position{Time: math.MinInt64, N: math.MinInt64}
	}
	return a.selectRows(ctx, `SELECT `+placeColumns+` FROM fragments WHERE stream = $1 AND (server, n) > ($2, $3) AND server < $4
		ORDER BY server, n LIMIT $5`, int64(id), int64(after.Time), after.N, int64(before), size)
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
	a.upkeep.cursors.forget(id)
	a.recalls.Forget(id)
	return true, a.forgetKeys([]kvs.StreamID{id})
}

// forgetKeys drops the data keys of deleted streams: whatever is left of their bytes can
// never be read again.
func (a *Archive) forgetKeys(ids []kvs.StreamID) error {
	if len(ids) == 0 {
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
	a.maintenance.Lock()
	defer a.maintenance.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.open {
		if s != nil && (s.full(a.segmentBytes, a.now()) || a.upkeep.wiped[s.ID]) {
			a.seal(ctx, s)
		}
	}
	return nil
}

// share is what a removal takes from one segment.
type share struct{ rows, bytes int64 }

// Settle waits until nothing is being removed by a policy older than the call.
func (a *Archive) Settle(context.Context) error {
	a.maintenance.Lock()
	defer a.maintenance.Unlock()
	return nil
}
