package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/disk"
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
		if err := a.moveOne(ctx, id); err != nil { // mostly the folder's fault: the next would fail, too
			return fmt.Errorf("move segment %d to the warm folder: %w", id, err)
		}
	}
	return ctx.Err()
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
