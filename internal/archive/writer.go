package archive

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// write stores batches until ctx ends and the queue is empty.
func (a *Archive) write(ctx context.Context) {
	var batch []pending
	for {
		batch = a.queue.take(batch)
		if len(batch) > 0 {
			a.store(batch)
			clear(batch) // the bytes belong to their owners again
			continue
		}
		select {
		case <-a.queue.wake:
		case <-ctx.Done():
			a.queue.close()
			a.store(a.queue.take(nil))
			return
		}
	}
}

// run is the part of a batch that goes to one segment.
type run struct {
	seg       *active
	records   []*pending
	pieces    [][]byte
	end       int64 // of the segment once the run is written
	fragments int64 // committed
	bytes     int64
	longest   int64
	err       error
}

// store makes a batch durable and visible and answers everybody in it. It does not
// heed the end of a context: what was accepted is finished.
func (a *Archive) store(batch []pending) {
	a.mu.Lock()
	defer a.mu.Unlock()
	ctx := context.Background()
	start := time.Now()
	runs := a.plan(ctx, batch)
	writeRuns(runs)
	synced := time.Now()
	a.commit(ctx, runs)
	a.finish(ctx, batch, runs)
	a.report(batch, synced.Sub(start), time.Since(synced))
}

// plan gives each record of the batch its segment and position. A record whose segment
// cannot be made gets its error at once.
func (a *Archive) plan(ctx context.Context, batch []pending) []*run {
	var byClass [segment.Classes]*run
	var runs []*run
	for i := range batch {
		p := &batch[i]
		r := byClass[p.class]
		if r == nil {
			r = a.startRun(ctx, p.class)
			byClass[p.class] = r
			runs = append(runs, r)
		}
		if r.err == nil {
			r.add(p)
		}
		r.records = append(r.records, p)
	}
	return runs
}

// startRun readies the open segment of a class, or the next one if it is full.
func (a *Archive) startRun(ctx context.Context, c segment.Class) *run {
	if s := a.open[c]; s != nil && s.full(a.segmentBytes, a.now()) {
		a.seal(ctx, s)
	}
	r := &a.runs[c]
	*r = run{records: r.records[:0], pieces: r.pieces[:0]}
	if a.open[c] == nil {
		a.open[c], r.err = a.openSegment(ctx, c)
	}
	if r.err == nil {
		r.seg = a.open[c]
		r.end = r.seg.end
		r.longest = r.seg.longest
	}
	return r
}

// add lays a record behind those before it, and its header once per segment.
func (r *run) add(p *pending) {
	header, ok := r.seg.headers[p.shared]
	if !ok {
		if len(r.seg.headers) >= maxHeaders {
			clear(r.seg.headers)
		}
		header = r.end
		r.seg.headers[p.shared] = header
		b := headerRecordBytes(p.header, r.seg.Salt, header)
		r.pieces = append(r.pieces, b, p.header)
		r.end += int64(len(b) + len(p.header))
	}
	p.place(r.seg, r.end, header)
	r.pieces = append(append(r.pieces, *p.head), p.body...)
	r.end += p.length
	r.longest = max(r.longest, p.Duration)
}

// writeRuns writes and syncs all segments at the same time.
func writeRuns(runs []*run) {
	var wg sync.WaitGroup
	for _, r := range runs {
		if r.err != nil {
			continue
		}
		r.seg.dirty = true
		if len(runs) == 1 {
			r.write()
			break
		}
		wg.Go(r.write)
	}
	wg.Wait()
}

func (r *run) write() {
	if r.err = r.seg.f.Write(r.pieces, r.seg.end); r.err == nil {
		r.err = r.seg.f.Sync()
	}
}

// commit puts the rows of all synced runs into the index. If that fails their bytes are
// treated as if they had not been written.
func (a *Archive) commit(ctx context.Context, runs []*run) {
	var good []*run
	for _, r := range runs {
		if r.err == nil {
			a.raiseLongest(r.longest)
			good = append(good, r)
		}
	}
	if len(good) == 0 {
		return
	}
	err := a.index.addFragments(ctx, good)
	for _, r := range good {
		if r.err = err; err == nil {
			r.seg.end, r.seg.longest, r.seg.dirty = r.end, r.longest, false
		}
	}
}

// finish answers the batch, then ends the segments that failed: a file whose sync
// failed may have lost bytes silently, so it is never written to again.
func (a *Archive) finish(ctx context.Context, batch []pending, runs []*run) {
	for _, r := range runs {
		if r.err != nil {
			r.err = &kvs.Error{Kind: kvs.Internal, Message: "the fragment could not be stored", Cause: r.err}
		}
		for _, p := range r.records {
			p.err = errors.Join(r.err, p.err)
		}
	}
	// Failed segments end first: a caller that hears of the failure and looks at the
	// directory, or pulls the plug, must not find its bytes there.
	for _, r := range runs {
		if r.err != nil && r.seg != nil {
			a.seal(ctx, r.seg)
		}
		clear(r.pieces)
	}
	a.complain(batch, runs)
	for i := range batch {
		batch[i].answer(batch[i].err)
	}
}

// complaint keeps a full disk from filling the log as well.
type complaint struct {
	last      time.Time
	fragments int // not stored since
}

// complain logs what a batch lost: at once, then at most once a second with the sum.
func (a *Archive) complain(batch []pending, runs []*run) {
	failed := 0
	for i := range batch {
		if batch[i].err != nil {
			failed++
		}
	}
	if failed == 0 {
		return
	}
	c, now := &a.complaint, a.now()
	c.fragments += failed
	if since := now.Sub(c.last); since >= 0 && since < time.Second {
		return
	}
	for _, r := range runs {
		if r.err != nil {
			a.log.Error("fragments not stored", "fragments", c.fragments, "error", r.err)
			break
		}
	}
	c.last, c.fragments = now, 0
}

// report tells the observer about the batch.
func (a *Archive) report(batch []pending, took, commit time.Duration) {
	stored, bytes := 0, int64(0)
	for i := range batch {
		if batch[i].err == nil {
			stored++
			bytes += batch[i].length
		}
	}
	if stored > 0 {
		a.observer.Synced(stored, bytes, took, commit)
	}
	if failed := len(batch) - stored; failed > 0 {
		a.observer.Failed(failed)
	}
}

// raiseLongest notes that a fragment of this length may be in the index. It comes
// before the row, so that a query never misses it.
func (a *Archive) raiseLongest(ms int64) {
	if ms > a.longest.Load() { // the writer alone changes it after Open
		a.longest.Store(ms)
	}
}
