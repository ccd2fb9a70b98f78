package archive

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"math"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/disk/disktest"
	"github.com/millrace/millrace/internal/kvs"
)

// batchOf stores records in one batch and returns how each ended.
func batchOf(a *Archive, recs ...Record) []error {
	errs := make([]error, len(recs))
	var batch []pending
	for i, r := range recs {
		p, err := prepare(sealed(a, r), func(err error) { errs[i] = err })
		if err != nil {
			panic(err)
		}
		batch = append(batch, p)
	}
	a.store(batch)
	return errs
}

// On a disk that media has filled the reserve is for what makes room: however much more
// media comes, an erasure, an expiry pass and the databases beside it still fit.
func TestTheReserveIsNotForMedia(t *testing.T) {
	const reserve = 8 << 20
	dir := t.TempDir()
	q := &disktest.Quota{FS: &disktest.Faulty{FS: disk.System{}, SkipSync: true}, Root: dir, Limit: 40 << 20}
	hours := 1 << 20
	s := &shop{}
	o := s.options(t)
	o.Dir, o.Disk, o.Reserve, o.SegmentBytes = dir, q, reserve, 2<<20
	o.Policy = func(context.Context, kvs.StreamID) (Policy, error) { return Policy{Hours: hours}, nil }
	a := open(t, o)
	fits := func(what string) {
		t.Helper()
		if used, err := q.Used(); err != nil || used > q.Limit {
			t.Fatalf("%s: %d of %d bytes are used, %v", what, used, q.Limit, err)
		}
	}
	if err := a.keepReserve(); err != nil {
		t.Fatal(err)
	}
	n := int64(1)
	for ; ; n++ {
		if err := batchOf(a, hourlyOf(n))[0]; err != nil {
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			break
		}
	}
	if n < 200 || !a.Health().Full {
		t.Fatalf("full after %d fragments, %+v", n, a.Health())
	}
	for i := range int64(200) {
		if err := batchOf(a, hourlyOf(n+i))[0]; kvs.KindOf(err) != kvs.Unavailable {
			t.Fatal(err)
		}
		if i%50 == 0 {
			_ = a.keepReserve() // as the guard does
		}
	}
	fits("after 200 batches")
	if free, _, _ := q.Free(""); free < reserve/2 {
		t.Errorf("%d bytes are left of the reserve", free)
	}
	if err := os.WriteFile(dir+"/catalog", make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	fits("with more in the catalog")
	e := Erasure{Range: kvs.TimeRange{Start: 2 * hour, End: 4 * hour}, Through: math.MaxInt64}
	if toll, err := a.Erase(t.Context(), 1, e); err != nil || toll.Fragments == 0 {
		t.Fatalf("%+v, %v", toll, err)
	}
	fits("after an erasure")
	s.now.Store(n * hour)
	hours = 20
	if err := a.Expire(t.Context()); err != nil {
		t.Fatal(err)
	}
	fits("after a pass")
	if err := a.keepReserve(); err != nil || a.Health() != (Health{}) {
		t.Fatalf("%v, %+v", err, a.Health())
	}
	if err := batchOf(a, hourlyOf(n))[0]; err != nil {
		t.Error(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
}

// hourlyOf is fragment n, of 100 KB, at hour n.
func hourlyOf(n int64) Record {
	r := sample(1, n, 100_000)
	r.Fragment.Number.Server = kvs.Millis(n * hour)
	return r
}

// When others have filled the disk, and no media comes, what removes takes the reserve.
func TestRemovalTakesTheReserve(t *testing.T) {
	dir := t.TempDir()
	q := &disktest.Quota{FS: &disktest.Faulty{FS: disk.System{}, SkipSync: true}, Root: dir, Limit: 1 << 40}
	a := open(t, Options{Dir: dir, Disk: q, Reserve: 1 << 20, Policy: onlyStreamOne})
	if err := errors.Join(append(batchOf(a, hourlyOf(1), hourlyOf(2)), a.keepReserve())...); err != nil {
		t.Fatal(err)
	}
	q.Limit = 1 // of a page the tombstones have the rest
	e := Erasure{Range: kvs.TimeRange{Start: 1, End: hour}, Through: 9}
	if _, err := a.Erase(t.Context(), 1, e); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if !a.Health().Full {
		t.Error("the reserve was not given back")
	}
	q.Limit = 1 << 40
	a.pressure.given.Store(false)
	if err := os.WriteFile(dir+"/reserve", bytes.Repeat([]byte{1}, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	used, err := q.Used()
	if err != nil {
		t.Fatal(err)
	}
	q.Limit = used
	if toll, err := a.Erase(t.Context(), 1, e); err != nil || toll.Fragments != 1 {
		t.Fatalf("%+v, %v", toll, err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
}

// Room is found within a second, a reserve that cannot be written is tried every ten,
// and a quota is believed only when it takes twice the reserve.
func TestTheGuardLooksForRoom(t *testing.T) {
	d := faulty()
	room := &small{FS: d}
	room.free.Store(1 << 40)
	o := Options{Dir: t.TempDir(), Disk: room, Reserve: 1 << 20}
	a := open(t, o)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { a.guard(ctx); close(done) }()
		synctest.Wait()
		full := func(want bool, what string) {
			t.Helper()
			synctest.Wait()
			if a.Health().Full != want {
				t.Errorf("%s: full is %v", what, !want)
			}
		}
		full(false, "at first")
		room.free.Store(0)
		a.makeRoom(syscall.ENOSPC)
		time.Sleep(20 * time.Second)
		full(true, "without room")
		room.free.Store(2 << 20)
		time.Sleep(roomEvery)
		full(false, "with room")

		written := int64(0)
		d.Fail(func(o disktest.Op) error {
			if o.Kind != disktest.Write {
				return nil
			}
			if written++; written%2 == 0 { // the second MiB
				return syscall.EDQUOT
			}
			return nil
		})
		a.makeRoom(syscall.EDQUOT)
		time.Sleep(roomEvery + probeEvery - 1)
		full(true, "with a quota")
		if written != 2 {
			t.Errorf("%d pieces were written within 10 s", written)
		}
		d.Heal()
		time.Sleep(roomEvery)
		full(false, "with more quota")
		cancel()
		<-done
	})
	if info, err := os.Stat(o.Dir + "/reserve"); err != nil || info.Size() != 1<<20 {
		t.Error(info, err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
}

// A reserve that is given back while it is being made does not stand.
func TestAReserveInTheMaking(t *testing.T) {
	d := faulty()
	a := open(t, Options{Dir: t.TempDir(), Disk: d, Reserve: 1 << 20})
	d.Fail(func(o disktest.Op) error {
		if o.Kind == disktest.Write {
			go a.makeRoom(syscall.ENOSPC)
			for !a.Health().Full {
			}
		}
		return nil
	})
	if err := a.keepReserve(); err != nil || !a.Health().Full {
		t.Error(err, a.Health())
	}
	d.Heal()
	if _, err := os.Stat(a.pressure.path()); !os.IsNotExist(err) {
		t.Error("it stands", err)
	}
	if err := errors.Join(a.keepReserve(), a.Close()); err != nil || a.Health().Full {
		t.Error(err, a.Health())
	}
}

// A disk that is full asks for passes, but not for one after the other.
func TestAFullDiskAsksRarely(t *testing.T) {
	a := open(t, Options{Dir: t.TempDir(), Disk: faulty()})
	asked := func() bool {
		a.makeRoom(syscall.ENOSPC)
		select {
		case <-a.pressure.expire:
			return true
		default:
			return false
		}
	}
	synctest.Test(t, func(t *testing.T) {
		for i := range 3 {
			if !asked() || asked() {
				t.Errorf("round %d: not asked, or twice", i)
			}
			time.Sleep(askEvery - 1)
			if asked() {
				t.Errorf("round %d: asked again before time", i)
			}
			time.Sleep(time.Nanosecond)
		}
	})
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
}

// Two batches in a row that fail make the archive read-only, however many segments each of
// them went to, and whether one of these was synced.
func TestBatchesAreCounted(t *testing.T) {
	d := faulty()
	a := open(t, Options{Dir: t.TempDir(), Disk: d})
	n := int64(0)
	batch := func() {
		n++
		var recs []Record
		for id, hours := range []int{24, 8760, 720} {
			r := sample(kvs.StreamID(id), n, 1000)
			r.Retention = hours
			recs = append(recs, r)
		}
		batchOf(a, recs...)
	}
	fail := func(bad int) { // so many syncs of the next batch, and not the others
		syncs := 0
		d.Fail(func(o disktest.Op) error {
			if o.Kind != disktest.Sync {
				return nil
			}
			if syncs++; syncs <= bad {
				return syscall.EIO
			}
			return nil
		})
		batch()
		d.Heal()
	}
	batch()
	fail(3)
	if why := a.Health().ReadOnly; why != "" {
		t.Fatalf("read-only after one batch: %s", why)
	}
	batch()
	fail(1)
	if why := a.Health().ReadOnly; why != "" {
		t.Fatalf("a good batch in between is not seen: %s", why)
	}
	fail(1)
	if a.Health().ReadOnly == "" {
		t.Error("two batches failed in part, and the archive goes on")
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
}

// An index that does not take rows is a disk that fails, too: no segment after the other is
// begun for what cannot be stored.
func TestAFailingIndexMakesTheArchiveReadOnly(t *testing.T) {
	o := Options{Dir: t.TempDir(), Disk: faulty()}
	a := open(t, o)
	if err := batchOf(a, sample(1, 1, 1000))[0]; err != nil {
		t.Fatal(err)
	}
	_ = a.index.db.Write(t.Context(), func(tx *sql.Tx) error { // SQLite refuses to write from here on
		_, err := tx.Exec("PRAGMA query_only = ON")
		return err
	})
	for n := int64(2); n < 20; n++ {
		if err := batchOf(a, sample(1, n, 1000))[0]; err == nil {
			t.Fatal("stored without index")
		}
	}
	if why := a.Health().ReadOnly; !strings.Contains(why, "readonly") {
		t.Errorf("the archive goes on: %q", why)
	}
	if files := segmentFiles(t, o.Dir); len(files) > 3 {
		t.Errorf("%d segments were begun", len(files))
	}
	a.tryDisk()
	if a.Health().ReadOnly == "" {
		t.Error("it goes on, and the index does not")
	}
	_ = a.Close() // what its index has to say of it does not matter
	b := open(t, o)
	wantStored(t, b, 1, sample(1, 1, 1000))
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}
