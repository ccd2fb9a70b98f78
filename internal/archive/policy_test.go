package archive

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/internal/kvs"
)

// TestAHoldCoversWhatOverlapsIt: an instant belongs to the fragment that begins there.
func TestAHoldCoversWhatOverlapsIt(t *testing.T) {
	for _, c := range []struct {
		from, to  kvs.Millis
		start, ms int64
		want      bool
	}{
		{10, 20, 10, 5, true}, {10, 20, 20, 5, true}, {10, 20, 21, 5, false},
		{10, 20, 0, 10, false}, {10, 20, 0, 11, true}, {10, 20, 0, 100, true}, {10, 10, 10, 0, true}, {10, 10, 9, 0, false},
	} {
		f := kvs.Fragment{Number: kvs.FragmentNumber{Server: kvs.Millis(c.start)}, Producer: kvs.Millis(c.start + 1000), Duration: c.ms}
		if got := (Hold{Range: kvs.TimeRange{Start: c.from, End: c.to}}).Covers(&f); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
		if got := (Hold{Clock: kvs.ProducerClock, Range: kvs.TimeRange{Start: c.from + 1000, End: c.to + 1000}}).Covers(&f); got != c.want {
			t.Errorf("%+v by producer time: %v", c, got)
		}
	}
}

// yard is one stream whose policy a test changes.
type yard struct {
	*running
	shop   *shop
	policy Policy
	recs   []Record
}

// newYard stores so many fragments, one an hour from hour 1 on.
func newYard(t *testing.T, n int64) *yard {
	y := &yard{shop: &shop{}, policy: Policy{Hours: 1 << 20}}
	o := y.shop.options(t)
	o.Policy = func(context.Context, kvs.StreamID) (Policy, error) { return y.policy, nil }
	y.running = start(t, o)
	for i := int64(1); i <= n; i++ {
		r := hourly(1, i)
		y.recs = append(y.recs, r)
		y.mustStore(r)
	}
	return y
}

func (y *yard) expire(hour int64) {
	y.t.Helper()
	y.shop.now.Store(hour * 3_600_000)
	if err := y.Expire(y.t.Context()); err != nil {
		y.t.Fatal(err)
	}
}

// want checks that exactly these are stored, by number.
func (y *yard) want(numbers ...int) {
	y.t.Helper()
	var recs []Record
	for _, n := range numbers {
		recs = append(recs, y.recs[n-1])
	}
	wantStored(y.t, y.Archive, 1, recs...)
}

func hoursHeld(from, to kvs.Millis) Hold {
	return Hold{Range: kvs.TimeRange{Start: from * hour, End: to * hour}}
}

// TestHoldsWin over retention and over the limit of bytes, whenever they are set, and what
// only they kept goes when they do.
func TestHoldsWin(t *testing.T) {
	y := newYard(t, 12)
	y.policy = Policy{Hours: 4, Holds: []Hold{hoursHeld(3, 4), hoursHeld(6, 6)}}
	y.expire(12)
	y.want(3, 4, 6, 8, 9, 10, 11, 12)
	y.expire(13)
	y.want(3, 4, 6, 9, 10, 11, 12)
	y.policy.Holds = y.policy.Holds[1:]
	y.expire(13)
	y.want(6, 9, 10, 11, 12)
	y.policy = Policy{Hours: 1, Holds: []Hold{hoursHeld(6, 6), {Clock: kvs.ProducerClock, Range: kvs.TimeRange{Start: y.recs[9].Fragment.Producer, End: y.recs[9].Fragment.Producer}}}}
	y.expire(13)
	y.want(6, 10, 12)
	y.policy.Hours, y.policy.Bytes = 1<<20, 1
	y.expire(13)
	y.want(6, 10)
	y.policy.Holds = nil
	y.expire(13)
	y.want()
}

