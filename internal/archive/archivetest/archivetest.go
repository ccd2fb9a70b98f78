// Package archivetest fills the index of an archive with millions of rows, faster than
// storing fragments would, so that benchmarks can ask what a large one costs.
//
// The rows are those of fragments of 250 KB and two seconds that all streams stored at
// the same time, in the order in which they came. There is no media: the segments are
// heads in front of holes. Only tests may import this package.
package archivetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"

	_ "modernc.org/sqlite" // the driver
)

// version changes when the rows or their tables do.
const version = 2

// Facts of every fragment.
const (
	recordBytes = 250_000
	millis      = 2000
	perSegment  = 1000
	firstID     = 1_700_000_000 // of a segment
)

// Shape is what an index holds. The streams have the ids from 1 on.
type Shape struct {
	Streams int
	Each    int // fragments of each stream, numbered from 1 on
}

// Rows is the number of fragments.
func (s Shape) Rows() int { return s.Streams * s.Each }

// String names the shape: streams, x, fragments of each.
func (s Shape) String() string { return fmt.Sprintf("%dx%d", s.Streams, s.Each) }

// Begin is the server time of the first fragment: a year before 2026-11-22.
const Begin kvs.Millis = 1_763_769_600_000

// End is the server time of the last one.
func (s Shape) End() kvs.Millis { return Begin + kvs.Millis(s.Each)*millis }

// Put gives the archive without fragments in dir, which must be closed, the rows and the
// segments of the shape. The rows are made once and kept in the user's cache directory;
// those of other versions are removed.
func Put(b testing.TB, s Shape, dir string) {
	b.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		b.Fatal(err)
	}
	kept, index := filepath.Join(cache, "millrace-bench"), filepath.Join(dir, "index.db")
	source := filepath.Join(kept, fmt.Sprintf("index-%v-%d.db", s, version))
	if _, err := os.Stat(source); err != nil {
		fresh, start := source+".new", time.Now()
		old, err := filepath.Glob(filepath.Join(kept, fmt.Sprintf("index-%v-*", s)))
		for _, name := range old {
			err = errors.Join(err, os.Remove(name))
		}
		err = errors.Join(err, os.MkdirAll(kept, 0o700), copyFile(fresh, index), fill(b.Context(), fresh, s), os.Rename(fresh, source))
		if err != nil {
			b.Fatal(err)
		}
		b.Logf("%s made within %v", source, time.Since(start))
	}
	if err := errors.Join(copyFile(index, source), makeSegments(filepath.Join(dir, "segments"), s)); err != nil {
		b.Fatal(err)
	}
}

// copyFile replaces to.
func copyFile(to, from string) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	w, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Close())
}

// fill adds the rows of the shape to an index without any.
func fill(ctx context.Context, index string, s Shape) (err error) {
	pool, err := sql.Open("sqlite", "file:"+index)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	pool.SetMaxOpenConns(1)
	// Whoever loses power here begins again.
	if _, err := pool.ExecContext(ctx, `PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA cache_size = -400000`); err != nil {
		return err
	}
	const step = 500_000
	for from := 0; from < s.Rows(); from += step {
		if _, err := pool.ExecContext(ctx, fragments, s.Streams, from, min(from+step, s.Rows())-1); err != nil {
			return err
		}
	}
	_, err = pool.ExecContext(ctx, segments, s.Rows())
	if err == nil {
		_, err = pool.ExecContext(ctx, streams)
	}
	return err
}

// fragments adds those from $2 to $3 of $1 streams. Two tracks tell of 50 and of 94 frames.
var fragments = fmt.Sprintf(`INSERT INTO fragments
	(stream, n, server, random, producer, duration, size, timecode, segment, position, length, header,
		live_seq, changes, server_gaps, producer_gaps, ms, tracks)
	WITH RECURSIVE row(i) AS (SELECT $2 UNION ALL SELECT i + 1 FROM row WHERE i < $3),
		at(i, stream, n, server) AS (SELECT i, i %% $1 + 1, i / $1 + 1, %d + i / $1 * %d + i %% $1 * 7 %% %[2]d + i %% 5 FROM row)
	SELECT stream, n, server, i * 2654435761 & 268435455, server - 150 - i * 7919 %% 40, %[2]d, %d - i %% 5000, server - 150 - i * 7919 %% 40,
		%d + i / %d, 1000000 + i %% %[5]d * %[3]d, %[3]d, 64 + i %% $1 * 700,
		n, 1, i / $1 / 500, i / $1 / 300, n * %[2]d, X'0132B0DE0C0102030405060708' || X'025EE0A90211121314151617AB'
	FROM at`, Begin, millis, recordBytes, firstID, perSegment)

// segments adds those of $1 fragments.
var segments = fmt.Sprintf(`INSERT INTO segments (id, salt, version, class, tier, created, length, sealed, warm, live, bytes, total, longest)
	WITH RECURSIVE row(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM row WHERE (i + 1) * %d < $1)
	SELECT %d + i, i + 1, 2, 4, 0, %d + i, %d, 1, 0, %[1]d, %[5]d, %[5]d, %d FROM row`,
	perSegment, firstID, Begin, segmentLength, perSegment*recordBytes, millis)

const segmentLength = 1_000_000 + perSegment*recordBytes

// streams counts what the streams have.
const streams = `INSERT INTO streams (stream, fragments, bytes, longest) SELECT stream, COUNT(*), SUM(length), MAX(duration) FROM fragments GROUP BY stream`

// makeSegments makes the files: heads and holes.
func makeSegments(dir string, s Shape) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for i := int64(0); i*perSegment < int64(s.Rows()); i++ {
		h := segment.Head{Version: 2, Class: 4, ID: firstID + i, Salt: uint64(i + 1), Created: Begin + kvs.Millis(i)}
		name := filepath.Join(dir, segment.FileName(h.ID))
		if err := errors.Join(os.WriteFile(name, h.Encode(), 0o600), os.Truncate(name, segmentLength)); err != nil {
			return err
		}
	}
	return nil
}
