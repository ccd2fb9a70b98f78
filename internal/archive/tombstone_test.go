package archive

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/disk/disktest"
	"github.com/millrace/millrace/internal/kvs"
)

// numbersOf makes victims of one stream in one segment.
func numbersOf(segment int64, why reason, numbers ...int64) (all []victim) {
	for _, n := range numbers {
		all = append(all, victim{stream: 1, n: n, segment: segment, length: 10, why: why})
	}
	return all
}

// TestOnlyNeighboursShareATombstone: between others there may be a fragment that has not
// arrived yet.
func TestOnlyNeighboursShareATombstone(t *testing.T) {
	victims := slices.Concat(numbersOf(7, expired, 5, 3, 4, 9), numbersOf(8, expired, 6), numbersOf(7, erased, 10, 11))
	want := []tombstone{{7, 1, 3, 5, expired}, {7, 1, 9, 9, expired}, {7, 1, 10, 11, erased}, {8, 1, 6, 6, expired}}
	if got := tombstonesOf(victims); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	touching := []tombstone{{7, 1, 5, 6, expired}, {7, 1, 1, 4, expired}, {7, 1, 7, 7, erased}, {7, 2, 7, 7, expired}}
	want = []tombstone{{7, 1, 1, 6, expired}, {7, 1, 7, 7, erased}, {7, 2, 7, 7, expired}}
	if got := joined(touching); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

// TestPortions never name more rows than a transaction may remove.
func TestPortions(t *testing.T) {
	all := []tombstone{{first: 1, last: 300}, {first: 1, last: 200}, {first: 1, last: 1}, {first: 1, last: 1200}}
	if some, whole := portion(all); len(some) != 2 || whole != 2 {
		t.Errorf("%v, %d", some, whole)
	}
	if some, whole := portion(all[2:]); len(some) != 1 || whole != 1 {
		t.Errorf("%v, %d", some, whole)
	}
	if some, whole := portion(all[3:]); len(some) != 1 || whole != 0 || some[0].last != maxDeletes {
		t.Errorf("%v, %d", some, whole)
	}
}

// TestWhatWasRemovedStaysAway with an index from before the removal and without any.
func TestWhatWasRemovedStaysAway(t *testing.T) {
	y := newYard(t, 40)
	dir := filepath.Dir(y.dir)
	index, saved := filepath.Join(dir, "index.db"), filepath.Join(dir, "saved")
	reopen := func() {
		t.Helper()
		y.stop()
		o := y.shop.options(t)
		o.Dir = dir
		o.Policy = func(context.Context, kvs.StreamID) (Policy, error) { return y.policy, nil }
		y.running = start(t, o)
	}
	reopen()
	y.stop()
	copyFile(t, index, saved)
	reopen()
	if toll, err := y.Erase(t.Context(), 1, Erasure{Range: hoursHeld(20, 25).Range, Through: 40}); err != nil || toll.Fragments != 6 {
		t.Fatalf("%+v, %v", toll, err)
	}
	y.policy.Hours, y.policy.Holds = 30, []Hold{hoursHeld(5, 6)}
	y.expire(40)
	left := []int{5, 6, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40}
	y.want(left...)
	y.policy.Hours = 1 << 20
	for what, prepare := range map[string]func() error{
		"the same index": func() error { return nil },
		"an older index": func() error { return errors.Join(os.Remove(index), os.Rename(saved, index)) },
		"no index":       func() error { return os.Remove(index) },
	} {
		y.stop()
		if err := prepare(); err != nil {
			t.Fatal(err)
		}
		reopen()
		t.Log(what)
		y.want(left...)
		y.expire(40)
		y.want(left...)
	}
}

// TestLostTombstonesAreTold, the whole file or its end: the log says so, it counts as damage,
// and what the catalog has of erasures is due again. Nothing comes back by that.
func TestLostTombstonesAreTold(t *testing.T) {
	for says, lose := range map[string]func(file string) error{
		"tombstones is missing": os.Remove,
		"tombstones is shorter": func(file string) error { return os.Truncate(file, 64+48) },
	} {
		var log lines
		m := newMill(t, func(o *Options) { o.Logger = log.logger() })
		m.policies[1] = Policy{Hours: 1 << 20}
		recs := m.fill(1, 1, 20)
		for n := int64(3); n <= 9; n += 3 {
			r := Erasure{Range: kvs.TimeRange{Start: kvs.Millis(n * 60_000), End: kvs.Millis(n*60_000 + 1)}, Through: 20}
			if _, err := m.Erase(t.Context(), 1, r); err != nil {
				t.Fatal(err)
			}
		}
		left := slices.Concat(recs[:2], recs[3:5], recs[6:8], recs[9:])
		wantStored(t, m.Archive, 1, left...)
		if err := m.NoteErased(t.Context(), 3); err != nil {
			t.Fatal(err)
		}
		m.again(nil)
		if id, err := m.Erased(t.Context()); err != nil || id != 3 || log.count("tombstones is") != 0 {
			t.Errorf("%d, %v, without a loss", id, err)
		}
		m.again(func() {
			if err := lose(filepath.Join(m.o.Dir, tombstonesName)); err != nil {
				t.Fatal(err)
			}
		})
		if id, err := m.Erased(t.Context()); err != nil || id != 0 || log.count("level=ERROR msg=\""+says) != 1 {
			t.Errorf("%s: erasures are carried out up to %d, %v, %d lines", says, id, err, log.count(says))
		}
		wantStored(t, m.Archive, 1, left...)
		m.again(nil)
		if log.count(says) != 1 {
			t.Errorf("%s: told again", says)
		}
	}
}

// TestRemovalWaitsForItsTombstones: while they cannot be written nothing goes, and rows
// that could not be removed go with the next pass.
func TestRemovalWaitsForItsTombstones(t *testing.T) {
	y := newYard(t, 0)
	y.stop()
	faulty := &disktest.Faulty{FS: disk.System{}}
	o := y.shop.options(t)
	o.Disk, o.Policy = faulty, func(context.Context, kvs.StreamID) (Policy, error) { return y.policy, nil }
	y.running = start(t, o)
	for i := int64(1); i <= 10; i++ {
		y.recs = append(y.recs, hourly(1, i))
		y.mustStore(y.recs[i-1])
	}
	y.shop.now.Store(10 * hour)
	y.policy.Hours = 5
	faulty.Fail(func(o disktest.Op) error {
		if o.Kind == disktest.Sync && strings.Contains(filepath.Base(o.Name), tombstonesName) {
			return disktest.ErrFault
		}
		return nil
	})
	if err := y.Expire(t.Context()); err == nil {
		t.Error("nobody heard of it")
	}
	y.want(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
	faulty.Fail(nil)
	y.expire(10)
	y.want(5, 6, 7, 8, 9, 10)
}

// TestTombstonesOfSegmentsThatAreGoneGo with most of the file.
func TestTombstonesOfSegmentsThatAreGoneGo(t *testing.T) {
	y := newYard(t, 200)
	for h := int64(20); h <= 200; h += 5 {
		y.policy.Hours = 10
		y.expire(h)
		if size := y.tombstones.End() - 64; size > 48*40 {
			t.Fatalf("hour %d: %d bytes of tombstones", h, size)
		}
	}
	y.shop.now.Store(1000 * hour)
	for range 2 { // the first seals the open segment
		if err := y.Expire(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if size := y.tombstones.End() - 64; size != 0 {
		t.Errorf("%d bytes of tombstones name segments that are gone", size)
	}
}
