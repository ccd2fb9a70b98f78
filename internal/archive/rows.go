package archive

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"slices"
	"strconv"
	"sync"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
	"github.com/millrace/millrace/internal/tally"
)

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
			grown := growth{length: r.end, longest: r.longest}
			for _, p := range r.records {
				p.err = nil
				added, err := in.insert(ctx, &p.Stored)
				if err != nil {
					return err
				}
				grown.total += p.length
				if !added {
					p.err = errTwice
					continue
				}
				grown.share.rows++
				grown.share.bytes += p.length
				counts.add(p.Stream, 1, p.length, p.Duration)
			}
			if err := advance(ctx, tx, r.seg.ID, grown); err != nil {
				return err
			}
		}
		if err := counts.count(ctx, tx); err != nil {
			return err
		}
		return in.Close()
	})
}

// replay commits what recovery found in a segment up to length. Rows that exist already
// are left alone, unless a copy was found: it replaces a row that points to an older
// segment.
func (x *index) replay(ctx context.Context, id, length int64, found []finding) (added int, err error) {
	err = x.db.Write(ctx, func(tx *sql.Tx) error {
		in, err := newInserter(ctx, tx)
		if err != nil {
			return err
		}
		grown := growth{length: length}
		counts := totals{}
		for i := range found {
			f := &found[i]
			grown.total += f.length
			grown.longest = max(grown.longest, f.Duration)
			if f.dead {
				continue
			}
			fresh, err := in.insert(ctx, &f.Stored)
			if err == nil && !fresh && f.copied {
				fresh, err = in.move(ctx, tx, &f.Stored, counts)
			}
			if err != nil {
				return err
			}
			if fresh {
				grown.share.rows++
				grown.share.bytes += f.length
				counts.add(f.Stream, 1, f.length, f.Duration)
			}
		}
		added = int(grown.share.rows)
		if err := advance(ctx, tx, id, grown); err != nil {
			return err
		}
		if err := counts.count(ctx, tx); err != nil {
			return err
		}
		return in.Close()
	})
	return added, err
}

// move makes room for the row of a copy where one points to an older segment, and
// inserts it. It reports whether there was one.
func (in *inserter) move(ctx context.Context, tx *sql.Tx, s *Stored, counts totals) (bool, error) {
	var from, length int64
	err := tx.QueryRowContext(ctx, `SELECT segment, length FROM fragments WHERE stream = $1 AND n = $2`, int64(s.Stream), s.Number.N).Scan(&from, &length)
	if err != nil || from >= s.segment {
		return false, err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM fragments WHERE stream = $1 AND n = $2`, int64(s.Stream), s.Number.N); err != nil {
		return false, err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE segments SET live = live - 1, bytes = bytes - $2 WHERE id = $1`, from, length); err != nil {
		return false, err
	}
	counts.add(s.Stream, -1, -length, 0)
	return in.insert(ctx, s)
}

// inserter is the prepared statement that adds a fragment.
type inserter struct {
	*sql.Stmt
	tracks []byte
}

func newInserter(ctx context.Context, tx *sql.Tx) (*inserter, error) {
	s, err := tx.PrepareContext(ctx, `INSERT INTO fragments
		(stream, n, server, random, producer, duration, size, timecode, segment, position, length, header,
			live_seq, changes, server_gaps, producer_gaps, ms, tracks)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) ON CONFLICT (stream, n) DO NOTHING`)
	return &inserter{Stmt: s, tracks: make([]byte, 0, 128)}, err
}

func (in *inserter) insert(ctx context.Context, s *Stored) (added bool, err error) {
	in.tracks = appendTracks(in.tracks[:0], s.Facts.Tracks)
	r, err := in.ExecContext(ctx, int64(s.Stream), s.Number.N, int64(s.Number.Server), int64(s.Number.Random), int64(s.Producer),
		s.Duration, s.Size, s.Timecode, s.segment, s.position, s.length, s.header,
		s.Facts.LiveSeq, int64(s.Facts.Changes), int64(s.Facts.ServerGaps), int64(s.Facts.ProducerGaps), s.Facts.Millis, in.tracks)
	if err != nil {
		return false, err
	}
	n, err := r.RowsAffected()
	return n == 1, err
}

