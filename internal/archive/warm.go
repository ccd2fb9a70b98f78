package archive

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// moveWarm moves sealed segments of the tier WARM to their folder. A stream that becomes
// HOT leaves there what it has.
func (a *Archive) moveWarm(ctx context.Context) error {
	if a.warmDir == "" {
		return nil
	}
	if err := a.dropOldFiles(ctx); err != nil {
		return err
	}
	rows, err := a.index.segmentsWhere(ctx, `sealed = 1 AND warm % 2 = 0 AND tier = 1 AND live > 0`)
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		if err := a.warmRoom(id); err != nil {
			return a.warmFull(err)
		}
		err := a.moveOne(ctx, id)
		if faultOf(err) == full {
			return a.warmFull(err)
		}
		if err != nil { // mostly the folder's fault: the next would fail, too
			return fmt.Errorf("move segment %d to the warm folder: %w", id, err)
		}
	}
	if ctx.Err() == nil && a.pressure.warmFull.Swap(false) {
		a.log.Info("the warm folder has room again: all segments that wait are moved", "folder", a.warmDir)
	}
	return ctx.Err()
}

// warmSpare is what a copy may take beside the bytes of its segment.
const warmSpare = 1 << 20

// warmRoom looks before a copy whether the warm folder has room for a segment: one
// that fails half way costs both disks as much, pass after pass.
func (a *Archive) warmRoom(id int64) error {
	free, _, err := a.disk.Free(a.warmDir)
	if err != nil {
		return err
	}
	if need := a.allocated(a.segmentPath(id)) + warmSpare; free < need {
		return fmt.Errorf("segment %d takes %d bytes, %d are free: %w", id, need, free, syscall.ENOSPC)
	}
	return nil
}

// warmFull tells once that the warm folder takes no more. Other errors it lets pass.
func (a *Archive) warmFull(err error) error {
	if faultOf(err) != full {
		return err
	}
	if !a.pressure.warmFull.Swap(true) {
		a.log.Error("the warm folder is full: segments of the tier WARM stay in the data directory until there is room", "folder", a.warmDir, "error", err)
	}
	return nil
}

// moveOne moves one segment in the steps of docs/design/archive-format.md. Nobody waits
// while it is copied: what is removed meanwhile is removed from the file that it has.
// Readers go on in the file that they have open.
func (a *Archive) moveOne(ctx context.Context, id int64) error {
	unfinished := filepath.Join(a.warmDir, "."+segment.FileName(id))
	n, err := a.copyFile(ctx, a.segmentPath(id), unfinished)
	a.maintenance.Lock()
	defer a.maintenance.Unlock()
	row, ok, rowErr := a.index.segment(ctx, id)
	if gone := rowErr == nil && (!ok || row.live == 0); gone || err != nil || rowErr != nil {
		if gone {
			err = nil // it died while it was copied
		}
		return errors.Join(err, rowErr, a.disk.Remove(unfinished))
	}
	if err := a.settleCopy(ctx, id, unfinished); err != nil {
		return errors.Join(err, a.disk.Remove(unfinished))
	}
	if row.bytes < row.total { // holes that were punched meanwhile are missing in the copy
		a.upkeep.fresh[id] += 0
		a.upkeep.wiped[id] = true
	}
	delete(a.upkeep.taken, id)
	a.observer.Moved(n)
	return a.dropOldFile(ctx, id)
}

// settleCopy gives the copy of a segment its name. From before that until the other file
// is gone for good its row says that there may be two: neither may outlive the row, or a
// start would take it for a segment that nobody knows.
func (a *Archive) settleCopy(ctx context.Context, id int64, unfinished string) error {
	if err := a.index.setPlace(ctx, id, false, true); err != nil {
		return err
	}
	if err := a.disk.Rename(unfinished, filepath.Join(a.warmDir, segment.FileName(id))); err != nil {
		return err
	}
	if err := a.disk.SyncDir(a.warmDir); err != nil {
		return err
	}
	return a.index.setPlace(ctx, id, true, true)
}

// dropOldFiles removes what moves have left behind that could not remove it.
func (a *Archive) dropOldFiles(ctx context.Context) error {
	a.maintenance.Lock()
	defer a.maintenance.Unlock()
	rows, err := a.index.segmentsWhere(ctx, `warm = 3`)
	for id := range rows {
		err = errors.Join(err, a.dropOldFile(ctx, id))
	}
	return err
}

// dropOldFile removes the file of a segment that the warm folder has. Who opens the
// segment meanwhile may get the old file, so that is forgotten afterwards.
func (a *Archive) dropOldFile(ctx context.Context, id int64) error {
	if err := a.disk.Remove(a.segmentPath(id)); err != nil {
		return err
	}
	a.files.forget(id)
	if err := a.disk.SyncDir(a.dir); err != nil {
		return err
	}
	return a.index.setPlace(ctx, id, true, false)
}

