package archive

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// openOne stores one record alone and opens it.
func openOne(t *testing.T, a *running, rec Record) *Reader {
	t.Helper()
	a.mustStore(rec)
	s, ok, err := a.Get(context.Background(), rec.Fragment.Stream, rec.Fragment.Number, 0)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	r, err := a.OpenRecord(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReaderIsAGoodReaderAt(t *testing.T) {
	a := start(t, Options{Dir: t.TempDir()})
	for i, size := range []int{0, 1, segment.ChunkSize - 1, segment.ChunkSize, segment.ChunkSize + 1, 5*segment.ChunkSize + 77} {
		rec := sample(1, int64(i+1), size)
		r := openOne(t, a, rec)
		want := bytes.Join(rec.Body, nil)
		if err := iotest.TestReader(io.NewSectionReader(r, 0, r.Size()), want); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
		for range 50 {
			off := rand.Int64N(int64(size) + 1)
			p := make([]byte, rand.IntN(size+2))
			n, err := r.ReadAt(p, off)
			if !bytes.Equal(p[:n], want[off:min(size, int(off)+len(p))]) || (n < len(p)) != (err == io.EOF) {
				t.Fatalf("%d bytes, %d at %d: read %d, %v", size, len(p), off, n, err)
			}
		}
		if err := errors.Join(r.Close(), r.Close()); err != nil {
			t.Error(err)
		}
		if _, err := r.ReadAt(make([]byte, 1), 0); err == nil {
			t.Error("reads after Close")
		}
	}
}

// A large header is written in pieces, from any byte on.
func TestLargeHeaders(t *testing.T) {
	a := start(t, Options{Dir: t.TempDir()})
	rec := sample(1, 1, 100)
	rec.Header = bytes.Join(media(3, 3, 3*segment.ChunkSize+77), nil)
	r := openOne(t, a, rec)
	defer r.Close()
	for _, off := range []int{0, 1, segment.ChunkSize - 1, segment.ChunkSize, segment.ChunkSize + 1, len(rec.Header) - 1, len(rec.Header)} {
		var got bytes.Buffer
		if n, err := r.WriteHeader(&got, int64(off)); err != nil || n != int64(len(rec.Header)-off) || !bytes.Equal(got.Bytes(), rec.Header[off:]) {
			t.Errorf("from %d: %d bytes, %v", off, n, err)
		}
	}
}

// TestEveryDamagedByteIsNoticed flips each byte of a small record on disk: what is read
// is either right or an error.
func TestEveryDamagedByteIsNoticed(t *testing.T) {
	dir := t.TempDir()
	a := start(t, Options{Dir: dir})
	rec := sample(1, 1, 100)
	a.mustStore(rec)
	s, _, err := a.Newest(context.Background(), 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	name := segmentFiles(t, dir)[0]
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	checksums := func(i int) bool { // of the record that ends there; a reader has no need of them
		header := int(s.position)
		return i >= header-8 && i < header || i >= len(whole)-8
	}
	for i := segment.HeadSize; i < len(whole); i++ {
		if checksums(i) {
			continue
		}
		if _, err := f.WriteAt([]byte{whole[i] ^ 4}, int64(i)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := read(a.Archive, s); err == nil || kvs.KindOf(err) != kvs.Internal {
			t.Fatalf("byte %d: %v", i, err)
		}
		if _, err := f.WriteAt(whole[i:i+1], int64(i)); err != nil {
			t.Fatal(err)
		}
	}
	wantStored(t, a.Archive, 1, rec)
}

func TestDamageHarmsOnlyItsOwnChunk(t *testing.T) {
	dir := t.TempDir()
	a := start(t, Options{Dir: dir})
	rec := sample(1, 1, 3*segment.ChunkSize)
	r := openOne(t, a, rec)
	defer r.Close()
	f, err := os.OpenFile(segmentFiles(t, dir)[0], os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("bit rot"), r.body.at+segment.SealedChunk+5); err != nil {
		t.Fatal(err)
	}
	want := bytes.Join(rec.Body, nil)
	for i := range int64(3) {
		p := make([]byte, 100)
		_, err := r.ReadAt(p, i*segment.ChunkSize)
		if (err != nil) != (i == 1) {
			t.Errorf("chunk %d: %v", i, err)
		}
		if err == nil && !bytes.Equal(p, want[i*segment.ChunkSize:][:100]) {
			t.Errorf("chunk %d: wrong bytes", i)
		}
	}
}

func TestIdleFilesAreClosed(t *testing.T) {
	a := start(t, Options{Dir: t.TempDir(), SegmentBytes: 1})
	var want []Record
	for n := int64(1); n <= maxIdleFiles+20; n++ {
		want = append(want, sample(1, n, 10))
		a.mustStore(want[n-1])
	}
	wantStored(t, a.Archive, 1, want...)
	wantStored(t, a.Archive, 1, want...)
	if n := len(a.files.open); n != maxIdleFiles || a.files.idle.Len() != n {
		t.Errorf("%d open, %d idle", n, a.files.idle.Len())
	}
}

// TestManyAtOnce lets writers, readers, lists and expiry run together; the race
// detector watches.
func TestManyAtOnce(t *testing.T) {
	const streams, count = 4, 60
	o := Options{Dir: t.TempDir(), SegmentBytes: 100_000, Policy: onlyStreamOne}
	a := start(t, o)
	ctx := context.Background()
	var wg sync.WaitGroup
	acked := make(chan struct{}, count) // of stream 1
	for id := kvs.StreamID(1); id <= streams; id++ {
		wg.Go(func() {
			for n := int64(1); n <= count; n++ {
				if err := a.store(sample(id, n, 5000)); err != nil {
					t.Error(err)
				}
				if id == 1 {
					acked <- struct{}{}
				}
			}
		})
	}
	wg.Go(func() {
		for after := (kvs.FragmentNumber{}); after.N < count; {
			<-acked
			s, ok, err := a.Next(ctx, 1, after, 0)
			if err != nil || !ok {
				t.Errorf("after %d: found %v, %v; what is acknowledged is visible", after.N, ok, err)
				return
			}
			_, body, err := read(a.Archive, s)
			if err != nil || s.Number.N != after.N+1 || !bytes.Equal(body, bytes.Join(media(1, s.Number.N, 5000), nil)) {
				t.Errorf("fragment %d after %d, error %v", s.Number.N, after.N, err)
				return
			}
			after = s.Number
		}
	})
	wg.Go(func() {
		for range 20 {
			if err := a.Expire(ctx); err != nil {
				t.Error(err)
			}
			if _, _, _, err := a.List(ctx, 1, Query{Range: kvs.TimeRange{End: kvs.MaxMillis}, Max: 10}); err != nil {
				t.Error(err)
			}
			if s, ok, err := a.Next(ctx, 2, kvs.FragmentNumber{}, 0); err != nil {
				t.Error(err)
			} else if ok {
				if _, _, err := read(a.Archive, s); err != nil && kvs.KindOf(err) != kvs.NotFound {
					t.Error(err)
				}
			}
		}
	})
	wg.Wait()
	wantStored(t, a.Archive, 1, numbered(1, 1, count, 5000)...)
}
