package archive

import (
	"fmt"
	"os"
	"testing"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// begin is the server time of fragment 0: as in the world, far above any number of fragments.
const begin = 1_700_000_000_000

// sequel stores fragments of stream 1 and checks that nothing they are given was given
// before or goes back.
type sequel struct {
	*mill
	last  segment.Facts
	given map[int64]int64 // live_seq to counter
}

func newSequel(t *testing.T) *sequel {
	q := &sequel{mill: newMill(t, nil), given: map[int64]int64{}}
	q.policies[1], q.policies[2] = Policy{Hours: 1 << 20}, Policy{Hours: 1 << 20}
	return q
}

// at is fragment n of a stream: 20 KB, one in each minute, each third with another codec.
func (q *sequel) at(id kvs.StreamID, n int64) Record {
	r := sample(id, n, 20_000)
	r.Fragment.Number.Server = begin + kvs.Millis(n*60_000)
	r.Tracks = []segment.Track{{Number: 1, Frames: 1, Fingerprint: uint64(n / 3)}}
	return r
}

func (q *sequel) store(what string, from, to int64) {
	q.t.Helper()
	for n := from; n <= to; n++ {
		q.mustStore(q.at(1, n))
		s, ok, err := q.Newest(q.t.Context(), 1, 0)
		f := s.Facts
		if err != nil || !ok || s.Number.N != n {
			q.t.Fatal(n, s.Number, ok, err)
		}
		if other, twice := q.given[f.LiveSeq]; twice {
			q.t.Errorf("%s: fragment %d has live_seq %d, which fragment %d had", what, n, f.LiveSeq, other)
		}
		if l := q.last; f.LiveSeq <= l.LiveSeq || f.Changes < l.Changes || f.ServerGaps < l.ServerGaps || f.ProducerGaps < l.ProducerGaps || f.Millis <= l.Millis {
			q.t.Errorf("%s: fragment %d has %+v behind %+v", what, n, f, l)
		}
		q.given[f.LiveSeq], q.last = n, f
	}
}

func (q *sequel) erase(from, to int64) {
	q.t.Helper()
	r := kvs.TimeRange{Start: begin + kvs.Millis(from*60_000), End: begin + kvs.Millis(to*60_000)}
	if toll, err := q.Erase(q.t.Context(), 1, Erasure{Range: r, Through: 1 << 40}); err != nil || toll.Fragments == 0 {
		q.t.Fatal(toll, err)
	}
}

// When the newest fragments of a stream are removed, those that come next are not given
// their numbers, whatever happens in between: with a start in between, an index from before, none,
// with the files of what was removed gone and their tombstones with them.
func TestPlaylistNumbersAreNeverGivenTwice(t *testing.T) {
	for _, c := range []struct {
		name  string
		start func(q *sequel)
	}{
		{"the same index", func(q *sequel) { q.again(nil) }},
		{"no index", func(q *sequel) { q.again(q.withoutIndex) }},
		{"forgotten while it runs", func(q *sequel) { q.sums.Forget(1) }},
		{"tombstones written anew", func(q *sequel) {
			all, err := q.readTombstones(0)
			if err != nil || len(all) == 0 {
				q.t.Fatal(all, err)
			}
			salt := q.tombstones.Salt()
			q.upkeep.entries[1<<40] = 2 * len(all) // of a segment that is gone
			if err := q.thinTombstones(q.t.Context()); err != nil || q.tombstones.Salt() == salt {
				q.t.Fatal("not written anew", err)
			}
			q.again(q.withoutIndex)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := newSequel(t)
			q.store("at first", 1, 20)
			q.again(nil) // what follows is in a segment of its own
			q.store("after a start", 21, 40)
			q.erase(21, 60)
			if files := segmentFiles(t, q.o.Dir); len(files) != 1 {
				t.Fatalf("the file of what was erased is there: %v", files)
			}
			c.start(q)
			q.store(c.name, 1001, 1005)
			q.erase(1004, 2000)
			c.start(q)
			c.start(q)
			q.store(c.name+", again", 2001, 2003)
			if q.given[q.last.LiveSeq-1] != 2002 {
				t.Error("the numbers have holes where nothing is gone")
			}
			q.erase(2003, 3000) // of a file that lives on
			c.start(q)
			q.store(c.name+", from a file that is there", 3001, 3003)
			before := q.last.LiveSeq
			c.start(q)
			q.store("with nothing removed", 3004, 3004)
			if q.last.LiveSeq != before+1 {
				t.Errorf("a start alone takes the number from %d to %d", before, q.last.LiveSeq)
			}
		})
	}
}

// An older index knows nothing of what was given and removed since.
func TestPlaylistNumbersWithAnOlderIndex(t *testing.T) {
	q := newSequel(t)
	q.store("at first", 1, 20)
	q.stop()
	index := q.o.Dir + "/index.db"
	copyFile(t, index, index+".saved")
	q.running = start(t, q.o)
	q.store("after", 21, 40)
	q.erase(15, 60)
	q.stop()
	if err := os.Rename(index+".saved", index); err != nil {
		t.Fatal(err)
	}
	q.running = start(t, q.o)
	q.store("with the older index", 41, 43)
}

// A file that is missing may come back, and then has the numbers that it had.
func TestPlaylistNumbersOfAMissingFile(t *testing.T) {
	q := newSequel(t)
	q.store("at first", 1, 5)
	q.mustStore(q.at(2, 1))
	q.again(nil)
	q.store("in another file", 6, 10)
	newest := segmentFiles(t, q.o.Dir)[1]
	q.again(func() {
		if err := os.Rename(newest, q.o.Dir+"/elsewhere"); err != nil {
			t.Fatal(err)
		}
	})
	if s, _, err := q.Newest(t.Context(), 1, 0); err != nil || s.Number.N != 5 {
		t.Fatal(s.Number, err)
	}
	if all, err := q.readTombstones(0); err != nil || fmt.Sprint(all) != fmt.Sprint([]tombstone{pastNumber(1, 10)}) {
		t.Errorf("%v, %v", all, err)
	}
	q.shop.now.Store(60_000) // segments are named by the clock
	q.again(nil)
	q.store("without the file", 11, 13)
	q.again(func() {
		if err := os.Rename(q.o.Dir+"/elsewhere", newest); err != nil {
			t.Fatal(err)
		}
	})
	seen := map[int64]bool{}
	rows, err := q.index.db.Read().Query(`SELECT n, live_seq FROM fragments WHERE stream = 1 ORDER BY n`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for last := int64(0); rows.Next(); {
		var n, seq int64
		if err := rows.Scan(&n, &seq); err != nil {
			t.Fatal(err)
		}
		if seen[seq] || seq <= last {
			t.Errorf("fragment %d has %d behind %d", n, seq, last)
		}
		seen[seq], last = true, seq
	}
	if err := rows.Err(); err != nil || len(seen) != 13 {
		t.Errorf("%d fragments, %v", len(seen), err)
	}
}

// What tombstones say of numbers is dropped when a newer fragment says it, or none needs it.
func TestTopsAreDropped(t *testing.T) {
	q := newSequel(t)
	q.store("at first", 1, 5)
	q.mustStore(q.at(2, 5))
	all := []tombstone{{99, 1, 4, 4, expired}, {99, 2, 6, 9, expired}, {98, 2, 7, 7, erased}, pastNumber(2, 8), {99, 3, 1, 7, deleted}}
	there, err := q.index.segments(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	marks, err := q.keepTops(t.Context(), all, there)
	if err != nil || fmt.Sprint(marks) != fmt.Sprint([]tombstone{pastNumber(2, 9)}) {
		t.Errorf("%v, %v", marks, err)
	}
}
