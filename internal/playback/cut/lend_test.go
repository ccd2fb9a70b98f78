package cut

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/mediatest"
)

// purse is a memory that refuses at once what it has not.
type purse struct {
	mu           sync.Mutex
	has, held    int64
	most, denied int64
}

var errPurse = errors.New("not so much now")

func (p *purse) TakeFor(_ context.Context, _ kvs.StreamID, n int64) (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n = min(n, p.has)
	if p.held+n > p.has {
		p.denied++
		return 0, errPurse
	}
	p.held += n
	p.most = max(p.most, p.held)
	return n, nil
}

func (p *purse) GiveFor(_ kvs.StreamID, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held -= n; p.held < 0 {
		panic("more was given back than was taken")
	}
}

// What is being sent counts once for all who send it, as much as it is, and is not cut again
// meanwhile: in the cache, where it stays, or in memory when that has no place for it.
func TestWhatIsLentCountsOnce(t *testing.T) {
	for name, cache := range map[string]int64{"cached": 0, "not cached": -1} {
		s := newStudio(t)
		k := s.store(footage(t, 1_000_000, false), begin)
		memory := &purse{has: 100 << 20}
		c := New(Options{Source: s, Cache: cache, Memory: memory})
		var all []*Segment
		for i := range 5 {
			got, err := c.Lend(t.Context(), k.Stored, 1, FMP4, begin+Start(i), 0)
			if err != nil {
				t.Fatal(err)
			}
			contents(t, got)
			all = append(all, got)
		}
		size := all[0].Size()
		if cache == 0 {
			size = 0
		}
		if memory.held < size || memory.held > size+4096*min(1, size) {
			t.Errorf("%s: %d bytes are taken for a segment of %d", name, memory.held, all[0].Size())
		}
		if st := c.Stats(); st.Cuts != 1 || st.Lent != 1 || st.Asked != 5 {
			t.Errorf("%s: %+v", name, st)
		}
		for i, one := range all {
			if memory.held < size {
				t.Errorf("%s: given back before the last of them was sent, at %d", name, i)
			}
			one.Close()
			one.Close()
		}
		if memory.held != 0 || c.Stats().Lent != 0 {
			t.Errorf("%s: %d bytes are still taken", name, memory.held)
		}
	}
}

// What is lent stays in the cache, and what finds no place beside it counts in memory; when it
// was sent the cache is what it was.
func TestWhatIsLentKeepsItsPlace(t *testing.T) {
	s := newStudio(t)
	f := footage(t, 1_000_000, false) // 250 kB in a segment
	memory := &purse{has: 100 << 20}
	c := New(Options{Source: s, Cache: 600_000, Memory: memory})
	var lent []*Segment
	var stored archive.Stored
	lend := func(i int) {
		t.Helper()
		stored = s.store(f, begin+Start(2000*i)).Stored
		got, err := c.Lend(t.Context(), stored, 1, FMP4, begin, 0)
		if err != nil {
			t.Fatal(err)
		}
		lent = append(lent, got)
	}
	lend(0)
	lend(1)
	if memory.held != 0 {
		t.Errorf("%d bytes are taken for what the cache has", memory.held)
	}
	lend(2)
	size := lent[2].Size()
	if st := c.Stats(); st.Kept != 2 || memory.held < size || memory.held > size+4096 {
		t.Errorf("%d bytes are taken for a segment of %d, %+v", memory.held, size, st)
	}
	c.Forget(stored.Stream)
	for _, one := range lent {
		one.Close()
	}
	if st := c.Stats(); memory.held != 0 || st.Kept != 0 || st.Bytes != 0 {
		t.Errorf("%d bytes are taken, %+v", memory.held, st)
	}
	lend(5)
	lent[len(lent)-1].Close()
	lend(6)
	lent[len(lent)-1].Close()
	lend(7)
	lent[len(lent)-1].Close()
	if st := c.Stats(); st.Kept != 2 || st.Bytes > 600_000 || memory.held != 0 {
		t.Errorf("%+v", st)
	}
}

