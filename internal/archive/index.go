package archive

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"errors"
	"maps"
	"slices"
	"strconv"

	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/kvs"
)

//go:embed migrations/*.sql
var migrations embed.FS

// index is the tables. Rows and the segment length they reach up to change in one
// transaction, so that recovery knows where to go on.
type index struct {
	db *db.DB
}

// segmentRow is a segment as the index knows it.
type segmentRow struct {
	segmentHead
	length  int64
	sealed  bool
	live    int64
	bytes   int64
	longest int64
}

func (x *index) addSegment(ctx context.Context, r segmentRow) error {
	return x.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO segments (id, salt, class, created, length, sealed, live, bytes, longest)
			VALUES ($1, $2, $3, $4, $5, 0, 0, 0, 0)`, r.id, int64(r.salt), r.class, r.created, r.length)
		return err
	})
}

func (x *index) sealSegment(ctx context.Context, id, length int64) error {
	return x.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE segments SET sealed = 1, length = $2 WHERE id = $1`, id, length)
		return err
	})
}

func (x *index) removeSegment(ctx context.Context, id int64) error {
	return x.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM segments WHERE id = $1 AND live = 0`, id)
		return err
	})
}

// errTwice says that the caller gave a fragment number twice.
var errTwice = kvs.Errorf(kvs.Internal, "a fragment with this number is stored already")

// addFragments commits the rows of the runs. A record whose number is taken gets
// errTwice, and its bytes are dead.
func (x *index) addFragments(ctx context.Context, runs []*run) error {
	return x.db.Write(ctx, func(tx *sql.Tx) error {
		in, err := newInserter(ctx, tx)
		if err != nil {
			return err
		}
		counts := totals{}
		for _, r := range runs {
			r.fragments, r.bytes = 0, 0
			for _, p := range r.records {
				p.err = nil
				added, err := in.insert(ctx, &p.Stored)
				if err != nil {
					return err
				}
				if !added {
					p.err = errTwice
					continue
				}
				r.fragments++
				r.bytes += p.length
				counts.add(p.Stream, 1, p.length)
			}
			if err := advance(ctx, tx, r.seg.id, r.end, r.fragments, r.bytes, r.longest); err != nil {
				return err
			}
		}
		if err := counts.count(ctx, tx); err != nil {
			return err
		}
		return in.Close()
	})
}

// replay commits rows that recovery found in a segment up to length. Rows that exist
// already are left alone.
func (x *index) replay(ctx context.Context, id, length int64, found []Stored) (added int, err error) {
	err = x.db.Write(ctx, func(tx *sql.Tx) error {
		in, err := newInserter(ctx, tx)
		if err != nil {
			return err
		}
		var bytes, longest int64
		counts := totals{}
		added = 0
		for i := range found {
			fresh, err := in.insert(ctx, &found[i])
			if err != nil {
				return err
			}
			if fresh {
				added++
				bytes += found[i].length
				counts.add(found[i].Stream, 1, found[i].length)
				longest = max(longest, found[i].Duration)
			}
		}
		if err := advance(ctx, tx, id, length, int64(added), bytes, longest); err != nil {
			return err
		}
		if err := counts.count(ctx, tx); err != nil {
			return err
		}
		return in.Close()
	})
	return added, err
}

// inserter is the prepared statement that adds a fragment.
type inserter struct{ *sql.Stmt }

func newInserter(ctx context.Context, tx *sql.Tx) (inserter, error) {
	s, err := tx.PrepareContext(ctx, `INSERT INTO fragments
		(stream, n, server, random, producer, duration, size, timecode, segment, position, length, header)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (stream, n) DO NOTHING`)
	return inserter{s}, err
}

func (in inserter) insert(ctx context.Context, s *Stored) (added bool, err error) {
	r, err := in.ExecContext(ctx, int64(s.Stream), s.Number.N, int64(s.Number.Server), int64(s.Number.Random), int64(s.Producer),
		s.Duration, s.Size, s.Timecode, s.segment, s.position, s.length, s.header)
	if err != nil {
		return false, err
	}
	n, err := r.RowsAffected()
	return n == 1, err
}

// advance notes that all fragments of a segment up to length are in the index.
func advance(ctx context.Context, tx *sql.Tx, id, length, fragments, bytes, longest int64) error {
	r, err := tx.ExecContext(ctx, `UPDATE segments SET length = $2, live = live + $3, bytes = bytes + $4,
		longest = CASE WHEN longest < $5 THEN $5 ELSE longest END WHERE id = $1`, id, length, fragments, bytes, longest)
	if err != nil {
		return err
	}
	if n, err := r.RowsAffected(); err != nil || n != 1 {
		return errors.Join(err, kvs.Errorf(kvs.Internal, "segment %d has no row in the index", id))
	}
	return nil
}

// segments returns the rows of all segments by id.
func (x *index) segments(ctx context.Context) (map[int64]segmentRow, error) {
	return selectSegments(ctx, x.db.Read(), `SELECT id, salt, class, created, length, sealed, live, bytes, longest FROM segments`)
}

// dead returns the sealed segments that no row points to.
func (x *index) dead(ctx context.Context) (map[int64]segmentRow, error) {
	return selectSegments(ctx, x.db.Read(), `SELECT id, salt, class, created, length, sealed, live, bytes, longest FROM segments
		WHERE sealed = 1 AND live = 0`)
}

func selectSegments(ctx context.Context, pool *sql.DB, query string) (map[int64]segmentRow, error) {
	rows, err := pool.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	segments := make(map[int64]segmentRow)
	for rows.Next() {
		var r segmentRow
		var salt int64
		if err := rows.Scan(&r.id, &salt, &r.class, &r.created, &r.length, &r.sealed, &r.live, &r.bytes, &r.longest); err != nil {
			return nil, err
		}
		r.salt = uint64(salt)
		segments[r.id] = r
	}
	return segments, rows.Err()
}

// SegmentInfo is what an index knows about one of its segments, for programs that copy
// archives.
type SegmentInfo struct {
	ID        int64
	Salt      uint64 // together with ID never given twice, on any machine
	Length    int64  // bytes of the file that the index stands for; they never change
	Sealed    bool   // Length never grows
	Fragments int64  // rows that point there
	Bytes     int64  // of their bodies
}

// Segments lists the segments of an index by id. pool may be a copy of an index, or the
// one that another process is using.
func Segments(ctx context.Context, pool *sql.DB) ([]SegmentInfo, error) {
	rows, err := selectSegments(ctx, pool, `SELECT id, salt, class, created, length, sealed, live, bytes, longest FROM segments`)
	if err != nil {
		return nil, err
	}
	all := make([]SegmentInfo, 0, len(rows))
	for _, r := range rows {
		all = append(all, SegmentInfo{ID: r.id, Salt: r.salt, Length: r.length, Sealed: r.sealed, Fragments: r.live, Bytes: r.bytes})
	}
	slices.SortFunc(all, func(a, b SegmentInfo) int { return cmp.Compare(a.ID, b.ID) })
	return all, nil
}

// Astray counts the fragments of an index that lie in no segment of it or behind the end
// of one. There are none in a whole index.
func Astray(ctx context.Context, pool *sql.DB) (n int64, err error) {
	err = pool.QueryRowContext(ctx, `SELECT COUNT(*) FROM fragments AS f LEFT JOIN segments AS s ON s.id = f.segment
		WHERE s.id IS NULL OR f.position + $1 + 4 * ((f.length + $2 - 1) / $2) + f.length > s.length`,
		recordHeadSize, chunkSize).Scan(&n) // as recordSize has it
	return n, err
}

// totals is what a transaction adds to the counts of streams, or takes from them.
type totals map[kvs.StreamID]share

func (t totals) add(id kvs.StreamID, rows, bytes int64) {
	s := t[id]
	t[id] = share{s.rows + rows, s.bytes + bytes}
}

// maxCounted is how many streams one statement counts.
const maxCounted = 500

// count changes the counts of streams. All of a batch go into a few statements: one for
// each stream would cost as much as a fragment's row.
func (t totals) count(ctx context.Context, tx *sql.Tx) error {
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(t)), maxCounted) {
		text := []byte(`INSERT INTO streams (stream, fragments, bytes) VALUES `)
		for i, id := range ids {
			if i > 0 {
				text = append(text, ',')
			}
			text = append(strconv.AppendInt(append(text, '('), int64(id), 10), ',')
			text = append(strconv.AppendInt(text, t[id].rows, 10), ',')
			text = append(strconv.AppendInt(text, t[id].bytes, 10), ')')
		}
		text = append(text, ` ON CONFLICT (stream) DO UPDATE SET fragments = streams.fragments + excluded.fragments, bytes = streams.bytes + excluded.bytes`...)
		if _, err := tx.ExecContext(ctx, string(text)); err != nil { // numbers only
			return err
		}
	}
	return nil
}

// forgetEmpty removes the count of a stream that keeps nothing, so that deleted streams
// leave nothing behind.
func forgetEmpty(ctx context.Context, tx *sql.Tx, id kvs.StreamID) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM streams WHERE stream = $1 AND fragments = 0`, int64(id))
	return err
}
