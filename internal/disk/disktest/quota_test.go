package disktest

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/millrace/millrace/internal/disk"
)

// A disk takes what fits, also of what others write there, and gets room back by removal.
func TestQuota(t *testing.T) {
	dir := t.TempDir()
	q := &Quota{FS: disk.System{}, Root: dir, Limit: 10 * pageSize}
	ok(t, os.WriteFile(dir+"/other", make([]byte, 4*pageSize), 0o600))
	f := must(q.Create(dir + "/a"))
	ok(t, f.Write(fill(1, 5*pageSize), 0), f.Write(fill(2, 5*pageSize), 0)) // the same room
	if err := f.Write(append(fill(3, pageSize), fill(4, pageSize)...), 5*pageSize); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("more than there is room for: %v", err)
	}
	if got := short(content(t, q, dir+"/a")); got != "222223" {
		t.Errorf("found %q", got)
	}
	if free, total, err := q.Free(dir); free != 0 || total != q.Limit || err != nil {
		t.Errorf("%d of %d are free, %v", free, total, err)
	}
	ok(t, os.Remove(dir+"/other"), f.Write(fill(5, 4*pageSize), 6*pageSize), f.Close())
	if used := must(q.Used()); used != q.Limit {
		t.Errorf("%d are used", used)
	}
	ok(t, q.Remove(dir+"/a"))
	if used := must(q.Used()); used != 0 {
		t.Errorf("%d are used of nothing", used)
	}
}
