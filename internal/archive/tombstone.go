package archive

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"path/filepath"
	"slices"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/journal"
	"github.com/millrace/millrace/internal/kvs"
)

// tombstonesName is the file beside the index.
const tombstonesName = "tombstones"

var tombstoneFormat = journal.Format{Magic: "MLRCTMB\n", Size: 48}

// tombstone says that these fragments of a stream are dead in one segment. A copy of one
// of them in another segment is not meant.
type tombstone struct {
	segment     int64
	stream      kvs.StreamID
	first, last int64 // counters, both included
	reason      reason
}

// append appends the entry of the journal, without its checksum.
func (t tombstone) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(t.segment))
	b = binary.LittleEndian.AppendUint64(b, uint64(t.stream))
	b = binary.LittleEndian.AppendUint64(b, uint64(t.first))
	b = binary.LittleEndian.AppendUint64(b, uint64(t.last))
	return append(b, byte(t.reason), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
}

func parseTombstone(b []byte) tombstone {
	return tombstone{
		segment: int64(binary.LittleEndian.Uint64(b)),
		stream:  kvs.StreamID(binary.LittleEndian.Uint64(b[8:])),
		first:   int64(binary.LittleEndian.Uint64(b[16:])),
		last:    int64(binary.LittleEndian.Uint64(b[24:])),
		reason:  reason(b[32]),
	}
}

// dead are tombstones ordered by segment, stream and first counter.
type dead []tombstone

// openTombstones opens the journal and returns what it says, and that in the order it
// was written, from the position on that the index knows.
func openTombstones(fs disk.FS, dir string, salt uint64, position int64) (j *journal.Journal, all dead, behind []tombstone, err error) {
	var at []int64
	j, err = journal.Open(fs, filepath.Join(dir, tombstonesName), tombstoneFormat, func(p int64, b []byte) error {
		all, at = append(all, parseTombstone(b)), append(at, p)
		return nil
	})
	if err != nil {
		return nil, nil, nil, err
	}
	if j.Salt() != salt {
		position = 0 // written anew since: nobody knows what of it was done
	}
	i, _ := slices.BinarySearch(at, position)
	behind = slices.Clone(all[i:])
	slices.SortStableFunc(all, func(a, b tombstone) int {
		return cmp.Or(cmp.Compare(a.segment, b.segment), cmp.Compare(a.stream, b.stream), cmp.Compare(a.first, b.first))
	})
	return j, all, behind, nil
}

// of returns the tombstones of one segment.
func (d dead) of(segment int64) dead {
	bySegment := func(t tombstone, id int64) int { return cmp.Compare(t.segment, id) }
	from, _ := slices.BinarySearchFunc(d, segment, bySegment)
	to, _ := slices.BinarySearchFunc(d, segment+1, bySegment)
	return d[from:to]
}

// disjoint joins the ranges of each stream, so that names needs to look at one of them.
// d is of one segment.
func (d dead) disjoint() (all dead) {
	for _, t := range d {
		if k := len(all) - 1; k >= 0 && all[k].stream == t.stream && t.first <= all[k].last {
			all[k].last = max(all[k].last, t.last)
			continue
		}
		all = append(all, t)
	}
	return all
}

// names reports whether one of the tombstones, made by disjoint, names the fragment.
func (d dead) names(stream kvs.StreamID, n int64) bool {
	i, exact := slices.BinarySearchFunc(d, n, func(t tombstone, n int64) int {
		return cmp.Or(cmp.Compare(t.stream, stream), cmp.Compare(t.first, n))
	})
	return exact || i > 0 && d[i-1].stream == stream && d[i-1].last >= n
}

// buried returns how far the rows are removed that tombstones name: up to this position of
// the journal with this salt.
func (x *index) buried(ctx context.Context) (salt uint64, position int64, err error) {
	var s int64
	err = x.db.Read().QueryRowContext(ctx, `SELECT salt, position FROM journal WHERE id = 1`).Scan(&s, &position)
	return uint64(s), position, err
}

// bury notes that the rows are removed that tombstones before position name.
func bury(ctx context.Context, tx *sql.Tx, salt uint64, position int64) error {
	_, err := tx.ExecContext(ctx, `UPDATE journal SET salt = $1, position = $2 WHERE id = 1`, int64(salt), position)
	return err
}

// removeNamed removes the rows that a tombstone names, some at a time.
func (x *index) removeNamed(ctx context.Context, t tombstone) (removed int, err error) {
	for n := maxDeletes; n == maxDeletes; removed += n {
		err := x.db.Write(ctx, func(tx *sql.Tx) (err error) {
			n, err = removeSomeNamed(ctx, tx, &t)
			return err
		})
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// removeSomeNamed removes at most maxDeletes rows and moves t.first behind them.
func removeSomeNamed(ctx context.Context, tx *sql.Tx, t *tombstone) (n int, err error) {
	victims, err := namedRows(ctx, tx, t)
	if err != nil || len(victims) == 0 {
		return 0, err
	}
	t.first = victims[len(victims)-1].n + 1
	return len(victims), removeRows(ctx, tx, victims)
}

// namedRows returns the first rows that t names.
func namedRows(ctx context.Context, tx *sql.Tx, t *tombstone) (victims []victim, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT n, length FROM fragments WHERE stream = $1 AND n >= $2 AND n <= $3 AND segment = $4
		ORDER BY n LIMIT $5`, int64(t.stream), t.first, t.last, t.segment, maxDeletes)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		v := victim{stream: t.stream, segment: t.segment, why: t.reason}
		if err := rows.Scan(&v.n, &v.length); err != nil {
			return nil, err
		}
		victims = append(victims, v)
	}
	return victims, rows.Err()
}
