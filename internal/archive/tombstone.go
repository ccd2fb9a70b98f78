package archive

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"io/fs"
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

// tellMissingTombstones says that the index knows of tombstones and there is no file. Nothing
// is listed again by that, but an index that is made anew would have rows of what was
// removed: what the catalog has of erasures is carried out again.
func (r *recovery) tellMissingTombstones(ctx context.Context, salt uint64) error {
	if salt == 0 {
		return nil
	}
	f, err := r.disk.Open(r.tombstonePath())
	if err == nil {
		return f.Close() // what of it is damaged is told by those who read it
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	r.log.Error("tombstones is missing, and is made again without what it said; erasures are carried out once more")
	r.observer.Damaged()
	return r.doubt(ctx)
}

// tellShortTombstones says that the file that the index knows has lost its end.
func (r *recovery) tellShortTombstones(ctx context.Context, salt uint64, position int64) error {
	if r.tombstones.Salt() != salt || r.tombstones.End() >= position {
		return nil
	}
	r.log.Error("tombstones is shorter than the index knows it, and what it said behind is lost; erasures are carried out once more",
		"bytes", r.tombstones.End(), "expected", position)
	r.observer.Damaged()
	return r.doubt(ctx)
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

// noteBuried notes that the rows are removed that tombstones before position name.
func noteBuried(ctx context.Context, tx *sql.Tx, salt uint64, position int64) error {
	_, err := tx.ExecContext(ctx, `UPDATE journal SET salt = $1, position = $2 WHERE id = 1`, int64(salt), position)
	return err
}

// Erased returns what [Archive.NoteErased] noted last. It is 0 when the index was made
// again, or a segment came back that it did not know: there may be anything.
func (a *Archive) Erased(ctx context.Context) (id int64, err error) {
	err = a.index.db.Read().QueryRowContext(ctx, `SELECT erasures FROM journal WHERE id = 1`).Scan(&id)
	return id, err
}

// NoteErased notes that nothing is stored that an erasure meant whose id, which the caller
// gives, is not greater.
func (a *Archive) NoteErased(ctx context.Context, id int64) error {
	return a.index.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE journal SET erasures = $1 WHERE id = 1`, id)
		return err
	})
}

// upkeep is what maintenance remembers between its steps. Whoever holds
// [Archive.maintenance] may use it.
type upkeep struct {
	cursors *cursors                  // guarded by itself
	buried  int64                     // rows are removed that tombstones before this position name
	entries map[int64]int             // tombstones by segment
	tops    tops                      // guarded by itself
	copies  *copying                  // a file may exist of whose copies the index does not know all; nil = none
	ghosts  bool                      // a file may exist whose fragments have copies elsewhere
	fresh   map[int64]int64           // bytes by segment that died since holes were punched last
	wiped   map[int64]bool            // segments that something was erased from since
	known   bool                      // fresh has what died before the start, too
	thin    map[int64]kvs.Millis      // segments of which little is left, and since when
	taken   map[int64]int64           // what segments take on the disk, since holes were punched last
	solid   map[string]bool           // folders whose disk takes no holes
	limits  map[kvs.StreamID]*trimmed // streams that a limit took something from

	unforwarded refusals // segments that are not copied forward
	unpunched   refusals // segments that get no holes
}

func newUpkeep() *upkeep {
	return &upkeep{cursors: newCursors(), entries: make(map[int64]int), ghosts: true,
		fresh: make(map[int64]int64), wiped: make(map[int64]bool), solid: make(map[string]bool), thin: make(map[int64]kvs.Millis),
		taken: make(map[int64]int64), unforwarded: make(refusals), unpunched: make(refusals), limits: make(map[kvs.StreamID]*trimmed)}
}

// note counts tombstones.
func (u *upkeep) note(all []tombstone) {
	u.tops.raise(all)
	for _, t := range all {
		u.entries[t.segment]++
	}
}

// bury removes rows, tombstones first. The caller holds maintenance. On a full disk the
// reserve makes room for it.
func (a *Archive) bury(ctx context.Context, victims []victim) error {
	if len(victims) == 0 {
		return nil
	}
	err := a.buryOnce(ctx, victims)
	if faultOf(err) == full && a.makeRoom(err) {
		err = a.buryOnce(ctx, victims)
	}
	return err
}

func (a *Archive) buryOnce(ctx context.Context, victims []victim) error {
	c := a.upkeep.copies
	err := a.settleTombstones(ctx)
	if c != nil && c.sealed { // what was chosen just now has moved
		c.redirect(victims)
	}
	if err != nil {
		return err
	}
	entries := tombstonesOf(victims)
	payloads := make([][]byte, len(entries))
	for i, t := range entries {
		payloads[i] = t.append(nil)
	}
	if err := a.tombstones.Append(payloads...); err != nil {
		return err
	}
	a.upkeep.note(entries)
	return a.follow(ctx, entries)
}

// settleTombstones makes sure that tombstones can be added: what those before name is
// removed, and no file is left whose fragments have copies. A tombstone of the copy would
// bring the original back.
func (a *Archive) settleTombstones(ctx context.Context) error {
	if err := a.settleCopies(ctx); err != nil {
		return err
	}
	if a.upkeep.ghosts {
		if err := a.removeDead(ctx); err != nil {
			return err
		}
	}
	if a.upkeep.buried == a.tombstones.End() {
		return nil
	}
	entries, err := a.readTombstones(a.upkeep.buried)
	if err != nil {
		return err
	}
	return a.follow(ctx, entries)
}

// readTombstones reads the entries from a position on.
func (a *Archive) readTombstones(from int64) (all []tombstone, err error) {
	f, err := a.disk.Open(a.tombstonePath())
	if err != nil {
		return nil, err
	}
	_, _, err = journal.Read(f, a.tombstones.End(), tombstoneFormat, func(at int64, b []byte) error {
		if at >= from {
			all = append(all, parseTombstone(b))
		}
		return nil
	})
	return all, errors.Join(err, f.Close())
}

func (a *Archive) tombstonePath() string { return filepath.Join(filepath.Dir(a.dir), tombstonesName) }

// tombstonesOf names rows, each run of consecutive counters by one entry. Only those are
// joined: between others there may be a fragment that is still on its way.
func tombstonesOf(victims []victim) (all []tombstone) {
	slices.SortFunc(victims, func(a, b victim) int {
		return cmp.Or(cmp.Compare(a.segment, b.segment), cmp.Compare(a.stream, b.stream), cmp.Compare(a.n, b.n))
	})
	for _, v := range victims {
		if k := len(all) - 1; k >= 0 && all[k].segment == v.segment && all[k].stream == v.stream && all[k].reason == v.why &&
			all[k].last+1 == v.n {
			all[k].last++
			continue
		}
		all = append(all, tombstone{segment: v.segment, stream: v.stream, first: v.n, last: v.n, reason: v.why})
	}
	return all
}

// follow removes the rows that tombstones name, which stand in the journal one after the
// other from where the index has come to.
func (a *Archive) follow(ctx context.Context, all []tombstone) error {
	for all = slices.Clone(all); len(all) > 0; {
		some, whole := portion(all)
		position := a.upkeep.buried + int64(whole*tombstoneFormat.Size)
		var taken []share
		err := a.index.db.Write(ctx, func(tx *sql.Tx) (err error) {
			if taken, err = removeNamed(ctx, tx, some); err != nil {
				return err
			}
			return noteBuried(ctx, tx, a.tombstones.Salt(), position)
		})
		if err != nil {
			return err
		}
		a.upkeep.buried = position
		a.removed(some, taken)
		if all = all[whole:]; whole < len(some) {
			all[0].first = some[len(some)-1].last + 1
		}
	}
	return nil
}

// portion returns tombstones that name at most maxDeletes rows together, and how many of
// them are whole.
func portion(all []tombstone) (some []tombstone, whole int) {
	rows := int64(0)
	for _, t := range all {
		if t.last-t.first < maxDeletes-rows {
			some = append(some, t)
			rows += t.last - t.first + 1
			continue
		}
		if len(some) == 0 {
			t.last = t.first + maxDeletes - 1
			return []tombstone{t}, 0
		}
		break
	}
	return some, len(some)
}

// removed tells the observer what went, and remembers where.
func (a *Archive) removed(all []tombstone, taken []share) {
	var sums [limited + 1]share
	for i, t := range all {
		a.noteRemoved(t.stream)
		a.upkeep.fresh[t.segment] += taken[i].bytes
		if t.reason == erased {
			a.upkeep.wiped[t.segment] = true
		}
		if t.reason > limited {
			continue // of a newer program
		}
		sums[t.reason].rows += taken[i].rows
		sums[t.reason].bytes += taken[i].bytes
	}
	for why, s := range sums {
		if s.rows > 0 {
			a.observer.Removed(reason(why).String(), s.rows, s.bytes)
		}
	}
}

// removeNamed removes the rows that tombstones name, and returns what each of them took.
func removeNamed(ctx context.Context, tx *sql.Tx, all []tombstone) (taken []share, err error) {
	counts, segments := totals{}, map[int64]share{}
	for _, t := range all {
		s, err := removeRange(ctx, tx, t)
		if err != nil {
			return nil, err
		}
		taken = append(taken, s)
		counts.add(t.stream, -s.rows, -s.bytes, 0)
		segments[t.segment] = share{segments[t.segment].rows + s.rows, segments[t.segment].bytes + s.bytes}
	}
	for id, s := range segments {
		if _, err := tx.ExecContext(ctx, `UPDATE segments SET live = live - $2, bytes = bytes - $3 WHERE id = $1`, id, s.rows, s.bytes); err != nil {
			return nil, err
		}
	}
	if err := counts.count(ctx, tx); err != nil {
		return nil, err
	}
	for id := range counts {
		if err := forgetEmpty(ctx, tx, id); err != nil {
			return nil, err
		}
	}
	return taken, nil
}

// takeRows is removeNamed for those who do not count.
func takeRows(ctx context.Context, tx *sql.Tx, all []tombstone) error {
	_, err := removeNamed(ctx, tx, all)
	return err
}

// removeRange removes the rows that one tombstone names.
func removeRange(ctx context.Context, tx *sql.Tx, t tombstone) (s share, err error) {
	rows, err := tx.QueryContext(ctx, `DELETE FROM fragments WHERE stream = $1 AND n >= $2 AND n <= $3 AND segment = $4 RETURNING length`,
		int64(t.stream), t.first, t.last, t.segment)
	if err != nil {
		return s, err
	}
	defer rows.Close()
	for rows.Next() {
		var length int64
		if err := rows.Scan(&length); err != nil {
			return s, err
		}
		s.rows++
		s.bytes += length
	}
	return s, rows.Err()
}

// thinTombstones writes the journal anew when more than half of it names segments that are
// gone.
func (a *Archive) thinTombstones(ctx context.Context) error {
	a.maintenance.Lock()
	defer a.maintenance.Unlock()
	there, err := a.index.segments(ctx)
	if err != nil {
		return err
	}
	total, gone := 0, 0
	for id, n := range a.upkeep.entries {
		if id == nowhere {
			continue
		}
		total += n
		if _, ok := there[id]; !ok {
			gone += n
		}
	}
	if gone <= total/2 {
		return nil
	}
	if err := a.settleTombstones(ctx); err != nil { // every row that goes unnamed must be gone
		return err
	}
	all, err := a.readTombstones(0)
	if err != nil {
		return err
	}
	marks, err := a.keepTops(ctx, all, there)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(t tombstone) bool { _, ok := there[t.segment]; return !ok })
	return a.rewriteTombstones(ctx, joined(append(all, marks...)))
}

// joined sorts tombstones and joins those that touch.
func joined(all []tombstone) []tombstone {
	slices.SortFunc(all, func(a, b tombstone) int {
		return cmp.Or(cmp.Compare(a.segment, b.segment), cmp.Compare(a.stream, b.stream), cmp.Compare(a.reason, b.reason), cmp.Compare(a.first, b.first))
	})
	out := all[:0]
	for _, t := range all {
		if k := len(out) - 1; k >= 0 && out[k].segment == t.segment && out[k].stream == t.stream && out[k].reason == t.reason && t.first <= out[k].last+1 {
			out[k].last = max(out[k].last, t.last)
			continue
		}
		out = append(out, t)
	}
	return out
}

// rewriteTombstones replaces the journal. A crash before the index knows of it makes the
// next start go through all of it, which finds nothing to remove.
func (a *Archive) rewriteTombstones(ctx context.Context, all []tombstone) error {
	salt := a.tombstones.Salt()
	err := a.tombstones.Rewrite(func(yield func([]byte) bool) {
		var b []byte
		for _, t := range all {
			if b = t.append(b[:0]); !yield(b) {
				return
			}
		}
	})
	if a.tombstones.Salt() == salt {
		return err
	}
	// With an error, too, it is the new file that goes on.
	clear(a.upkeep.entries)
	a.upkeep.tops.replace(all)
	a.upkeep.note(all)
	a.upkeep.buried = a.tombstones.End()
	return errors.Join(err, a.index.db.Write(ctx, func(tx *sql.Tx) error {
		return noteBuried(ctx, tx, a.tombstones.Salt(), a.tombstones.End())
	}))
}
