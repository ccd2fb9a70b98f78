package disktest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/disk"
)

// must fails a test of something that cannot go wrong here.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func ok(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func fill(b byte, n int) [][]byte { return [][]byte{bytes.Repeat([]byte{b}, n)} }

func content(t *testing.T, d disk.FS, name string) string {
	t.Helper()
	f, err := d.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "none"
	}
	size := must(f.Size())
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil && size > 0 {
		t.Fatal(err)
	}
	ok(t, f.Close())
	return string(b)
}

// outcomes returns what clones show, most of all that can be.
func outcomes(c *Crash, look func(*Crash) string) []string {
	seen := map[string]bool{}
	for seed := range uint64(600) {
		seen[look(c.Clone(seed, "/r"))] = true
	}
	var all []string
	for s := range seen {
		all = append(all, s)
	}
	slices.Sort(all)
	return all
}

func want(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s: found %q, want %q", what, got, want)
	}
}

// Names come and go with the folder's sync, and only with it.
func TestNamesNeedTheFolder(t *testing.T) {
	c := NewCrash("/d")
	names := func(c *Crash) string {
		n := must(c.List("/r"))
		slices.Sort(n)
		return strings.Join(n, " ")
	}
	f := must(c.Create("/d/a"))
	ok(t, f.Write(fill(1, 10), 0), f.Sync())
	want(t, "made", outcomes(c, names), "", "a")
	ok(t, c.SyncDir("/d"))
	want(t, "made and synced", outcomes(c, names), "a")
	ok(t, c.Rename("/d/a", "/d/b"))
	want(t, "renamed", outcomes(c, names), "a", "b")
	ok(t, c.SyncDir("/d"), c.Remove("/d/b"), c.Remove("/d/never"))
	want(t, "removed", outcomes(c, names), "", "b")
	ok(t, c.SyncDir("/d"), c.MakeDir("/d/e/f"))
	want(t, "folder", outcomes(c, names), "", "e")
	ok(t, c.SyncDir("/d"))
	want(t, "folder and synced", outcomes(c, names), "e")
	if n, err := c.List("/d/e"); err != nil || len(n) != 1 {
		t.Errorf("%q, %v", n, err)
	}
	ok(t, f.Close())
	if c.Handles() != 0 {
		t.Errorf("%d files are open", c.Handles())
	}
}

// A rename replaces a file as a whole: one or the other, never none.
func TestRenameReplaces(t *testing.T) {
	c := NewCrash("/d")
	f := must(c.Create("/d/a"))
	ok(t, f.Write([][]byte{[]byte("old")}, 0), f.Sync(), f.Close(), c.SyncDir("/d"))
	f = must(c.Create("/d/t"))
	ok(t, f.Write([][]byte{[]byte("new")}, 0), f.Sync(), f.Close(), c.Rename("/d/t", "/d/a"))
	look := func(c *Crash) string { return content(t, c, "/r/a") }
	want(t, "renamed", outcomes(c, look), "new", "old")
	ok(t, c.SyncDir("/d"))
	want(t, "and synced", outcomes(c, look), "new")
}

// short says which bytes pages begin with, and how many pages there are.
func short(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		p := s[:min(len(s), pageSize)]
		if strings.Count(p, p[:1]) != len(p) {
			b.WriteByte('t') // torn
		} else {
			fmt.Fprintf(&b, "%d", p[0])
		}
		s = s[len(p):]
	}
	return b.String()
}

// Pages and size come with the file's sync, each by itself.
func TestPagesNeedTheFile(t *testing.T) {
	c := NewCrash("/d")
	f := must(c.Create("/d/a"))
	ok(t, c.SyncDir("/d"))
	look := func(c *Crash) string { return short(content(t, c, "/r/a")) }
	ok(t, f.Write(fill(1, 2*pageSize), 0))
	got := outcomes(c, look)
	for _, w := range []string{"", "00", "01", "10", "11", "t1"} {
		if !slices.Contains(got, w) {
			t.Errorf("written: %q is never found, only %q", w, got)
		}
	}
	ok(t, f.Sync())
	want(t, "written and synced", outcomes(c, look), "11")
	ok(t, f.Write(fill(2, pageSize), 0), f.Write(fill(3, pageSize), 0))
	got = outcomes(c, look)
	for _, w := range []string{"11", "21", "31", "t1"} {
		if !slices.Contains(got, w) {
			t.Errorf("written over: %q is never found, only %q", w, got)
		}
	}
	if len(got) != 4 {
		t.Errorf("the synced page suffered: %q", got)
	}
	ok(t, f.Sync(), f.Truncate(pageSize))
	want(t, "cut", outcomes(c, look), "3", "31", "30")
	ok(t, f.Sync())
	want(t, "cut and synced", outcomes(c, look), "3")
	ok(t, f.Write(fill(4, pageSize), pageSize), f.Sync(), f.Punch(1, 2*pageSize))
	want(t, "punched", outcomes(c, look), "34", "30")
	if n := must(f.Allocated()); n != pageSize {
		t.Errorf("%d bytes are left", n)
	}
	ok(t, f.Close())
}

