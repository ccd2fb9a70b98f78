package archive

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// shop is streams with retentions and a clock.
type shop struct {
	hours map[kvs.StreamID]int
	now   atomic.Int64 // milliseconds
}

func (s *shop) policy(_ context.Context, id kvs.StreamID) (Policy, error) {
	h, ok := s.hours[id]
	if !ok {
		return Policy{}, kvs.Errorf(kvs.NotFound, "no stream %d", id)
	}
	if h < 0 {
		return Policy{}, errors.New("the catalog is out of reach")
	}
	return Policy{Hours: h}, nil
}

func (s *shop) options(t *testing.T) Options {
	return Options{Dir: t.TempDir(), SegmentBytes: 4096, Policy: s.policy,
		Now: func() time.Time { return kvs.Millis(s.now.Load()).Time() }}
}

const hour = 3_600_000

// hourly makes fragment n, received in hour n.
func hourly(id kvs.StreamID, n int64) Record {
	r := sample(id, n, 1000)
	r.Fragment.Number.Server = kvs.Millis(n * hour)
	return r
}

func TestExpireRemovesWhatRetentionNoLongerCovers(t *testing.T) {
	s := &shop{hours: map[kvs.StreamID]int{1: 4, 2: 100, 3: -1, 4: 0}}
	a := start(t, s.options(t))
	var kept [6][]Record
	for n := int64(1); n <= 10; n++ {
		for id := kvs.StreamID(1); id <= 5; id++ {
			r := hourly(id, n)
			a.mustStore(r)
			kept[id] = append(kept[id], r)
		}
	}
	s.now.Store(10*hour + 1)
	if err := a.Expire(context.Background()); err == nil {
		t.Error("the stream without an answer is not reported")
	}
	wantStored(t, a.Archive, 1, kept[1][6:]...) // received in hour 7 and later
	wantStored(t, a.Archive, 2, kept[2]...)
	wantStored(t, a.Archive, 3, kept[3]...) // nobody knows: nothing goes
	wantStored(t, a.Archive, 4)
	wantStored(t, a.Archive, 5) // deleted

	s.hours[1], s.hours[3] = 2, 100 // shorter: more goes; longer: what is gone stays gone
	s.hours[4] = 50
	if err := a.Expire(context.Background()); err != nil {
		t.Error(err)
	}
	wantStored(t, a.Archive, 1, kept[1][8:]...)
	wantStored(t, a.Archive, 4)
}

func TestExpireRemovesFilesNothingPointsTo(t *testing.T) {
	s := &shop{hours: map[kvs.StreamID]int{1: 1}}
	o := s.options(t)
	a := start(t, o)
	for n := int64(1); n <= 20; n++ {
		a.mustStore(hourly(1, n))
	}
	before := len(segmentFiles(t, o.Dir))
	s.now.Store(20 * hour)
	if err := a.Expire(context.Background()); err != nil {
		t.Fatal(err)
	}
	if after := len(segmentFiles(t, o.Dir)); before < 5 || after != 1 {
		t.Errorf("%d files before, %d after", before, after)
	}
	s.now.Store(40 * hour) // the open segment is old now, and nobody writes
	if err := a.Expire(context.Background()); err != nil {
		t.Fatal(err)
	}
	if files := segmentFiles(t, o.Dir); len(files) != 0 {
		t.Errorf("left: %v", files)
	}
	st, err := a.Stats(context.Background())
	if err != nil || st.Fragments != 0 || st.Bytes != 0 || st.Segments != 0 {
		t.Errorf("%+v, %v", st, err)
	}
	a.mustStore(hourly(1, 40))
	wantStored(t, a.Archive, 1, hourly(1, 40))
}

func TestDeleteStreamRemovesManyRowsAndNoOthers(t *testing.T) {
	s := &shop{hours: map[kvs.StreamID]int{2: 1000}}
	o := s.options(t)
	o.SegmentBytes = 1 << 20
	a := start(t, o)
	var recs []Record
	for n := int64(1); n <= 2*maxDeletes+100; n++ {
		recs = append(recs, hourly(1, n))
	}
	a.mustStore(recs...)
	a.mustStore(hourly(2, 1))
	if err := a.DeleteStream(context.Background(), 1); err != nil {
		t.Fatal(err)
	}
	wantStored(t, a.Archive, 1)
	wantStored(t, a.Archive, 2, hourly(2, 1))
	a.mustStore(hourly(1, 2000)) // was on its way
	if err := a.Expire(context.Background()); err != nil {
		t.Fatal(err)
	}
	wantStored(t, a.Archive, 1)
}

func TestAReaderOfAnExpiredFileFinishes(t *testing.T) {
	s := &shop{hours: map[kvs.StreamID]int{}}
	o := s.options(t)
	a := start(t, o)
	ctx := context.Background()
	rec := hourly(1, 1)
	rec.Body = media(1, 1, 200_000)
	a.mustStore(rec)
	stored, _, err := a.Newest(ctx, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	r, err := a.OpenRecord(ctx, stored)
	if err != nil {
		t.Fatal(err)
	}
	s.now.Store(100 * hour)
	if err := a.Expire(ctx); err != nil {
		t.Fatal(err)
	}
	if files := segmentFiles(t, o.Dir); len(files) != 0 {
		t.Fatalf("left: %v", files)
	}
	if n, err := r.WriteTo(discard{}); n != 200_000 || err != nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := a.OpenRecord(ctx, stored); kvs.KindOf(err) != kvs.NotFound {
		t.Errorf("got %v", err)
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// TestRunExpires needs no more than one pass of the loop.
func TestRunExpires(t *testing.T) {
	s := &shop{hours: map[kvs.StreamID]int{}}
	o := s.options(t)
	o.ExpireEvery = time.Millisecond
	gone := make(chan int, 1000)
	o.Observer = watcher{removed: func(_ string, fragments, _ int64) { gone <- int(fragments) }}
	a := start(t, o)
	a.mustStore(hourly(1, 1))
	for n := 0; n == 0; {
		n = <-gone
	}
	wantStored(t, a.Archive, 1)
}

// watcher is an observer that listens to one thing.
type watcher struct {
	nobody
	removed func(why string, fragments, bytes int64)
}

func (w watcher) Removed(why string, fragments, bytes int64) { w.removed(why, fragments, bytes) }
