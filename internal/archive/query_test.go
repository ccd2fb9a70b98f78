package archive

import (
	"context"
	"database/sql"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/kvs"
)

// fragment makes a record with these times; server time is 1000 per number.
func fragment(n int64, producer kvs.Millis, duration int64) Record {
	r := sample(1, n, 10)
	r.Fragment.Number.Server = kvs.Millis(n * 1000)
	r.Fragment.Producer, r.Fragment.Duration = producer, duration
	return r
}

func found(s Stored, ok bool, err error) (int64, error) {
	if !ok {
		return 0, err
	}
	return s.Number.N, err
}

func TestFindingByNumber(t *testing.T) {
	a := start(t, Options{Dir: t.TempDir()})
	for _, n := range []int64{7, 3, 5, 9} { // parallel sessions commit out of order
		a.mustStore(fragment(n, 0, 500))
	}
	a.mustStore(sample(2, 4, 1))
	ctx := context.Background()
	five := fragment(5, 0, 500).Fragment.Number
	before, behind := five, five
	before.Random--
	behind.Random++
	for name, c := range map[string]struct {
		after   kvs.FragmentNumber
		horizon kvs.Millis
		want    int64
	}{
		"from the start":           {kvs.FragmentNumber{}, 0, 3},
		"after one that is there":  {five, 0, 7},
		"after one that never was": {kvs.FragmentNumber{N: 6}, 0, 7},
		"just before, same count":  {before, 0, 5},
		"just behind, same count":  {behind, 0, 7},
		"after the last":           {kvs.FragmentNumber{N: 9, Server: math.MaxInt64}, 0, 0},
		"the horizon in between":   {kvs.FragmentNumber{}, 5001, 7},
		"the horizon exactly":      {kvs.FragmentNumber{}, 5000, 5},
		"all expired":              {kvs.FragmentNumber{}, 9001, 0},
	} {
		if got, err := found(a.Next(ctx, 1, c.after, c.horizon)); got != c.want || err != nil {
			t.Errorf("Next, %s: %d, %v; want %d", name, got, err, c.want)
		}
	}
	for horizon, want := range map[kvs.Millis][2]int64{0: {3, 9}, 3001: {5, 9}, 9000: {9, 9}, 9001: {0, 0}} {
		oldest, err := found(a.Next(ctx, 1, kvs.FragmentNumber{}, horizon))
		newest, err2 := found(a.Newest(ctx, 1, horizon))
		if got := [2]int64{oldest, newest}; got != want || err != nil || err2 != nil {
			t.Errorf("horizon %d: oldest and newest %v, want %v (%v, %v)", horizon, got, want, err, err2)
		}
	}
	for name, c := range map[string]struct {
		number  kvs.FragmentNumber
		horizon kvs.Millis
		want    int64
	}{
		"there":        {five, 0, 5},
		"random wrong": {behind, 0, 0},
		"count wrong":  {kvs.FragmentNumber{N: 6, Server: five.Server, Random: five.Random}, 0, 0},
		"expired":      {five, 5001, 0},
	} {
		if got, err := found(a.Get(ctx, 1, c.number, c.horizon)); got != c.want || err != nil {
			t.Errorf("Get, %s: %d, %v; want %d", name, got, err, c.want)
		}
	}
}

func TestFindingByTime(t *testing.T) {
	a := start(t, Options{Dir: t.TempDir()})
	a.mustStore(
		fragment(1, 100_000, 900),
		fragment(2, 101_000, 900), // a gap of 100 before it and after it
		fragment(3, 100_000, 900), // sent again
		fragment(4, 50_000, 9000), // backfill, longer than the rest
		fragment(5, 58_000, 500),  // inside 4
		fragment(6, 70_000, 0),
	)
	ctx := context.Background()
	for _, c := range []struct {
		name    string
		clock   kvs.Clock
		t       kvs.Millis
		horizon kvs.Millis
		want    int64
	}{
		{"inside", kvs.ServerClock, 1500, 0, 1},
		{"exact start", kvs.ServerClock, 2000, 0, 2},
		{"last millisecond", kvs.ServerClock, 1899, 0, 1},
		{"end is not inside", kvs.ServerClock, 1900, 0, 2},
		{"the latest start wins", kvs.ServerClock, 5200, 0, 5},
		{"a long one reaches over a short one", kvs.ServerClock, 5600, 0, 4},
		{"no duration, exact start: it starts latest", kvs.ServerClock, 6000, 0, 6},
		{"before all", kvs.ServerClock, 1, 0, 1},
		{"behind all", kvs.ServerClock, 13_001, 0, 0},
		{"inside, expired: the next", kvs.ServerClock, 1500, 1001, 2},
		{"sent again: the greatest number", kvs.ProducerClock, 100_500, 0, 3},
		{"gap", kvs.ProducerClock, 100_950, 0, 2},
		{"nested: the greatest number", kvs.ProducerClock, 58_100, 0, 5},
		{"behind the nested", kvs.ProducerClock, 58_600, 0, 4},
		{"before several equal: the greatest number", kvs.ProducerClock, 90_000, 0, 3},
		{"no duration, exact start", kvs.ProducerClock, 70_000, 0, 6},
		{"behind all", kvs.ProducerClock, 101_900, 0, 0},
		{"negative", kvs.ProducerClock, -5, 0, 4},
		{"the one sent again is all that is left", kvs.ProducerClock, 100_500, 2500, 3},
		{"expired by server time", kvs.ProducerClock, 58_600, 4001, 6},
	} {
		if got, err := found(a.At(ctx, 1, c.clock, c.t, c.horizon)); got != c.want || err != nil {
			t.Errorf("%s, clock %d, at %d: fragment %d, %v; want %d", c.name, c.clock, c.t, got, err, c.want)
		}
	}
}

