package archive

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"

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

// removeDead removes the files of sealed segments without rows, then their rows. In the
// other order a crash between the two would leave a file that looks like one the index
// has lost.
func (a *Archive) removeDead(ctx context.Context) (err error) {
	dead, err := a.index.dead(ctx)
	if err != nil {
		return err
	}
	var gone []int64
	touched := map[string]bool{}
	bytes := int64(0)
	for _, id := range slices.Sorted(maps.Keys(dead)) {
		path, ok := a.path(dead[id])
		if !ok {
			continue
		}
		bytes += a.allocated(path)
		removeErr := a.disk.Remove(path)
		a.files.forget(id)
		err = errors.Join(err, removeErr)
		if removeErr == nil {
			gone = append(gone, id)
			touched[filepath.Dir(path)] = true
		}
	}
	for dir := range touched {
		if syncErr := a.disk.SyncDir(dir); syncErr != nil {
			return errors.Join(err, syncErr)
		}
	}
	for _, id := range gone {
		err = errors.Join(err, a.index.removeSegment(ctx, id))
		delete(a.upkeep.fresh, id)
		delete(a.upkeep.thin, id)
	}
	if len(gone) > 0 {
		a.observer.Freed(len(gone), bytes)
	}
	a.upkeep.ghosts = err != nil
	return err
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
