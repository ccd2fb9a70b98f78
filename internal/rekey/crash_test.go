package rekey

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/disk/disktest"
)

// twin is the real disk, and beside it one that knows what a power failure may leave.
type twin struct {
	disk.System
	crash *disktest.Crash
}

func (d *twin) Create(name string) (disk.File, error) {
	return both(d.System.Create, d.crash.Create, name)
}
func (d *twin) Open(name string) (disk.File, error) { return both(d.System.Open, d.crash.Open, name) }
func (d *twin) Remove(name string) error {
	return errors.Join(d.System.Remove(name), d.crash.Remove(name))
}
func (d *twin) Rename(from, to string) error {
	return errors.Join(d.System.Rename(from, to), d.crash.Rename(from, to))
}
func (d *twin) SyncDir(name string) error { return d.crash.SyncDir(name) }

type opener = func(name string) (disk.File, error)

func both(one, other opener, name string) (disk.File, error) {
	f, err := one(name)
	if err != nil {
		return nil, err
	}
	g, err := other(name)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &twinFile{f, g}, nil
}

type twinFile struct {
	disk.File
	crash disk.File
}

func (f *twinFile) Write(pieces [][]byte, off int64) error {
	return errors.Join(f.File.Write(pieces, off), f.crash.Write(pieces, off))
}
func (f *twinFile) Truncate(size int64) error {
	return errors.Join(f.File.Truncate(size), f.crash.Truncate(size))
}
func (f *twinFile) Sync() error  { return f.crash.Sync() }
func (f *twinFile) Close() error { return errors.Join(f.File.Close(), f.crash.Close()) }

// newTwin has the files of the home on both disks, durable.
func newTwin(h *home) (*twin, error) {
	d := &twin{crash: disktest.NewCrash(h.dir)}
	err := d.crash.MakeDir(h.path("archive"))
	for _, name := range []string{Current, dataKeys} {
		f, made := d.crash.Create(h.path(name))
		if made != nil {
			return nil, errors.Join(err, made)
		}
		err = errors.Join(err, f.Write([][]byte{[]byte(h.text(name))}, 0), f.Sync(), f.Close(), d.crash.SyncDir(filepath.Dir(h.path(name))))
	}
	return d, errors.Join(err, d.crash.SyncDir(h.dir))
}

// left writes what a power failure at this moment may leave of the home to a folder. The
// database syncs for itself: it is as it was.
func (h *home) left(d *twin, seed uint64, dir string) error {
	if err := d.crash.Clone(seed, dir).Export(dir); err != nil {
		return err
	}
	for _, name := range []string{"keys.db", "keys.db-wal"} {
		b, err := os.ReadFile(h.path(name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), b, 0o600)); err != nil {
			return err
		}
	}
	return nil
}

// powerFailures rotates the key of a home, without the calls from a site. At each operation
// power fails, in some ways each time: the next start must finish the rotation, if it had
// begun, with nothing lost. It returns the calls in this package that make something durable,
// and the first thing that went wrong.
func powerFailures(t *testing.T, drop string) (sites []string, wrong error) {
	h := newHome(t)
	d, err := newTwin(h)
	if err != nil {
		t.Fatal(err)
	}
	const ways = 4
	at := func(n int, after func(dir string) error) {
		for way := range uint64(ways) {
			dir := filepath.Join(t.TempDir(), "left")
			err := errors.Join(os.Mkdir(dir, 0o700), h.left(d, uint64(n)*ways+way, dir))
			if err != nil {
				t.Fatal(err)
			}
			if err := after(dir); err != nil && wrong == nil {
				wrong = fmt.Errorf("power failure ahead of operation %d: %w", n, err)
			}
		}
	}
	f, last := &disktest.Faulty{FS: d}, 0
	f.Fail(func(o disktest.Op) error {
		if last = o.N; wrong == nil {
			at(o.N, h.recovers)
		}
		if drop != "" && o.Site == drop {
			return disktest.ErrDrop
		}
		return nil
	})
	if err := h.rotate(f, nil); err != nil && wrong == nil {
		wrong = err
	}
	if wrong == nil { // who was told that it is done finds it done
		at(last+1, h.sound)
	}
	for site := range f.Sites() {
		if strings.HasPrefix(site, "rekey/") {
			sites = append(sites, site)
		}
	}
	return sites, wrong
}

// recovers starts on what was left in a folder.
func (h *home) recovers(dir string) error {
	pending, err := Pending(dir)
	if pending && err == nil {
		rows, opened := openRows(h.t.Context(), dir)
		if opened != nil {
			return opened
		}
		err = errors.Join(Run(h.t.Context(), Options{Dir: dir, Keys: rows, Owner: owner, Disk: &disktest.Faulty{FS: disk.System{}, SkipSync: true}}), rows.Close())
	}
	return errors.Join(err, h.sound(dir))
}

// Power fails at every operation of a rotation, and nothing is lost; and without any one of
// its calls of Sync, SyncDir and Rename something would be.
func TestPowerFailuresInARotation(t *testing.T) {
	sites, wrong := powerFailures(t, "")
	if wrong != nil {
		t.Fatal(wrong)
	}
	if len(sites) != 5 {
		t.Errorf("the rotation makes things durable at %q: want five places", sites)
	}
	for _, site := range sites {
		if _, wrong := powerFailures(t, site); wrong == nil {
			t.Errorf("%s was left out, and nothing is wrong", site)
		} else {
			t.Logf("%s: %v", site, wrong)
		}
	}
}
