package inspect

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/disk"
)

// filled makes a file of ten pages without zeros.
func filled(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, bytes.Repeat([]byte{7}, 10*pageSize), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestHolesAreFound(t *testing.T) {
	path := filled(t)
	d, err := disk.System{}.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []int64{2, 3, 8} {
		if err := d.Punch(p*pageSize, pageSize); err != nil {
			return // this system makes no holes, so there are none to find
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := disk.HolesOf(f, 10*pageSize)
	want := disk.Holes{{From: 2 * pageSize, To: 4 * pageSize}, {From: 8 * pageSize, To: 9 * pageSize}}
	if d := cmp.Diff(want, all); d != "" || err != nil {
		t.Fatal(err, d)
	}
	s := &inspection{f: f, holes: all}
	for _, c := range []struct {
		from, to       int64
		touched, zeros bool
	}{
		{0, 2 * pageSize, false, false},
		{0, 2*pageSize + 1, true, false}, // not a whole page
		{0, 3 * pageSize, true, true},
		{4*pageSize - 1, 4 * pageSize, true, false},
		{4 * pageSize, 8 * pageSize, false, false},
		{8*pageSize + 1, 10 * pageSize, true, false},
		{9 * pageSize, 10 * pageSize, false, false},
	} {
		if touched, zeros := s.touched(c.from, c.to), s.zeros(c.from, c.to); touched != c.touched || zeros != c.zeros {
			t.Errorf("%d to %d: touched %v, zeros %v", c.from, c.to, touched, zeros)
		}
	}
	s.head.Version = 1
	if s.touched(0, 10*pageSize) {
		t.Error("a hole in a file of version 1 is one of its zeros")
	}
}

func TestTombstonesMerge(t *testing.T) {
	ts := &tombstones{spans: map[grave][]span{}}
	g := grave{1, 5}
	for _, s := range []span{{1, 4, true}, {5, 9, true}, {20, 20, true}, {10, 12, false}} {
		ts.add(g, s)
	}
	if len(ts.spans[g]) != 3 {
		t.Errorf("%v", ts.spans[g])
	}
	for n, want := range map[int64][2]bool{0: {false, false}, 1: {true, true}, 9: {true, true}, 13: {false, false}, 20: {true, true}, 21: {false, false}} {
		if named, done := ts.name(1, fragmentID{5, n}); [2]bool{named, done} != want {
			t.Errorf("%d: %v, %v", n, named, done)
		}
	}
	if named, _ := ts.name(2, fragmentID{5, 1}); named {
		t.Error("named in another segment")
	}
}
