package archive

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// forwardAll writes what is left of thin segments to new ones, so that their files can go.
func (a *Archive) forwardAll(ctx context.Context) error {
	var due [shelves][]segmentRow
	err := a.maintain(ctx, func(ctx context.Context) (err error) {
		due, err = a.thinSegments(ctx)
		return err
	})
	if err != nil {
		return err
	}
	var errs []error
	for on := range due {
		slices.SortFunc(due[on], func(a, b segmentRow) int { return cmp.Compare(a.ID, b.ID) })
		for len(due[on]) > 0 && ctx.Err() == nil {
			n := a.fitting(due[on])
			group := due[on][:n]
			errs = append(errs, a.forwardGroup(ctx, shelf(on), group))
			due[on] = due[on][n:]
		}
	}
	return errors.Join(errs...)
}

// forwardGroup copies some segments into one. Nobody waits while it copies: when
// something of them dies meanwhile, the next pass begins anew.
func (a *Archive) forwardGroup(ctx context.Context, on shelf, group []segmentRow) error {
	var sources []segmentRow
	err := a.maintain(ctx, func(ctx context.Context) (err error) {
		sources, err = a.livingNow(ctx, group)
		return err
	})
	if err != nil || len(sources) == 0 {
		return err
	}
	c, err := a.copyLive(ctx, on, sources)
	if err != nil || c == nil {
		return err
	}
	return a.maintain(ctx, func(ctx context.Context) error {
		now, err := a.livingNow(ctx, sources)
		if err != nil || !slices.Equal(now, sources) {
			return errors.Join(err, a.disk.Remove(c.path))
		}
		return a.forward(ctx, c)
	})
}

