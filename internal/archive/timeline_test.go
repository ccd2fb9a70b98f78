package archive

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/kvs"
)

// shuffled stores some hundred fragments with burned numbers, late ones and producer times
// that go back, and returns their numbers in order.
func shuffled(t *testing.T, r *rand.Rand, a *running) []int64 {
	t.Helper()
	var recs []Record
	for n, at := int64(1), kvs.Millis(50_000); n < 400; n += 1 + r.Int64N(3)*r.Int64N(2) {
		if at += 900 + kvs.Millis(r.Int64N(300)); r.IntN(50) == 0 {
			at -= 30_000
		}
		recs = append(recs, fragment(n, at, 800+r.Int64N(400)))
	}
	var numbers []int64
	for i := range recs {
		numbers = append(numbers, recs[i].Fragment.Number.N)
	}
	for i := range recs { // some come late
		if k := i + r.IntN(6); r.IntN(8) == 0 && k < len(recs) {
			recs[i], recs[k] = recs[k], recs[i]
		}
	}
	a.mustStore(recs...)
	return numbers
}

func countersOf(all []Stored) (numbers []int64) {
	for i := range all {
		numbers = append(numbers, all[i].Number.N)
	}
	return numbers
}

// rowsOf returns all rows of stream 1 by number, through the simplest query there is.
func rowsOf(t *testing.T, a *Archive) []Stored {
	t.Helper()
	stmt, err := a.index.db.Read().Prepare(`SELECT ` + columns + ` FROM fragments WHERE stream = 1 ORDER BY n`)
	if err != nil {
		t.Fatal(err)
	}
	defer stmt.Close()
	all, err := a.list(context.Background(), stmt, 1000, nil)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestPlaylistQueriesFindWhatALookAtAllRowsFinds(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 1))
	a := start(t, Options{Dir: t.TempDir()})
	shuffled(t, r, a)
	if _, err := a.Erase(context.Background(), 1, Erasure{Range: kvs.TimeRange{Start: 200_000, End: 230_000}, Through: 1000}); err != nil {
		t.Fatal(err)
	}
	all := rowsOf(t, a.Archive)
	for range 300 {
		horizon := kvs.Millis(r.Int64N(450_000)) * kvs.Millis(r.IntN(2))
		kept := slices.DeleteFunc(slices.Clone(all), func(s Stored) bool { return s.Number.Server < horizon })
		checkRange(t, r, a.Archive, kept, horizon)
		checkSeek(t, r, a.Archive, kept, horizon)
		checkLatest(t, r, a.Archive, kept, horizon)
	}
}

func checkRange(t *testing.T, r *rand.Rand, a *Archive, kept []Stored, horizon kvs.Millis) {
	t.Helper()
	c, maximum := kvs.Clock(r.IntN(2)), 1+r.IntN(50)
	in := kvs.TimeRange{Start: kvs.Millis(r.Int64N(400_000))}
	in.End = in.Start + kvs.Millis(r.Int64N(100_000))
	within := func(s Stored) bool { return s.At(c) >= in.Start && s.At(c) <= in.End }
	var want, got []int64
	if i := slices.IndexFunc(kept, within); i >= 0 {
		for ; i < len(kept) && within(kept[i]); i++ {
			want = append(want, kept[i].Number.N)
		}
	}
	for after, more := int64(0), true; more; {
		var page []Stored
		var err error
		if page, more, err = a.Range(context.Background(), 1, c, in, after, maximum, horizon); err != nil || more && len(page) != maximum {
			t.Fatal(len(page), more, err)
		}
		got = append(got, countersOf(page)...)
		after = append([]int64{0}, got...)[len(got)]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%v of the %v clock, horizon %d: %s", in, c, horizon, diff)
	}
}

func checkSeek(t *testing.T, r *rand.Rand, a *Archive, kept []Stored, horizon kvs.Millis) {
	t.Helper()
	by := Measure(r.IntN(4))
	value := int64(0)
	if len(kept) > 0 {
		value = by.of(&kept[r.IntN(len(kept))]) + r.Int64N(3) - 1
	}
	want := int64(0)
	if i := slices.IndexFunc(kept, func(s Stored) bool { return s.Facts.LiveSeq > 0 && by.of(&s) >= value }); i >= 0 {
		want = kept[i].Number.N
	}
	if got, err := found(a.Seek(context.Background(), 1, by, value, horizon)); got != want || err != nil {
		t.Errorf("the first of which measure %d is at least %d is %d (%v), want %d; horizon %d", by, value, got, err, want, horizon)
	}
}