// appendTracks appends tracks as the index keeps them: a row has half the bytes that the
// facts of a record have.
func appendTracks(b []byte, tracks []segment.Track) []byte {
	for _, t := range tracks {
		b = binary.AppendUvarint(b, uint64(t.Number))
		b = binary.AppendUvarint(b, uint64(t.Frames))
		b = binary.AppendUvarint(b, uint64(t.Bytes))
		b = binary.LittleEndian.AppendUint64(b, t.Fingerprint)
	}
	return b
}

// parseTracks reads what appendTracks wrote.
func parseTracks(b []byte) ([]segment.Track, error) {
	if len(b) == 0 {
		return nil, nil
	}
	const least = 11 // bytes of a track
	tracks := make([]segment.Track, 0, len(b)/least)
	for len(b) > 0 {
		var v [3]uint64
		for i := range v {
			k := 0
			if v[i], k = binary.Uvarint(b); k <= 0 {
				return nil, errTracks
			}
			b = b[k:]
		}
		if len(b) < 8 {
			return nil, errTracks
		}
		tracks = append(tracks, segment.Track{Number: uint32(v[0]), Frames: uint32(v[1]), Bytes: int64(v[2]),
			Fingerprint: binary.LittleEndian.Uint64(b)})
		b = b[8:]
	}
	return tracks, nil
}

var errTracks = errors.New("the tracks of a fragment's row are cut off")

// growth is what a transaction adds to the row of a segment.
type growth struct {
	length  int64 // all fragments below are in the index now
	share   share // rows that are new
	total   int64 // bytes of the fragment records behind the old length
	longest int64
}

// maxUncounted is how many fragments without a LiveSeq are stepped over to find one that
// has it. Behind so many it is as good to begin anew.
const maxUncounted = 1000

// sums reads what the fragments of a stream add up to. A row that is removed meanwhile is
// among the tops before it goes.
func (x *index) sums(ctx context.Context, id kvs.StreamID, tops *tops) (*tally.Stream, error) {
	rows, err := x.db.Read().QueryContext(ctx, `SELECT `+columns+` FROM fragments WHERE stream = $1 ORDER BY n DESC LIMIT $2`, int64(id), maxUncounted)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var first Stored
	any := false
	for c := newCells(); rows.Next(); {
		var s Stored
		if err := c.scan(rows, &s, columnCount); err != nil {
			return nil, err
		}
		if !any {
			first, any = s, true
		}
		if s.Facts.LiveSeq > 0 {
			return tally.Resume(s.Fragment, s.Facts, first.Number.N, tops.of(id)), nil
		}
	}
	if err := rows.Err(); err != nil || !any {
		return tally.Begin(tops.of(id)), err
	}
	return tally.Resume(first.Fragment, segment.Facts{}, first.Number.N, tops.of(id)), nil
}

// has reports whether a fragment of the stream has this number.
func (x *index) has(ctx context.Context, id kvs.StreamID, n int64) (found bool, err error) {
	err = x.db.Read().QueryRowContext(ctx, `SELECT COUNT(*) FROM fragments WHERE stream = $1 AND n = $2`, int64(id), n).Scan(&found)
	return found, err
}

// advance notes that all fragments of a segment up to a length are in the index.
func advance(ctx context.Context, tx *sql.Tx, id int64, g growth) error {
	r, err := tx.ExecContext(ctx, `UPDATE segments SET length = $2, live = live + $3, bytes = bytes + $4, total = total + $5,
		longest = CASE WHEN longest < $6 THEN $6 ELSE longest END WHERE id = $1`, id, g.length, g.share.rows, g.share.bytes, g.total, g.longest)
	if err != nil {
		return err
	}
	if n, err := r.RowsAffected(); err != nil || n != 1 {
		return errors.Join(err, kvs.Errorf(kvs.Internal, "segment %d has no row in the index", id))
	}
	return nil
}

