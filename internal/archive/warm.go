package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/segment"
)

// moveWarm moves sealed segments of the tier WARM to their folder. A stream that becomes
// HOT leaves there what it has.
func (a *Archive) moveWarm(ctx context.Context) error {
	if a.warmDir == "" {
		return nil
	}
	rows, err := a.index.segmentsWhere(ctx, `sealed = 1 AND warm = 0 AND tier = 1 AND live > 0`)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if err := a.moveOne(ctx, row); err != nil { // mostly the folder's fault: the next would fail, too
			return fmt.Errorf("move segment %d to the warm folder: %w", row.ID, err)
		}
	}
	return ctx.Err()
}

// moveOne moves one segment in the steps of docs/design/archive-format.md. Readers go on
// in the file that they have open.
func (a *Archive) moveOne(ctx context.Context, row segmentRow) error {
	name := segment.FileName(row.ID)
	from, to := filepath.Join(a.dir, name), filepath.Join(a.warmDir, name)
	unfinished := filepath.Join(a.warmDir, "."+name)
	n, err := a.copyFile(ctx, from, unfinished)
	if err == nil {
		err = a.disk.Rename(unfinished, to)
	}
	if err == nil {
		err = a.disk.SyncDir(a.warmDir)
	}
	if err != nil {
		return errors.Join(err, a.disk.Remove(unfinished))
	}
	if err := a.index.setWarm(ctx, row.ID, true); err != nil {
		return err // the file is in both folders: the next pass copies it again
	}
	a.files.forget(row.ID)
	a.observer.Moved(n)
	if err := a.disk.Remove(from); err != nil {
		return err // the next start removes it
	}
	return a.disk.SyncDir(a.dir)
}

// copyBytes is how much is copied at a time.
const copyBytes = 1 << 20

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
	for at := int64(0); at < size; at += copyBytes {
		if err := ctx.Err(); err != nil {
			return written, err
		}
		b = b[:min(copyBytes, size-at)]
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
