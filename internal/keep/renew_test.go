package keep

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/kvs"
)

// store is an archive that notes which erasures were carried out, by their Through.
type store struct {
	mu      sync.Mutex
	carried []int64
	failing map[int64]int // how often those up to this number fail yet
	held    map[int64]bool
	noted   int64
}

func (s *store) Weigh(context.Context, kvs.StreamID, archive.Erasure) (archive.Toll, error) {
	return archive.Toll{Fragments: 1}, nil
}

func (s *store) Erase(_ context.Context, _ kvs.StreamID, e archive.Erasure) (toll archive.Toll, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.carried = append(s.carried, e.Through)
	if s.failing[e.Through] > 0 {
		s.failing[e.Through]--
		return toll, errors.New("no space left")
	}
	if s.held[e.Through] {
		toll.Held = 1
	}
	return toll, nil
}

func (s *store) Settle(context.Context) error { return nil }

func (s *store) Erased(context.Context) (int64, error) { return s.noted, nil }

func (s *store) NoteErased(_ context.Context, id int64) error {
	s.noted = id
	return nil
}

func (s *store) Newest(context.Context, kvs.StreamID, kvs.Millis) (f archive.Stored, ok bool, err error) {
	f.Number.N = 9
	return f, true, nil
}

// want checks which erasures were carried out since the last look, and what is noted.
func (s *store) want(t *testing.T, noted int64, carried ...int64) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.carried, carried) || s.noted != noted {
		t.Errorf("carried out %v up to %d, want %v up to %d", s.carried, s.noted, carried, noted)
	}
	s.carried = nil
}

// begin makes erasures with these for Through, and ends them with done.
func begin(t *testing.T, c *catalog.Catalog, id kvs.StreamID, done bool, through ...int64) {
	t.Helper()
	for _, n := range through {
		e, err := c.BeginErasure(t.Context(), catalog.Erasure{Stream: id, Range: kvs.TimeRange{End: 9}, Through: n})
		if err == nil && done {
			err = c.FinishErasure(t.Context(), e.ID, 0, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// renewed is a keeper after a start.
func renewed(t *testing.T, c *catalog.Catalog, s *store) *Keeper {
	t.Helper()
	k := New(Options{Catalog: c, Policies: NewPolicies(c, nil), Archive: s})
	if err := k.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	return k
}

// TestAStartCarriesOutWhatIsDue and nothing else: what is not done, what was made since the
// start before, and everything when the archive knows nothing.
func TestAStartCarriesOutWhatIsDue(t *testing.T) {
	c, stream := newCatalog(t)
	s := &store{failing: map[int64]int{}, held: map[int64]bool{}}
	renewed(t, c, s)
	s.want(t, 0)
	begin(t, c, stream.ID, true, 1, 2)
	begin(t, c, stream.ID, false, 3)
	renewed(t, c, s)
	s.want(t, 3, 1, 2, 3)
	renewed(t, c, s)
	s.want(t, 3)
	begin(t, c, stream.ID, true, 4, 5)
	s.failing[4] = 1
	renewed(t, c, s)
	s.want(t, 3, 4, 5)
	renewed(t, c, s)
	s.want(t, 5, 4, 5)
	s.noted = 0 // another index
	s.held[2] = true
	k := renewed(t, c, s)
	s.want(t, 1, 1, 2, 3, 4, 5)
	select {
	case <-k.wake:
		t.Error("what is on hold is tried again and again")
	default:
	}
	s.noted = 77 // of a younger catalog
	renewed(t, c, s)
	s.want(t, 5)
}

// TestAFailedErasureIsTriedAgain while the server runs, less and less often, and when a hold
// is removed.
func TestAFailedErasureIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, stream := newCatalog(t)
		s := &store{failing: map[int64]int{9: 3}, held: map[int64]bool{}}
		k := renewed(t, c, s)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- k.Run(ctx) }()
		if _, err := k.Erase(ctx, stream.ID, kvs.ServerClock, kvs.TimeRange{End: 9}, ""); err == nil {
			t.Error("it did not fail")
		}
		s.want(t, 0, 9)
		time.Sleep(firstRetry + time.Millisecond) // 1
		s.want(t, 0, 9)
		time.Sleep(2 * firstRetry) // 3
		s.want(t, 0, 9)
		time.Sleep(3 * firstRetry) // 6
		s.want(t, 0)
		time.Sleep(firstRetry) // 7
		s.want(t, 0, 9)
		all, err := k.Erasures(ctx, stream.Account, 0, 0, 9)
		if err != nil || len(all) != 1 || !all[0].Done {
			t.Errorf("%+v, %v", all, err)
		}
		time.Sleep(maxRetry)
		s.want(t, 0)

		h, err := k.AddHold(ctx, catalog.Hold{Stream: stream.ID, Range: kvs.TimeRange{End: 9}})
		if err == nil {
			err = k.RemoveHold(ctx, stream.ID, h.ID, "")
		}
		if err != nil {
			t.Error(err)
		}
		time.Sleep(2 * firstRetry)
		s.want(t, 0, 9)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
