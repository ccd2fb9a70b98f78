package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// path returns where the file of a segment is, false while its folder is not known.
func (a *Archive) path(row segmentRow) (string, bool) {
	dir := a.dir
	if row.warm {
		dir = a.warmDir
	}
	return filepath.Join(dir, segment.FileName(row.ID)), dir != ""
}

// paths returns where a segment may have a file. whole is false when it may be in a folder
// that is not known.
func (a *Archive) paths(row segmentRow) (all []string, whole bool) {
	name := segment.FileName(row.ID)
	if !row.warm || row.both {
		all = append(all, filepath.Join(a.dir, name))
	}
	if !row.warm && !row.both {
		return all, true
	}
	if a.warmDir == "" {
		return all, false
	}
	return append(all, filepath.Join(a.warmDir, name)), true
}

// maxGone is how many dead segments are removed before others may do something.
const maxGone = 64

// clearDead removes what [Archive.removeSome] does, of all segments, some at a time.
func (a *Archive) clearDead(ctx context.Context) (err error) {
	for after, more := int64(math.MinInt64), true; more && ctx.Err() == nil; {
		a.maintenance.Lock()
		var someErr error
		after, more, someErr = a.removeSome(ctx, after)
		a.maintenance.Unlock()
		err = errors.Join(err, someErr)
	}
	return err
}

// removeDead is clearDead for those who hold maintenance.
func (a *Archive) removeDead(ctx context.Context) (err error) {
	for after, more := int64(math.MinInt64), true; more; {
		var someErr error
		after, more, someErr = a.removeSome(ctx, after)
		err = errors.Join(err, someErr)
	}
	a.upkeep.ghosts = err != nil
	return err
}

// removeSome removes the files of sealed segments without rows, then their rows. In the
// other order a crash between the two would leave a file that looks like one the index
// has lost. more says that there may be others behind last.
func (a *Archive) removeSome(ctx context.Context, after int64) (last int64, more bool, err error) {
	dead, err := a.index.dead(ctx, after, maxGone)
	if err != nil || len(dead) == 0 {
		return after, false, err
	}
	var gone []int64
	touched := map[string]bool{}
	bytes := int64(0)
	for _, id := range slices.Sorted(maps.Keys(dead)) {
		last = id
		paths, whole := a.paths(dead[id])
		var removeErr error
		for _, path := range paths {
			bytes += a.allocated(path)
			removeErr = errors.Join(removeErr, a.disk.Remove(path))
			touched[filepath.Dir(path)] = true
		}
		a.files.forget(id)
		err = errors.Join(err, removeErr)
		if whole && removeErr == nil {
			gone = append(gone, id)
		}
	}
	for dir := range touched {
		if syncErr := a.disk.SyncDir(dir); syncErr != nil {
			return last, false, errors.Join(err, syncErr)
		}
	}
	for _, id := range gone {
		err = errors.Join(err, a.index.removeSegment(ctx, id))
		delete(a.upkeep.fresh, id)
		delete(a.upkeep.wiped, id)
		delete(a.upkeep.thin, id)
		delete(a.upkeep.taken, id)
		delete(a.upkeep.unforwarded, id)
		delete(a.upkeep.unpunched, id)
	}
	if len(gone) > 0 {
		a.observer.Freed(len(gone), bytes)
	}
	return last, len(dead) == maxGone, err
}

// allocated returns what a file takes on the disk, 0 if it cannot be told.
func (a *Archive) allocated(path string) int64 {
	f, err := a.disk.Open(path)
	if err != nil {
		return 0
	}
	defer f.Close() // only looked at
	n, _ := f.Allocated()
	return n
}

// The least that is newly dead in a segment before holes are punched: this much, or this
// part of its length. After an erasure it does not matter how much it is.
const (
	punchBytes = 4 << 20
	punchPart  = 8
)

// punchHoles gives back what is dead in sealed segments that go on living.
func (a *Archive) punchHoles(ctx context.Context) error {
	ids, err := a.riddled(ctx)
	errs := []error{err}
	for _, id := range ids {
		if ctx.Err() != nil {
			break
		}
		errs = append(errs, a.maintain(ctx, func(ctx context.Context) error {
			return a.refuse(a.upkeep.unpunched, id, "not punched", a.punch(ctx, id))
		}))
	}
	return errors.Join(errs...)
}

