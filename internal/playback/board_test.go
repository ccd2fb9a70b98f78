package playback

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// counted counts how often a table is asked.
type counted struct {
	*table
	asked int
}

func (c *counted) Latest(ctx context.Context, id kvs.StreamID, through int64, maximum int, horizon kvs.Millis) ([]archive.Stored, error) {
	c.asked++
	return c.table.Latest(ctx, id, through, maximum, horizon)
}

func (c *counted) Span(ctx context.Context, id kvs.StreamID, first, last int64, maximum int, horizon kvs.Millis) ([]archive.Stored, error) {
	c.asked++
	return c.table.Span(ctx, id, first, last, maximum, horizon)
}

func (c *counted) Longest(ctx context.Context, id kvs.StreamID) (int64, error) {
	c.asked++
	return c.table.Longest(ctx, id)
}

// desk is a board over an hour of fragments of two seconds, and the stream they belong to.
func desk() (*Board, *counted, kvs.Stream) {
	rows := &counted{table: newTable()}
	for n := range int64(1800) {
		at := epoch + kvs.Millis(n*2000)
		rows.store(kvs.Fragment{Stream: 1, Number: kvs.FragmentNumber{N: n + 1, Server: at}, Producer: at, Duration: 2000},
			[]segment.Track{{Number: 1, Fingerprint: 1}})
	}
	return NewBoard(BoardOptions{Archive: rows}), rows, kvs.Stream{ID: 1, Created: 77, Retention: 2, Status: kvs.Active}
}

const hour = 3_600_000

// A list of the live edge is made of what was read before, until something changes; one of
// the past takes one query.
func TestFewQueriesMakeAList(t *testing.T) {
	b, rows, s := desk()
	now := epoch + hour
	lists := func(want Session) func() (*Timeline, int) {
		want.Created, want.Expires = now, now+300_000
		ses, _, err := b.Begin(t.Context(), s, want)
		if err != nil {
			t.Fatal(err)
		}
		return func() (*Timeline, int) {
			before := rows.asked
			list, err := b.Timeline(t.Context(), s, &ses, now)
			if err != nil {
				t.Fatal(err)
			}
			return list, rows.asked - before
		}
	}
	edge := lists(Session{Mode: Live, Max: 5})
	for range 3 {
		if list, n := edge(); n != 0 || len(list.Entries) != 5 || list.Target != 2 {
			t.Errorf("%d queries for %+v", n, list)
		}
	}
	rows.store(kvs.Fragment{Stream: 1, Number: kvs.FragmentNumber{N: 5000, Server: now}, Duration: 2600}, nil)
	if list, n := edge(); n != 2 || list.First != 1 || list.Target != 3 {
		t.Errorf("%d queries for %+v", n, list)
	}
	past := lists(Session{Mode: OnDemand, Max: 1000, Range: kvs.TimeRange{Start: epoch, End: now}})
	for _, want := range []int{1, 0, 0} {
		if list, n := past(); n != want || len(list.Entries) != 1000 {
			t.Errorf("%d queries for %d entries", n, len(list.Entries))
		}
	}
}

// An ON_DEMAND list is read once for all its segments, initialization segments and viewers,
// until something of the stream is removed.
func TestOneQueryForAllOfAList(t *testing.T) {
	b, rows, s := desk()
	now := epoch + hour
	b.o.Now = func() time.Time { return now.Time() }
	visits := func() (all []Session) {
		for range 3 {
			now++
			ses, _, err := b.Begin(t.Context(), s, Session{Kind: DASH, Mode: OnDemand, Max: 1000, Created: now, Expires: now + 300_000, Range: kvs.TimeRange{Start: epoch, End: now}})
			if err != nil {
				t.Fatal(err)
			}
			ses.Range.End = epoch + hour // they were asked for at one moment
			all = append(all, ses)
		}
		return all
	}
	watch := func(viewers []Session, from int64) (queries int) {
		before := rows.asked
		for i := range viewers {
			for n := from; n <= 1000; n += 90 {
				if e, ok, err := b.Find(t.Context(), s, &viewers[i], n); err != nil || !ok || e.Number != n-1 || e.Stored.Number.N != n || e.Begin != (n-1)*2000 {
					t.Fatalf("number %d: %+v %v %v", n, e, ok, err)
				}
			}
			if _, ok, err := b.FindSet(t.Context(), s, &viewers[i], 0); err != nil || !ok {
				t.Fatal(ok, err)
			}
			for _, n := range []int64{-1, 0, from - 1, 1001} {
				if e, ok, err := b.Find(t.Context(), s, &viewers[i], n); err != nil || ok {
					t.Fatalf("number %d: %+v %v", n, e, err)
				}
			}
		}
		return rows.asked - before
	}
	viewers := visits()
	if n := watch(viewers, 1); n != 1 {
		t.Errorf("%d queries", n)
	}
	rows.store(kvs.Fragment{Stream: 1, Number: kvs.FragmentNumber{N: 5000, Server: now}, Duration: 2000}, nil)
	if n := watch(append(viewers, visits()...), 1); n != 0 {
		t.Errorf("%d queries when something was added", n)
	}
	now += hour + 4000 // fragments get too old, and are not removed yet
	if n := watch(viewers, 4); n != 0 {
		t.Errorf("%d queries when the first got too old", n)
	}
	rows.expire(epoch + 10_000)
	if n := watch(viewers, 6); n != 1 {
		t.Errorf("%d queries when some were removed", n)
	}
}