func checkLatest(t *testing.T, r *rand.Rand, a *Archive, kept []Stored, horizon kvs.Millis) {
	t.Helper()
	through, maximum := r.Int64N(420), 1+r.IntN(20)
	in := slices.DeleteFunc(slices.Clone(kept), func(s Stored) bool {
		return s.Facts.LiveSeq == 0 || through > 0 && s.Number.N > through
	})
	want := countersOf(in[max(0, len(in)-maximum):])
	all, err := a.Latest(context.Background(), 1, through, maximum, horizon)
	if diff := cmp.Diff(want, countersOf(all)); diff != "" || err != nil {
		t.Errorf("the %d newest through %d, horizon %d: %v %s", maximum, through, horizon, err, diff)
	}
}

// To find the first fragment of a range on the producer's clock so many starts are looked at, from the
// beginning of the range on; what the horizon has reached does not count.
func TestSoManyStartsAreLookedAt(t *testing.T) {
	a := start(t, Options{Dir: t.TempDir()})
	var recs []Record
	for n := int64(1); n <= 10; n++ { // stored from the last to the first, by the producer's clock
		recs = append(recs, fragment(n, kvs.Millis(100_000-n*1000), 900))
	}
	a.mustStore(recs...)
	for _, c := range []struct{ horizon, starts, want int64 }{{0, 10, 1}, {0, 9, 2}, {0, 1, 10}, {5000, 3, 8}, {5000, 100, 5}} {
		all, err := a.list(t.Context(), a.queries.begin[kvs.ProducerClock], 1, nil, 1, c.horizon, 0, 1_000_000, 1, c.starts)
		if err != nil || len(all) != 1 || all[0].Number.N != c.want {
			t.Errorf("%+v: %v, %v", c, countersOf(all), err)
		}
	}
}

func TestAChangeIsSeen(t *testing.T) {
	a := start(t, Options{Dir: t.TempDir()})
	ctx := context.Background()
	before := a.Changed(1)
	a.mustStore(sample(2, 1, 10))
	if a.Changed(1) != before {
		t.Error("another stream's fragment is a change")
	}
	a.mustStore(fragment(1, 0, 900), fragment(2, 0, 700))
	stored := a.Changed(1)
	if stored == before {
		t.Error("a stored fragment is no change")
	}
	removed := a.Removed(1)
	if a.Top(1) >= 2 || removed != 0 {
		t.Error("fragments were removed")
	}
	if _, err := a.Erase(ctx, 1, Erasure{Range: kvs.TimeRange{Start: 1500, End: 3000}, Through: 2}); err != nil {
		t.Fatal(err)
	}
	if a.Changed(1) == stored || a.Removed(1) == removed || a.Removed(2) != 0 || a.Top(1) != 2 {
		t.Errorf("a removed fragment is no change, or not the greatest: %d", a.Top(1))
	}
}

func TestTheLongestFragmentIsRemembered(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	a := start(t, o)
	ctx := context.Background()
	want := func(id kvs.StreamID, ms int64) {
		t.Helper()
		if got, err := a.Longest(ctx, id); got != ms || err != nil {
			t.Errorf("the longest of stream %d lasts %d (%v), want %d", id, got, err, ms)
		}
	}
	want(1, 0)
	a.mustStore(fragment(1, 0, 900), fragment(2, 0, 4000), fragment(3, 0, 700))
	want(1, 4000)
	want(2, 0)
	if _, err := a.Erase(ctx, 1, Erasure{Range: kvs.TimeRange{Start: 2000, End: 2000}, Through: 3}); err != nil {
		t.Fatal(err)
	}
	want(1, 4000)
	a.stop()
	a = start(t, o)
	want(1, 4000)
	a.mustStore(fragment(4, 0, 4100))
	want(1, 4100)
}

// plansOfLists is how SQLite is to run the statements of playlists.
func plansOfLists(q *queries) map[**sql.Stmt]string {
	return map[**sql.Stmt]string{
		&q.latest:                   "(stream=? AND n>? AND n<?)",
		&q.span:                     "(stream=? AND n>? AND n<?)",
		&q.probe:                    "(stream=? AND n>? AND n<?)",
		&q.bounds:                   "fragments_server (stream=? AND server>?)",
		&q.longest:                  "INTEGER PRIMARY KEY (rowid=?)",
		&q.begin[kvs.ServerClock]:   "fragments_server (stream=? AND server<?)",
		&q.begin[kvs.ProducerClock]: "COVERING INDEX fragments_producer (stream=? AND producer>? AND producer<?)",
	}
}

func TestPlaylistsUseTheirIndex(t *testing.T) {
	a := open(t, Options{Dir: t.TempDir()})
	defer a.Close()
	q, all := &queries{}, map[**sql.Stmt]string{}
	q.lists.statements(all)
	plans := plansOfLists(q)
	for stmt, text := range all {
		got := plan(t, a, text)
		if plans[stmt] == "" || !strings.Contains(got, plans[stmt]) || strings.Contains(got, "SCAN fragments") || strings.Contains(got, "TEMP") {
			t.Errorf("%s\n  plan %q\n  want %q", text, got, plans[stmt])
		}
	}
}