// totals is what a transaction adds to the counts of streams, or takes from them.
type totals map[kvs.StreamID]total

type total struct {
	share
	longest int64 // of the fragments that came, in milliseconds
}

func (t totals) add(id kvs.StreamID, rows, bytes, longest int64) {
	s := t[id]
	t[id] = total{share{s.rows + rows, s.bytes + bytes}, max(s.longest, longest)}
}

// maxCounted is how many streams one statement counts.
const maxCounted = 500

// count changes the counts of streams. All of a batch go into a few statements: one for
// each stream would cost as much as a fragment's row.
func (t totals) count(ctx context.Context, tx *sql.Tx) error {
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(t)), maxCounted) {
		text := []byte(`INSERT INTO streams (stream, fragments, bytes, longest) VALUES `)
		for i, id := range ids {
			if i > 0 {
				text = append(text, ',')
			}
			text = append(strconv.AppendInt(append(text, '('), int64(id), 10), ',')
			text = append(strconv.AppendInt(text, t[id].rows, 10), ',')
			text = append(strconv.AppendInt(text, t[id].bytes, 10), ',')
			text = append(strconv.AppendInt(text, t[id].longest, 10), ')')
		}
		text = append(text, ` ON CONFLICT (stream) DO UPDATE SET fragments = streams.fragments + excluded.fragments, bytes = streams.bytes + excluded.bytes,
			longest = CASE WHEN streams.longest < excluded.longest THEN excluded.longest ELSE streams.longest END`...)
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

// nowhere is the segment of tombstones that only say that a stream had a number.
const nowhere = 0

// tops are the greatest counters by stream that tombstones name. The numbers of a playlist
// go on behind the newest fragment, and must not go back when that is removed: a
// tombstone tells of it whatever happens to the index. The zero value knows none.
type tops struct {
	mu sync.Mutex
	n  map[kvs.StreamID]int64
}

// raise takes note of tombstones, before rows go.
func (t *tops) raise(all []tombstone) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n == nil {
		t.n = make(map[kvs.StreamID]int64)
	}
	for _, s := range all {
		if n, ok := t.n[s.stream]; !ok || n < s.last {
			t.n[s.stream] = s.last
		}
	}
}

// replace forgets all but these.
func (t *tops) replace(all []tombstone) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n = make(map[kvs.StreamID]int64)
	for _, s := range all {
		t.n[s.stream] = max(t.n[s.stream], s.last)
	}
}

// of returns the greatest counter of a stream that was removed, as far as it matters.
func (t *tops) of(id kvs.StreamID) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n, ok := t.n[id]; ok {
		return n
	}
	return math.MinInt64
}

// keepTops returns what is to be kept of tombstones whose segments are gone: one for each
// stream whose newest fragment has a smaller number than they name. A stream without any
// fragment begins its numbers anew, above all that it had.
func (a *Archive) keepTops(ctx context.Context, all []tombstone, there map[int64]segmentRow) (marks []tombstone, err error) {
	var gone tops
	for _, t := range all {
		if _, ok := there[t.segment]; !ok {
			gone.raise([]tombstone{t})
		}
	}
	for id, n := range gone.n {
		newest, _, ok, err := a.index.newest(ctx, id)
		if err != nil {
			return nil, err
		}
		if ok && newest < n {
			marks = append(marks, pastNumber(id, n))
		}
	}
	return marks, nil
}

// pastNumber is the tombstone that only says that a stream had a number.
func pastNumber(id kvs.StreamID, n int64) tombstone {
	return tombstone{segment: nowhere, stream: id, first: n, last: n, reason: past}
}

