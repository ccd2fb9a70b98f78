package archive

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/disk/disktest"
	"github.com/millrace/millrace/internal/kvs"
)

// faulty is a disk that syncs nothing: these tests lose no power, and there are many runs.
func faulty() *disktest.Faulty { return &disktest.Faulty{FS: disk.System{}, SkipSync: true} }

// work stores fragments one by one over several segments and classes, expires between,
// and returns those acknowledged.
func work(a *running) (acked []Record) {
	for n := int64(1); n <= 8; n++ {
		r := sample(1, n, 1500)
		r.Retention = []int{24, 8760}[n%2]
		if a.store(r) == nil {
			acked = append(acked, r)
		}
		gone := sample(2, n, 1500)
		_ = a.store(gone) // its stream is deleted: how it ends does not matter
		if n%3 == 0 {
			_ = a.Expire(context.Background())
		}
	}
	return acked
}

func onlyStreamOne(_ context.Context, id kvs.StreamID) (Policy, error) {
	if id == 1 {
		return Policy{Hours: 1 << 30}, nil
	}
	return Policy{}, kvs.Errorf(kvs.NotFound, "no stream")
}

// TestEveryFileOperationFailsOnce fails the first file operation, then the second, and
// so on until a run needs no more. Whatever failed, exactly the acknowledged fragments
// are there, at once and after reopening.
func TestEveryFileOperationFailsOnce(t *testing.T) {
	for n := 1; ; n += slowness {
		d := faulty()
		o := Options{Dir: t.TempDir(), SegmentBytes: 4000, Policy: onlyStreamOne, Disk: d}
		a := start(t, o)
		d.FailNth(n)
		acked := work(a)
		hit := d.Heal()
		if len(acked) < 7 {
			t.Fatalf("operation %d: only %d of 8 stored; the archive did not recover", n, len(acked))
		}
		wantStored(t, a.Archive, 1, acked...)
		a.stop()
		b := open(t, o)
		wantStored(t, b, 1, acked...)
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if hit == 0 {
			t.Logf("%d operations", n-1)
			return
		}
	}
}

// TestEveryOperationOfRecoveryFailsOnce: Open may fail, but the next one finds all.
func TestEveryOperationOfRecoveryFailsOnce(t *testing.T) {
	for n := 1; ; n += slowness {
		d := faulty()
		o := Options{Dir: t.TempDir(), SegmentBytes: 4000, Disk: d}
		recs := numbered(1, 1, 5, 1500)
		storeAll(t, o, recs...)
		d.FailNth(n)
		o.Keys = keysIn(t, o.Dir)
		a, err := Open(context.Background(), o)
		if err == nil {
			err = a.Close()
		} else if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("operation %d: %v", n, err)
		}
		hit := d.Heal()
		b := open(t, o)
		wantStored(t, b, 1, recs...)
		if err := errors.Join(b.Close(), err); err != nil && hit == 0 {
			t.Fatal(err)
		}
		if hit == 0 {
			t.Logf("%d operations", n-1)
			return
		}
	}
}

