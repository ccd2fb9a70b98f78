package archive

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/internal/disk/disktest"
	"github.com/millrace/millrace/internal/segment"
	"github.com/millrace/millrace/internal/segment/segmenttest"
)

// A process may die between the cut of a segment and its sync. The next start finds nothing
// to cut in a segment of version 1, and nothing to write, but must not call it sealed
// before the cut is on the disk.
func TestACutThatNobodySyncedIsSyncedByTheNextStart(t *testing.T) {
	dir := t.TempDir()
	d := disktest.NewCrash(dir)
	a := start(t, Options{Dir: dir, Disk: d})
	old := segmenttest.New(segment.Head{Version: 1, ID: 1, Salt: 7})
	good := int64(len(old.Bytes))
	name := filepath.Join(dir, "segments", segment.FileName(1))
	f, err := d.Create(name)
	if err == nil {
		err = errors.Join(f.Write([][]byte{append(old.Bytes, "torn"...)}, 0), f.Sync(), d.SyncDir(filepath.Dir(name)), f.Truncate(good))
	}
	if err == nil {
		err = a.index.addSegment(t.Context(), segmentRow{Head: old.Head, length: good})
	}
	if err == nil {
		r := &recovery{Archive: a.Archive}
		err = r.conclude(t.Context(), &markedFile{File: f}, old.Head, good, good)
	}
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(8) {
		after, err := d.Clone(seed, dir).Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if size, err := after.Size(); size != good || err != nil {
			t.Errorf("power failure %d: %d bytes, not %d, %v", seed, size, good, err)
		}
	}
	a.stop()
}

// A file without even its head is forgotten and removed, whether the index knows it or not:
// a process died while it made the file, and then the power failed.
func TestASegmentWithoutHeadIsForgotten(t *testing.T) {
	for _, length := range []int64{0, 20} {
		p, _, recs := grown(t)
		name := filepath.Join(p.o.Dir, "segments", segment.FileName(5))
		if err := os.Truncate(name, length); err != nil {
			t.Fatal(err)
		}
		look := func(a *Archive) {
			wantStored(t, a, 1, recs[5:]...)
			if rows, err := a.index.segments(t.Context()); rows[5] != (segmentRow{}) || err != nil {
				t.Errorf("%d bytes: %+v, %v", length, rows[5], err)
			}
			if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%d bytes: the file is there: %v", length, err)
			}
		}
		p.inOpen(look)
		p.forgetIndex()
		p.inOpen(look)
	}
}
