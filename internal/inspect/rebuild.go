package inspect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/journal"
	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/segment"
)

const (
	indexFile = "index.db"
	asideFile = ".index-before-repair.db" // the index that was replaced, until the new one has proved itself
)

// suffixes are those of the files of a database, in the order in which they may go: a log
// without its database is nothing, a database that finds a foreign log takes it for its own.
var suffixes = []string{"-shm", "-wal", ""}

// rebuild moves the index aside and lets a start make a new one. With compare, whatever
// the old one had and can be read must be in the new one; else the old one comes back.
func (r *repair) rebuild(ctx context.Context, compare bool) error {
	aside, index := filepath.Join(r.Dir, asideFile), filepath.Join(r.Dir, indexFile)
	if err := remove(aside); err != nil {
		return err
	}
	if err := r.move(index, aside); err != nil {
		return err
	}
	err := r.Open(ctx)
	if err == nil && compare {
		err = r.compare(ctx, aside, index)
	}
	if err != nil {
		if back := errors.Join(remove(index), r.move(aside, index)); back != nil {
			return errors.Join(err, fmt.Errorf("the index before the repair is %s: %w", aside, back))
		}
		return fmt.Errorf("the index was left as it was: %w", err)
	}
	r.did("index.db was made again from the segments")
	return remove(aside)
}

func (r *repair) move(from, to string) error {
	for _, suffix := range suffixes {
		if err := os.Rename(from+suffix, to+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return disk.System{}.SyncDir(r.Dir)
}

func remove(path string) error {
	var errs []error
	for _, suffix := range suffixes {
		if err := os.Remove(path + suffix); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// compare looks for rows of the old index that the new one lacks although their records
// can be read. What belongs to a deleted stream or is named by a tombstone may go.
func (r *repair) compare(ctx context.Context, before, now string) (err error) {
	old, err := openIndex(ctx, before)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, old.close()) }()
	c := &check{Options: r.Options, report: &Report{}}
	if c.index, err = openIndex(ctx, now); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.index.close()) }()
	if err := c.readJournals(ctx, nil); err != nil {
		return err
	}
	return old.at(ctx, func(v view) error {
		return c.index.at(ctx, func(new view) error {
			files := &openFiles{check: c, v: v}
			defer files.close()
			var failed error
			err := v.each(ctx, func(row *fragmentRow) {
				if failed == nil {
					failed = c.kept(ctx, files, new, row)
				}
			}, fragmentColumns+` ORDER BY stream, n`)
			return errors.Join(err, failed)
		})
	})
}

// kept makes sure that a row of the old index is in the new one, or may be missing.
func (c *check) kept(ctx context.Context, files *openFiles, new view, row *fragmentRow) error {
	id := row.id()
	if _, ok, err := new.fragment(ctx, id); ok || err != nil {
		return err
	}
	if dead, _ := c.dead.name(row.segment, id); dead {
		return nil
	}
	if gone, err := c.isDeleted(ctx, id.stream); gone || err != nil {
		return err
	}
	s, err := files.of(ctx, row.segment)
	if err != nil || s == nil {
		return err
	}
	rec, ok, err := segment.ReadRecord(s.f, s.head, row.position, s.size)
	if err != nil || !ok || (fragmentID{rec.Fragment.Stream, rec.Fragment.Number.N}) != id {
		return nil //nolint:nilerr // it could not be read before either
	}
	if whole, err := segment.Verify(s.f, row.position, &rec); err != nil || !whole {
		return nil //nolint:nilerr // as above
	}
	return fmt.Errorf("a new index would lack fragment %d of stream %d, which can be read at byte %d of %s", id.n, id.stream, row.position, s.name)
}

// rewriteKeys writes keys anew without entries that stand there twice.
func (r *repair) rewriteKeys() error {
	path := filepath.Join(r.Dir, keysFile)
	var entries [][]byte
	seen := map[string]bool{}
	j, err := journal.Open(disk.System{}, path, keyring.Format, func(_ int64, b []byte) error {
		if !seen[string(b)] {
			seen[string(b)] = true
			entries = append(entries, []byte(string(b)))
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = j.Rewrite(func(yield func([]byte) bool) {
		for _, e := range entries {
			if !yield(e) {
				return
			}
		}
	})
	r.did("keys was written anew, each key once")
	return errors.Join(err, j.Close())
}