// TestAFullDiskIsSurvived fails every write for a while: appends fail, nothing else
// does, and when there is room again all goes on.
func TestAFullDiskIsSurvived(t *testing.T) {
	d := faulty()
	o := Options{Dir: t.TempDir(), Disk: d}
	a := start(t, o)
	a.mustStore(sample(1, 1, 1000))
	d.FailKinds(disktest.Write)
	for n := int64(2); n <= 5; n++ {
		if err := a.store(sample(1, n, 1000)); kvs.KindOf(err) != kvs.Internal || !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("got %v", err)
		}
	}
	d.Heal()
	wantStored(t, a.Archive, 1, sample(1, 1, 1000))
	a.mustStore(sample(1, 6, 1000))
	wantStored(t, a.Archive, 1, sample(1, 1, 1000), sample(1, 6, 1000))
	a.stop()
	b := open(t, o)
	wantStored(t, b, 1, sample(1, 1, 1000), sample(1, 6, 1000))
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestNothingWorks: even cutting and syncing fail, and later work again. A fragment
// that was refused must not come back from the file.
func TestNothingWorksForAWhile(t *testing.T) {
	d := faulty()
	o := Options{Dir: t.TempDir(), Disk: d}
	a := start(t, o)
	a.mustStore(sample(1, 1, 1000))
	d.FailKinds(disktest.Sync, disktest.Truncate, disktest.SyncDir)
	for n := int64(2); n <= 3; n++ {
		if err := a.store(sample(1, n, 1000)); err == nil {
			t.Fatal("stored without sync")
		}
	}
	d.Heal()
	a.mustStore(sample(1, 4, 1000))
	a.stop()
	b := open(t, o)
	wantStored(t, b, 1, sample(1, 1, 1000), sample(1, 4, 1000))
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestAFailedCommitIsAFailedAppend closes the index under the writer: bytes that were
// written and synced must not be found later, because their callers heard of failure.
func TestAFailedCommitIsAFailedAppend(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	a := start(t, o)
	a.mustStore(sample(1, 1, 1000))
	if err := a.index.db.Close(); err != nil {
		t.Fatal(err)
	}
	for n := int64(2); n <= 4; n++ {
		if err := a.store(sample(1, n, 1000)); err == nil {
			t.Fatal("stored without index")
		}
	}
	a.stop()
	b := open(t, o)
	wantStored(t, b, 1, sample(1, 1, 1000))
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestARefusedBatchStaysAwayWithoutIndex fails the sync of one batch, then takes the
// index away: the file alone must not bring the batch back.
func TestARefusedBatchStaysAwayWithoutIndex(t *testing.T) {
	d := faulty()
	o := Options{Dir: t.TempDir(), Disk: d}
	a := start(t, o)
	a.mustStore(sample(1, 1, 1000))
	syncs := 0
	d.Fail(func(o disktest.Op) error {
		if o.Kind == disktest.Sync {
			if syncs++; syncs == 1 {
				return disktest.ErrLost
			}
		}
		return nil
	})
	batch := []pending{}
	refused := 0
	for n := int64(2); n <= 5; n++ {
		p, err := prepare(sealed(a.Archive, sample(1, n, 1000)), func(err error) {
			if err != nil {
				refused++
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		batch = append(batch, p)
	}
	a.Archive.store(batch)
	if refused != len(batch) {
		t.Fatalf("%d of %d refused", refused, len(batch))
	}
	a.stop()
	if err := os.Remove(filepath.Join(o.Dir, "index.db")); err != nil {
		t.Fatal(err)
	}
	b := open(t, o)
	wantStored(t, b, 1, sample(1, 1, 1000))
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestAFailureThatCannotBeSettledStopsAppending lets index and cutting fail together.
// Nothing may be stored until one of them worked, or a start would find refused bytes.
func TestAFailureThatCannotBeSettledStopsAppending(t *testing.T) {
	d := faulty()
	o := Options{Dir: t.TempDir(), Disk: d}
	a := start(t, o)
	a.mustStore(sample(1, 1, 1000))
	a.exec(`CREATE TRIGGER broken BEFORE UPDATE ON segments BEGIN SELECT RAISE(ABORT, 'injected'); END`)
	d.FailKinds(disktest.Truncate)
	for n := int64(2); n <= 3; n++ {
		if err := a.store(sample(1, n, 1000)); err == nil {
			t.Fatal("stored without index")
		}
	}
	if files := segmentFiles(t, o.Dir); len(files) != 1 {
		t.Errorf("another segment was opened: %v", files)
	}
	a.exec(`DROP TRIGGER broken`)
	a.mustStore(sample(1, 4, 1000))
	d.Heal()
	a.stop()
	b := open(t, o)
	wantStored(t, b, 1, sample(1, 1, 1000), sample(1, 4, 1000))
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

// exec changes the index behind the archive's back.
func (r *running) exec(statement string) {
	r.t.Helper()
	err := r.index.db.Write(context.Background(), func(tx *sql.Tx) error {
		_, err := tx.Exec(statement)
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
}