func TestSessionsThatCannotBegin(t *testing.T) {
	b, _, s := desk()
	none := s
	none.Retention = 0
	now := epoch + hour
	for name, c := range map[string]struct {
		stream kvs.Stream
		want   Session
		kind   kvs.Kind
	}{
		"nothing is kept":          {none, Session{Created: now}, kvs.NoRetention},
		"the producer is silent":   {s, Session{Created: now + 30_001}, kvs.NotFound},
		"nothing is in the range":  {s, Session{Created: now, Mode: OnDemand, Range: kvs.TimeRange{Start: epoch + 1, End: epoch + 1999}}, kvs.NotFound},
		"nothing is behind there":  {s, Session{Created: now, Mode: LiveReplay, Range: kvs.TimeRange{Start: now, End: NoEnd}}, kvs.NotFound},
		"all in the range expired": {s, Session{Created: now + 2*hour - 1, Mode: OnDemand, Range: kvs.TimeRange{Start: epoch, End: epoch + hour - 10_000}}, kvs.NotFound},
	} {
		c.want.Max = 5
		if _, _, err := b.Begin(t.Context(), c.stream, c.want); err == nil || kvs.KindOf(err) != c.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := b.Begin(t.Context(), s, Session{Created: now + 30_000, Max: 5}); err != nil {
		t.Errorf("30 s after the last fragment: %v", err)
	}
}

func TestAListEndsWithItsStream(t *testing.T) {
	b, rows, s := desk()
	now := epoch + hour
	ses, first, err := b.Begin(t.Context(), s, Session{Created: now, Expires: now + 300_000, Max: 5})
	if err != nil || first.Number.N != 1796 {
		t.Fatal(first.Number.N, err)
	}
	for status, ended := range map[kvs.Status]bool{kvs.Active: false, kvs.Updating: false, kvs.Deleting: true} {
		s.Status = status
		if list, err := b.Timeline(t.Context(), s, &ses, now); err != nil || list.Ended != ended {
			t.Errorf("%s: ended %v, %v", status, list.Ended, err)
		}
	}
	// Everything expired, and much later the producer is back: its counts begin anew.
	rows.expire(now + 2*hour)
	rows.restart()
	s.Status = kvs.Active
	for n := range int64(4000) {
		at := now + 3*hour + kvs.Millis(n*1000)
		rows.store(kvs.Fragment{Stream: 1, Number: kvs.FragmentNumber{N: 6000 + n, Server: at}, Producer: at, Duration: 1000}, nil)
	}
	if list, err := b.Timeline(t.Context(), s, &ses, now+4*hour); kvs.KindOf(err) != kvs.NotFound || err == nil {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	m := newMemory[int, int](10)
	for k := range 100 {
		mustOpen(t, &m, k, 3).close()
		if len(m.all) > 3 || m.have != 3*len(m.all) {
			t.Fatalf("%d values weigh %d", len(m.all), m.have)
		}
	}
	for k := range 100 { // what is used again and again stays
		hot := mustOpen(t, &m, -1, 3)
		if hot.known != (k > 0) {
			t.Fatalf("forgotten after %d others", k)
		}
		hot.known = true
		hot.close()
		mustOpen(t, &m, 2000+k, 3).close()
	}
	mustOpen(t, &m, 1000, 50).close() // alone it may weigh more
	if len(m.all) != 1 || m.have != 50 {
		t.Errorf("%d values weigh %d", len(m.all), m.have)
	}
}

func mustOpen(t *testing.T, m *memory[int, int], k, weight int) *remembered[int] {
	t.Helper()
	r, err := m.open(t.Context(), k, weight)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Who leaves does not wait behind a slow query, and those who stay come after it.
func TestWhoLeavesDoesNotWait(t *testing.T) {
	m := newMemory[int, int](10)
	one := mustOpen(t, &m, 1, 1)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if r, err := m.open(gone, 1, 1); r != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", r, err)
	}
	next := make(chan error)
	go func() {
		r, err := m.open(t.Context(), 1, 1)
		if err == nil {
			r.close()
		}
		next <- err
	}()
	one.close()
	if err := <-next; err != nil {
		t.Error(err)
	}
}
