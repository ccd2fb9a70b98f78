package disk

import (
	"bytes"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"testing"
)

func content(t *testing.T, f File) []byte {
	t.Helper()
	n, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, n)
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

// The life of a file on the system's disk.
func TestSystem(t *testing.T) {
	var d System
	dir := filepath.Join(t.TempDir(), "a", "b")
	old, name := filepath.Join(dir, "old"), filepath.Join(dir, "name")
	if err := errors.Join(d.MakeDir(dir), d.Remove(name), d.SyncDir(dir)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Open(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opening nothing: %v", err)
	}
	f, err := d.Create(old)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Create(old); !errors.Is(err, fs.ErrExist) {
		t.Errorf("making it twice: %v", err)
	}
	pieces := make([][]byte, 3000) // more than one system call takes
	for i := range pieces {
		pieces[i] = bytes.Repeat([]byte{byte(i)}, i%7)
	}
	want := bytes.Join(pieces, nil)
	if err := errors.Join(f.Write(pieces, 0), f.Write([][]byte{[]byte("end")}, int64(len(want))), f.Sync()); err != nil {
		t.Fatal(err)
	}
	if got := content(t, f); !bytes.Equal(got, append(want, "end"...)) {
		t.Error("not what was written")
	}
	if err := errors.Join(f.Truncate(5), d.Rename(old, name), d.SyncDir(dir)); err != nil {
		t.Fatal(err)
	}
	if got := content(t, f); !bytes.Equal(got, want[:5]) {
		t.Errorf("after the cut: %q", got)
	}
	if names, err := d.List(dir); err != nil || !slices.Equal(names, []string{"name"}) {
		t.Errorf("%q, %v", names, err)
	}
	if free, total, err := d.Free(dir); err != nil || free <= 0 || free > total {
		t.Errorf("%d of %d bytes are free, %v", free, total, err)
	}
	if err := errors.Join(f.Close(), d.Remove(name)); err != nil {
		t.Error(err)
	}
	if names, err := d.List(dir); err != nil || len(names) != 0 {
		t.Errorf("%q, %v", names, err)
	}
	if _, _, err := d.Free(dir + "/none"); err == nil {
		t.Error("a folder that is not there has room")
	}
}

// A hole reads as zeros, keeps the size and what is beside it, and takes no room.
func TestPunch(t *testing.T) {
	var d System
	f, err := d.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Repeat([]byte{7}, 64*PageBytes)
	if err := errors.Join(f.Write([][]byte{bytes.Clone(want)}, 0), f.Sync()); err != nil {
		t.Fatal(err)
	}
	before, err := f.Allocated()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Punch(PageBytes+1, PageBytes-1); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("less than a page: %v", err)
	}
	err = f.Punch(10, 40*PageBytes)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Log("no holes here")
	} else if err != nil {
		t.Fatal(err)
	} else {
		clear(want[PageBytes : 40*PageBytes])
		if after, err := f.Allocated(); err != nil || after > before-39*PageBytes {
			t.Errorf("%d bytes are left of %d, %v", after, before, err)
		}
		holes, err := f.Holes()
		if want := (Holes{{PageBytes, 40 * PageBytes}}); err != nil || len(holes) > 0 && !slices.Equal(holes, want) {
			t.Errorf("%v, %v; want %v", holes, err, want)
		}
	}
	if !bytes.Equal(content(t, f), want) {
		t.Error("the hole is not where it was asked for")
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// Renew changes nothing that can be read.
func TestRenew(t *testing.T) {
	f, err := System{}.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Repeat([]byte("renew"), 150_000)
	if err := f.Write([][]byte{bytes.Clone(want)}, 0); err != nil {
		t.Fatal(err)
	}
	for _, r := range [][2]int64{{0, int64(len(want))}, {17, 300_000}, {5, 5}, {9, 3}} {
		if err := Renew(f, r[0], r[1]); err != nil {
			t.Errorf("%v: %v", r, err)
		}
	}
	if err := Renew(f, 10, int64(len(want))+1); err == nil {
		t.Error("more than there is")
	}
	if !bytes.Equal(content(t, f), want) {
		t.Error("other bytes")
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
