package archive

import (
	"context"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
	"github.com/millrace/millrace/internal/staging"
	"github.com/millrace/millrace/internal/tally"
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
	seg     *active
	records []*pending
	headers []placedHeader // in order
	end     int64          // of the segment once the run is written
	longest int64
	linked  bool // some stream has records in another run too
	drawn   bool // it failed because another one did
	out     staging.Run
	err     error
}

// placedHeader is a header record that a run brings.
type placedHeader struct {
	record segment.Record
	at     int64
	first  int // it stands before this record of the run
}

// store makes a batch durable and visible and answers everybody in it. It does not
// heed the end of a context: what was accepted is finished.
func (a *Archive) store(batch []pending) {
	if len(batch) == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	ctx := context.Background()
	if err := a.pressure.refused(); err != nil { // since they were appended
		for i := range batch {
			batch[i].err = err
		}
		a.finish(ctx, batch, nil)
		a.report(batch, 0, 0)
		return
	}
	start := time.Now()
	runs := a.plan(ctx, batch)
	a.writeRuns(runs)
	synced := time.Now()
	a.commit(ctx, runs)
	a.weigh(&a.placing)
	a.finish(ctx, batch, runs)
	a.report(batch, synced.Sub(start), time.Since(synced))
}

// placing is what is known while the records of a batch get their places.
type placing struct {
	runs   [shelves]*run
	order  []*run
	failed map[kvs.StreamID]error // of streams whose later records fail too
	taken  map[mark]bool          // numbers in this batch
	home   map[kvs.StreamID]*run  // where the stream's last record went
}

// mark is a number of a stream.
type mark struct {
	stream kvs.StreamID
	n      int64
}

// rememberedStreams is of how many streams the sums are kept in memory; a batch has fewer.
const rememberedStreams = 16384

func newPlacing() placing {
	return placing{failed: map[kvs.StreamID]error{}, taken: map[mark]bool{}, home: map[kvs.StreamID]*run{}}
}

// plan gives each record of the batch its facts, segment and position, or its error.
func (a *Archive) plan(ctx context.Context, batch []pending) []*run {
	b := &a.placing
	b.runs, b.order = [shelves]*run{}, b.order[:0]
	clear(b.failed)
	clear(b.taken)
	clear(b.home)
	for i := range batch {
		p := &batch[i]
		if p.err = b.failed[p.Stream]; p.err != nil {
			continue
		}
		if p.err = a.placeRecord(ctx, b, p); p.err != nil && p.err != errTwice {
			p.err = notStored(p.err)
			b.failed[p.Stream] = p.err
		}
	}
	return b.order
}

// placeRecord gives one record its place, in the order of its stream.
func (a *Archive) placeRecord(ctx context.Context, b *placing, p *pending) error {
	sums, err := a.sumsOf(ctx, p.Stream)
	if err != nil {
		return err
	}
	at := mark{p.Stream, p.Number.N}
	taken := b.taken[at]
	if !taken && sums.Late(p.Number.N) {
		if taken, err = a.index.has(ctx, p.Stream, p.Number.N); err != nil {
			return err
		}
	}
	if taken {
		return errTwice
	}
	r := b.runs[p.shelf]
	if r == nil {
		r = a.startRun(ctx, p.shelf)
		b.runs[p.shelf] = r
		b.order = append(b.order, r)
	}
	if r.err != nil {
		return r.err
	}
	if home := b.home[p.Stream]; home != nil && home != r {
		home.linked, r.linked = true, true
	}
	b.home[p.Stream], b.taken[at] = r, true
	p.Facts = sums.Place(p.Fragment, p.Facts.Tracks)
	r.add(p)
	return nil
}

// sumsOf returns what the fragments of a stream add up to.
func (a *Archive) sumsOf(ctx context.Context, id kvs.StreamID) (*tally.Stream, error) {
	if s := a.sums.Get(id); s != nil {
		return s, nil
	}
	s, err := a.index.sums(ctx, id, &a.upkeep.tops)
	if err == nil {
		a.sums.Put(id, s)
	}
	return s, err
}

// startRun readies the open segment of a shelf, or the next one if it is full.
func (a *Archive) startRun(ctx context.Context, on shelf) *run {
	if s := a.open[on]; s != nil && s.full(a.segmentBytes, a.now()) {
		a.seal(ctx, s)
	}
	r := &a.runs[on]
	*r = run{records: r.records[:0], headers: r.headers[:0]}
	s := a.open[on]
	if s == nil {
		if s, r.err = a.newSegment(ctx, on); r.err != nil {
			return r
		}
		a.open[on] = s
	}
	r.seg, r.end, r.longest = s, s.end, s.longest
	r.out = staging.Run{File: s.f, Salt: s.Salt, At: s.end}
	return r
}