// livingNow returns the rows of some segments as they are, once all that is named dead is
// gone from them: it must not be copied.
func (a *Archive) livingNow(ctx context.Context, group []segmentRow) (rows []segmentRow, err error) {
	if err := a.settleTombstones(ctx); err != nil {
		return nil, err
	}
	for _, old := range group {
		row, ok, err := a.index.segment(ctx, old.ID)
		if err != nil {
			return nil, err
		}
		if ok && row.live > 0 {
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// thinSegments returns the segments to be copied forward, by shelf.
//
// A segment whose streams have one retention is thin for a while before it is dead; to
// copy it would be work for nothing. So it has to be thin for as long as its class lets
// segments be open: by then all of it would be gone. Where the disk takes no holes
// nothing else gives space back, and it goes at once when little of it is left.
func (a *Archive) thinSegments(ctx context.Context) (due [shelves][]segmentRow, err error) {
	rows, err := a.index.segmentsWhere(ctx, `sealed = 1 AND version > 1 AND live > 0 AND bytes < total`)
	if err != nil {
		return due, err
	}
	now := kvs.MillisOf(a.now())
	for id, row := range rows {
		little := row.bytes*4 < row.total
		if !little && !a.loose(row) {
			delete(a.upkeep.thin, id)
			continue
		}
		since, ok := a.upkeep.thin[id]
		if !ok {
			since = now
			a.upkeep.thin[id] = now
		}
		path, _ := a.path(row)
		if now.Sub(since) < maxAge(row.Class) && !(little && a.upkeep.solid[filepath.Dir(path)]) || a.upkeep.unforwarded.waits(id, now) {
			continue
		}
		on := shelfOf(row.Class, row.Tier)
		due[on] = append(due[on], row)
	}
	return due, nil
}

// loose reports whether a segment takes more than five quarters of what its living records
// would take in a new one. Where records are no larger than a page or two, holes give
// little back, and this is what is left of them.
func (a *Archive) loose(row segmentRow) bool {
	path, known := a.path(row)
	if !known {
		return false
	}
	taken, ok := a.upkeep.taken[row.ID]
	if !ok {
		taken = a.allocated(path)
		a.upkeep.taken[row.ID] = taken
	}
	if !a.upkeep.solid[filepath.Dir(path)] {
		taken -= a.upkeep.fresh[row.ID] // holes may do
	}
	whole := float64(row.length) * float64(row.bytes) / float64(row.total) // headers and footer in proportion
	return float64(taken) > whole*5/4
}

// fitting returns how many of the segments go into one.
func (a *Archive) fitting(rows []segmentRow) int {
	bytes := int64(0)
	for i, row := range rows {
		if bytes += row.bytes; i > 0 && bytes > a.segmentBytes {
			return i
		}
	}
	return len(rows)
}

// copying is a segment of copies that is being made.
type copying struct {
	segmentRow
	path    string // of the temporary file
	f       disk.File
	headers map[headerID]int64
	origins []origin
	buf     []byte
}

// origin says that the copies before a byte, up to those of the origin before, are from a
// segment.
type origin struct{ end, segment int64 }

// forward gives a segment of copies its name and its rows. The others are removed as dead
// ones are, before a tombstone may name a copy.
func (a *Archive) forward(ctx context.Context, c *copying) error {
	// From here on a start may find it, and takes all of it.
	a.upkeep.copies = c
	err := a.disk.Rename(c.path, filepath.Join(a.dir, segment.FileName(c.ID)))
	if err == nil {
		err = a.disk.SyncDir(a.dir)
	}
	if err == nil {
		err = a.adopt(ctx, c, false)
	}
	if err != nil {
		return errors.Join(err, a.settleCopies(ctx))
	}
	return nil
}

// copyLive writes a segment of copies under a temporary name; nil when there is nothing
// that can be copied.
func (a *Archive) copyLive(ctx context.Context, on shelf, sources []segmentRow) (*copying, error) {
	c, err := a.newCopying(on, sources)
	if err != nil {
		return nil, err
	}
	err = a.fill(ctx, c, sources)
	if err = errors.Join(err, c.f.Close()); err != nil || c.live == 0 {
		return nil, errors.Join(err, a.disk.Remove(c.path))
	}
	c.headers, c.buf = nil, nil
	return c, nil
}

// settleCopies ends what went wrong with a segment of copies: it is removed, or becomes
// known as a whole. While it may be there without rows nothing can be buried: a start would
// take the copies of what has died since.
func (a *Archive) settleCopies(ctx context.Context) error {
	c := a.upkeep.copies
	if c == nil {
		return nil
	}
	row, known, err := a.index.segment(ctx, c.ID)
	if err != nil {
		return err
	}
	if known {
		c.segmentRow = row
		return a.adopt(ctx, c, true)
	}
	for _, path := range []string{c.path, filepath.Join(a.dir, segment.FileName(c.ID))} {
		if err := a.disk.Remove(path); err != nil {
			return err
		}
	}
	if err := a.disk.SyncDir(a.dir); err != nil {
		return err
	}
	a.upkeep.copies = nil
	return nil
}

func (a *Archive) newCopying(on shelf, sources []segmentRow) (*copying, error) {
	var salt [8]byte
	rand.Read(salt[:])
	a.mu.Lock()
	id := a.newSegmentID()
	a.mu.Unlock()
	c := &copying{headers: map[headerID]int64{}, buf: make([]byte, copyBytes)}
	// As old as the oldest of what is in it: by that it is chosen when room is needed.
	c.Head = segment.Head{Version: segment.Version, Class: on.class(), Tier: on.tier(), ID: id,
		Salt: binary.LittleEndian.Uint64(salt[:]), Created: sources[0].Created}
	for _, row := range sources {
		c.Created = min(c.Created, row.Created)
	}
	c.length = segment.HeadSize
	c.path = filepath.Join(a.dir, "."+segment.FileName(id))
	var err error
	c.f, err = a.disk.Create(c.path)
	return c, err
}

// fill writes the whole segment. What a damaged source has stays where it is: while its
// file is there a copy could not die without the original coming back, so all of it stays.
func (a *Archive) fill(ctx context.Context, c *copying, sources []segmentRow) error {
	if err := c.f.Write([][]byte{c.Encode()}, 0); err != nil {
		return err
	}
	for _, row := range sources {
		before := c.segmentRow
		err := a.fillFrom(ctx, c, row)
		if err == nil {
			c.origins = append(c.origins, origin{c.length, row.ID})
			continue
		}
		if err := a.refuseForward(ctx, row, err); err != nil {
			return fmt.Errorf("copy forward segment %d: %w", row.ID, err)
		}
		c.segmentRow = before // the next source writes over it
		maps.DeleteFunc(c.headers, func(_ headerID, at int64) bool { return at >= c.length })
	}
	if c.live == 0 {
		return nil
	}
	if err := c.f.Truncate(c.length); err != nil {
		return err
	}
	if _, err := segment.Seal(c.f, c.Head, c.length); err != nil {
		return err
	}
	return c.f.Sync()
}

// refuseForward refuses a segment unless it is only another one than it was.
func (a *Archive) refuseForward(ctx context.Context, row segmentRow, cause error) error {
	a.maintenance.Lock()
	defer a.maintenance.Unlock()
	now, ok, err := a.index.segment(ctx, row.ID)
	if err != nil || !ok || now != row {
		return err
	}
	return a.refuse(a.upkeep.unforwarded, row.ID, "not copied forward", cause)
}

// fillFrom copies the live records of one segment.
func (a *Archive) fillFrom(ctx context.Context, c *copying, row segmentRow) error {
	path, ok := a.path(row)
	if !ok {
		return unfitIf(errors.New("its folder is not known"))
	}
	f, err := a.disk.Open(path)
	if err != nil {
		return unfitIf(err)
	}
	defer f.Close() // only read from
	size, err := f.Size()
	if err != nil {
		return unfitIf(err)
	}
	live := c.live
	err = a.eachLive(ctx, f, row, size, func(s *Stored) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return c.take(f, row, size, s)
	})
	if err != nil {
		return err
	}
	if live = c.live - live; live != row.live {
		return unfitIf(fmt.Errorf("%d rows point to it, its footer leads to %d", row.live, live))
	}
	return nil
}

// take copies a record, and the header record it needs unless that is there already.
func (c *copying) take(f disk.File, row segmentRow, size int64, s *Stored) error {
	header, err := intactRecord(f, row.Head, s.header, size, segment.HeaderRecord)
	if err != nil {
		return err
	}
	id := headerID{header.Key, header.Fingerprint}
	at, ok := c.headers[id]
	if !ok {
		at = c.length
		c.headers[id] = at
		if err := c.put(f, s.header, &header); err != nil {
			return err
		}
	}
	rec, err := intactRecord(f, row.Head, s.position, size, segment.FragmentRecord)
	if err != nil {
		return err
	}
	rec.Header = at
	if err := c.put(f, s.position, &rec); err != nil {
		return err
	}
	c.live++
	c.bytes += s.length
	return nil
}

// intactRecord reads a record's head and facts and verifies the rest. What is damaged
// stays where it is.
func intactRecord(f disk.File, h segment.Head, position, size int64, kind segment.Kind) (segment.Record, error) {
	rec, ok, err := segment.ReadRecord(f, h, position, size)
	if err == nil && ok && rec.Kind == kind {
		ok, err = segment.Verify(f, position, &rec)
	}
	if err == nil && (!ok || rec.Kind != kind) {
		err = fmt.Errorf("the record at %d is damaged", position)
	}
	return rec, unfitIf(err)
}

// put copies a record to the end: its head anew, the rest as it is.
func (c *copying) put(from disk.File, position int64, rec *segment.Record) error {
	rec.Copied = true
	head := rec.Append(c.buf[:0], c.Salt, c.length)
	if err := c.f.Write([][]byte{head}, c.length); err != nil {
		return err
	}
	for done := int64(len(head)); done < rec.Size(); {
		b := c.buf[:min(int64(len(c.buf)), rec.Size()-done)]
		if n, err := from.ReadAt(b, position+done); n < len(b) {
			return unfitIf(err)
		}
		if err := c.f.Write([][]byte{b}, c.length+done); err != nil {
			return err
		}
		done += int64(len(b))
	}
	c.length += rec.Size()
	return nil
}

// adopt makes a segment of copies known: its row, and a few hundred rows at a time that
// point there now, so that fragments being stored never wait for all of them. Until all do
// the segment counts as one that is open; when the process ends before, a start does the
// rest.
func (a *Archive) adopt(ctx context.Context, c *copying, known bool) error {
	f, err := a.disk.Open(filepath.Join(a.dir, segment.FileName(c.ID)))
	if err != nil {
		return err
	}
	defer f.Close() // only read from
	size, err := f.Size()
	if err != nil {
		return err
	}
	var some []arrival
	flush := func() error {
		if err := a.index.arrive(ctx, c.segmentRow, known, some); err != nil {
			return err
		}
		a.noteMoved(some)
		known, some = true, some[:0]
		return nil
	}
	from, arrived := 0, int64(0)
	if known { // before an error
		arrived = c.length
	}
	c.bytes = 0
	ok, err := segment.ReadFooter(f, c.Head, size, func(position int64, rec *segment.Record) error {
		for position >= c.origins[from].end {
			from++
		}
		c.bytes += rec.Size()
		if position < arrived {
			return nil
		}
		some = append(some, arrival{stream: rec.Fragment.Stream, n: rec.Fragment.Number.N, from: c.origins[from].segment,
			position: position, header: rec.Header, length: rec.Size(), duration: rec.Fragment.Duration})
		if len(some) < maxDeletes {
			return nil
		}
		return flush()
	})
	if err == nil && !ok {
		err = fmt.Errorf("segment %d of copies reads back damaged", c.ID)
	}
	if err == nil && len(some) > 0 {
		err = flush()
	}
	if err == nil {
		err = a.index.sealSegment(ctx, c.ID, size, isSealed)
	}
	if err != nil {
		return err
	}
	c.sealed = true
	a.upkeep.copies, a.upkeep.ghosts = nil, true
	a.observer.Forwarded(c.bytes)
	return nil
}

// redirect lets victims that were found in the originals name the copies.
func (c *copying) redirect(victims []victim) {
	for i := range victims {
		if slices.ContainsFunc(c.origins, func(o origin) bool { return o.segment == victims[i].segment }) {
			victims[i].segment = c.ID
		}
	}
}

// arrival is a row that will point to a copy.
type arrival struct {
	stream           kvs.StreamID
	n                int64
	from             int64 // segment
	position, header int64
	length, duration int64
}

// arrive lets rows point to copies. The row of their segment is made with the first ones.
func (x *index) arrive(ctx context.Context, row segmentRow, known bool, some []arrival) error {
	return x.db.Write(ctx, func(tx *sql.Tx) error {
		if !known {
			if err := insertSegment(ctx, tx, row); err != nil {
				return err
			}
		}
		move, err := tx.PrepareContext(ctx, `UPDATE fragments SET segment = $1, position = $2, header = $3 WHERE stream = $4 AND n = $5 AND segment = $6`)
		if err != nil {
			return err
		}
		defer move.Close() // with the transaction
		g := growth{}
		left := map[int64]share{}
		for i := range some {
			m := &some[i]
			r, err := move.ExecContext(ctx, row.ID, m.position, m.header, int64(m.stream), m.n, m.from)
			if err != nil {
				return err
			}
			if n, err := r.RowsAffected(); err != nil || n != 1 {
				return errors.Join(err, kvs.Errorf(kvs.Internal, "fragment %d of stream %d left segment %d while it was copied", m.n, m.stream, m.from))
			}
			left[m.from] = share{left[m.from].rows + 1, left[m.from].bytes + m.length}
			g.share = share{g.share.rows + 1, g.share.bytes + m.length}
			g.total += m.length
			g.longest = max(g.longest, m.duration)
			g.length = m.position + m.length
		}
		for from, s := range left {
			if _, err := tx.ExecContext(ctx, `UPDATE segments SET live = live - $2, bytes = bytes - $3 WHERE id = $1`, from, s.rows, s.bytes); err != nil {
				return err
			}
		}
		return advance(ctx, tx, row.ID, g)
	})
}
