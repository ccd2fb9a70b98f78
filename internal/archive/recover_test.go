package archive

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// storeAll stores the records in a new archive in dir, each batch alone, and closes it.
func storeAll(t *testing.T, o Options, recs ...Record) {
	t.Helper()
	a := start(t, o)
	for _, r := range recs {
		a.mustStore(r)
	}
	a.stop()
}

// copyFile copies a closed file.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func numbered(id kvs.StreamID, from, to int64, size int) (recs []Record) {
	for n := from; n <= to; n++ {
		recs = append(recs, sample(id, n, size))
	}
	return recs
}

func TestIndexIsRebuiltFromSegments(t *testing.T) {
	dir := t.TempDir()
	o := Options{Dir: dir, SegmentBytes: 8192}
	recs := numbered(1, 1, 30, 1000)
	storeAll(t, o, recs...)
	if err := os.Remove(filepath.Join(dir, "index.db")); err != nil {
		t.Fatal(err)
	}
	a := open(t, o)
	wantStored(t, a, 1, recs...)
	s, err := a.Stats(context.Background())
	if err != nil || s.Fragments != 30 || s.Bytes != 30*recordBytes(1000) || s.OpenSegments != 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	if a.longest.Load() != 2000 {
		t.Errorf("longest is %d", a.longest.Load())
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAnIndexOlderThanTheSegmentsCatchesUp(t *testing.T) {
	dir := t.TempDir()
	index, saved := filepath.Join(dir, "index.db"), filepath.Join(dir, "saved")
	o := Options{Dir: dir, SegmentBytes: 8192}
	recs := numbered(1, 1, 40, 1000)
	storeAll(t, o, recs[:13]...)
	copyFile(t, index, saved)
	storeAll(t, o, recs[13:]...)
	copyFile(t, saved, index)
	for range 2 { // the second time there is nothing left to do
		a := open(t, o)
		wantStored(t, a, 1, recs...)
		if s, err := a.Stats(context.Background()); err != nil || s.Fragments != 40 {
			t.Fatalf("%+v, %v", s, err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTornTailIsCutAndTheRestKept(t *testing.T) {
	dir := t.TempDir()
	o := Options{Dir: dir}
	recs := numbered(1, 1, 4, 40)
	storeAll(t, o, recs...)
	name := segmentFiles(t, dir)[0]
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	last := int(recordBytes(40))
	for cut := len(whole) - last; cut < len(whole); cut += 7 {
		if err := os.Remove(filepath.Join(dir, "index.db")); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		a := open(t, o)
		wantStored(t, a, 1, recs[:3]...)
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f := bytes.NewReader(b)
		h, err := segment.ReadHead(f)
		if err != nil {
			t.Fatal(err)
		}
		fragments := 0
		ok, err := segment.ReadFooter(f, h, int64(len(b)), func(int64, *segment.Record) error {
			fragments++
			return nil
		})
		if !ok || err != nil || fragments != 3 {
			t.Fatalf("cut at %d: the footer (%v, %v) lists %d fragments", cut, ok, err, fragments)
		}
	}
}

func TestASegmentOfAnotherArchiveIsRefused(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	storeAll(t, Options{Dir: dir}, sample(1, 1, 10))
	storeAll(t, Options{Dir: other}, sample(1, 1, 10))
	copyFile(t, segmentFiles(t, other)[0], segmentFiles(t, dir)[0])
	if a, err := Open(context.Background(), Options{Dir: dir, Keys: keysIn(t, dir)}); err == nil {
		t.Error("opened")
		_ = a.Close()
	}
}

func TestFilesThatAreNoSegmentsAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	storeAll(t, Options{Dir: dir}, sample(1, 1, 10))
	stray := filepath.Join(dir, "segments", "notes.txt")
	headless := filepath.Join(dir, "segments", segment.FileName(3))
	unborn := filepath.Join(dir, "segments", segment.FileName(4))
	for name, size := range map[string]int{stray: 10, headless: 1000, unborn: 30} {
		if err := os.WriteFile(name, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a := open(t, Options{Dir: dir})
	wantStored(t, a, 1, sample(1, 1, 10))
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{stray: true, headless: true, unborn: false} {
		if _, err := os.Stat(name); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is in a missing file cannot be read, and is not listed. When the file comes back it
// is as if nothing was.
func TestAMissingSegmentTakesOnlyItsOwnFragments(t *testing.T) {
	dir := t.TempDir()
	o := Options{Dir: dir, SegmentBytes: 2048}
	recs := numbered(1, 1, 6, 1000)
	storeAll(t, o, recs...)
	file, aside := segmentFiles(t, dir)[0], filepath.Join(dir, "aside")
	if err := os.Rename(file, aside); err != nil {
		t.Fatal(err)
	}
	a := open(t, o)
	ctx := context.Background()
	s, ok, err := a.Next(ctx, 1, kvs.FragmentNumber{}, 0)
	if !ok || err != nil || s.Number.N < 2 {
		t.Fatal(s.Number, ok, err)
	}
	wantStored(t, a, 1, recs[s.Number.N-1:]...)
	if err := errors.Join(a.Close(), os.Rename(aside, file)); err != nil {
		t.Fatal(err)
	}
	b := open(t, o)
	wantStored(t, b, 1, recs...)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestAStartReadsOnlyWhatTheIndexLacks: the committed length is where the file ends.
func TestAStartReadsOnlyWhatTheIndexLacks(t *testing.T) {
	dir := t.TempDir()
	a := start(t, Options{Dir: dir})
	for n := int64(1); n <= 3; n++ {
		a.mustStore(sample(1, n, 1000))
		info, err := os.Stat(segmentFiles(t, dir)[0])
		if err != nil {
			t.Fatal(err)
		}
		rows, err := a.index.segments(context.Background())
		if err != nil || len(rows) != 1 {
			t.Fatal(len(rows), err)
		}
		for _, row := range rows {
			if row.length != info.Size() || row.live != n || row.bytes != n*recordBytes(1000) || row.total != row.bytes || row.longest != 2000 {
				t.Errorf("%+v, the file has %d bytes", row, info.Size())
			}
		}
	}
}
