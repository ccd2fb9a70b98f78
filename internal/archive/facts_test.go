package archive

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/disk/disktest"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
	"github.com/millrace/millrace/internal/tally"
)

// tracked is sample with a frame table and tracks; print is the fingerprint of the first.
func tracked(id kvs.StreamID, n int64, print uint64) Record {
	r := sample(id, n, 1000)
	r.Frames = []byte("the table of frames")
	r.Tracks = []segment.Track{{Number: 1, Frames: 50, Bytes: 200_000, Fingerprint: print}, {Number: 7, Frames: 86, Bytes: 12_000, Fingerprint: math.MaxUint64}}
	return r
}

// factsOfStream returns the facts of all fragments of a stream by number.
func factsOfStream(t *testing.T, a *Archive, id kvs.StreamID) map[int64]segment.Facts {
	t.Helper()
	all := map[int64]segment.Facts{}
	for after := (kvs.FragmentNumber{}); ; {
		s, ok, err := a.Next(context.Background(), id, after, 0)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return all
		}
		all[s.Number.N], after = s.Facts, s.Number
	}
}

// Facts count over the fragments in order, in the records as in the rows, and go on after
// a start and after a rebuild.
func TestFactsOfAStream(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	a := start(t, o)
	base := int64(sample(1, 1, 0).Fragment.Number.Server) * tally.Beginnings
	a.mustStore(tracked(1, 1, 5))
	a.mustStore(tracked(1, 2, 5))
	late := tracked(1, 4, 5)
	gap := tracked(1, 5, 6) // 3 and 4 are missing so far: a gap on both clocks; and another codec
	a.mustStore(gap)
	a.mustStore(late)
	a.mustStore(tracked(2, 1, 5))
	tracks := func(print uint64) []segment.Track { return tracked(1, 1, print).Tracks }
	want := map[int64]segment.Facts{
		1: {LiveSeq: base, Millis: 2000, Tracks: tracks(5)},
		2: {LiveSeq: base + 1, Millis: 4000, Tracks: tracks(5)},
		4: {Tracks: tracks(5)},
		5: {LiveSeq: base + 2, Changes: 1, ServerGaps: 1, ProducerGaps: 1, Millis: 6000, Tracks: tracks(6)},
	}
	if diff := cmp.Diff(want, factsOfStream(t, a.Archive, 1)); diff != "" {
		t.Fatal(diff)
	}
	a.stop()
	for round := range 3 {
		if round > 0 {
			if err := os.Remove(filepath.Join(o.Dir, "index.db")); err != nil {
				t.Fatal(err)
			}
		}
		a = start(t, o)
		n := int64(6 + round)
		a.mustStore(tracked(1, n, 6))
		want[n] = segment.Facts{LiveSeq: base + n - 3, Changes: 1, ServerGaps: 1, ProducerGaps: 1, Millis: (n - 2) * 2000, Tracks: tracks(6)}
		if diff := cmp.Diff(want, factsOfStream(t, a.Archive, 1)); diff != "" {
			t.Fatalf("round %d: %s", round, diff)
		}
		a.stop()
	}
}

// A stream whose fragments all expired goes on above the numbers it gave.
func TestLiveSeqNeverRestartsLower(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	a := start(t, o)
	a.mustStore(numbered(1, 1, 20, 10)...)
	last := factsOfStream(t, a.Archive, 1)[20].LiveSeq
	if err := a.DeleteStream(context.Background(), 1); err != nil {
		t.Fatal(err)
	}
	a.stop()
	a = start(t, o)
	a.mustStore(sample(1, 21, 10))
	if next := factsOfStream(t, a.Archive, 1)[21].LiveSeq; next <= last {
		t.Errorf("%d after %d", next, last)
	}
}

