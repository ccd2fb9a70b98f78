package archive

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/disk/disktest"
	"github.com/millrace/millrace/internal/kvs"
)

// TestFailedCopiesAreGoneBeforeAnythingIsBuried: a segment of copies whose name may or may not
// be durable is removed, and that is synced, before a tombstone is written. Otherwise a power
// failure could bring it back behind the tombstones, with copies of what has died since.
func TestFailedCopiesAreGoneBeforeAnythingIsBuried(t *testing.T) {
	for _, failures := range []int{1, 2, 3} {
		d := &disktest.Faulty{FS: disk.System{}, SkipSync: true}
		m := newMill(t, func(o *Options) { o.Disk, o.SegmentBytes = d, 64<<20 })
		sources, kept := m.thin()
		var removed, synced, buried int // when that was last
		left, copied := failures, ""
		d.Fail(func(o disktest.Op) error {
			switch {
			case o.Kind == disktest.Rename:
				copied = o.Name
			case o.Kind == disktest.SyncDir && copied != "" && left > 0:
				left--
				return disktest.ErrFault
			case o.Kind == disktest.SyncDir:
				synced = o.N
			case o.Kind == disktest.Remove && filepath.Dir(o.Name) == m.dir:
				removed = o.N
			case o.Kind == disktest.Write && strings.Contains(o.Name, tombstonesName) && buried == 0:
				if buried = o.N; removed == 0 || synced < removed {
					t.Errorf("%d failures: buried at operation %d, removed at %d, synced at %d", failures, buried, removed, synced)
				}
			}
			return nil
		})
		err := m.maintain(t.Context(), func(ctx context.Context) error {
			c, err := m.copyLive(ctx, shelfOf(sources[0].Class, sources[0].Tier), sources)
			if err != nil {
				return err
			}
			return m.forward(ctx, c)
		})
		if err == nil || copied == "" {
			t.Fatalf("%d failures: nothing failed behind the rename of %q", failures, copied)
		}
		server := kept[10].Fragment.Number.Server
		for range failures {
			if _, err = m.Erase(t.Context(), 1, Erasure{Range: kvs.TimeRange{Start: server, End: server}, Through: 1 << 40}); err == nil {
				break
			}
		}
		if d.Heal(); err != nil || buried == 0 {
			t.Fatalf("%d failures: buried at %d, %v", failures, buried, err)
		}
		m.again(m.withoutIndex)
		wantStored(t, m.Archive, 1, append(append([]Record{}, kept[:10]...), kept[11:]...)...)
	}
}
