package archive

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/segment"
)

// recovery is one start. The steps are those of docs/design/archive-format.md.
type recovery struct {
	*Archive
	rows map[int64]segmentRow // of segments to look at, as the index had them
	dead dead

	doubted bool
}

// finding is a fragment that the index may lack.
type finding struct {
	Stored
	copied bool
	dead   bool // a tombstone names it
}

// place says in which folders a segment's file is.
type place struct{ hot, warm bool }

// recover makes the index and the segments agree, whatever the last run left. After it
// every segment is sealed; appending goes on in new ones, so that nothing is ever
// written behind bytes of unknown origin.
func (a *Archive) recover(ctx context.Context) error {
	r := &recovery{Archive: a}
	salt, position, err := a.index.buried(ctx)
	if err != nil {
		return err
	}
	var behind []tombstone
	if a.tombstones, r.dead, behind, err = openTombstones(a.disk, filepath.Dir(a.dir), salt, position); err != nil {
		return err
	}
	a.upkeep.note(r.dead)
	if k := len(r.dead) - 1; k >= 0 { // a new segment must not inherit the dead of an old one
		a.lastID = max(a.lastID, r.dead[k].segment)
	}
	a.upkeep.buried = a.tombstones.End() - int64(len(behind)*tombstoneFormat.Size)
	places, err := r.places()
	if err != nil {
		return err
	}
	fresh, err := r.trust(ctx, places)
	if err != nil {
		return err
	}
	if fresh {
		behind = nil // the index has no rows yet, and will get none that they name
	}
	for _, id := range slices.Sorted(maps.Keys(places)) {
		if err := r.segment(ctx, id, places[id]); err != nil {
			return fmt.Errorf("segment %d: %w", id, err)
		}
	}
	if err := r.catchUp(ctx, behind); err != nil {
		return err
	}
	return r.missing(ctx, places)
}

// trust takes the sealed segments out of places whose files are where the index has them:
// they do not change. Of the others it keeps the rows. A start must not take longer for an old
// archive, so it neither opens the files of those segments nor reads their rows one by one.
// fresh says that the index knows no segment.
func (r *recovery) trust(ctx context.Context, places map[int64]place) (fresh bool, err error) {
	var elsewhere []int64
	fresh = true
	longest, err := r.index.sealed(ctx, func(id int64, warm bool) {
		fresh = false
		if places[id] == (place{hot: !warm, warm: warm}) {
			delete(places, id)
		} else {
			elsewhere = append(elsewhere, id)
		}
	})
	if err != nil {
		return false, err
	}
	r.raiseLongest(longest)
	if r.rows, err = r.index.unsealed(ctx); err != nil || len(elsewhere) == 0 {
		return fresh && len(r.rows) == 0, err
	}
	all, err := r.index.segments(ctx)
	for _, id := range elsewhere {
		r.rows[id] = all[id]
	}
	return false, err
}

// places lists the segments of both folders.
func (r *recovery) places() (map[int64]place, error) {
	var places map[int64]place
	for _, dir := range r.dirs() {
		if err := r.disk.SyncDir(dir); err != nil { // what is gone must not come back, and what is there must stay
			return nil, err
		}
		names, err := r.disk.List(dir)
		if err != nil {
			return nil, err
		}
		if places == nil {
			places = make(map[int64]place, len(names))
		}
		for _, name := range names {
			id, ok := segment.ParseFileName(name)
			switch {
			case ok:
				p := places[id]
				places[id] = place{p.hot || dir == r.dir, p.warm || dir != r.dir}
				r.lastID = max(r.lastID, id)
			case strings.HasPrefix(name, ".") && r.isMove(name):
				if err := r.disk.Remove(filepath.Join(dir, name)); err != nil {
					return nil, err
				}
			default:
				r.log.Warn("file is no segment and left alone", "file", filepath.Join(dir, name))
			}
		}
	}
	return places, nil
}

