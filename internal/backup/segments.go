package backup

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/segment"
)

// segments lists the segments of the index in use.
func (j *job) segments(ctx context.Context) ([]archive.SegmentInfo, error) {
	path := filepath.Join(j.Data, indexFile)
	pool, err := db.OpenReader(path)
	return segments(ctx, path, pool, err)
}

// copiedSegments lists the segments of an index that nobody changes.
func copiedSegments(ctx context.Context, path string) ([]archive.SegmentInfo, error) {
	pool, err := db.OpenCopy(path)
	return segments(ctx, path, pool, err)
}

func segments(ctx context.Context, path string, pool *sql.DB, err error) ([]archive.SegmentInfo, error) {
	if err != nil {
		return nil, err
	}
	rows, err := archive.Segments(ctx, pool)
	if err = errors.Join(err, pool.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return rows, nil
}

// roots are the folders of the source that hold segments.
func (j *job) roots() []string {
	roots := []string{filepath.Join(j.Data, segmentsDir)}
	if j.Warm != "" {
		roots = append(roots, filepath.Join(j.Warm, path.Base(segmentsDir)))
	}
	return roots
}

// open opens a segment of the source. While one moves to the warm folder its file is in
// both, then in the other one: so the first is looked at once more.
func (j *job) open(id int64) (f *os.File, err error) {
	roots := j.roots()
	for _, root := range append(roots, roots[0]) {
		if f, err = os.Open(filepath.Join(root, segment.FileName(id))); !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	return nil, err
}

// aheadRounds bounds copyAhead, and aheadEnough says when what is left is little.
const (
	aheadRounds = 4
	aheadEnough = 8
)

// copyAhead copies sealed segments, which never change, before the moment that the backup
// is of: what remains to be done at that moment is little, however much there is in all.
// A segment that expires meanwhile is left out; nobody will ask for it.
func (j *job) copyAhead(ctx context.Context) error {
	for range aheadRounds {
		rows, err := j.segments(ctx)
		if err != nil {
			return err
		}
		copied := 0
		for _, s := range rows {
			if !s.Sealed || s.Fragments == 0 || j.ready[s.ID] {
				continue
			}
			fresh, err := j.fetchSealed(ctx, s)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if fresh {
				copied++
			}
		}
		if copied <= aheadEnough {
			return nil
		}
	}
	return nil
}

// fetchSealed brings a sealed segment into the pool, if it is not there.
func (j *job) fetchSealed(ctx context.Context, s archive.SegmentInfo) (fresh bool, err error) {
	p, have := j.pool[part{s.ID, s.Salt, s.Length}]
	if have {
		j.ready[s.ID] = true
		return false, nil
	}
	f, err := j.open(s.ID)
	if err != nil {
		return false, err
	}
	defer f.Close() // only read from
	p, err = j.fetch(ctx, f, s)
	if err == nil && p.size == s.Length {
		j.ready[s.ID] = true
	}
	return true, err
}

// fetch copies the beginning of a segment that the index stands for into the pool. A file
// that is shorter than it should be is taken as it is.
func (j *job) fetch(ctx context.Context, f *os.File, s archive.SegmentInfo) (pooled, error) {
	h, err := segment.ReadHead(f)
	switch {
	case err != nil:
		j.warn("segment %s cannot be read, here and in the backup: %v", segment.FileName(s.ID), err)
	case h.ID != s.ID || h.Salt != s.Salt:
		return pooled{}, fmt.Errorf("%s is not the file that the index knows; the server would not start with it either", f.Name())
	}
	draft := j.repo.path(poolDir, ".new-segment")
	if err := j.volume.Remove(draft); err != nil {
		return pooled{}, err
	}
	size, digest, err := j.copier.to(ctx, draft, f, s.Length)
	if err != nil {
		return pooled{}, err
	}
	if size < s.Length {
		j.warn("segment %s has %d bytes, the index knows %d: what is missing cannot be read, here and in the backup",
			segment.FileName(s.ID), size, s.Length)
	}
	p := pooled{id: s.ID, salt: s.Salt, size: size, sha256: digest}
	if err := j.volume.Rename(draft, j.repo.path(poolDir, p.file())); err != nil {
		return pooled{}, err
	}
	j.pool[p.part()] = p
	j.fresh[p.part()] = true
	j.report.Copied += size
	return p, nil
}

// warn notes what the operator should know although the backup goes on; once.
func (j *job) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	for _, w := range j.manifest.Warnings {
		if w == text {
			return
		}
	}
	j.manifest.Warnings = append(j.manifest.Warnings, text)
}

// remark tells the operator something about the folder, which is no matter of this backup.
func (j *job) remark(format string, args ...any) {
	j.report.Warnings = append(j.report.Warnings, fmt.Sprintf(format, args...))
}

// pin opens every segment that is not in the pool, so that it can be read to its end even
// if it expires. A process that dies lets go of them.
func (j *job) pin() error {
	for _, root := range j.roots() {
		entries, err := os.ReadDir(root)
		if errors.Is(err, fs.ErrNotExist) && root != j.roots()[0] {
			continue // nothing was moved there yet
		}
		if err != nil {
			return err
		}
		if err := j.pinAll(entries); err != nil {
			return err
		}
	}
	return nil
}

func (j *job) pinAll(entries []os.DirEntry) error {
	for _, e := range entries {
		id, ok := segment.ParseFileName(e.Name())
		if !ok || j.ready[id] || j.pins[id] != nil {
			continue
		}
		f, err := j.open(id)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		j.pins[id] = f
	}
	return nil
}

// unpin lets go of all segments.
func (j *job) unpin() {
	for id, f := range j.pins {
		_ = f.Close() // only read from
		delete(j.pins, id)
	}
}
