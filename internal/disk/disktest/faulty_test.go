package disktest

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/millrace/millrace/internal/disk"
)

// life does every kind of operation once and says how each ended.
func life(d disk.FS, f disk.File) map[string]error {
	other, err := d.Create("/d/e")
	if err == nil {
		err = other.Close()
	}
	opened, err2 := d.Open("/d/a")
	if err2 == nil {
		err2 = opened.Close()
	}
	return map[string]error{
		MakeDir: d.MakeDir("/d/f"), List: second(d.List("/d")), Create: err, Open: err2,
		Rename: d.Rename("/d/e", "/d/g"), Remove: d.Remove("/d/g"), SyncDir: d.SyncDir("/d"),
		Free: third(d.Free("/d")), Read: second(f.ReadAt(make([]byte, 1), 0)),
		Write: f.Write([][]byte{{1, 2, 3, 4}}, 0), Sync: f.Sync(), Truncate: f.Truncate(4),
		Punch: f.Punch(0, 4), Size: second(f.Size()), Allocated: second(f.Allocated()),
	}
}

func third[A, B any](_ A, _ B, err error) error { return err }

// Each operation can be failed, by its number and by its kind.
func TestFaulty(t *testing.T) {
	for n := 1; n <= 16; n++ {
		d := &Faulty{FS: NewCrash("/d")}
		f := must(d.Create("/d/a"))
		ok(t, f.Write([][]byte{{9}}, 0))
		d.FailNth(n)
		failed := 0
		for kind, err := range life(d, f) {
			if err == nil {
				continue
			}
			failed++
			if !errors.Is(err, syscall.ENOSPC) && !strings.Contains(err.Error(), "not exist") {
				t.Errorf("operation %d, %s: %v", n, kind, err)
			}
		}
		if hits := d.Heal(); n <= 15 && (hits != 1 || failed == 0) || n == 16 && (hits != 0 || failed != 0) {
			t.Errorf("operation %d: %d hits, %d failed", n, hits, failed)
		}
	}
	for _, kind := range []string{MakeDir, List, Create, Open, Rename, Remove, SyncDir, Free, Read, Write, Sync, Truncate, Punch, Size, Allocated} {
		d := &Faulty{FS: NewCrash("/d"), SkipSync: true}
		f := must(d.Create("/d/a"))
		d.FailKinds(kind)
		if errs := life(d, f); !errors.Is(errs[kind], ErrFault) {
			t.Errorf("%s: %v", kind, errs)
		}
	}
}

// A write that fails leaves half of its first piece.
func TestHalfAWrite(t *testing.T) {
	d := &Faulty{FS: NewCrash("/d")}
	f := must(d.Create("/d/a"))
	d.FailKinds(Write)
	if err := f.Write([][]byte{[]byte("four"), []byte("more")}, 0); !errors.Is(err, ErrFault) {
		t.Fatal(err)
	}
	if d.Heal(); content(t, d, "/d/a") != "fo" {
		t.Errorf("%q", content(t, d, "/d/a"))
	}
}

func syncsOnce(f disk.File) error { return f.Sync() }

// What is dropped is a success that nothing came of; lines are told apart.
func TestSites(t *testing.T) {
	c := NewCrash("/d")
	d := &Faulty{FS: c}
	f := must(d.Create("/d/a"))
	ok(t, f.Write([][]byte{[]byte("text")}, 0), syncsOnce(f), f.Sync())
	ok(t, d.SyncDir("/d"))
	sites := slices.Sorted(maps.Keys(d.Sites()))
	if len(sites) != 3 {
		t.Fatalf("%q", sites)
	}
	for _, s := range sites {
		if !strings.HasPrefix(s, "disktest/faulty_test.go:") {
			t.Errorf("%q", s)
		}
	}
	for _, drop := range []string{Sync, SyncDir, Rename, Write, Truncate, Punch, Remove, MakeDir} {
		d.Fail(func(o Op) error {
			if o.Kind == drop && (o.Site != "") == (drop == Sync || drop == SyncDir || drop == Rename) {
				return ErrDrop
			}
			return nil
		})
		if err := life(d, f)[drop]; err != nil || d.Heal() == 0 {
			t.Errorf("dropped %s: %v", drop, err)
		}
		ok(t, c.Remove("/d/e"), c.Remove("/d/g"))
	}
}