// isMove reports whether a file is an unfinished copy, of a segment or of what is left of
// some.
func (r *recovery) isMove(name string) bool {
	_, ok := segment.ParseFileName(name[1:])
	return ok
}

// missing forgets segments whose file is missing. Mostly they expired, and a power failure
// brought their rows back; their tombstones may be gone, too. A row is a copy of what
// is in a file, and without it none of anything. When the file comes back, as on a disk
// that was not mounted, the next start reads it again.
func (r *recovery) missing(ctx context.Context, places map[int64]place) error {
	maps.DeleteFunc(r.rows, func(id int64, _ segmentRow) bool { _, ok := places[id]; return ok })
	if len(r.rows) == 0 {
		return nil
	}
	if err := r.markMissing(ctx); err != nil {
		return err
	}
	rows, err := r.index.segments(ctx) // what is alive there may have changed
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(r.rows)) {
		r.lastID = max(r.lastID, id)
		if n := rows[id].live; n > 0 {
			r.log.Error("segment file is missing; what the index has of it is forgotten", "segment", id, "fragments", n)
			if err := r.index.removeAllOf(ctx, id); err != nil {
				return err
			}
		}
		if err := r.index.removeSegment(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// removeAllOf removes the rows that point to a segment. It looks at every row there is,
// and is not for every day.
func (x *index) removeAllOf(ctx context.Context, id int64) error {
	for stream, n, more := int64(math.MinInt64), int64(math.MinInt64), true; more; {
		var victims []victim
		err := x.db.Write(ctx, func(tx *sql.Tx) error {
			victims = nil // it may be called twice
			rows, err := tx.QueryContext(ctx, `SELECT stream, n, length FROM fragments
				WHERE (stream, n) > ($1, $2) AND segment = $3 ORDER BY stream, n LIMIT $4`, stream, n, id, maxDeletes)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				v := victim{segment: id}
				if err := rows.Scan(&v.stream, &v.n, &v.length); err != nil {
					return err
				}
				victims = append(victims, v)
			}
			return errors.Join(rows.Err(), rows.Close(), takeRows(ctx, tx, tombstonesOf(slices.Clone(victims))))
		})
		if err != nil {
			return err
		}
		if more = len(victims) > 0; more {
			stream, n = int64(victims[len(victims)-1].stream), victims[len(victims)-1].n
		}
	}
	return nil
}

// catchUp removes the rows that tombstones name which the index did not follow yet.
func (r *recovery) catchUp(ctx context.Context, behind []tombstone) error {
	if len(behind) > 0 {
		if err := r.follow(ctx, behind); err != nil {
			return err
		}
		r.log.Info("what was dead before is removed from the index", "tombstones", len(behind))
	}
	r.upkeep.buried = r.tombstones.End()
	return r.index.db.Write(ctx, func(tx *sql.Tx) error {
		return noteBuried(ctx, tx, r.tombstones.Salt(), r.tombstones.End())
	})
}

// segment brings one file and its row together.
func (r *recovery) segment(ctx context.Context, id int64, p place) error {
	dir := r.dir
	if p.warm {
		dir = r.warmDir
	}
	f, err := r.disk.Open(filepath.Join(dir, segment.FileName(id)))
	if err != nil {
		return err
	}
	defer f.Close() // after a successful Sync there is nothing left that could fail
	row, known := r.rows[id]
	h, err := segment.ReadHead(f)
	switch {
	case err != nil && !known:
		return r.dropHeadless(dir, id, f, err)
	case err != nil:
		return err
	case h.ID != id && !known: // a block of an older file may show where nothing was synced
		return r.dropHeadless(dir, id, f, fmt.Errorf("its head is that of segment %d", h.ID))
	case h.ID != id, known && h.Salt != row.Salt:
		return errors.New("the file is not the one the index knows; move index.db* away and it is rebuilt from the segments")
	case !known:
		if err := r.doubt(ctx); err != nil {
			return err
		}
		row = segmentRow{Head: h, length: segment.HeadSize, warm: p.warm}
		if err := r.index.addSegment(ctx, row); err != nil {
			return err
		}
	}
	if err := r.settleMove(ctx, row, p); err != nil {
		return err
	}
	r.raiseLongest(row.longest)
	if row.sealed {
		return nil
	}
	return r.replay(ctx, f, row)
}

// doubt forgets which erasures were carried out: what comes now may be older than they.
func (r *recovery) doubt(ctx context.Context) error {
	if r.doubted {
		return nil
	}
	r.doubted = true
	return r.NoteErased(ctx, 0)
}

// settleMove ends a move to the warm folder that was begun: the file there has its name
// only when it is whole. Without the folder the file there is still to be removed one day.
func (r *recovery) settleMove(ctx context.Context, row segmentRow, p place) error {
	if p.hot && p.warm {
		if err := r.index.setPlace(ctx, row.ID, true, true); err != nil {
			return err
		}
		return r.dropOldFile(ctx, row.ID)
	}
	both := r.warmDir == "" && (row.warm || row.both)
	if row.warm == p.warm && row.both == both {
		return nil
	}
	return r.index.setPlace(ctx, row.ID, p.warm, both)
}

// dropHeadless removes a file that was being made when the process ended. A longer one
// may hold fragments and is left for the operator.
func (r *recovery) dropHeadless(dir string, id int64, f disk.File, cause error) error {
	size, err := f.Size()
	if err != nil {
		return err
	}
	if size > segment.HeadSize {
		r.log.Error("segment is unreadable and left alone", "segment", id, "bytes", size, "error", cause)
		return nil
	}
	return r.disk.Remove(filepath.Join(dir, segment.FileName(id)))
}

// replay puts the fragments behind row.length into the index and seals the segment.
// The file is synced first: what the index points to must not be only in memory. It is
// written again for that, because the process before may have died of a sync that failed.
func (r *recovery) replay(ctx context.Context, f disk.File, row segmentRow) error {
	size, err := f.Size()
	if err != nil {
		return err
	}
	if size < row.length {
		r.log.Error("segment is shorter than the index knows it; fragments are lost", "segment", row.ID, "bytes", size, "expected", row.length)
		return r.index.sealSegment(ctx, row.ID, row.length)
	}
	if _, known := r.rows[row.ID]; known { // without a row there was no other process just before
		if err := disk.Renew(f, row.length, size); err != nil {
			return err
		}
	}
	if err := f.Sync(); err != nil {
		return err
	}
	b := &batch{recovery: r, row: row, dead: r.dead.of(row.ID).disjoint(), length: row.length}
	ok, err := segment.ReadFooter(f, row.Head, size, func(position int64, rec *segment.Record) error {
		if position < row.length {
			return nil
		}
		return b.add(ctx, position, rec)
	})
	if err != nil {
		return err
	}
	if !ok {
		return r.scan(ctx, f, b, size)
	}
	return b.end(ctx, size)
}

// scan reads a segment record by record, cuts what is torn behind the last one and seals
// it.
func (r *recovery) scan(ctx context.Context, f disk.File, b *batch, size int64) error {
	_, sealed, err := segment.EndsSealed(f, b.row.Head, size)
	if err != nil {
		return err
	}
	if b.row.Version > 1 {
		sealed = false // its footer is torn, and is made anew
	}
	s := segment.NewScanner(f, b.row.Head, b.length, size, !sealed)
	for {
		ok, err := s.Next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if s.Record.Kind != segment.FragmentRecord || s.Finding == segment.Garbage {
			continue
		}
		if s.Finding != segment.Intact {
			b.torn = append(b.torn, b.finding(s.Position, &s.Record))
			continue
		}
		if err := b.add(ctx, s.Position, &s.Record); err != nil {
			return err
		}
	}
	if err := b.buryTorn(s.Good); err != nil {
		return err
	}
	if err := b.flush(ctx, s.Good); err != nil {
		return err
	}
	if b.added > 0 || s.Lost > 0 && !sealed {
		r.log.Info("segment recovered", "segment", b.row.ID, "fragments", b.added, "damaged", s.Lost, "cut", size-s.Good)
	}
	if !sealed {
		if size, err = sealRecovered(f, b.row.Head, s.Good, size); err != nil {
			return err
		}
	}
	return r.index.sealSegment(ctx, b.row.ID, size)
}

// sealRecovered cuts what is torn behind the last intact record and makes sure that a
// footer and an end record follow it. A segment of version 1 gets nothing: its row says
// that it is sealed.
func sealRecovered(f disk.File, h segment.Head, good, size int64) (end int64, err error) {
	if good < size {
		if err := f.Truncate(good); err != nil {
			return 0, err
		}
	}
	if h.Version == 1 {
		return good, f.Sync()
	}
	if size, err = segment.Seal(f, h, good); err != nil {
		return 0, errors.Join(err, f.Truncate(good))
	}
	return size, f.Sync()
}

// maxReplayed is how many rows one transaction of a start adds. Nobody waits behind it,
// and small ones would write the same pages of the index again and again.
const maxReplayed = 5000

// batch gathers the fragments found in one segment.
type batch struct {
	*recovery
	row    segmentRow
	dead   dead
	length int64 // every fragment before is in the index, or among found
	found  []finding
	torn   []finding // whose head is intact and whose bytes are not
	added  int
}

// add takes a fragment, and commits when there are enough.
func (b *batch) add(ctx context.Context, position int64, rec *segment.Record) error {
	if len(b.found) == maxReplayed {
		if err := b.flush(ctx, b.length); err != nil {
			return err
		}
	}
	f := b.finding(position, rec)
	if !f.dead {
		b.raiseLongest(f.Duration)
	}
	b.found = append(b.found, f)
	b.length = position + f.length
	return nil
}

func (b *batch) finding(position int64, rec *segment.Record) finding {
	f := finding{
		Stored: Stored{
			Fragment: rec.Fragment, Timecode: rec.Timecode, Facts: rec.Facts,
			segment: b.row.ID, position: position, length: rec.Size(), header: rec.Header,
		},
		copied: rec.Copied,
		dead:   b.dead.names(rec.Fragment.Stream, rec.Fragment.Number.N),
	}
	f.Facts.Tracks = slices.Clone(rec.Facts.Tracks) // the record's are used again
	return f
}

// buryTorn gives tombstones to damaged fragments between intact records: the footer lists
// them, as it lists what has a head, and nobody who reads it may take them for whole.
func (b *batch) buryTorn(good int64) error {
	var payloads [][]byte
	for _, f := range b.torn {
		if f.position >= good {
			continue // cut off
		}
		if !f.dead {
			n := f.Number.N
			t := tombstone{segment: b.row.ID, stream: f.Stream, first: n, last: n, reason: torn}
			payloads = append(payloads, t.append(nil))
			b.upkeep.note([]tombstone{t})
		}
		f.dead = true
		b.found = append(b.found, f)
	}
	return b.tombstones.Append(payloads...)
}

// flush commits what was gathered: everything before length. In the order of the index it
// writes a third less.
func (b *batch) flush(ctx context.Context, length int64) error {
	slices.SortStableFunc(b.found, func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Number.N, b.Number.N))
	})
	n, err := b.index.replay(ctx, b.row.ID, length, b.found)
	b.added += n
	b.found = b.found[:0]
	return err
}

// end commits the rest of a segment that was sealed already.
func (b *batch) end(ctx context.Context, size int64) error {
	if err := b.flush(ctx, b.length); err != nil {
		return err
	}
	if b.added > 0 {
		b.log.Info("segment recovered", "segment", b.row.ID, "fragments", b.added)
	}
	return b.index.sealSegment(ctx, b.row.ID, size)
}