// A page that was never synced may show what another file held.
func TestStaleBlocks(t *testing.T) {
	c := NewCrash("/d")
	f := must(c.Create("/d/old"))
	ok(t, f.Write(fill(9, pageSize), 0), f.Sync(), f.Close())
	f = must(c.Create("/d/a"))
	ok(t, c.SyncDir("/d"), f.Write(fill(1, pageSize), 0), f.Close())
	got := outcomes(c, func(c *Crash) string { return short(content(t, c, "/r/a")) })
	if !slices.Contains(got, "9") {
		t.Errorf("only %q", got)
	}
}

// What a failed sync lost stays lost until it is written again.
func TestLostPages(t *testing.T) {
	c := NewCrash("/d")
	d := &Faulty{FS: c}
	f := must(d.Create("/d/a"))
	ok(t, d.SyncDir("/d"), f.Write(fill(1, pageSize), 0))
	d.Fail(func(Op) error { return ErrLost })
	if err := f.Sync(); !errors.Is(err, ErrLost) {
		t.Fatal(err)
	}
	d.Heal()
	ok(t, f.Sync())
	look := func(c *Crash) string { return short(content(t, c, "/r/a")) }
	if got := outcomes(c, look); len(got) < 2 || content(t, c, "/d/a")[0] != 1 {
		t.Errorf("found %q", got)
	}
	ok(t, f.Write(fill(2, 1), 0), f.Sync(), f.Close())
	want(t, "written again", outcomes(c, look), "t")
}

// A clone is chosen by its seed alone, and what happens to it changes nothing else.
func TestClonesStandAlone(t *testing.T) {
	c := NewCrash("/d")
	ok(t, c.MakeDir("/d/e"))
	for i := range 20 {
		f := must(c.Create(fmt.Sprintf("/d/e/%d", i)))
		ok(t, f.Write(fill(byte(i), 3*pageSize), int64(i)), f.Close())
		if i%3 == 0 {
			ok(t, c.SyncDir("/d/e"), c.SyncDir("/d"))
		}
	}
	look := func(c *Crash) string {
		names := must(c.List("/r/e"))
		slices.Sort(names)
		s := ""
		for _, n := range names {
			s += n + content(t, c, "/r/e/"+n)
		}
		return s
	}
	for seed := range uint64(30) {
		a, b := c.Clone(seed, "/r"), c.Clone(seed, "/r")
		one := look(a)
		if one != look(b) {
			t.Fatalf("seed %d gives two disks", seed)
		}
		f := must(a.Open("/r/e/0"))
		ok(t, f.Write(fill(77, 100), 5000), f.Punch(0, pageSize), f.Truncate(5050), f.Close(), a.Remove("/r/e/3"))
		if one != look(b) || one != look(c.Clone(seed, "/r")) {
			t.Fatalf("seed %d: one clone shows in another", seed)
		}
	}
	if look(c.Copy("/r")) != look(c.Clone(1, "/r")) && len(must(c.Copy("/r").List("/r/e"))) != 20 {
		t.Error("a copy loses something")
	}
}

// The disk answers mistakes as the system does.
func TestMistakes(t *testing.T) {
	c := NewCrash("/d")
	f := must(c.Create("/d/a"))
	for name, err := range map[string]error{
		"made twice":         second(c.Create("/d/a")),
		"opened":             second(c.Open("/d/none")),
		"elsewhere":          second(c.Open("/etc/passwd")),
		"no folder":          second(c.Create("/d/e/a")),
		"listed":             second(c.List("/d/e")),
		"folder in a file":   c.MakeDir("/d/a/b"),
		"renamed":            c.Rename("/d/none", "/d/b"),
		"synced":             c.SyncDir("/d/e"),
		"read at the end":    second(f.ReadAt(make([]byte, 1), 0)),
		"read before it all": second(f.ReadAt(make([]byte, 1), -1)),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	ok(t, f.Close())
	for _, err := range []error{f.Close(), f.Sync(), f.Truncate(0), f.Write(nil, 0), f.Punch(0, 1), second(f.Size()), second(f.ReadAt(nil, 0))} {
		if !errors.Is(err, fs.ErrClosed) {
			t.Errorf("closed, but %v", err)
		}
	}
	if _, err := f.ReadAt(nil, 0); errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

func second[T any](_ T, err error) error { return err }
