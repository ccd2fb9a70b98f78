package crashtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/disk/disktest"
	"github.com/millrace/millrace/internal/kvs"
)

// everything is a life in two processes in which all that the page calls a life cycle
// happens: new segments, appends, seals, keys and their rotation, expiry with files
// removed and holes punched, copying forward, erasure, moves to the warm folder, streams
// deleted, and a start behind each.
var everything = []func(*process) error{
	(*process).fill, (*process).fill, (*process).seal, (*process).fill, (*process).rotate,
	(*process).expireAll, (*process).fill, (*process).seal, (*process).eraseMost, (*process).seal, (*process).seal, (*process).expireAll, nil,
	(*process).fill, (*process).deleteOne, (*process).expireAll, (*process).rotate, (*process).fill,
	(*process).shorten, (*process).seal, (*process).expireAll,
}

// Whichever operation on the disk fails, no acknowledged fragment is lost then or later,
// no refused one comes back, and a check finds nothing.
func TestEveryOperationFailsOnce(t *testing.T) {
	temp := scratch(t)
	var next, last atomic.Int64
	last.Store(1 << 40)
	var mu sync.Mutex
	kinds := map[string]int{}
	var reached map[string]string
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for n := int(next.Add(slowness)); n <= int(last.Load()) && !t.Failed(); n = int(next.Add(slowness)) {
				kind, sites, err := failNth(temp, n)
				if err != nil {
					t.Errorf("operation %d, %s: %v", n, kind, err)
				}
				mu.Lock()
				if kinds[kind]++; kind == "" {
					reached = sites
					last.Store(min(last.Load(), int64(n)))
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	delete(kinds, "")
	if missing := unreached(t, reached, "settleCopies", "cut"); len(missing) > 0 && !t.Failed() { // these two mend what failed
		t.Errorf("where nothing fails, nothing comes across %q", missing)
	}
	t.Logf("%d operations: %v", last.Load()-1, kinds)
}

// failNth plays everything with one operation failing, and says which kind it was, none
// when there are fewer, and which lines synced or renamed.
func failNth(temp string, n int) (kind string, sites map[string]string, err error) {
	temp, err = os.MkdirTemp(temp, "")
	if err != nil {
		return "", nil, err
	}
	defer os.RemoveAll(temp)
	h := newHistory(1, temp, "")
	dir, err := h.place(&h.moment, 0)
	if err != nil {
		return "", nil, err
	}
	for id, p := range map[kvs.StreamID]archive.Policy{
		1: {Hours: 1}, 2: {Hours: 20}, 3: {Hours: 87600, Tier: kvs.Warm},
	} {
		h.truth.policies[id] = p
	}
	d, count := &disktest.Faulty{FS: h.disk}, 0
	d.Fail(func(o disktest.Op) error {
		if gate := h.gate.Load(); gate != nil {
			<-*gate
		}
		if h.looking.Load() {
			return nil
		}
		if count++; count != n {
			return nil
		}
		kind = o.Kind
		h.struck.Store(true)
		if kind == disktest.Sync {
			return disktest.ErrLost
		}
		return disktest.ErrIO
	})
	if err := h.script(dir, d); err != nil {
		return kind, d.Sites(), err
	}
	m, err := h.note(dir, h.disk)
	if err == nil {
		err = h.recovers(m)
	}
	return kind, d.Sites(), err
}

// script plays everything; nil is where a process ends and the next begins.
func (h *history) script(dir string, d *disktest.Faulty) error {
	steps := everything
	for len(steps) > 0 {
		h.struck.Store(false)
		a, keys, err := openBoth(dir, d, h.truth)
		if injected(err) != nil {
			return err
		}
		if err != nil {
			continue // only once does an operation fail
		}
		if h.struck.Swap(false) { // a segment that failed is left out until the next start
			if err := errors.Join(a.Close(), keys.Close()); err != nil {
				return err
			}
			continue
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- a.Run(ctx) }()
		p := &process{history: h, a: a, keys: keys}
		steps, err = p.play(steps)
		cancel()
		err = errors.Join(err, <-ended, injected(a.Close()), injected(keys.Close()))
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *process) play(steps []func(*process) error) (rest []func(*process) error, err error) {
	found, err := p.judge()
	if injected(err) != nil {
		return nil, err
	}
	if err == nil {
		p.truth.adopt(found)
	}
	for i, step := range steps {
		if step == nil {
			return steps[i+1:], nil
		}
		if err := injected(step(p)); err != nil {
			return nil, fmt.Errorf("step %d: %w", i, err)
		}
	}
	return nil, nil
}

// fill stores fragments of all streams in two batches.
func (p *process) fill() error {
	for range 2 {
		var batch []archive.Record
		for id := kvs.StreamID(1); id <= p.ids; id++ {
			if _, err := p.truth.policy(context.Background(), id); err != nil {
				continue
			}
			for range 2 {
				batch = append(batch, p.truth.nextOf(p.r, id))
			}
		}
		p.append(batch)
	}
	return nil
}

// seal lets so much time pass that every segment is too old to stay open, but the hour of
// the first stream.
func (p *process) seal() error {
	p.truth.pass(31 * 24 * time.Hour)
	return p.expireNow()
}

func (p *process) expireAll() error {
	p.truth.pass(2 * time.Hour)
	return p.expireNow()
}

func (p *process) rotate() error { return p.keys.Rewrap(context.Background(), p.rotation()) }

// eraseMost leaves less than a quarter of what the third stream has stored, so that it is
// copied forward.
func (p *process) eraseMost() error {
	return p.eraseRange(3, archive.Erasure{Clock: kvs.ServerClock, Range: kvs.TimeRange{Start: 0, End: p.truth.now}, Through: p.truth.numbers[3] - 3})
}

func (p *process) deleteOne() error {
	p.ids++
	p.truth.setPolicy(p.ids, archive.Policy{Hours: 100})
	return p.deleteStream(2)
}

// shorten leaves holes: half of a stream's fragments become too old.
func (p *process) shorten() error {
	p.truth.policies[3] = archive.Policy{Hours: 24, Tier: kvs.Hot}
	return nil
}
