package archive

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/segment"
)

// recovery is one start. The steps are those of docs/design/archive-format.md.
type recovery struct {
	*Archive
	rows    map[int64]segmentRow // of segments to look at, as the index had them
	dead    dead
	doubted bool
	emptied []int64 // segments whose files had not even a head
}

// finding is a fragment that the index may lack.
type finding struct {
	Stored
	copied bool
	dead   bool // a tombstone names it
}

// place says in which folders a segment's file is.
type place struct{ hot, warm bool }

// recoverWithRoom is recover, with what the reserve has for it when the disk is full.
func (a *Archive) recoverWithRoom(ctx context.Context) error {
	err := a.recover(ctx)
	if faultOf(err) != full || !a.canMakeRoom() {
		return err
	}
	a.makeRoom(err)
	for _, s := range a.unsettled {
		err = errors.Join(err, s.f.Close())
	}
	if a.tombstones != nil {
		err = errors.Join(err, a.tombstones.Close())
	}
	a.unsettled, a.tombstones, a.upkeep = nil, nil, newUpkeep()
	if again := a.recover(ctx); again != nil {
		return errors.Join(err, again)
	}
	return nil
}

// canMakeRoom reports whether there may be a reserve that was not given back.
func (a *Archive) canMakeRoom() bool { return a.pressure.reserve > 0 && !a.pressure.given.Load() }

