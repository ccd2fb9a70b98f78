package archive

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// Stored is a fragment in the archive: what is known about it and where its record is.
type Stored struct {
	kvs.Fragment
	Timecode int64         // cluster timecode as the producer wrote it
	Facts    segment.Facts // zero for fragments of the first form

	segment  int64
	position int64
	length   int64 // of the whole record
	header   int64 // position of the header record
}

// Segment returns the id of the segment that the fragment's record is in.
func (s *Stored) Segment() int64 { return s.segment }

// Position returns where in its segment the fragment's record begins.
func (s *Stored) Position() int64 { return s.position }

// Length returns how many bytes the whole record takes.
func (s *Stored) Length() int64 { return s.length }

// Header returns where in the same segment the fragment's header record begins.
func (s *Stored) Header() int64 { return s.header }

// Query selects fragments of a stream by start time.
type Query struct {
	Clock   kvs.Clock
	Range   kvs.TimeRange // both ends inclusive, on the fragment's start
	Max     int           // at most this many, at least 1
	After   Position      // go on behind this one; the zero value starts the list
	Horizon kvs.Millis    // fragments with an older server timestamp are expired
}

// Position is a place in a list that stays valid while fragments are added and expire.
type Position struct {
	Time kvs.Millis // start on the query's clock
	N    int64      // counter part of the fragment number; 0 = before the first
}

// The columns of a fragment, first those a list needs.
const (
	factColumns = `stream, n, server, random, producer, duration, size`
	factCount   = 7
	columns     = factColumns + `, timecode, segment, position, length, header,
		live_seq, changes, server_gaps, producer_gaps, ms, tracks`
	columnCount = 18
)

// cells takes the columns of one row after the other. database/sql would go by way of
// text and allocate for every number it puts into an int64 itself.
type cells struct {
	values [columnCount]any
	dest   [columnCount]any // pointers to values
}

func newCells() *cells {
	c := new(cells)
	for i := range c.values {
		c.dest[i] = &c.values[i]
	}
	return c
}

// scan reads the first n columns into s.
func (c *cells) scan(rows *sql.Rows, s *Stored, n int) error {
	if err := rows.Scan(c.dest[:n]...); err != nil {
		return err
	}
	var v [columnCount]int64
	for i := range min(n, columnCount-1) {
		k, ok := c.values[i].(int64)
		if !ok {
			return fmt.Errorf("column %d of a fragment is a %T, not a number", i, c.values[i])
		}
		v[i] = k
	}
	s.Fragment = kvs.Fragment{
		Stream:   kvs.StreamID(v[0]),
		Number:   kvs.FragmentNumber{N: v[1], Server: kvs.Millis(v[2]), Random: uint32(v[3])},
		Producer: kvs.Millis(v[4]), Duration: v[5], Size: v[6],
	}
	s.Timecode, s.segment, s.position, s.length, s.header = v[7], v[8], v[9], v[10], v[11]
	s.Facts = segment.Facts{LiveSeq: v[12], Changes: uint32(v[13]), ServerGaps: uint32(v[14]), ProducerGaps: uint32(v[15]), Millis: v[16]}
	if n < columnCount {
		return nil
	}
	b, _ := c.values[columnCount-1].([]byte)
	var err error
	s.Facts.Tracks, err = parseTracks(b)
	return err
}

// queries are the prepared statements of the readers.
type queries struct {
	byNumber, notExpired, newest *sql.Stmt
	total                        *sql.Stmt
	at, after, list              [2]*sql.Stmt // per clock
	lists
}

