package archive

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/segment"
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
	segment.Head
	length  int64 // every fragment below this byte is in the index
	sealed  bool
	closed  bool  // nothing behind length counts, and yet there is no footer: a start cuts and seals
	warm    bool  // the file is in the warm folder
	both    bool  // it may be in the other folder, too
	live    int64 // rows that point here
	bytes   int64 // their records' bytes
	total   int64 // bytes of all fragment records, dead ones included
	longest int64 // no fragment here lasts longer, in milliseconds
}

func (x *index) addSegment(ctx context.Context, r segmentRow) error {
	return x.db.Write(ctx, func(tx *sql.Tx) error { return insertSegment(ctx, tx, r) })
}

// insertSegment adds the row of a segment that is not sealed and has no fragments yet.
func insertSegment(ctx context.Context, tx *sql.Tx, r segmentRow) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO segments (id, salt, version, class, tier, created, length, sealed, warm, live, bytes, total, longest)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, 0, 0, 0, 0)`,
		r.ID, int64(r.Salt), r.Version, r.Class, r.Tier, r.Created, r.length, placeOf(r.warm, r.both))
	return err
}

// What the column sealed says of a segment; 0 = it may have grown since.
const (
	isSealed = 1 // it ends in a footer, or is of version 1
	isClosed = 2 // it will not grow, but could not be cut and sealed yet
)

// sealSegment notes that a segment will not grow any more.
func (x *index) sealSegment(ctx context.Context, id, length, how int64) error {
	return x.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE segments SET sealed = $3, length = $2 WHERE id = $1`, id, length, how)
		return err
	})
}

func (x *index) removeSegment(ctx context.Context, id int64) error {
	return x.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM segments WHERE id = $1 AND live = 0`, id)
		return err
	})
}

const segmentColumns = `id, salt, version, class, tier, created, length, sealed, warm, live, bytes, total, longest`

// segments returns the rows of all segments by id.
func (x *index) segments(ctx context.Context) (map[int64]segmentRow, error) {
	return selectSegments(ctx, x.db.Read(), `SELECT `+segmentColumns+` FROM segments`)
}

// unsealed returns the rows of segments that a start has to look at.
func (x *index) unsealed(ctx context.Context) (map[int64]segmentRow, error) {
	return selectSegments(ctx, x.db.Read(), `SELECT `+segmentColumns+` FROM segments WHERE sealed <> 1`)
}

// sealed calls each for the sealed segments, and says how long the longest fragment in them
// may be. All ids come in one cell: there may be tens of thousands.
func (x *index) sealed(ctx context.Context, each func(id int64, warm bool)) (longest int64, err error) {
	var ids [2]sql.NullString
	var most sql.NullInt64
	err = x.db.Read().QueryRowContext(ctx, `SELECT string_agg(CASE WHEN warm % 2 = 0 THEN CAST(id AS TEXT) END, ','),
		string_agg(CASE WHEN warm % 2 = 1 THEN CAST(id AS TEXT) END, ','), MAX(longest) FROM segments WHERE sealed = 1`).Scan(&ids[0], &ids[1], &most)
	if err != nil {
		return 0, err
	}
	for i := range ids {
		for rest, text := ids[i].String, ""; rest != ""; {
			text, rest, _ = strings.Cut(rest, ",")
			id, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return 0, err
			}
			each(id, i == 1)
		}
	}
	return most.Int64, nil
}

// dead returns some sealed segments behind an id that no row points to.
func (x *index) dead(ctx context.Context, after int64, limit int) (map[int64]segmentRow, error) {
	return selectSegments(ctx, x.db.Read(), `SELECT `+segmentColumns+` FROM segments WHERE sealed = 1 AND live = 0 AND id > $1 ORDER BY id LIMIT $2`, after, limit)
}

// The bits of the column warm.
const (
	placeWarm = 1 // the file is in the warm folder
	placeBoth = 2 // it may be in the other folder, too
)

func placeOf(warm, both bool) (place int64) {
	if warm {
		place = placeWarm
	}
	if both {
		place |= placeBoth
	}
	return place
}

// setPlace notes in which folder the file of a segment is, and whether it may be in both.
func (x *index) setPlace(ctx context.Context, id int64, warm, both bool) error {
	return x.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE segments SET warm = $2 WHERE id = $1`, id, placeOf(warm, both))
		return err
	})
}

// segment returns the row of one segment.
func (x *index) segment(ctx context.Context, id int64) (row segmentRow, ok bool, err error) {
	rows, err := selectSegments(ctx, x.db.Read(), `SELECT `+segmentColumns+` FROM segments WHERE id = $1`, id)
	row, ok = rows[id]
	return row, ok, err
}

// segmentsWhere returns the rows of the segments that fulfil a condition.
func (x *index) segmentsWhere(ctx context.Context, condition string) (map[int64]segmentRow, error) {
	return selectSegments(ctx, x.db.Read(), `SELECT `+segmentColumns+` FROM segments WHERE `+condition)
}