// copyBytes is how much is copied at a time, copyRate how much in a second: producers and
// readers need the disks more.
const (
	copyBytes = 1 << 20
	copyRate  = 64 << 20
)

// pace keeps a copy from going faster than copyRate.
type pace struct{ due time.Time }

// wait waits until so many more bytes may be copied.
func (p *pace) wait(ctx context.Context, bytes int64) error {
	now := time.Now()
	if p.due.Before(now) {
		p.due = now
	}
	early := p.due.Sub(now)
	p.due = p.due.Add(time.Duration(bytes) * time.Second / copyRate)
	if early <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(early)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// copyFile copies a file, holes as holes, and makes its bytes durable. It returns how
// many were written.
func (a *Archive) copyFile(ctx context.Context, from, to string) (written int64, err error) {
	in, err := a.disk.Open(from)
	if err != nil {
		return 0, err
	}
	defer in.Close() // only read from
	size, err := in.Size()
	if err != nil {
		return 0, err
	}
	if err := a.disk.Remove(to); err != nil { // of an earlier try
		return 0, err
	}
	out, err := a.disk.Create(to)
	if err != nil {
		return 0, err
	}
	written, err = copyPages(ctx, in, out, size)
	if err == nil {
		err = out.Sync()
	}
	return written, errors.Join(err, out.Close())
}

// copyPages leaves out pages of zeros: in sealed media they are holes.
func copyPages(ctx context.Context, in, out disk.File, size int64) (written int64, err error) {
	if err := out.Truncate(size); err != nil {
		return 0, err
	}
	b := make([]byte, copyBytes)
	var p pace
	for at := int64(0); at < size; at += copyBytes {
		b = b[:min(copyBytes, size-at)]
		if err := p.wait(ctx, int64(len(b))); err != nil {
			return written, err
		}
		if n, err := in.ReadAt(b, at); n < len(b) {
			return written, err
		}
		for _, s := range pagesOf(b) {
			if err := out.Write([][]byte{b[s.at:s.end]}, at+s.at); err != nil {
				return written, err
			}
			written += s.end - s.at
		}
	}
	return written, nil
}

var zeroPage [disk.PageBytes]byte

// pagesOf returns the stretches of whole pages that are not all zeros.
func pagesOf(b []byte) (all []stretch) {
	for at := 0; at < len(b); at += disk.PageBytes {
		page := b[at:min(at+disk.PageBytes, len(b))]
		if bytes.Equal(page, zeroPage[:len(page)]) {
			continue
		}
		if k := len(all) - 1; k >= 0 && all[k].end == int64(at) {
			all[k].end += int64(len(page))
			continue
		}
		all = append(all, stretch{int64(at), int64(at + len(page))})
	}
	return all
}

// sacrifice removes what sealed segments of folders on one disk hold, the oldest first, until so many
// bytes should be free. When all that may go would not be enough, nothing goes: then
// others fill the disk, and media would be lost for nothing. It returns what is lacking then.
func (a *Archive) sacrifice(ctx context.Context, dirs []string, lack int64) (short int64, err error) {
	dir := strings.Join(dirs, " and ")
	known, was := a.pressure.shortages[dir]
	if lack <= 0 {
		if was {
			delete(a.pressure.shortages, dir)
			a.log.Info("as much of the disk is free as archive.free_disk asks for", "folder", dir)
		}
		return 0, nil
	}
	if was && lack > known.reach && known.looks < maxLooks {
		a.pressure.shortages[dir] = shortage{known.reach, known.looks + 1}
		return lack, nil
	}
	chosen, reach, err := a.choosePrey(ctx, dirs, lack)
	if err != nil {
		return 0, fmt.Errorf("make room on the disk of %s: %w", dir, err)
	}
	if reach < lack {
		a.pressure.shortages[dir] = shortage{reach: reach}
		if !was {
			a.log.Error("less of the disk is free than archive.free_disk asks for, and nothing is removed: all that may go would not be enough, so make room or ask for less",
				"folder", dir, "bytes-lacking", lack, "bytes-that-may-go", reach)
		}
		return lack, nil
	}
	delete(a.pressure.shortages, dir)
	gone := int64(0)
	for _, row := range chosen {
		path, _ := a.path(row)
		n, err := a.empty(ctx, path, row)
		if err != nil {
			return 0, fmt.Errorf("make room on the disk of %s: segment %d: %w", dir, row.ID, err)
		}
		gone += n
	}
	a.log.Warn("the disk is too full: the oldest fragments of all streams are removed", "folder", dir, "bytes-lacking", lack, "fragments", gone)
	return 0, a.clearDead(ctx)
}

// choosePrey chooses the segments of some folders to be emptied, the oldest first, so that so
// many bytes come free. reach is how many would. The newest segment of each class and tier
// is left alone.
func (a *Archive) choosePrey(ctx context.Context, dirs []string, lack int64) (chosen []segmentRow, reach int64, err error) {
	rows, err := a.index.segments(ctx)
	if err != nil {
		return nil, 0, err
	}
	all := slices.SortedFunc(maps.Values(rows), func(a, b segmentRow) int {
		return cmp.Or(cmp.Compare(a.Created, b.Created), cmp.Compare(a.ID, b.ID))
	})
	type shelf struct {
		class segment.Class
		tier  segment.Tier
	}
	newest := map[shelf]int64{}
	for _, row := range all {
		newest[shelf{row.Class, row.Tier}] = row.ID
	}
	for _, row := range all {
		path, ok := a.path(row)
		if reach >= lack || ctx.Err() != nil {
			break
		}
		if !ok || !slices.Contains(dirs, filepath.Dir(path)) || !row.sealed || row.live == 0 || newest[shelf{row.Class, row.Tier}] == row.ID {
			continue
		}
		bytes, err := a.worth(ctx, path, row)
		if err != nil {
			return nil, 0, fmt.Errorf("segment %d: %w", row.ID, err)
		}
		if bytes > 0 {
			chosen, reach = append(chosen, row), reach+bytes
		}
	}
	return chosen, reach, ctx.Err()
}

// worth returns how many bytes would come free without what a segment holds and no hold
// covers.
func (a *Archive) worth(ctx context.Context, path string, row segmentRow) (bytes int64, err error) {
	f, err := a.disk.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close() // only read from
	live, err := a.liveRowsOf(ctx, f, row)
	if err != nil {
		return 0, err
	}
	victims, bytes, err := a.unheld(ctx, live)
	if err == nil && len(victims) == len(live) {
		bytes, _ = f.Allocated() // all of the file goes
	}
	return bytes, err
}

func (a *Archive) liveRowsOf(ctx context.Context, f disk.File, row segmentRow) ([]Stored, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	return a.liveRows(ctx, f, row, size)
}

// unheld returns those of some rows that no hold covers now, and their bytes.
func (a *Archive) unheld(ctx context.Context, some []Stored) (victims []victim, bytes int64, err error) {
	policies := map[kvs.StreamID]Policy{}
	for i := range some {
		s := &some[i]
		p, ok := policies[s.Stream]
		if !ok {
			if p, _, _, err = a.lookup(ctx, s.Stream); err != nil {
				return nil, 0, err
			}
			policies[s.Stream] = p
		}
		if p.held(&s.Fragment) {
			continue
		}
		victims = append(victims, victim{s.Stream, s.Number.N, s.segment, s.length, limited})
		bytes += s.length
	}
	return victims, bytes, nil
}

// empty removes what a segment holds and no hold covers, and returns how many fragments
// that was.
func (a *Archive) empty(ctx context.Context, path string, row segmentRow) (fragments int64, err error) {
	f, err := a.disk.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close() // only read from
	live, err := a.liveRowsOf(ctx, f, row)
	if err != nil {
		return 0, err
	}
	for some := range slices.Chunk(live, maxVictims) {
		n, err := a.sacrificeSome(ctx, some)
		if fragments += n; err != nil {
			return fragments, err
		}
	}
	return fragments, nil
}

// sacrificeSome removes those of some rows that no hold covers now. Which were removed or
// have moved meanwhile does not matter: where they were they are dead.
func (a *Archive) sacrificeSome(ctx context.Context, some []Stored) (fragments int64, err error) {
	a.maintenance.Lock()
	defer a.maintenance.Unlock()
	victims, _, err := a.unheld(ctx, some)
	if err != nil {
		return 0, err
	}
	return int64(len(victims)), a.bury(ctx, victims)
}

// trimmed is what a limit took from a stream since that was told.
type trimmed struct {
	told      time.Time
	fragments int
	bytes     int64
}

// How often the log says what limits of bytes remove from one stream: they go on for ever.
const (
	tellTrimmed     = time.Hour
	tellMuchTrimmed = time.Minute
	muchTrimmed     = 1000 // fragments
)

// tellLimited logs for each stream that its limit removes fragments: the first time at once,
// then with the sum of what went. The caller holds maintenance.
func (a *Archive) tellLimited(victims []victim) {
	touched := map[kvs.StreamID]bool{}
	for _, v := range victims {
		if v.why != limited {
			continue
		}
		t := a.upkeep.limits[v.stream]
		if t == nil {
			t = &trimmed{}
			a.upkeep.limits[v.stream] = t
		}
		t.fragments, t.bytes = t.fragments+1, t.bytes+v.length
		touched[v.stream] = true
	}
	now := a.now()
	for _, id := range slices.Sorted(maps.Keys(touched)) {
		t := a.upkeep.limits[id]
		wait := tellTrimmed
		if t.fragments >= muchTrimmed {
			wait = tellMuchTrimmed
		}
		if past := now.Sub(t.told); past >= 0 && past < wait {
			continue
		}
		a.log.Info("the limit stream.bytes removed the oldest fragments of a stream", "stream-id", int64(id), "fragments", t.fragments, "bytes", t.bytes)
		*t = trimmed{told: now}
	}
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
