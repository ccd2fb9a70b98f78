package crashtest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// Histories that make test plays. More, or one alone, by the environment:
//
//	CRASH_SEEDS=20000 go test ./internal/archive/crashtest -run PowerFailures -v -timeout 0
//	CRASH_SEED=17 go test ./internal/archive/crashtest -run PowerFailures -v
//
// TestEachSyncIsNeeded takes longer and is built with -tags crash only: make crash runs it.
const fewSeeds = 1000 / slowness

// scratch is a folder in memory where the system has one: what is tested is not the disk
// that the index lies on.
func scratch(t *testing.T) string {
	t.Helper()
	base := "/dev/shm"
	if _, err := os.Stat(base); err != nil {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(base, "millrace-crash-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// play lives one history and looks at every moment that a power failure left.
func play(seed uint64, temp, drop string) (h *history, err error) {
	temp, err = os.MkdirTemp(temp, "")
	if err != nil {
		return nil, err
	}
	h = newHistory(seed, temp, drop)
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	if err := h.live(1 + h.r.IntN(3)); err != nil {
		return h, err
	}
	for _, m := range h.moments {
		if err := h.recovers(m); err != nil {
			return h, fmt.Errorf("power failure in %s: %w", m.name, err)
		}
	}
	return h, nil
}

// wanted returns the first seed and the one behind the last.
func wanted(t *testing.T) (from, to uint64) {
	t.Helper()
	number := func(name string) (n uint64) {
		text := os.Getenv(name)
		if text == "" {
			return 0
		}
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return n
	}
	if os.Getenv("CRASH_SEED") != "" {
		from = number("CRASH_SEED")
		return from, from + 1
	}
	return 0, cmp.Or(number("CRASH_SEEDS"), fewSeeds)
}

// outcome is what many histories showed.
type outcome struct {
	mu       sync.Mutex
	played   int
	moments  int
	sites    map[string]string
	mistakes map[uint64]error
}

// playAll plays histories on all processors, at most until some are wrong.
func playAll(temp, drop string, from, to uint64, enough int, progress func(*outcome)) *outcome {
	all := &outcome{sites: map[string]string{}, mistakes: map[uint64]error{}}
	var wg sync.WaitGroup
	var next atomic.Uint64
	next.Store(from)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for seed := next.Add(1) - 1; seed < to; seed = next.Add(1) - 1 {
				if h, err := play(seed, temp, drop); all.add(seed, h, err, progress) >= enough {
					return
				}
			}
		})
	}
	wg.Wait()
	return all
}

func (o *outcome) add(seed uint64, h *history, err error, progress func(*outcome)) (mistakes int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.played++
	if h != nil {
		o.moments += len(h.moments)
		maps.Copy(o.sites, h.sites)
	}
	if err != nil {
		o.mistakes[seed] = err
	}
	progress(o)
	return len(o.mistakes)
}

// Power fails at any moment of many histories: the start after it finds what was
// acknowledged and nothing that was refused or removed, and the same rows whether the
// index is older or gone.
func TestPowerFailures(t *testing.T) {
	from, to := wanted(t)
	all := playAll(scratch(t), "", from, to, 20, func(o *outcome) {
		if o.played%1000 == 0 {
			t.Logf("%d histories, %d moments, %d wrong", o.played, o.moments, len(o.mistakes))
		}
	})
	for _, seed := range slices.Sorted(maps.Keys(all.mistakes)) {
		t.Errorf("seed %d: %v\n  alone: CRASH_SEED=%d go test ./internal/archive/crashtest -run PowerFailures -v", seed, all.mistakes[seed], seed)
	}
	if missing := unreached(t, all.sites); to-from >= 500 && len(missing) > 0 {
		t.Errorf("no history comes across %q", missing)
	}
	t.Logf("%d histories, %d moments that a power failure left", all.played, all.moments)
}