// A number that is stored already is refused before anything is written.
func TestANumberIsTakenOnce(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	a := start(t, o)
	a.mustStore(sample(1, 1, 100), sample(1, 3, 100))
	a.mustStore(sample(1, 2, 100))
	before, err := os.Stat(segmentFiles(t, o.Dir)[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int64{1, 2, 3} {
		if err := a.store(sample(1, n, 100)); !errors.Is(err, errTwice) {
			t.Errorf("%d: %v", n, err)
		}
	}
	if after, err := os.Stat(segmentFiles(t, o.Dir)[0]); err != nil || after.Size() != before.Size() {
		t.Errorf("%d bytes, then %d: %v", before.Size(), after.Size(), err)
	}
	if got := a.storeBatch(sample(1, 9, 100), sample(1, 8, 100), sample(1, 9, 100), sample(1, 8, 100), sample(1, 10, 100)); got[0] != nil ||
		got[1] != nil || !errors.Is(got[2], errTwice) || !errors.Is(got[3], errTwice) || got[4] != nil {
		t.Errorf("%v", got)
	}
	wantStored(t, a.Archive, 1, sample(1, 1, 100), sample(1, 2, 100), sample(1, 3, 100), sample(1, 8, 100), sample(1, 9, 100), sample(1, 10, 100))
}

// storeBatch stores records in one batch and returns how they ended.
func (r *running) storeBatch(recs ...Record) []error {
	r.t.Helper()
	errs := make([]error, len(recs))
	var batch []pending
	for i, rec := range recs {
		p, err := prepare(sealed(r.Archive, rec), func(err error) { errs[i] = err })
		if err != nil {
			r.t.Fatal(err)
		}
		batch = append(batch, p)
	}
	r.Archive.store(batch)
	return errs
}

// failFirstWrite lets a write fail, after so many that succeed.
func failFirstWrite(d *disktest.Faulty, skip int) {
	writes := 0
	d.Fail(func(o disktest.Op) error {
		if o.Kind == disktest.Write {
			if writes++; writes == skip+1 {
				return syscall.EIO
			}
		}
		return nil
	})
}

// A batch in which a stream's retention changed goes to two segments. If the first cannot
// be written, what came later of that stream fails with it, so that no playlist has a
// hole; a stream that has nothing to do with it does not suffer.
func TestLaterRecordsFailWithEarlierOnes(t *testing.T) {
	for skip, name := range []string{"the earlier segment fails", "the later segment fails"} {
		t.Run(name, func(t *testing.T) {
			d := faulty()
			o := Options{Dir: t.TempDir(), Disk: d}
			a := start(t, o)
			in := func(r Record, hours int) Record { r.Retention = hours; return r }
			a.mustStore(in(sample(1, 1, 100), 24), in(sample(2, 1, 100), 168), in(sample(3, 1, 100), 720)) // opens the segments
			failFirstWrite(d, skip)
			errs := a.storeBatch(in(sample(1, 2, 100), 24), in(sample(2, 2, 100), 168), in(sample(1, 3, 100), 168), in(sample(3, 2, 100), 720))
			d.Heal()
			if errs[0] == nil || errs[2] == nil {
				t.Errorf("stream 1: %v, %v", errs[0], errs[2])
			}
			if errs[3] != nil {
				t.Errorf("stream 3: %v", errs[3])
			}
			before := factsOfStream(t, a.Archive, 1)[1]
			a.mustStore(in(sample(1, 4, 100), 24))
			after := factsOfStream(t, a.Archive, 1)[4]
			if after.Millis != before.Millis+2000 || after.LiveSeq <= before.LiveSeq+1 {
				t.Errorf("%+v behind %+v: what was lost was counted, or its number given again", after, before)
			}
			wantStored(t, a.Archive, 1, sample(1, 1, 100), sample(1, 4, 100))
			a.stop()
			if err := os.Remove(filepath.Join(o.Dir, "index.db")); err != nil {
				t.Fatal(err)
			}
			b := open(t, o)
			wantStored(t, b, 1, sample(1, 1, 100), sample(1, 4, 100))
			wantStored(t, b, 3, sample(3, 1, 100), sample(3, 2, 100))
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A header is written again for another data key, and found again for the same one.
func TestHeadersBelongToTheirKey(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	a := start(t, o)
	positions := func(r Record) int64 {
		a.mustStore(r)
		s, _, err := a.Newest(context.Background(), r.Fragment.Stream, 0)
		if err != nil {
			t.Fatal(err)
		}
		return s.header
	}
	first := positions(sample(1, 1, 100))
	if again := positions(sample(1, 2, 100)); again != first {
		t.Errorf("the header is at %d and %d", first, again)
	}
	nextDay := sample(1, 3, 100)
	nextDay.Fragment.Number.Server += 24 * 3_600_000
	second := positions(nextDay)
	if second == first {
		t.Error("another data key, and the header of the day before")
	}
	other := sample(2, 1, 100)
	other.Header = sample(1, 1, 100).Header
	if at := positions(other); at == first || at == second {
		t.Error("streams share a header")
	}
	wantStored(t, a.Archive, 1, sample(1, 1, 100), sample(1, 2, 100), nextDay)
	wantStored(t, a.Archive, 2, other)
}
