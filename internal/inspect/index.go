package inspect

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// index is the archive's index, for queries only.
type index struct {
	path string
	pool *sql.DB
}

// openIndex opens an index that a server may be using. The error says so when its tables
// are of another program.
func openIndex(ctx context.Context, path string) (*index, error) {
	pool, err := db.OpenReader(path)
	if err != nil {
		return nil, err
	}
	x := &index{path, pool}
	err = x.at(ctx, func(v view) error {
		_, _, err := v.nextLiving(ctx, 0)
		return err
	})
	if err != nil {
		if !db.IsDamaged(err) {
			err = fmt.Errorf("%s cannot be read; if it is of another version, start the server once, or use the program that belongs to it: %w", path, err)
		}
		return nil, errors.Join(err, pool.Close())
	}
	return x, nil
}

func (x *index) close() error { return x.pool.Close() }

// view is the index as it was at one moment.
type view struct{ tx *sql.Tx }

// at runs queries that see one moment.
func (x *index) at(ctx context.Context, queries func(view) error) error {
	tx, err := x.pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	return queries(view{tx})
}

// segmentRow is a segment as the index knows it.
type segmentRow struct {
	segment.Head
	length  int64
	sealed  bool
	warm    bool
	live    int64
	bytes   int64
	total   int64
	longest int64
}

const segmentColumns = `SELECT id, salt, version, class, tier, created, length, sealed = 1, warm % 2, live, bytes, total, longest FROM segments`

func (r *segmentRow) scan(rows *sql.Rows) error {
	var salt int64
	err := rows.Scan(&r.ID, &salt, &r.Version, &r.Class, &r.Tier, &r.Created, &r.length, &r.sealed, &r.warm, &r.live, &r.bytes, &r.total, &r.longest)
	r.Salt = uint64(salt)
	return err
}

// segments returns all rows of segments.
func (x *index) segments(ctx context.Context) (map[int64]segmentRow, error) {
	all := map[int64]segmentRow{}
	err := x.at(ctx, func(v view) (err error) {
		all, err = v.segments(ctx)
		return err
	})
	return all, err
}

func (v view) segments(ctx context.Context) (map[int64]segmentRow, error) {
	rows, err := v.tx.QueryContext(ctx, segmentColumns)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[int64]segmentRow{}
	for rows.Next() {
		var r segmentRow
		if err := r.scan(rows); err != nil {
			return nil, err
		}
		all[r.ID] = r
	}
	return all, rows.Err()
}

// nextLiving returns the sealed segment with live records that has the smallest id above
// one.
func (v view) nextLiving(ctx context.Context, after int64) (r segmentRow, ok bool, err error) {
	return v.oneSegment(ctx, ` WHERE id > $1 AND sealed = 1 AND live > 0 ORDER BY id LIMIT 1`, after)
}

func (v view) segment(ctx context.Context, id int64) (r segmentRow, ok bool, err error) {
	return v.oneSegment(ctx, ` WHERE id = $1`, id)
}

func (v view) oneSegment(ctx context.Context, which string, id int64) (r segmentRow, ok bool, err error) {
	rows, err := v.tx.QueryContext(ctx, segmentColumns+which, id)
	if err != nil {
		return r, false, err
	}
	defer rows.Close()
	if rows.Next() {
		return r, true, r.scan(rows)
	}
	return r, false, rows.Err()
}

// position returns up to which byte of which tombstones the rows are removed.
func (v view) position(ctx context.Context) (salt uint64, at int64, err error) {
	var s int64
	err = v.tx.QueryRowContext(ctx, `SELECT salt, position FROM journal`).Scan(&s, &at)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return uint64(s), at, err
}

// fragmentID is what the index keeps a fragment under.
type fragmentID struct {
	stream kvs.StreamID
	n      int64
}

// fragmentRow is a fragment as the index knows it.
type fragmentRow struct {
	kvs.Fragment
	timecode int64
	segment  int64
	position int64
	length   int64
	header   int64
	facts    segment.Facts // without tracks
	tracks   string        // see appendTracks
}

func (r *fragmentRow) id() fragmentID { return fragmentID{r.Stream, r.Number.N} }

const fragmentColumns = `SELECT stream, n, server, random, producer, duration, size, timecode, segment, position, length, header,
	live_seq, changes, server_gaps, producer_gaps, ms, tracks FROM fragments`

func (r *fragmentRow) scan(rows *sql.Rows) error {
	var tracks sql.RawBytes
	err := rows.Scan(&r.Stream, &r.Number.N, &r.Number.Server, &r.Number.Random, &r.Producer, &r.Duration, &r.Size, &r.timecode,
		&r.segment, &r.position, &r.length, &r.header,
		&r.facts.LiveSeq, &r.facts.Changes, &r.facts.ServerGaps, &r.facts.ProducerGaps, &r.facts.Millis, &tracks)
	r.tracks = string(tracks)
	return err
}

// between calls each for the rows of a stream with these counters, in order.
func (v view) between(ctx context.Context, stream kvs.StreamID, from, to int64, each func(*fragmentRow)) error {
	return v.each(ctx, each, fragmentColumns+` WHERE stream = $1 AND n >= $2 AND n <= $3 ORDER BY n`, int64(stream), from, to)
}

// fragment returns the row of one fragment.
func (v view) fragment(ctx context.Context, id fragmentID) (found fragmentRow, ok bool, err error) {
	err = v.between(ctx, id.stream, id.n, id.n, func(r *fragmentRow) { found, ok = *r, true })
	return found, ok, err
}

func (v view) each(ctx context.Context, each func(*fragmentRow), query string, args ...any) error {
	rows, err := v.tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var r fragmentRow
	for rows.Next() {
		if err := r.scan(rows); err != nil {
			return err
		}
		each(&r)
	}
	return rows.Err()
}
