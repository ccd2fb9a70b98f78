package staging

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"
	"unsafe"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
	"github.com/millrace/millrace/internal/segment/segmenttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func create(t *testing.T, fs disk.FS, name string) disk.File {
	t.Helper()
	f, err := fs.Create(filepath.Join(t.TempDir(), name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// media are bytes with a pattern, in pieces of odd lengths.
func media(n int) (pieces [][]byte) {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7 / 5)
	}
	for k := 1; len(b) > 0; k = k*3 + 1 {
		cut := min(k, len(b))
		pieces = append(pieces, b[:cut])
		b = b[cut:]
	}
	return pieces
}

// What is written is what one would write by hand, whatever the sizes of bodies, tables
// and buffers.
func TestBytesAreThoseOfTheRecords(t *testing.T) {
	key := segmenttest.Key(9)
	w := New(1)
	for round := range 3 {
		w.Start()
		var files []*segmenttest.File
		var runs []*Run
		for i := range 3 {
			want := segmenttest.New(segment.Head{Version: 2, ID: int64(i + 1), Salt: uint64(round*10 + i)})
			run := &Run{File: create(t, disk.System{}, "seg"), Salt: want.Head.Salt, At: segment.HeadSize}
			w.Begin(run)
			for n, size := range []int{0, 1, 300, segment.ChunkSize, 3*segment.ChunkSize + 5, 1_000_000} {
				body, frames := media(size), bytes.Join(media(size/3*i), nil)
				at := want.Fragment(segment.Record{Fragment: kvs.Fragment{Stream: 5, Number: kvs.FragmentNumber{N: int64(n)}},
					Facts: segment.Facts{LiveSeq: int64(n), Tracks: make([]segment.Track, n)}}, key, bytes.Join(body, nil), frames)
				rec, ok, err := segment.ReadRecord(bytes.NewReader(want.Bytes), want.Head, at, int64(len(want.Bytes)))
				if !ok || err != nil {
					t.Fatal(ok, err)
				}
				if err := w.Put(&rec, key, body, frames); err != nil {
					t.Fatal(err)
				}
			}
			w.End()
			files, runs = append(files, want), append(runs, run)
		}
		w.Wait()
		for i, r := range runs {
			got := make([]byte, len(files[i].Bytes))
			if _, err := r.File.ReadAt(got, 0); err != nil || r.Err != nil {
				t.Fatal(err, r.Err)
			}
			if !bytes.Equal(got[segment.HeadSize:], files[i].Bytes[segment.HeadSize:]) {
				t.Errorf("round %d: file %d differs", round, i)
			}
		}
	}
}

// A run whose file fails says so; others do not suffer.
func TestFailuresStayWithTheirRun(t *testing.T) {
	for _, kind := range []string{"write", "sync"} {
		t.Run(kind, func(t *testing.T) {
			broken := errors.New("injected")
			runs := []*Run{{File: create(t, disk.System{}, "good")},
				{File: &failing{File: create(t, disk.System{}, "bad"), kind: kind, err: broken}}, {File: create(t, disk.System{}, "good")}}
			w := New(1)
			w.Start()
			for _, r := range runs {
				w.Begin(r)
				rec := segment.Record{Kind: segment.FragmentRecord, Key: 9, Body: 1_000_000}
				if err := w.Put(&rec, segmenttest.Key(9), media(1_000_000), nil); err != nil {
					t.Fatal(err)
				}
				w.End()
			}
			w.Wait()
			for i, r := range runs {
				if bad := i == 1; errors.Is(r.Err, broken) != bad || r.Unsynced != (bad && kind == "sync") {
					t.Errorf("run %d: %v, %v", i, r.Err, r.Unsynced)
				}
			}
		})
	}
}

type failing struct {
	disk.File
	kind string
	err  error
}

func (f *failing) Write(pieces [][]byte, off int64) error {
	if f.kind == "write" && off > 0 {
		return f.err
	}
	return f.File.Write(pieces, off)
}

func (f *failing) Sync() error {
	if f.kind == "sync" {
		return f.err
	}
	return f.File.Sync()
}

func TestTheWrongKeyPutsNothing(t *testing.T) {
	r := &Run{File: create(t, disk.System{}, "seg")}
	w := New(1)
	w.Start()
	w.Begin(r)
	rec := segment.Record{Kind: segment.FragmentRecord, Key: 8}
	if err := w.Put(&rec, segmenttest.Key(9), nil, nil); err == nil {
		t.Error("sealed")
	}
	w.End()
	w.Wait()
	if size, err := r.File.Size(); size != 0 || err != nil || r.Err != nil {
		t.Error(size, err, r.Err)
	}
}

func TestSealingAllocatesLittle(t *testing.T) {
	key := segmenttest.Key(9)
	body := media(600_000)
	w := New(Size)
	f := create(t, disk.System{}, "seg")
	put := func() {
		w.Start()
		w.Begin(&Run{File: f})
		for range 10 {
			rec := segment.Record{Kind: segment.FragmentRecord, Key: 9, Body: 600_000}
			if err := w.Put(&rec, key, body, nil); err != nil {
				t.Fatal(err)
			}
		}
		w.End()
		w.Wait()
	}
	put()
	if allocs := testing.AllocsPerRun(5, put); allocs > 300 { // 20 of each record's cipher
		t.Errorf("%v allocations for 10 records", allocs)
	}
}

// What is written lies in memory as in the pages of the file, and but for the ends of a run
// it is whole pages: so long pieces need not be copied on their way to the disk.
func TestBuffersLieLikePages(t *testing.T) {
	key := segmenttest.Key(9)
	f := &laid{t: t, File: create(t, disk.System{}, "seg")}
	w := New(1)
	at := int64(segment.HeadSize)
	for range 3 {
		w.Start()
		run := &Run{File: f, At: at}
		f.from, f.end = at, at
		w.Begin(run)
		for _, size := range []int64{100, 600_000, 0, 1_000_000} {
			rec := segment.Record{Kind: segment.FragmentRecord, Key: 9, Body: size}
			if err := w.Put(&rec, key, media(int(size)), nil); err != nil {
				t.Fatal(err)
			}
			at += rec.Size()
		}
		w.End()
		w.Wait()
		if run.Err != nil || f.end != at {
			t.Fatalf("%d bytes of %d were written: %v", f.end, at, run.Err)
		}
	}
}

// laid is a file that looks at how bytes lie that are written to it.
type laid struct {
	disk.File
	t         *testing.T
	from, end int64 // of the run
}

func (f *laid) Write(pieces [][]byte, off int64) error {
	p := pieces[0]
	address := int64(uintptr(unsafe.Pointer(unsafe.SliceData(p))))
	if len(pieces) != 1 || off != f.end || (address-off)%disk.PageBytes != 0 || off > f.from && off%disk.PageBytes != 0 {
		f.t.Errorf("%d pieces for %d of a run from %d to %d, %d behind a page", len(pieces), off, f.from, f.end, address%disk.PageBytes)
	}
	f.end = off + int64(len(p))
	return f.File.Write(pieces, off)
}