// add lays a record behind those before it, and its header once per segment.
func (r *run) add(p *pending) {
	id := headerID{p.key.ID, p.print}
	header, ok := r.seg.headers[id]
	if !ok {
		if len(r.seg.headers) >= maxHeaders {
			clear(r.seg.headers)
		}
		h := placedHeader{record: p.headerRecord(), at: r.end, first: len(r.records)}
		header = r.end
		r.seg.headers[id] = header
		r.headers = append(r.headers, h)
		r.end += h.record.Size()
	}
	p.segment, p.position, p.header = r.seg.ID, r.end, header
	rec := p.record()
	p.length = rec.Size()
	r.end += p.length
	r.longest = max(r.longest, p.Duration)
	r.records = append(r.records, p)
}

// headerID tells header records apart without telling what is in them.
type headerID struct {
	key   uint64
	print [16]byte
}

// maxHeaders bounds what is remembered of the headers in a segment. Beyond it a header
// is simply written again.
const maxHeaders = 4096

// maxListed bounds what is remembered of the fragments in a segment, in bytes: 10,000 fragments
// at least. Beyond it their heads are read again for the footer, which takes long where
// they are not in the page cache.
const maxListed = 2 << 20

// list remembers records that the segment has now.
func (s *active) list(records []*pending) {
	for _, p := range records {
		if len(s.listed) > maxListed {
			s.listed = nil
		}
		if s.listed == nil {
			return
		}
		r := p.record()
		s.listed = r.Append(segment.AppendFooterEntry(s.listed, p.position, nil), s.Salt, p.position)
	}
}

// writeRuns seals, writes and syncs all runs.
func (a *Archive) writeRuns(runs []*run) {
	a.stage.Start()
	for _, r := range runs {
		if r.err != nil {
			continue
		}
		r.seg.dirty = true
		a.stage.Begin(&r.out)
		r.err = r.put(a.stage)
		a.stage.End()
	}
	a.stage.Wait()
	linked := error(nil)
	for _, r := range runs {
		if r.err == nil {
			r.err = r.out.Err
		}
		if r.linked && r.err != nil {
			linked = r.err
		}
	}
	// If a record of a stream is lost, later ones are too, wherever they went.
	for _, r := range runs {
		if r.linked && r.err == nil {
			r.err, r.drawn = linked, linked != nil
		}
	}
}

// put hands the records to the stage.
func (r *run) put(w *staging.Writer) error {
	headers := r.headers
	for i, p := range r.records {
		if len(headers) > 0 && headers[0].first == i {
			if err := w.Put(&headers[0].record, p.key, [][]byte{p.content}, nil); err != nil {
				return err
			}
			headers = headers[1:]
		}
		rec := p.record()
		if err := w.Put(&rec, p.key, p.body, p.frames); err != nil {
			return err
		}
	}
	return nil
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
	if err == nil {
		a.upkeep.cursors.arrived(good)
	}
	for _, r := range good {
		if r.err = err; err == nil {
			r.seg.end, r.seg.longest, r.seg.dirty = r.end, r.longest, false
			r.seg.list(r.records)
		}
	}
}

// notStored is what a caller is told whose fragment failed.
func notStored(cause error) error {
	return &kvs.Error{Kind: kvs.Internal, Message: "the fragment could not be stored", Cause: cause}
}

// finish answers the batch, then ends the segments that failed: a file whose sync
// failed may have lost bytes silently, so it is never written to again.
func (a *Archive) finish(ctx context.Context, batch []pending, runs []*run) {
	for _, r := range runs {
		err := r.err
		if err != nil {
			err = notStored(err)
		}
		for _, p := range r.records {
			a.sums.Settle(p.Stream, err == nil)
			if err != nil {
				p.err = err
				continue
			}
			a.noteChange(p.Stream)
			a.recalls.Stored(&p.Fragment)
		}
	}
	// Failed segments end first: a caller that hears of the failure and looks at the
	// directory, or pulls the plug, must not find its bytes there.
	for _, r := range runs {
		if r.err != nil && r.seg != nil {
			a.seal(ctx, r.seg)
		}
	}
	a.complain(batch)
	for i := range batch {
		batch[i].answer(batch[i].err)
	}
}

// complaint keeps a full disk from filling the log as well.
type complaint struct {
	last      time.Time
	fragments int // not stored since
	failing   bool
}

// complain logs what a batch lost: at once, then at most once a second with the sum.
func (a *Archive) complain(batch []pending) {
	failed, cause := 0, error(nil)
	for i := range batch {
		if batch[i].err != nil {
			failed++
			cause = batch[i].err
		}
	}
	c, now := &a.complaint, a.now()
	if failed == 0 {
		if c.failing {
			var more []any
			if c.fragments > 0 {
				more = []any{"not_stored_since_the_last_line", c.fragments}
			}
			a.log.Info("fragments are stored again", more...)
			c.fragments, c.failing = 0, false
		}
		return
	}
	c.failing = true
	c.fragments += failed
	if since := now.Sub(c.last); since >= 0 && since < time.Second {
		return
	}
	a.log.Error("fragments not stored", "fragments", c.fragments, "error", cause)
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
