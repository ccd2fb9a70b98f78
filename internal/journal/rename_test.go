package journal

import (
	"syscall"
	"testing"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/disk/disktest"
)

// A rename that fails but happened is one that happened; as long as nobody can tell which
// file has the name, nothing is appended to either.
func TestRenameInDoubt(t *testing.T) {
	c := disktest.NewCrash("/d")
	d := &liar{FS: c}
	j := reopen(t, d)
	ok(t, j.Append(word(1)))
	d.lie = true
	ok(t, j.Rewrite(these(1, 2)), j.Append(word(3)))
	d.blind = true
	if j.Rewrite(these(4)) == nil {
		t.Fatal("believed")
	}
	d.lie, d.blind = false, false
	if j.Append(word(5)) == nil || j.Rewrite(these(6)) == nil {
		t.Fatal("appended to a file that may be without a name")
	}
	ok(t, j.Close())
	ok(t, reopen(t, c, 4).Close())
}

// liar renames and says that it could not, and may open nothing meanwhile.
type liar struct {
	disk.FS
	lie, blind bool
}

func (d *liar) Rename(from, to string) error {
	if err := d.FS.Rename(from, to); err != nil || !d.lie {
		return err
	}
	return syscall.EIO
}

func (d *liar) Open(name string) (disk.File, error) {
	if d.blind {
		return nil, syscall.EIO
	}
	return d.FS.Open(name)
}