// statements returns the text of each statement of q.
func statements(q *queries) map[**sql.Stmt]string {
	const where = ` FROM fragments WHERE stream = $1 AND `
	const from = `SELECT ` + columns + where
	const facts = `SELECT ` + factColumns + where
	return map[**sql.Stmt]string{
		&q.byNumber:   from + `n >= $2 ORDER BY n LIMIT 2`,
		&q.notExpired: from + `n >= $2 AND server >= $3 ORDER BY server, n LIMIT 2`,
		&q.newest:     from + `n > $2 ORDER BY n DESC LIMIT 1`,

		&q.total: `SELECT fragments, bytes FROM streams WHERE stream = $1`,

		// Nothing that started before $3 lasts until $2.
		&q.at[kvs.ServerClock]: from + `server >= $3 AND server <= $2 AND (server + duration > $2 OR server = $2)
			AND server >= $4 ORDER BY server DESC, n DESC LIMIT 1`,
		&q.at[kvs.ProducerClock]: from + `producer >= $3 AND producer <= $2 AND (producer + duration > $2 OR producer = $2)
			AND server >= $4 ORDER BY n DESC LIMIT 1`,

		&q.after[kvs.ServerClock]:   from + `server > $2 AND server >= $3 ORDER BY server, n LIMIT 1`,
		&q.after[kvs.ProducerClock]: from + `producer > $2 AND server >= $3 ORDER BY producer, n DESC LIMIT 1`,

		&q.list[kvs.ServerClock]: facts + `(server, n) > ($3, $4) AND server <= $2 AND server >= $5
			ORDER BY server, n LIMIT $6`,
		&q.list[kvs.ProducerClock]: facts + `(producer, n) > ($3, $4) AND producer <= $2 AND server >= $5
			ORDER BY producer, n LIMIT $6`,
	}
}

// prepareQueries prepares the statements; closing the database closes them.
func prepareQueries(ctx context.Context, pool *sql.DB) (*queries, error) {
	q := &queries{}
	all := statements(q)
	q.lists.statements(all)
	for stmt, text := range all {
		var err error
		*stmt, err = pool.PrepareContext(ctx, text) //nolint:sqlclosecheck // lives as long as the database
		if err != nil {
			return nil, err
		}
	}
	return q, nil
}

// first returns the first row that fits, among the few a statement returns.
func first(ctx context.Context, stmt *sql.Stmt, fits func(*Stored) bool, args ...any) (s Stored, ok bool, err error) {
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return Stored{}, false, err
	}
	defer rows.Close()
	for c := newCells(); rows.Next(); {
		if err := c.scan(rows, &s, len(c.dest)); err != nil {
			return Stored{}, false, err
		}
		if fits(&s) {
			return s, true, nil
		}
	}
	return Stored{}, false, rows.Err()
}

func every(*Stored) bool { return true }

// Next returns the fragment with the smallest number greater than after whose server
// timestamp is not before horizon. It reports false when there is none yet.
func (a *Archive) Next(ctx context.Context, id kvs.StreamID, after kvs.FragmentNumber, horizon kvs.Millis) (Stored, bool, error) {
	greater := func(s *Stored) bool { return after.Less(s.Number) }
	s, ok, err := first(ctx, a.queries.byNumber, greater, int64(id), after.N)
	if err != nil || !ok || s.Number.Server >= horizon {
		return s, ok, err
	}
	// Expired rows come first, maybe many: step over them by time. Numbers and server
	// timestamps of a stream grow together.
	return first(ctx, a.queries.notExpired, greater, int64(id), after.N, int64(horizon))
}

// Newest returns the fragment with the greatest number.
func (a *Archive) Newest(ctx context.Context, id kvs.StreamID, horizon kvs.Millis) (Stored, bool, error) {
	kept := func(s *Stored) bool { return s.Number.Server >= horizon }
	return first(ctx, a.queries.newest, kept, int64(id), int64(math.MinInt64))
}

// At returns the fragment that contains time t on the given clock; when none does, the
// first that starts later. Several may contain a producer time, because producers send
// again and clocks are set: then it is the one with the greatest number.
func (a *Archive) At(ctx context.Context, id kvs.StreamID, c kvs.Clock, t, horizon kvs.Millis) (Stored, bool, error) {
	earliest := int64(t) - a.longest.Load() // nothing that started before reaches t
	s, ok, err := first(ctx, a.queries.at[c], every, int64(id), int64(t), earliest, int64(horizon))
	if err != nil || ok {
		return s, ok, err
	}
	return first(ctx, a.queries.after[c], every, int64(id), int64(t), int64(horizon))
}

// Get returns the fragment with exactly this number.
func (a *Archive) Get(ctx context.Context, id kvs.StreamID, number kvs.FragmentNumber, horizon kvs.Millis) (Stored, bool, error) {
	same := func(s *Stored) bool { return s.Number == number && s.Number.Server >= horizon }
	return first(ctx, a.queries.byNumber, same, int64(id), number.N)
}

