package archive

import (
	"errors"
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
