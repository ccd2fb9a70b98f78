package cut

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/mediatest"
)

// purse is a memory that refuses at once what it has not.
type purse struct {
	mu           sync.Mutex
	has, held    int64
	most, denied int64
}

var errPurse = errors.New("not so much now")

func (p *purse) Take(_ context.Context, n int64) (int64, error) {
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

func (p *purse) Give(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held -= n; p.held < 0 {
		panic("more was given back than was taken")
	}
}

// Whatever is cached: what is being sent counts, once for all who send it, as much as it
// is, and is not cut again meanwhile.
func TestWhatIsLentCountsOnce(t *testing.T) {
	for name, cache := range map[string]int64{"cached": 0, "not cached": -1} {
		s := newStudio(t)
		k := s.store(footage(t, 1_000_000, false), begin)
		memory := &purse{has: 100 << 20}
		c := New(Options{Source: s, Cache: cache, Memory: memory})
		var all []*Segment
		for i := range 5 {
			got, err := c.Lend(t.Context(), k.Stored, 1, FMP4, begin+Start(i))
			if err != nil {
				t.Fatal(err)
			}
			contents(t, got)
			all = append(all, got)
		}
		size := all[0].Size()
		if memory.held < size || memory.held > size+4096 {
			t.Errorf("%s: %d bytes are taken for a segment of %d", name, memory.held, size)
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
		got, err := c.Lend(t.Context(), s.store(f, begin+Start(2000*i)).Stored, 1, FMP4, begin)
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
	again, err := c.Lend(t.Context(), s.store(f, begin).Stored, 1, FMP4, begin)
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
	if _, err := c.Lend(t.Context(), k.Stored, 99, FMP4, begin); err == nil {
		t.Error("a track that is not there")
	}
	s.hook = func() { panic("the disk burns") }
	func() {
		defer func() { _ = recover() }()
		_, _ = c.Lend(t.Context(), k.Stored, 1, FMP4, begin)
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
	c := New(Options{Source: s, Cache: 100 << 10, Memory: memory})
	var g errgroup.Group
	for i := range 16 {
		g.Go(func() error {
			for j := range 200 {
				got, err := c.Lend(t.Context(), film[(i*j)%len(film)].Stored, uint64(1+j%2), Container(j/2%2), begin)
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
	if memory.held != 0 || c.Stats().Lent != 0 || memory.most > memory.has {
		t.Errorf("%d bytes, %d segments are lost; %d at most of %d", memory.held, c.Stats().Lent, memory.most, memory.has)
	}
}