// riddled returns the segments that have enough that is newly dead.
func (a *Archive) riddled(ctx context.Context) (ids []int64, err error) {
	if err := a.findFresh(ctx); err != nil {
		return nil, err
	}
	a.maintenance.Lock()
	defer a.maintenance.Unlock()
	if len(a.upkeep.fresh) == 0 {
		return nil, nil
	}
	rows, err := a.index.segments(ctx)
	if err != nil {
		return nil, err
	}
	now := kvs.MillisOf(a.now())
	for id, dead := range a.upkeep.fresh {
		row, ok := rows[id]
		path, known := a.path(row)
		switch {
		case !ok:
			delete(a.upkeep.fresh, id)
		case row.live > 0 && row.sealed && row.Version > 1 && known && !a.upkeep.solid[filepath.Dir(path)] && !a.upkeep.unpunched.waits(id, now) &&
			(dead >= min(punchBytes, row.length/punchPart) || a.upkeep.wiped[id]):
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// findFresh takes all that is dead for newly dead once after a start, when nobody knows
// what was punched before.
func (a *Archive) findFresh(ctx context.Context) error {
	a.maintenance.Lock()
	known := a.upkeep.known
	a.maintenance.Unlock()
	if known {
		return nil
	}
	rows, err := a.index.segmentsWhere(ctx, `sealed = 1 AND version > 1 AND live > 0 AND bytes < total`)
	if err != nil {
		return err
	}
	taken := map[int64]int64{}
	for id, row := range rows {
		if path, ok := a.path(row); ok {
			taken[id] = a.allocated(path) // nobody waits for that
		}
	}
	a.maintenance.Lock()
	defer a.maintenance.Unlock()
	for id, n := range taken {
		row := rows[id]
		a.upkeep.fresh[id] += n - (row.length - (row.total - row.bytes))
	}
	a.upkeep.known = true
	return nil
}

// stretch is a range of bytes of a file: from at up to, not including, end.
type stretch struct{ at, end int64 }

// punch gives back the whole pages of a segment that hold nothing that is needed. While
// somebody reads the segment it waits for the next pass.
func (a *Archive) punch(ctx context.Context, id int64) error {
	row, ok, err := a.index.segment(ctx, id)
	if err != nil || !ok || row.live == 0 {
		return err
	}
	path, ok := a.path(row)
	if !ok || a.upkeep.solid[filepath.Dir(path)] || a.files.busy(id) {
		return nil
	}
	f, err := a.disk.Open(path)
	if err != nil {
		return fmt.Errorf("segment %d: %w", row.ID, err)
	}
	defer f.Close() // a hole that is not there the next time takes nothing away
	needed, err := a.needed(ctx, f, row)
	if err != nil {
		return fmt.Errorf("segment %d: %w", row.ID, err)
	}
	before, _ := f.Allocated()
	quiet, err := a.files.exclusive(row.ID, func() error {
		for _, hole := range between(needed) {
			if err := f.Punch(hole.at, hole.end-hole.at); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, errors.ErrUnsupported) {
		a.upkeep.solid[filepath.Dir(path)] = true
		a.log.Info("the disk takes no holes: space comes back when whole segments are dead, or little of one is left", "folder", filepath.Dir(path))
		return nil
	}
	if err != nil || !quiet {
		return err
	}
	delete(a.upkeep.fresh, row.ID)
	delete(a.upkeep.wiped, row.ID)
	delete(a.upkeep.taken, row.ID)
	delete(a.upkeep.unpunched, row.ID)
	if after, err := f.Allocated(); err == nil && after < before {
		a.observer.Freed(0, before-after)
	}
	return nil
}

// between returns what lies between stretches that are in order and may overlap.
func between(needed []stretch) (holes []stretch) {
	end := int64(0)
	for _, s := range needed {
		if s.at > end {
			holes = append(holes, stretch{end, s.at})
		}
		end = max(end, s.end)
	}
	return holes
}

// needed returns what must stay of a sealed segment of version 2: its head, live records
// and the header records they need, footer and end record. It is an error when that is
// not sure.
func (a *Archive) needed(ctx context.Context, f disk.File, row segmentRow) ([]stretch, error) {
	size, err := f.Size()
	if err != nil {
		return nil, unfitIf(err)
	}
	footer, sealed, err := segment.EndsSealed(f, row.Head, size)
	if err != nil {
		return nil, unfitIf(err)
	}
	needed := []stretch{{0, segment.HeadSize}, {footer, size}}
	headers := map[int64]bool{}
	live := int64(0)
	err = a.eachLive(ctx, f, row, size, func(s *Stored) error {
		live++
		needed = append(needed, stretch{s.position, s.position + s.length})
		if headers[s.header] {
			return nil
		}
		headers[s.header] = true
		rec, ok, err := segment.ReadRecord(f, row.Head, s.header, size)
		end := s.header + rec.Size()
		if err != nil || !ok || rec.Kind != segment.HeaderRecord {
			end = max(s.header, s.position) // how long it is cannot be told; it ends before this
		}
		needed = append(needed, stretch{s.header, end})
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !sealed || live != row.live {
		return nil, unfitIf(fmt.Errorf("%d rows point to it, its footer (intact: %v) leads to %d", row.live, sealed, live))
	}
	slices.SortFunc(needed, func(a, b stretch) int { return cmp.Compare(a.at, b.at) })
	return needed, nil
}

// reach is the numbers that a stream has in a part of a segment, from the first to the last.
type reach struct{ first, last int64 }

// maxReached is how many records of a segment are looked up at a time.
const maxReached = 4096

// eachLive calls each for the rows that point to a sealed segment, by position. The index
// has no order by segments, so the file is asked which streams and numbers it has. It keeps
// a few thousand rows in memory.
func (a *Archive) eachLive(ctx context.Context, f disk.File, row segmentRow, size int64, each func(*Stored) error) error {
	reaches := map[kvs.StreamID]reach{}
	count, first, last := 0, int64(0), int64(0)
	var failed error // not of the file
	flush := func() error {
		live, err := a.reached(ctx, row.ID, reaches, first, last)
		for i := 0; i < len(live) && err == nil; i++ {
			err = each(&live[i])
		}
		clear(reaches)
		count, failed = 0, err
		return err
	}
	err := eachFragment(f, row.Head, size, func(position int64, rec *segment.Record) error {
		if count == 0 {
			first = position
		}
		n := rec.Fragment.Number.N
		r, ok := reaches[rec.Fragment.Stream]
		if !ok {
			r = reach{n, n}
		}
		reaches[rec.Fragment.Stream] = reach{min(r.first, n), max(r.last, n)}
		last = position
		if count++; count < maxReached {
			return nil
		}
		return flush()
	})
	switch {
	case failed != nil:
		return failed
	case err != nil:
		return unfitIf(err)
	}
	return flush()
}

// reached returns the rows that point to a part of a segment, by position.
func (a *Archive) reached(ctx context.Context, id int64, reaches map[kvs.StreamID]reach, first, last int64) (live []Stored, err error) {
	for stream, r := range reaches {
		some, err := a.selectRows(ctx, `SELECT `+placeColumns+` FROM fragments
			WHERE stream = $1 AND n >= $2 AND n <= $3 AND segment = $4 AND position >= $5 AND position <= $6`,
			int64(stream), r.first, r.last, id, first, last)
		if err != nil {
			return nil, err
		}
		live = append(live, some...)
	}
	slices.SortFunc(live, func(a, b Stored) int { return cmp.Compare(a.position, b.position) })
	return live, nil
}

// liveRows returns all rows that point to a sealed segment, by position.
func (a *Archive) liveRows(ctx context.Context, f disk.File, row segmentRow, size int64) (live []Stored, err error) {
	err = a.eachLive(ctx, f, row, size, func(s *Stored) error {
		live = append(live, *s)
		return nil
	})
	return live, err
}

// eachFragment calls each for the fragment records of a segment, in order: from its footer,
// or from their heads where there is none.
func eachFragment(f disk.File, h segment.Head, size int64, each func(position int64, rec *segment.Record) error) error {
	ok, err := segment.ReadFooter(f, h, size, each)
	if err != nil || ok {
		return err
	}
	for s := segment.NewScanner(f, h, segment.HeadSize, size, false); ; {
		ok, err := s.Next()
		if err != nil || !ok {
			return err
		}
		if s.Finding == segment.Garbage || s.Record.Kind != segment.FragmentRecord {
			continue
		}
		if err := each(s.Position, &s.Record); err != nil {
			return err
		}
	}
}

// unfit is why something cannot be done with one segment, whatever is done with others.
type unfit struct{ error }

func (u *unfit) Unwrap() error { return u.error }

// unfitIf makes an error of a segment's file known as that.
func unfitIf(err error) error {
	if err == nil {
		return nil
	}
	return &unfit{err}
}

// retryUnfit is when something is tried again with a segment that was unfit for it: what
// does not get better by itself must not be read and told of in every pass.
const retryUnfit = 6 * time.Hour

// refusals are segments that were unfit for something, and when that was.
type refusals map[int64]kvs.Millis

// waits reports whether it is too early to try again.
func (r refusals) waits(id int64, now kvs.Millis) bool {
	at, ok := r[id]
	return ok && now.Sub(at) < retryUnfit
}

// refuse lets errors pass that are not of the segment alone. Of the others it tells once.
func (a *Archive) refuse(r refusals, id int64, what string, err error) error {
	if _, ok := errors.AsType[*unfit](err); !ok {
		return err
	}
	if _, told := r[id]; !told {
		a.log.Error("a segment is "+what+"; see millrace check", "segment", id, "error", err)
	}
	r[id] = kvs.MillisOf(a.now())
	return nil
}