// List returns fragments by start time, then number, and the position of the last of
// them. more says that a query with that position as After would find another.
func (a *Archive) List(ctx context.Context, id kvs.StreamID, q Query) (fragments []kvs.Fragment, last Position, more bool, err error) {
	after := q.After
	if after == (Position{}) || after.Time < q.Range.Start {
		after = Position{Time: q.Range.Start, N: math.MinInt64}
	}
	if q.Clock == kvs.ServerClock && after.Time < q.Horizon {
		after = Position{Time: q.Horizon, N: math.MinInt64}
	}
	rows, err := a.queries.list[q.Clock].QueryContext(ctx, int64(id), int64(q.Range.End), int64(after.Time), after.N,
		int64(q.Horizon), q.Max+1)
	if err != nil {
		return nil, last, false, err
	}
	defer rows.Close()
	for c := newCells(); rows.Next(); {
		if len(fragments) == q.Max {
			more = true
			break
		}
		var s Stored
		if err := c.scan(rows, &s, factCount); err != nil {
			return nil, last, false, err
		}
		fragments = append(fragments, s.Fragment)
		last = Position{Time: s.At(q.Clock), N: s.Number.N}
	}
	return fragments, last, more, rows.Err()
}

// Usage is what one stream keeps. Fragments that expired count until a pass has removed
// them: till then they take up space.
type Usage struct {
	Fragments int64
	Bytes     int64 // of their records

	// Oldest and Newest are the first and the last fragment that is not expired, by
	// number; nil when there is none.
	Oldest, Newest *kvs.Fragment
}

// Usage returns what a stream keeps. It costs the same however much that is.
func (a *Archive) Usage(ctx context.Context, id kvs.StreamID, horizon kvs.Millis) (u Usage, err error) {
	err = a.queries.total.QueryRowContext(ctx, int64(id)).Scan(&u.Fragments, &u.Bytes)
	if errors.Is(err, sql.ErrNoRows) {
		return u, nil // nothing was ever stored
	}
	if err != nil {
		return u, err
	}
	oldest, ok, err := first(ctx, a.queries.notExpired, every, int64(id), 0, int64(horizon))
	if err != nil || !ok {
		return u, err
	}
	newest, ok, err := a.Newest(ctx, id, horizon)
	if err != nil || !ok {
		return u, err
	}
	u.Oldest, u.Newest = &oldest.Fragment, &newest.Fragment
	return u, nil
}

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
	if err := a.steps(ctx, a.sealAged, a.clearDead, a.punchHoles); err != nil {
		a.log.Warn("what was erased is not off the disk yet; the next expiry pass goes on", "error", err)
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

// nextStream returns the smallest stream id above after that has rows.
func (x *index) nextStream(ctx context.Context, after kvs.StreamID) (id kvs.StreamID, ok bool, err error) {
	err = x.db.Read().QueryRowContext(ctx, `SELECT stream FROM fragments WHERE stream > $1 ORDER BY stream LIMIT 1`, int64(after)).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	return id, err == nil, err
}

// WeighLimit says what a limit of so many bytes would remove from a stream now. What it
// costs grows with that.
func (a *Archive) WeighLimit(ctx context.Context, id kvs.StreamID, limit int64) (toll Toll, err error) {
	p, _, gone, err := a.lookup(ctx, id)
	if err != nil || gone || limit <= 0 {
		return toll, err
	}
	over, err := a.beyond(ctx, &harvest{}, id, limit)
	for at := (Position{}); err == nil && over > 0; {
		var page []Stored
		page, err = a.oldest(ctx, id, at, math.MaxInt64, maxDeletes)
		for i := 0; i < len(page) && over > 0; i++ {
			s := &page[i]
			at = Position{Time: s.Number.Server, N: s.Number.N}
			if p.held(&s.Fragment) {
				toll.Held++
				continue
			}
			toll.Fragments++
			toll.Bytes += s.length
			over -= s.length
		}
		if len(page) < maxDeletes {
			break
		}
	}
	return toll, err
}