// recover makes the index and the segments agree, whatever the last run left. After it
// every segment is sealed; appending goes on in new ones, so that nothing is ever
// written behind bytes of unknown origin.
func (a *Archive) recover(ctx context.Context) error {
	r := &recovery{Archive: a}
	salt, position, err := a.index.buried(ctx)
	if err != nil {
		return err
	}
	if err := r.tellMissingTombstones(ctx, salt); err != nil {
		return err
	}
	var behind []tombstone
	if a.tombstones, r.dead, behind, err = openTombstones(a.disk, filepath.Dir(a.dir), salt, position); err != nil {
		return err
	}
	if err := r.tellShortTombstones(ctx, salt, position); err != nil {
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
	for _, id := range r.emptied {
		delete(places, id)
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
	isMissing := func(id int64) bool { _, ok := r.rows[id]; return ok }
	if err := r.markMissing(ctx, isMissing); err != nil {
		return err
	}
	if err := r.catchUp(ctx, nil); err != nil {
		return err
	}
	rows, err := r.index.segments(ctx) // what is alive there may have changed
	if err != nil {
		return err
	}
	live := int64(0)
	ids := slices.Sorted(maps.Keys(r.rows))
	for _, id := range ids {
		r.lastID = max(r.lastID, id)
		if n := rows[id].live; n > 0 {
			r.log.Error("segment file is missing; what the index has of it is forgotten", "segment", id, "fragments", n)
			live += n
		}
	}
	if err := r.index.disbelieve(ctx, ids); err != nil {
		return err
	}
	if live > 0 {
		if err := r.index.forget(ctx, `segment IN (SELECT id FROM segments WHERE length = 0)`); err != nil {
			return err
		}
	}
	return r.index.removeDisbelieved(ctx)
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

// segment brings one file and its row together. A file that cannot be read or written
// keeps nobody from what is in the others: the index has what it has of it, and the next
// start tries again.
func (r *recovery) segment(ctx context.Context, id int64, p place) error {
	err := r.lookAt(ctx, id, p)
	ill, ok := errors.AsType[*fileError](err)
	if !ok || faultOf(err) == full && r.canMakeRoom() {
		return err
	}
	r.observer.Damaged()
	r.log.Error("segment is ill; the start goes on without what the index lacks of it, and the next one tries again", "segment", id, "error", ill)
	return nil
}

func (r *recovery) lookAt(ctx context.Context, id int64, p place) error {
	dir := r.dir
	if p.warm {
		dir = r.warmDir
	}
	opened, err := r.disk.Open(filepath.Join(dir, segment.FileName(id)))
	if err != nil {
		return markError(err)
	}
	f := &markedFile{File: opened}
	defer func() {
		if !f.kept {
			_ = f.Close() // after a successful Sync there is nothing left that could fail
		}
	}()
	row, known := r.rows[id]
	h, err := segment.ReadHead(f)
	switch {
	case err != nil && !known:
		return r.dropHeadless(dir, id, f, err)
	case err != nil:
		if !p.hot || !p.warm {
			if gone, err := r.dropEmptied(dir, id, f); gone || err != nil {
				return err
			}
		}
		if h, err = r.headOf(id, err); err != nil {
			return err
		}
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
	r.raiseLongest(row.longest)
	if err := r.settleMove(ctx, row, p); err != nil {
		return err
	}
	if row.sealed {
		return nil
	}
	return r.replay(ctx, f, row)
}

// dropEmptied removes a file of a row that has not even its head: the power failed before
// it was synced. Its row goes with those of missing files; with no index the file would go
// as well.
func (r *recovery) dropEmptied(dir string, id int64, f disk.File) (bool, error) {
	size, err := f.Size()
	if err != nil || size > segment.HeadSize {
		return false, err
	}
	if err := r.disk.Remove(filepath.Join(dir, segment.FileName(id))); err != nil {
		return false, err
	}
	r.emptied = append(r.emptied, id)
	return true, nil
}

// doubt forgets which erasures were carried out: what comes now may be older than they.
func (r *recovery) doubt(ctx context.Context) error {
	if r.doubted {
		return nil
	}
	r.doubted = true
	return r.NoteErased(ctx, 0)
}

// dropHeadless removes a file that was being made when the process ended. A longer one
// may hold fragments and is left for the operator.
func (r *recovery) dropHeadless(dir string, id int64, f disk.File, cause error) error {
	size, err := f.Size()
	if err != nil {
		return err
	}
	if size > segment.HeadSize {
		r.observer.Damaged()
		r.log.Error("segment is unreadable and left alone", "segment", id, "bytes", size, "error", cause)
		return nil
	}
	return r.disk.Remove(filepath.Join(dir, segment.FileName(id)))
}

// replay puts the fragments behind row.length into the index and seals the segment.
// The file is synced first: what the index points to must not be only in memory. It is
// written again for that, because the process before may have died of a sync that failed.
func (r *recovery) replay(ctx context.Context, f *markedFile, row segmentRow) error {
	size, err := f.Size()
	if err != nil {
		return err
	}
	if row.length < segment.HeadSize { // it was missing
		if err := r.doubt(ctx); err != nil {
			return err
		}
		row.length = segment.HeadSize
	}
	switch {
	case size < row.length:
		return r.shorten(ctx, f, row, size)
	case row.closed:
		if done, err := r.reseal(ctx, f, row, size); done || err != nil {
			return err
		}
	}
	holes, err := f.Holes() // before they are filled
	if err != nil {
		return err
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
		if holes.Touch(position, position+rec.Size()) && !b.dead.names(rec.Fragment.Stream, rec.Fragment.Number.N) {
			b.torn = append(b.torn, b.finding(position, rec)) // its tombstone is lost
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
	if err := b.buryTorn(size); err != nil {
		return err
	}
	return b.end(ctx, size)
}

// reseal cuts and seals a segment that its row calls closed. It reports false when that was
// done since: what is dead there may be gone, and the footer is the only list of it.
func (r *recovery) reseal(ctx context.Context, f *markedFile, row segmentRow, size int64) (done bool, err error) {
	footer, sealed, err := segment.EndsSealed(f, row.Head, size)
	if err != nil || sealed && footer == row.length {
		return false, err
	}
	return true, r.conclude(ctx, f, row.Head, row.length, size)
}

// shorten seals a segment that has lost its end, and forgets what the index has of that.
func (r *recovery) shorten(ctx context.Context, f *markedFile, row segmentRow, size int64) error {
	s := segment.NewScanner(f, row.Head, segment.HeadSize, size, false)
	total, whole := int64(0), int64(0)
	for {
		ok, err := s.Next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if s.Finding != segment.Garbage && s.Record.Kind == segment.FragmentRecord {
			total += s.Record.Size()
		}
		if s.Good == s.End {
			whole = total
		}
	}
	r.observer.Damaged()
	r.log.Error("segment is shorter than the index knows it; fragments are lost", "segment", row.ID, "bytes", size, "expected", row.length)
	if err := r.markMissing(ctx, func(id int64) bool { return id == row.ID }); err != nil {
		return err
	}
	if err := r.index.shorten(ctx, row.ID, s.Good, whole); err != nil {
		return err
	}
	return r.conclude(ctx, f, row.Head, s.Good, size)
}

// scan reads a segment record by record, cuts what is torn behind the last one and seals
// it.
func (r *recovery) scan(ctx context.Context, f *markedFile, b *batch, size int64) error {
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
		return r.conclude(ctx, f, b.row.Head, s.Good, size)
	}
	return r.index.sealSegment(ctx, b.row.ID, size, isSealed)
}

// conclude cuts what is torn behind the last intact record, at good, and seals the segment.
// A segment of version 1 gets no footer: its row says that it is sealed. What the disk
// does not take now is done later, like a seal that failed while the server ran: for that
// there may be no room, and to read what is there needs none.
func (r *recovery) conclude(ctx context.Context, f *markedFile, h segment.Head, good, size int64) error {
	// Of version 1 nothing is written that would be synced below, and the process before may
	// have cut the file without living to see the cut synced.
	s := &active{Head: h, f: f, end: good, dirty: good < size || h.Version == 1, whole: h.Version == 1}
	f.kept = true
	err := r.end(ctx, s)
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*fileError](err); !ok {
		return errors.Join(err, f.Close())
	}
	r.log.Warn("segment not sealed; it is tried again", "segment", h.ID, "error", err)
	r.unsettled = append(r.unsettled, s)
	return nil
}
