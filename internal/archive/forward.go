package archive

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// forwardAll writes what is left of thin segments to new ones, so that their files can go.
// A sealed segment is thin when less than a quarter of its records' bytes is alive.
//
// A segment whose streams have one retention is thin for a while before it is dead; to
// copy it would be work for nothing. So it has to be thin for as long as its class lets
// segments be open: by then all of it would be gone. Where the disk takes no holes
// nothing else gives space back, and it goes at once.
func (a *Archive) forwardAll(ctx context.Context) error {
	rows, err := a.index.segmentsWhere(ctx, `sealed = 1 AND version > 1 AND live > 0 AND bytes * 4 < total`)
	if err != nil {
		return err
	}
	now := kvs.MillisOf(a.now())
	var due [shelves][]segmentRow
	for id, row := range rows {
		since, ok := a.upkeep.thin[id]
		if !ok {
			since = now
			a.upkeep.thin[id] = now
		}
		if a.upkeep.solid || now.Sub(since) >= maxAge(row.Class) {
			on := shelfOf(row.Class, row.Tier)
			due[on] = append(due[on], row)
		}
	}
	var errs []error
	for on := range due {
		slices.SortFunc(due[on], func(a, b segmentRow) int { return cmp.Compare(a.ID, b.ID) })
		for len(due[on]) > 0 && ctx.Err() == nil {
			n := a.fitting(due[on])
			errs = append(errs, a.forward(ctx, shelf(on), due[on][:n]))
			due[on] = due[on][n:]
		}
	}
	return errors.Join(errs...)
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
	moved   []moved
	buf     []byte
}

// moved is a row that will point to the copy.
type moved struct {
	Stored
	from   int64 // segment
	length int64
}

// forward makes one segment of what is left of others. It is complete when it gets its
// name, and known when its rows are committed: a start takes all of it or nothing. The
// others are removed as dead ones are, before a tombstone may name a copy.
func (a *Archive) forward(ctx context.Context, on shelf, sources []segmentRow) error {
	c, err := a.newCopying(on, sources)
	if err != nil {
		return err
	}
	err = a.fill(ctx, c, sources)
	if err = errors.Join(err, c.f.Close()); err != nil {
		return errors.Join(err, a.disk.Remove(c.path))
	}
	path := filepath.Join(a.dir, segment.FileName(c.ID))
	a.upkeep.stray = path
	err = a.disk.Rename(c.path, path)
	if err == nil {
		err = a.disk.SyncDir(a.dir)
	}
	if err == nil {
		err = a.index.forward(ctx, c)
	}
	if err != nil {
		return errors.Join(err, a.disk.Remove(c.path), a.removeStray())
	}
	a.upkeep.stray, a.upkeep.ghosts = "", true
	a.observer.Forwarded(c.bytes)
	return nil
}

// removeStray removes a segment of copies that did not become known. While it may exist
// nothing can be buried: a start would take the copies of what has died since.
func (a *Archive) removeStray() error {
	if a.upkeep.stray == "" {
		return nil
	}
	if err := a.disk.Remove(a.upkeep.stray); err != nil {
		return err
	}
	if err := a.disk.SyncDir(a.dir); err != nil {
		return err
	}
	a.upkeep.stray = ""
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
	c.length, c.sealed = segment.HeadSize, true
	c.path = filepath.Join(a.dir, "."+segment.FileName(id))
	var err error
	c.f, err = a.disk.Create(c.path)
	return c, err
}

// fill writes the whole segment.
func (a *Archive) fill(ctx context.Context, c *copying, sources []segmentRow) error {
	if err := c.f.Write([][]byte{c.Encode()}, 0); err != nil {
		return err
	}
	for _, row := range sources {
		if err := a.fillFrom(ctx, c, row); err != nil {
			return fmt.Errorf("copy forward segment %d: %w", row.ID, err)
		}
	}
	size, err := segment.Seal(c.f, c.Head, c.length)
	if err != nil {
		return err
	}
	c.length = size
	return c.f.Sync()
}

// fillFrom copies the live records of one segment.
func (a *Archive) fillFrom(ctx context.Context, c *copying, row segmentRow) error {
	path, ok := a.path(row)
	if !ok {
		return errors.New("its folder is not known")
	}
	f, err := a.disk.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() // only read from
	size, err := f.Size()
	if err != nil {
		return err
	}
	live, err := a.liveRows(ctx, f, row, size)
	if err != nil {
		return err
	}
	if int64(len(live)) != row.live {
		return fmt.Errorf("%d rows point to it, its footer leads to %d", row.live, len(live))
	}
	for i := range live {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.take(f, row, size, live[i]); err != nil {
			return err
		}
	}
	return nil
}

// take copies a record, and the header record it needs unless that is there already.
func (c *copying) take(f disk.File, row segmentRow, size int64, s Stored) error {
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
	m := moved{Stored: s, from: row.ID, length: s.length}
	m.segment, m.position, m.header = c.ID, c.length, at
	rec.Header = at
	if err := c.put(f, s.position, &rec); err != nil {
		return err
	}
	c.moved = append(c.moved, m)
	c.live++
	c.bytes += s.length
	c.total += s.length
	c.longest = max(c.longest, s.Duration)
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
		err = fmt.Errorf("the record at %d is damaged; see millrace check", position)
	}
	return rec, err
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
			return err
		}
		if err := c.f.Write([][]byte{b}, c.length+done); err != nil {
			return err
		}
		done += int64(len(b))
	}
	c.length += rec.Size()
	return nil
}

// forward makes a segment of copies known: its row, and all rows that point there now.
func (x *index) forward(ctx context.Context, c *copying) error {
	return x.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO segments (`+segmentColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, 1, 0, $8, $9, $10, $11)`,
			c.ID, int64(c.Salt), c.Version, c.Class, c.Tier, c.Created, c.length, c.live, c.bytes, c.total, c.longest)
		if err != nil {
			return err
		}
		move, err := tx.PrepareContext(ctx, `UPDATE fragments SET segment = $1, position = $2, header = $3 WHERE stream = $4 AND n = $5 AND segment = $6`)
		if err != nil {
			return err
		}
		defer move.Close() // with the transaction
		for i := range c.moved {
			m := &c.moved[i]
			r, err := move.ExecContext(ctx, c.ID, m.position, m.header, int64(m.Stream), m.Number.N, m.from)
			if err != nil {
				return err
			}
			if n, err := r.RowsAffected(); err != nil || n != 1 {
				return errors.Join(err, kvs.Errorf(kvs.Internal, "fragment %d of stream %d left segment %d while it was copied", m.Number.N, m.Stream, m.from))
			}
			if _, err := tx.ExecContext(ctx, `UPDATE segments SET live = live - 1, bytes = bytes - $2 WHERE id = $1`, m.from, m.length); err != nil {
				return err
			}
		}
		return nil
	})
}