// TestListPagesShowAllOnce compares paging with a sorted slice, on both clocks, with
// times that occur often.
func TestListPagesShowAllOnce(t *testing.T) {
	a := start(t, Options{Dir: t.TempDir()})
	rnd := rand.New(rand.NewPCG(1, 2))
	var all []Record
	for n := int64(1); n <= 300; n++ {
		r := fragment(n, kvs.Millis(rnd.IntN(40)*10), 500)
		r.Fragment.Number.Server = kvs.Millis(n / 7 * 10)
		all = append(all, r)
	}
	a.mustStore(all...)
	for range 200 {
		q := Query{Clock: kvs.Clock(rnd.IntN(2)), Max: 1 + rnd.IntN(60), Horizon: kvs.Millis(rnd.IntN(100))}
		q.Range.Start = kvs.Millis(rnd.IntN(500) - 50)
		q.Range.End = q.Range.Start + kvs.Millis(rnd.IntN(300))
		var want []kvs.Fragment
		for _, r := range all {
			at := r.Fragment.At(q.Clock)
			if at >= q.Range.Start && at <= q.Range.End && r.Fragment.Number.Server >= q.Horizon {
				want = append(want, r.Fragment)
			}
		}
		slices.SortStableFunc(want, func(x, y kvs.Fragment) int { return int(x.At(q.Clock) - y.At(q.Clock)) })
		if diff := cmp.Diff(want, pages(t, a.Archive, q)); diff != "" {
			t.Fatalf("%+v\n%s", q, diff)
		}
	}
}

func pages(t *testing.T, a *Archive, q Query) (all []kvs.Fragment) {
	t.Helper()
	for {
		page, last, more, err := a.List(context.Background(), 1, q)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) > q.Max || more && len(page) < q.Max {
			t.Fatalf("%d fragments on a page of %d, more is %v", len(page), q.Max, more)
		}
		all = append(all, page...)
		if !more {
			return all
		}
		q.After = last
	}
}

// TestStatementsUseTheirIndex keeps a query from walking over a whole stream.
func TestStatementsUseTheirIndex(t *testing.T) {
	a := open(t, Options{Dir: t.TempDir()})
	defer a.Close()
	q := &queries{}
	plans := map[**sql.Stmt]string{
		&q.byNumber:                 "(stream=? AND n>?)",
		&q.notExpired:               "fragments_server (stream=? AND server>?)",
		&q.newest:                   "(stream=? AND n>?)",
		&q.total:                    "INTEGER PRIMARY KEY (rowid=?)",
		&q.at[kvs.ServerClock]:      "fragments_server (stream=? AND server>? AND server<?)",
		&q.at[kvs.ProducerClock]:    "fragments_producer (stream=? AND producer>? AND producer<?)",
		&q.after[kvs.ServerClock]:   "fragments_server (stream=? AND server>?)",
		&q.after[kvs.ProducerClock]: "fragments_producer (stream=? AND producer>?)",
		&q.list[kvs.ServerClock]:    "fragments_server (stream=? AND (server,n)>(?,?)",
		&q.list[kvs.ProducerClock]:  "fragments_producer (stream=? AND (producer,n)>(?,?)",
	}
	for stmt, text := range statements(q) {
		if got := plan(t, a, text); plans[stmt] == "" || !strings.Contains(got, plans[stmt]) {
			t.Errorf("%s\n  plan %q\n  want %q", text, got, plans[stmt])
		}
	}
}

// plan returns how SQLite will run a statement.
func plan(t *testing.T, a *Archive, text string) (steps string) {
	t.Helper()
	highest := 0
	for _, m := range regexp.MustCompile(`\$(\d)`).FindAllStringSubmatch(text, -1) {
		highest = max(highest, int(m[1][0]-'0'))
	}
	rows, err := a.index.db.Read().Query("EXPLAIN QUERY PLAN "+text, slices.Repeat([]any{1}, highest)...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		steps += step + "; "
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return steps
}