// newest returns the greatest counter of a stream's rows, and the segment of that one.
func (x *index) newest(ctx context.Context, id kvs.StreamID) (n, segment int64, ok bool, err error) {
	err = x.db.Read().QueryRowContext(ctx, `SELECT n, segment FROM fragments WHERE stream = $1 ORDER BY n DESC LIMIT 1`, int64(id)).Scan(&n, &segment)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, 0, false, nil
	}
	return n, segment, err == nil, err
}

// markMissing keeps in mind which streams have their newest fragment in a missing file: its
// row goes without a tombstone, because it may come back.
func (r *recovery) markMissing(ctx context.Context, missing func(segment int64) bool) error {
	var marks []tombstone
	var payloads [][]byte
	for id, more := kvs.StreamID(math.MinInt64), true; more; {
		next, ok, err := r.index.nextStream(ctx, id)
		if err != nil {
			return err
		}
		if id, more = next, ok; !more {
			break
		}
		n, segment, _, err := r.index.newest(ctx, id)
		if err != nil {
			return err
		}
		if missing(segment) {
			marks = append(marks, pastNumber(id, n))
			payloads = append(payloads, marks[len(marks)-1].append(nil))
		}
	}
	if err := r.tombstones.Append(payloads...); err != nil {
		return err
	}
	r.upkeep.note(marks)
	return nil
}

// maxReplayed is how many rows one transaction of a start adds. Nobody waits behind it,
// and small ones would write the same pages of the index again and again.
const maxReplayed = 5000

// batch gathers the fragments found in one segment.
type batch struct {
	*recovery
	row    segmentRow
	dead   dead
	length int64 // every fragment before is in the index, or among found
	found  []finding
	torn   []finding // whose head is intact and whose bytes are not
	added  int
}

// add takes a fragment, and commits when there are enough.
func (b *batch) add(ctx context.Context, position int64, rec *segment.Record) error {
	if len(b.found) == maxReplayed {
		if err := b.flush(ctx, b.length); err != nil {
			return err
		}
	}
	f := b.finding(position, rec)
	if !f.dead {
		b.raiseLongest(f.Duration)
	}
	b.found = append(b.found, f)
	b.length = position + f.length
	return nil
}

func (b *batch) finding(position int64, rec *segment.Record) finding {
	f := finding{
		Stored: Stored{
			Fragment: rec.Fragment, Timecode: rec.Timecode, Facts: rec.Facts,
			segment: b.row.ID, position: position, length: rec.Size(), header: rec.Header,
		},
		copied: rec.Copied,
		dead:   b.dead.names(rec.Fragment.Stream, rec.Fragment.Number.N),
	}
	f.Facts.Tracks = slices.Clone(rec.Facts.Tracks) // the record's are used again
	return f
}

// buryTorn gives tombstones to damaged fragments between intact records: the footer lists
// them, as it lists what has a head, and nobody who reads it may take them for whole.
func (b *batch) buryTorn(good int64) error {
	var payloads [][]byte
	for _, f := range b.torn {
		if f.position >= good {
			continue // cut off
		}
		if !f.dead {
			n := f.Number.N
			t := tombstone{segment: b.row.ID, stream: f.Stream, first: n, last: n, reason: torn}
			payloads = append(payloads, t.append(nil))
			b.upkeep.note([]tombstone{t})
		}
		f.dead = true
		b.found = append(b.found, f)
	}
	return b.tombstones.Append(payloads...)
}

// flush commits what was gathered: everything before length. In the order of the index it
// writes a third less.
func (b *batch) flush(ctx context.Context, length int64) error {
	slices.SortStableFunc(b.found, func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Number.N, b.Number.N))
	})
	n, err := b.index.replay(ctx, b.row.ID, length, b.found)
	b.added += n
	b.found = b.found[:0]
	return err
}

// end commits the rest of a segment that was sealed already.
func (b *batch) end(ctx context.Context, size int64) error {
	if err := b.flush(ctx, b.length); err != nil {
		return err
	}
	if b.added > 0 {
		b.log.Info("segment recovered", "segment", b.row.ID, "fragments", b.added)
	}
	return b.index.sealSegment(ctx, b.row.ID, size, isSealed)
}
