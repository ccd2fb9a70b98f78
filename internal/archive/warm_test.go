package archive

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/disk/disktest"
	"github.com/millrace/millrace/internal/kvs"
)

// TestWarmSegmentsMove to their folder, with their holes, while readers go on.
func TestWarmSegmentsMove(t *testing.T) {
	warm := t.TempDir()
	m := newMill(t, func(o *Options) { o.WarmDir = warm })
	m.policies[1], m.policies[2], m.policies[3] = Policy{Hours: 1 << 20, Tier: kvs.Warm}, Policy{Hours: 1 << 20}, Policy{Hours: 1 << 20, Tier: kvs.Warm}
	var kept []Record
	for n := int64(1); n <= 120; n++ {
		id := kvs.StreamID(1)
		if n%2 == 0 {
			id = 3
		}
		if recs := m.fill(id, n, n); id == 1 {
			kept = append(kept, recs...)
		}
	}
	hot := m.fill(2, 1, 60)
	stored, _, err := m.Get(t.Context(), 1, kept[0].Fragment.Number, 0)
	if err != nil {
		t.Fatal(err)
	}
	r, err := m.OpenRecord(t.Context(), stored)
	if err != nil {
		t.Fatal(err)
	}
	m.pass(121)
	moved := segmentFiles(t, warm)
	if len(moved) < 2 || int64(len(moved)) != m.moves {
		t.Errorf("%d files are there, %d moved", len(moved), m.moves)
	}
	for _, name := range moved {
		if _, err := os.Stat(filepath.Join(m.o.Dir, "segments", filepath.Base(name))); !os.IsNotExist(err) {
			t.Errorf("%s is in both folders: %v", name, err)
		}
	}
	if n, err := r.WriteTo(io.Discard); n != 20_000 || err != nil {
		t.Errorf("a reader got %d bytes, %v", n, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	check := func() {
		t.Helper()
		wantStored(t, m.Archive, 1, kept...)
		wantStored(t, m.Archive, 2, hot...)
	}
	check()
	m.again(nil)
	check()
	m.again(m.withoutIndex)
	check()
	before := onDisk(t, warm)
	delete(m.policies, 3)
	m.pass(122)
	check()
	if after := onDisk(t, warm); after > before*3/4 {
		t.Errorf("%d bytes of %d are left", after, before)
	}
	delete(m.policies, 1)
	m.pass(10_000)
	if left := segmentFiles(t, warm); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// TestHolesMoveAsHoles.
func TestHolesMoveAsHoles(t *testing.T) {
	warm := t.TempDir()
	m := newMill(t, nil)
	m.policies[1], m.policies[2] = Policy{Hours: 1 << 20, Tier: kvs.Warm}, Policy{Hours: 1 << 20, Tier: kvs.Warm}
	kept := m.fill(1, 1, 10)
	m.fill(2, 11, 60)
	delete(m.policies, 2)
	m.pass(61)
	before := onDisk(t, m.o.Dir)
	m.again(func() { m.o.WarmDir = warm })
	m.pass(62)
	if after := onDisk(t, warm); after == 0 || after > before {
		t.Errorf("%d bytes before, %d in the warm folder", before, after)
	}
	wantStored(t, m.Archive, 1, kept...)
}

// nothingComesBack lets all of stream 1 expire, then keeps everything: no start may find
// any of it.
func (m *mill) nothingComesBack(without string) {
	m.t.Helper()
	m.policies[1] = Policy{Tier: kvs.Warm}
	m.pass(1000)
	m.pass(1001)
	m.policies[1] = Policy{Hours: 1 << 20, Tier: kvs.Warm}
	change := map[string]func(){"index": m.withoutIndex}[without]
	m.again(change)
	if s, err := m.Stats(m.t.Context()); err != nil || s.Fragments != 0 {
		m.t.Errorf("%d fragments that expired are back after a start, %v", s.Fragments, err)
	}
	for _, dir := range m.dirs() {
		if names, err := m.o.Disk.List(dir); err != nil || len(names) > 0 {
			m.t.Errorf("%s has %v, %v", dir, names, err)
		}
	}
}

// TestAMoveThatFailsBringsNothingBack: whatever operation of a pass with moves fails, what
// expires afterwards stays away, in either folder.
func TestAMoveThatFailsBringsNothingBack(t *testing.T) {
	for n := 1; ; n += slowness {
		warm := t.TempDir()
		faulty := &disktest.Faulty{FS: disk.System{}, SkipSync: true}
		m := newMill(t, func(o *Options) { o.Disk, o.WarmDir, o.SegmentBytes = faulty, warm, 200_000 })
		m.policies[1] = Policy{Hours: 1 << 20, Tier: kvs.Warm}
		kept := m.fill(1, 1, 25)
		m.shop.now.Store(26 * 60_000)
		faulty.FailNth(n)
		err := m.Expire(t.Context())
		hits := faulty.Heal()
		wantStored(t, m.Archive, 1, kept...)
		switch n % 3 {
		case 1:
			m.again(nil)
		case 2:
			m.again(m.withoutIndex)
		}
		wantStored(t, m.Archive, 1, kept...)
		m.nothingComesBack([]string{"", "index"}[n%2])
		m.stop()
		if t.Failed() {
			t.Fatalf("operation %d", n)
		}
		if hits == 0 {
			if err != nil || n < 20 {
				t.Errorf("a pass has %d operations, %v", n-1, err)
			}
			return
		}
	}
}

// TestAnOldFileThatStays behind a move is tried again by every pass, and keeps row and
// tombstones until it is gone for good.
func TestAnOldFileThatStays(t *testing.T) {
	warm := t.TempDir()
	faulty := &disktest.Faulty{FS: disk.System{}, SkipSync: true}
	m := newMill(t, func(o *Options) { o.Disk, o.WarmDir = faulty, warm })
	m.policies[1] = Policy{Hours: 1 << 20, Tier: kvs.Warm}
	m.fill(1, 1, 120)
	hot := filepath.Join(m.o.Dir, "segments")
	stay := func(kind string) {
		faulty.Fail(func(o disktest.Op) error {
			if name := filepath.Base(o.Name); o.Kind == kind && (o.Name == hot || filepath.Dir(o.Name) == hot && name[0] != '.') {
				return syscall.EIO
			}
			return nil
		})
	}
	stay(disktest.Remove)
	if err := m.Expire(t.Context()); err == nil {
		t.Error("a file that cannot be removed is not told of")
	}
	doubled := func() map[int64]segmentRow {
		rows, err := m.index.segmentsWhere(t.Context(), `warm = 3`)
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	if len(doubled()) != 1 || len(segmentFiles(t, warm)) != 1 {
		t.Fatalf("%d segments may be in both folders, %d are in the warm one", len(doubled()), len(segmentFiles(t, warm)))
	}
	stay(disktest.SyncDir) // the name may come back with a power failure
	if err := m.Expire(t.Context()); err == nil || len(doubled()) != 1 {
		t.Errorf("%d segments may be in both folders, %v", len(doubled()), err)
	}
	m.policies[1] = Policy{Tier: kvs.Warm}
	m.shop.now.Store(1000 * 60_000)
	for range 3 {
		if err := m.Expire(t.Context()); err == nil || len(doubled()) != 1 {
			t.Errorf("a dead segment is forgotten that may come back: %v", err)
		}
	}
	faulty.Heal()
	m.nothingComesBack("")
}

// TestACopyWhoseRowIsNotCommitted is removed with its segment.
func TestACopyWhoseRowIsNotCommitted(t *testing.T) {
	warm := t.TempDir()
	m := newMill(t, func(o *Options) { o.Disk, o.WarmDir = disk.System{}, warm })
	m.policies[1] = Policy{Hours: 1 << 20, Tier: kvs.Warm}
	m.fill(1, 1, 60)
	m.exec(`CREATE TRIGGER broken BEFORE UPDATE OF warm ON segments WHEN NEW.warm = 3 BEGIN SELECT RAISE(ABORT, 'injected'); END`)
	if err := m.Expire(t.Context()); err == nil || len(segmentFiles(t, warm)) != 1 {
		t.Fatalf("%v, %v", segmentFiles(t, warm), err)
	}
	m.exec(`DROP TRIGGER broken`)
	m.nothingComesBack("")
}
