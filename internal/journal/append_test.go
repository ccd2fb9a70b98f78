package journal

import (
	"syscall"
	"testing"

	"github.com/millrace/millrace/internal/disk/disktest"
)

// TestALongAppend is synced in parts that a start would write again, and is none at all
// when one of them fails.
func TestALongAppend(t *testing.T) {
	d := &disktest.Faulty{FS: disktest.NewCrash("/d")}
	j, _, err := open(d)
	ok(t, err)
	long := make([][]byte, 100_000)
	for i := range long {
		long[i] = word(i)
	}
	syncs, fail := 0, 2
	d.Fail(func(o disktest.Op) error {
		if o.Kind != disktest.Sync {
			return nil
		}
		if syncs++; syncs == fail {
			return syscall.EIO
		}
		return nil
	})
	before := j.End()
	if err := j.Append(long...); err == nil || j.End() != before {
		t.Errorf("the end went from %d to %d, %v", before, j.End(), err)
	}
	syncs, fail = 0, 0
	if err := j.Append(long...); err != nil || syncs != 2 || j.End() != before+int64(len(long)*words.Size) {
		t.Errorf("%d syncs, the end is %d, %v", syncs, j.End(), err)
	}
	d.Heal()
	ok(t, j.Close())
	j, found, err := open(d)
	ok(t, err, j.Close())
	if len(found) != len(long) || found[99_999] != string(long[99_999]) {
		t.Errorf("%d entries found", len(found))
	}
}
