package disk

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// noise are n bytes that lie in memory as they will in a file from off on.
func noise(n int, off int64) []byte {
	b := Aligned(n + PageBytes)[off%PageBytes:][:n]
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(off)}).Read(b)
	return b
}

func creates(t *testing.T) file {
	t.Helper()
	f, err := System{}.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	return f.(file)
}

// Long pieces read back like any other, wherever they begin and end, with and without a
// way past the cache, beside short ones that share their first and last page.
func TestLongPieces(t *testing.T) {
	for name, without := range map[string]bool{"directly": false, "through the cache": true} {
		t.Run(name, func(t *testing.T) {
			f := creates(t)
			if without {
				f.direct.close()
			}
			var want []byte
			for _, n := range []int{1, early, early + 5, 3, 2*early - 4, PageBytes, early + PageBytes - 1, early, 4000} {
				off := int64(len(want))
				piece := noise(n, off)
				want = append(want, piece...)
				if err := f.Write([][]byte{piece}, off); err != nil {
					t.Fatal(err)
				}
			}
			if err := f.Sync(); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(content(t, f), want) {
				t.Error("other bytes")
			}
			if without && f.direct.fd != -1 {
				t.Error("it found a way")
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Closing a file closes both ways into it, and a closed one cannot be written to.
func TestCloseEndsTheDirectWay(t *testing.T) {
	f := creates(t)
	if err := f.Write([][]byte{noise(early, 0)}, 0); err != nil {
		t.Fatal(err)
	}
	fd := f.direct.fd // -1 where the file system has no such way
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	var s syscall.Stat_t
	if err := syscall.Fstat(fd, &s); !errors.Is(err, syscall.EBADF) {
		t.Errorf("it is still open: %v", err)
	}
	if err := f.Write([][]byte{noise(early, 0)}, 0); err == nil {
		t.Error("a closed file was written to")
	}
}

// A piece that is too short, or lies elsewhere in its page, goes through the cache.
func TestWhatLiesAsInTheFile(t *testing.T) {
	b := Aligned(early + PageBytes)
	for _, c := range []struct {
		from, n int
		off     int64
		want    bool
	}{
		{0, early, 0, true}, {0, early, 3 * PageBytes, true}, {7, early, PageBytes + 7, true},
		{0, early - 1, 0, false}, {0, early, 1, false}, {7, early, 0, false},
	} {
		if got := lies(b[c.from:c.from+c.n], c.off); got != c.want {
			t.Errorf("%d bytes at %d of a page, for %d in the file: %t", c.n, c.from, c.off, got)
		}
	}
}

// Who reads while somebody appends gets what was written, through whichever way.
func TestReadingBesideLongPieces(t *testing.T) {
	const pieces, n = 24, early + 1234
	f := creates(t)
	defer func() { _ = f.Close() }()
	var all []byte
	for off := int64(0); off < pieces*n; off += n {
		all = append(all, noise(n, off)...)
	}
	var written atomic.Int64
	var wg sync.WaitGroup
	for seed := range uint64(3) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, 0))
			b := make([]byte, 20_000)
			for end := int64(0); end < pieces*n; {
				if end = written.Load(); end < int64(len(b)) {
					continue
				}
				// Most of all near the end, where both ways meet.
				at := max(0, end-int64(len(b))-r.Int64N(3)*r.Int64N(end))
				if _, err := f.ReadAt(b, at); err != nil || !bytes.Equal(b, all[at:at+int64(len(b))]) {
					t.Errorf("other bytes from %d on, with %d written: %v", at, end, err)
					return
				}
			}
		})
	}
	for off := int64(0); off < pieces*n; off += n {
		if err := errors.Join(f.Write([][]byte{noise(n, off)}, off), f.Sync()); err != nil {
			t.Error(err)
		}
		written.Store(off + n)
	}
	wg.Wait()
}