func selectSegments(ctx context.Context, pool *sql.DB, query string, args ...any) (map[int64]segmentRow, error) {
	rows, err := pool.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	segments := make(map[int64]segmentRow)
	for rows.Next() {
		var r segmentRow
		var salt, sealed, place int64
		if err := rows.Scan(&r.ID, &salt, &r.Version, &r.Class, &r.Tier, &r.Created,
			&r.length, &sealed, &place, &r.live, &r.bytes, &r.total, &r.longest); err != nil {
			return nil, err
		}
		r.Salt, r.warm, r.both = uint64(salt), place&placeWarm != 0, place&placeBoth != 0
		r.sealed, r.closed = sealed == isSealed, sealed == isClosed
		segments[r.ID] = r
	}
	return segments, rows.Err()
}

// probe writes to the index without changing it.
func (x *index) probe(ctx context.Context) error {
	return x.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE journal SET position = position WHERE id = 1`)
		return err
	})
}

// SegmentInfo is what an index knows about one of its segments, for programs that copy
// archives.
type SegmentInfo struct {
	ID        int64
	Salt      uint64 // together with ID never given twice, on any machine
	Length    int64  // bytes of the file that the index stands for; they never change
	Sealed    bool   // Length never grows
	Fragments int64  // rows that point there
	Bytes     int64  // of their records
}

// Segments lists the segments of an index by id. pool may be a copy of an index, or the
// one that another process is using.
func Segments(ctx context.Context, pool *sql.DB) ([]SegmentInfo, error) {
	rows, err := selectSegments(ctx, pool, `SELECT `+segmentColumns+` FROM segments`)
	if err != nil {
		return nil, err
	}
	all := make([]SegmentInfo, 0, len(rows))
	for _, r := range rows {
		all = append(all, SegmentInfo{ID: r.ID, Salt: r.Salt, Length: r.length, Sealed: r.sealed, Fragments: r.live, Bytes: r.bytes})
	}
	slices.SortFunc(all, func(a, b SegmentInfo) int { return cmp.Compare(a.ID, b.ID) })
	return all, nil
}

// Astray counts the fragments of an index that lie in no segment of it or behind the end
// of one. There are none in a whole index.
func Astray(ctx context.Context, pool *sql.DB) (n int64, err error) {
	err = pool.QueryRowContext(ctx, `SELECT COUNT(*) FROM fragments AS f LEFT JOIN segments AS s ON s.id = f.segment
		WHERE s.id IS NULL OR f.position + f.length > s.length`).Scan(&n)
	return n, err
}

// disbelieve notes of segments that the index stands for nothing of them. If their files
// come back, even while their rows are removed, a start reads them from the beginning.
func (x *index) disbelieve(ctx context.Context, ids []int64) error {
	return x.db.Write(ctx, func(tx *sql.Tx) error {
		for _, id := range ids {
			if _, err := tx.ExecContext(ctx, `UPDATE segments SET sealed = 0, length = 0, total = 0 WHERE id = $1`, id); err != nil {
				return err
			}
		}
		return nil
	})
}

// removeDisbelieved removes the rows of segments that no row of a fragment points to any
// more.
func (x *index) removeDisbelieved(ctx context.Context) error {
	return x.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM segments WHERE length = 0`)
		return err
	})
}

// shorten notes that a segment ends where it has not ended before, and removes the rows of
// what was behind.
func (x *index) shorten(ctx context.Context, id, length, total int64) error {
	err := x.forget(ctx, `segment = `+strconv.FormatInt(id, 10)+` AND position >= `+strconv.FormatInt(length, 10))
	if err != nil {
		return err
	}
	return x.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE segments SET sealed = 0, length = $2, total = $3 WHERE id = $1`, id, length, total)
		return err
	})
}

// forget removes the rows of fragments that fulfil a condition. It looks once at every row
// there is, and is not for every day.
func (x *index) forget(ctx context.Context, condition string) error {
	for stream, n := int64(math.MinInt64), int64(math.MinInt64); ; {
		victims, err := x.victimsWhere(ctx, condition, stream, n)
		if err != nil || len(victims) == 0 {
			return err
		}
		last := victims[len(victims)-1]
		stream, n = int64(last.stream), last.n
		err = x.db.Write(ctx, func(tx *sql.Tx) error { return takeRows(ctx, tx, tombstonesOf(slices.Clone(victims))) })
		if err != nil || len(victims) < maxReplayed {
			return err
		}
	}
}

// victimsWhere returns the first rows behind a fragment that fulfil a condition.
func (x *index) victimsWhere(ctx context.Context, condition string, stream, n int64) (victims []victim, err error) {
	rows, err := x.db.Read().QueryContext(ctx, `SELECT stream, n, segment, length FROM fragments
		WHERE (stream, n) > ($1, $2) AND `+condition+` ORDER BY stream, n LIMIT $3`, stream, n, maxReplayed)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var v victim
		if err := rows.Scan(&v.stream, &v.n, &v.segment, &v.length); err != nil {
			return nil, err
		}
		victims = append(victims, v)
	}
	return victims, rows.Err()
}
