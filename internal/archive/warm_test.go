package archive

import (
	"io"
	"os"
	"path/filepath"
	"testing"

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