// Who reads slowly over many connections keeps himself waiting, and neither other viewers nor
// those of what he holds himself.
func TestAViewerHoldsAShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := shares{most: 1000}
		enter := func(v Viewer, n int, size int64) error {
			return s.enter(t.Context(), v, key{number: kvs.FragmentNumber{N: int64(n)}}, size)
		}
		for i := range alwaysHeld { // however large
			if err := enter(1, i, 5000); err != nil {
				t.Fatal(err)
			}
		}
		if err := enter(1, 0, 5000); err != nil {
			t.Errorf("the same segment once more: %v", err)
		}
		began := time.Now()
		if err := enter(1, 10, 1); kvs.KindOf(err) != kvs.Unavailable || time.Since(began) != shareWait {
			t.Errorf("one too many: %v after %v", err, time.Since(began))
		}
		if err := errors.Join(enter(2, 10, 900), enter(0, 10, 1<<40)); err != nil {
			t.Errorf("others: %v", err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.enter(gone, 1, key{ts: true}, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("one who went: %v", err)
		}
		time.AfterFunc(time.Second, func() { s.leave(1, key{}) })
		time.AfterFunc(2*time.Second, func() { s.leave(1, key{}) })
		began = time.Now()
		if err := enter(1, 10, 1); err != nil || time.Since(began) != 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		for i := range 20 { // small ones
			if err := enter(3, i, 50); err != nil {
				t.Fatal(err)
			}
		}
		if err := enter(3, 20, 50); err == nil {
			t.Error("more than the share")
		}
		for v, n := range map[Viewer][]int{1: {1, 2, 3, 10}, 2: {10}, 3: {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19}} {
			for _, i := range n {
				s.leave(v, key{number: kvs.FragmentNumber{N: int64(i)}})
			}
		}
		if len(s.all) != 0 {
			t.Errorf("%d viewers hold something", len(s.all))
		}
	})
}

// Many slow readers hold at most the bound; others are refused, and served again when they
// have ended.
func TestSlowReadersHoldTheBoundAtMost(t *testing.T) {
	s := newStudio(t)
	f := footage(t, 1_000_000, false)
	memory := &purse{has: 1 << 20}
	c := New(Options{Source: s, Cache: 1, Memory: memory})
	var reading []*Segment
	refused := 0
	for i := range 20 {
		got, err := c.Lend(t.Context(), s.store(f, begin+Start(2000*i)).Stored, 1, FMP4, begin, 0)
		switch {
		case errors.Is(err, errPurse):
			refused++
		case err != nil:
			t.Fatal(err)
		default:
			reading = append(reading, got)
		}
	}
	// 250 kB each; while one is cut it counts a little more.
	if len(reading) != 3 && len(reading) != 4 || refused != 20-len(reading) || memory.most > memory.has || c.Stats().Cuts != int64(len(reading)) {
		t.Errorf("%d are read, %d refused, %d of %d bytes, %+v", len(reading), refused, memory.most, memory.has, c.Stats())
	}
	for _, r := range reading {
		r.Close()
	}
	again, err := c.Lend(t.Context(), s.store(f, begin).Stored, 1, FMP4, begin, 0)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	if memory.held != 0 {
		t.Errorf("%d bytes are lost", memory.held)
	}
}

// Neither failures nor panics nor viewers that go keep anything.
func TestLoansDoNotLeak(t *testing.T) {
	s := newStudio(t)
	k := s.film(mediatest.Bytes("ffmpeg-h264-aac"))[0]
	memory := &purse{has: 100 << 20}
	c := New(Options{Source: s, Memory: memory})
	if _, err := c.Lend(t.Context(), k.Stored, 99, FMP4, begin, 0); err == nil {
		t.Error("a track that is not there")
	}
	s.hook = func() { panic("the disk burns") }
	func() {
		defer func() { _ = recover() }()
		_, _ = c.Lend(t.Context(), k.Stored, 1, FMP4, begin, 0)
		t.Error("no panic")
	}()
	s.hook = nil
	if memory.held != 0 || c.Stats().Lent != 0 {
		t.Errorf("%d bytes, %d segments are lost", memory.held, c.Stats().Lent)
	}
}

// Any number of viewers at once, some of them refused: in the end everything is back.
func TestLendingToCrowds(t *testing.T) {
	s := newStudio(t)
	film := s.film(mediatest.Bytes("ffmpeg-h264-aac"))
	memory := &purse{has: 60 << 10}
	c := New(Options{Source: s, Cache: 100 << 10, Memory: memory, Share: 50 << 10})
	var g errgroup.Group
	for i := range 16 {
		g.Go(func() error {
			for j := range 200 {
				got, err := c.Lend(t.Context(), film[(i*j)%len(film)].Stored, uint64(1+j%2), Container(j/2%2), begin, Viewer(i%3))
				if errors.Is(err, errPurse) {
					continue
				}
				if err != nil {
					return err
				}
				if _, err := io.Copy(io.Discard, got.Reader()); err != nil {
					return err
				}
				got.Close()
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if memory.held != 0 || c.Stats().Lent != 0 || memory.most > memory.has || len(c.shares.all) != 0 {
		t.Errorf("%d bytes, %d segments are lost; %d at most of %d", memory.held, c.Stats().Lent, memory.most, memory.has)
	}
}