// TestALimitOfBytesTakesTheOldest and no more than it must.
func TestALimitOfBytesTakesTheOldest(t *testing.T) {
	y := newYard(t, 10)
	u := usage(t, y.Archive, 1, 0)
	each := u.Bytes / 10
	y.policy.Bytes = u.Bytes
	y.expire(10)
	y.want(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
	y.policy.Bytes = u.Bytes - 1
	y.expire(10)
	y.want(2, 3, 4, 5, 6, 7, 8, 9, 10)
	y.policy = Policy{Hours: 5, Bytes: 3*each + each/2, Holds: []Hold{hoursHeld(2, 2)}}
	y.expire(10)
	y.want(2, 9, 10)
}

// TestManyStreamsWithManyHeldRows needs several rounds of a pass, and looks at held rows
// once.
func TestManyStreamsWithManyHeldRows(t *testing.T) {
	policies := map[kvs.StreamID]Policy{1: {}, 2: {Holds: []Hold{hoursHeld(1, 2)}}, 3: {Hours: 1 << 20}}
	o := Options{Dir: t.TempDir(), Policy: func(_ context.Context, id kvs.StreamID) (Policy, error) {
		p, ok := policies[id]
		if !ok {
			return p, kvs.Errorf(kvs.NotFound, "no stream %d", id)
		}
		return p, nil
	}}
	a := start(t, o)
	kept := map[kvs.StreamID][]Record{}
	for id := kvs.StreamID(1); id <= 4; id++ {
		recs := numbered(id, 1, 2*maxVictims, 10)
		for i := range recs {
			recs[i].Fragment.Number.Server = kvs.Millis(int64(i+1) * hour / 2000)
		}
		for some := range slices.Chunk(recs, 500) {
			a.mustStore(some...)
		}
		for _, r := range recs {
			if id == 3 || id == 2 && hoursHeld(1, 2).Covers(&r.Fragment) {
				kept[id] = append(kept[id], r)
			}
		}
	}
	for range 2 {
		if err := a.Expire(t.Context()); err != nil {
			t.Fatal(err)
		}
		for id := kvs.StreamID(1); id <= 4; id++ {
			if u := usage(t, a.Archive, id, 0); u.Fragments != int64(len(kept[id])) {
				t.Errorf("stream %d keeps %d, want %d", id, u.Fragments, len(kept[id]))
			}
		}
	}
	if c := a.upkeep.cursors.at[2]; c.at.N < 2*maxVictims/2 {
		t.Errorf("held rows are looked at again from %+v", c.at)
	}
}

// TestErase removes what overlaps the range, by either clock, and nothing that came later.
func TestErase(t *testing.T) {
	y := newYard(t, 10)
	y.policy.Holds = []Hold{hoursHeld(9, 9)}
	ctx := t.Context()
	e := Erasure{Range: kvs.TimeRange{Start: 3 * hour, End: 5*hour - 1}, Through: 10}
	toll, err := y.Weigh(ctx, 1, e)
	if err != nil || toll.Fragments != 2 || toll.Held != 0 {
		t.Errorf("%+v, %v", toll, err)
	}
	for want := int64(2); want >= 0; want -= 2 { // the second time it finds nothing
		if toll, err := y.Erase(ctx, 1, e); err != nil || toll.Fragments != want {
			t.Errorf("%+v, %v", toll, err)
		}
	}
	y.want(1, 2, 5, 6, 7, 8, 9, 10)
	from := y.recs[7].Fragment.Producer + kvs.Millis(y.recs[7].Fragment.Duration) - 1 // its last millisecond
	e = Erasure{Clock: kvs.ProducerClock, Range: kvs.TimeRange{Start: from, End: kvs.MaxMillis}, Through: 10}
	if toll, err = y.Weigh(ctx, 1, e); err != nil || toll.Fragments != 3 || toll.Held != 1 {
		t.Errorf("%+v, %v", toll, err)
	}
	e.Through = 8
	if toll, err = y.Erase(ctx, 1, e); err != nil || toll.Fragments != 1 {
		t.Errorf("%+v, %v", toll, err)
	}
	y.want(1, 2, 5, 6, 7, 9, 10)
}

// TestAnErasureMeansWhatIsOnItsWay: a fragment with a number that it covers goes when it is
// stored, but what is on hold stays, and what has a greater number.
func TestAnErasureMeansWhatIsOnItsWay(t *testing.T) {
	s := &shop{}
	var policy atomic.Pointer[Policy]
	policy.Store(&Policy{Hours: 1 << 20, Holds: []Hold{hoursHeld(2, 2)}})
	o := s.options(t)
	o.Policy = func(context.Context, kvs.StreamID) (Policy, error) { return *policy.Load(), nil }
	gone := make(chan int64, 10)
	o.Observer = watcher{removed: func(_ string, fragments, _ int64) { gone <- fragments }}
	a := start(t, o)
	a.mustStore(hourly(1, 4), hourly(1, 6), hourly(2, 1))
	e := Erasure{Range: kvs.TimeRange{Start: 1, End: 6 * hour}, Through: 6}
	if toll, err := a.Erase(t.Context(), 1, e); err != nil || toll.Fragments != 2 || <-gone != 2 {
		t.Fatalf("%+v, %v", toll, err)
	}
	late := hourly(1, 7)
	late.Fragment.Number.Server = hour
	a.mustStore(hourly(1, 2), hourly(1, 3), hourly(1, 5), late, hourly(2, 2))
	for left := int64(2); left > 0; {
		left -= <-gone
	}
	wantStored(t, a.Archive, 1, hourly(1, 2), late)
	wantStored(t, a.Archive, 2, hourly(2, 1), hourly(2, 2))

	// What was held goes with another erasure, or with the pass that is still about the first.
	policy.Store(&Policy{Hours: 1 << 20})
	if toll, err := a.Erase(t.Context(), 1, e); err != nil || toll.Fragments > 1 || toll.Held > 0 {
		t.Errorf("%+v, %v", toll, err)
	}
	wantStored(t, a.Archive, 1, late)
}

// TestWhatIsErasedOutlivesAStart only while the index knows every segment.
func TestWhatIsErasedOutlivesAStart(t *testing.T) {
	o := Options{Dir: t.TempDir(), SegmentBytes: 3000}
	a := start(t, o)
	want := func(id int64) {
		t.Helper()
		if got, err := a.Erased(t.Context()); err != nil || got != id {
			t.Errorf("%d, %v; want %d", got, err, id)
		}
	}
	want(0)
	a.mustStore(numbered(1, 1, 5, 1000)...)
	for _, file := range []string{"index.db", segmentFiles(t, o.Dir)[0]} {
		if err := a.NoteErased(t.Context(), 7); err != nil {
			t.Fatal(err)
		}
		a.stop()
		a = start(t, o)
		want(7)
		a.stop()
		if file != "index.db" { // away for one start
			file = filepath.Join("segments", filepath.Base(file))
			away := filepath.Join(t.TempDir(), "away")
			rename(t, filepath.Join(o.Dir, file), away)
			start(t, o).stop()
			rename(t, away, filepath.Join(o.Dir, file))
		} else {
			for _, suffix := range []string{"", "-wal", "-shm"} {
				_ = os.Remove(filepath.Join(o.Dir, file+suffix))
			}
		}
		a = start(t, o)
		want(0)
		wantStored(t, a.Archive, 1, numbered(1, 1, 5, 1000)...)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}
