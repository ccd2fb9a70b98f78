package archive

import (
	"crypto/rand"
	"net"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// Record is a fragment to be stored.
type Record struct {
	Fragment  kvs.Fragment
	Retention int   // hours the stream keeps it as of now; decides which segment it shares
	Timecode  int64 // cluster timecode as the producer wrote it

	// Key seals the record. The ring of Options.Keys gives it, best when the fragment
	// begins.
	Key segment.DataKey
	// Tier is the stream's as of now, and decides with Retention which segment it shares.
	Tier kvs.StorageTier

	// Header is what came before the first cluster: EBML header, Segment, Info, Tracks.
	// It is stored once per segment, however many fragments share it.
	Header []byte
	// Body is the fragment's bytes in pieces. Neither Header nor Body nor its pieces
	// may change until done was called.
	Body net.Buffers

	// Frames is the encoded table of the body's frames (package frames), empty if there
	// is none, and Tracks what each track brought. They must not change either.
	Frames []byte
	Tracks []segment.Track
}

// Append queues r to be stored. done is called exactly once, from the writer's
// goroutine: with nil when the fragment is durable and visible, with an error when it
// is not and never will be. done must be quick and must not call Append.
//
// The queue is bounded. While it is full Append waits for the batch being written, so
// that a slow disk slows producers down and memory stays bounded.
func (a *Archive) Append(r Record, done func(error)) {
	if err := a.pressure.refused(); err != nil {
		a.observer.Failed(1)
		done(err)
		return
	}
	p, err := prepare(r, done)
	if err != nil {
		done(err)
		return
	}
	if !a.queue.put(p) {
		p.answer(errClosed())
	}
}

func errClosed() error {
	return kvs.Errorf(kvs.Unavailable, "the archive is shutting down; send the fragment again later")
}

// pending is a fragment on its way to the disk.
type pending struct {
	Stored
	shelf   shelf
	key     segment.DataKey
	print   [16]byte // fingerprint of content
	content []byte   // the header's bytes
	body    net.Buffers
	media   int64 // bytes of body
	frames  []byte
	salt    [16]byte  // of the record
	since   time.Time // it was appended
	done    func(error)
	err     error
}

// prepare does what can be done outside the writer.
func prepare(r Record, done func(error)) (pending, error) {
	p := pending{shelf: shelfOf(classOf(r.Retention), segment.TierOf(r.Tier)), key: r.Key,
		content: r.Header, body: r.Body, frames: r.Frames, since: time.Now(), done: done}
	p.Fragment, p.Timecode, p.Facts.Tracks = r.Fragment, r.Timecode, r.Tracks
	for _, b := range r.Body {
		p.media += int64(len(b))
	}
	if p.media > segment.MaxBody || len(r.Header) > segment.MaxBody || len(r.Frames) > segment.MaxBody {
		return p, kvs.Errorf(kvs.InvalidArgument, "the fragment has %d bytes, its header %d and its frame table %d; at most %d of each can be stored",
			p.media, len(r.Header), len(r.Frames), segment.MaxBody)
	}
	if r.Key.ID == 0 {
		return p, kvs.Errorf(kvs.Internal, "the fragment has no data key")
	}
	p.print = segment.Fingerprint(r.Key, r.Header)
	rand.Read(p.salt[:])
	return p, nil
}

// record is the fragment's record, as far as it is known.
func (p *pending) record() segment.Record {
	return segment.Record{
		Kind: segment.FragmentRecord, Body: p.media, FrameTable: int64(len(p.frames)), Fragment: p.Fragment,
		Timecode: p.Timecode, Header: p.header, Key: p.key.ID, Salt: p.salt, Facts: p.Facts,
	}
}

// headerRecord is the record of the fragment's header, with a salt of its own.
func (p *pending) headerRecord() segment.Record {
	r := segment.Record{Kind: segment.HeaderRecord, Body: int64(len(p.content)), Fragment: kvs.Fragment{Stream: p.Stream},
		Key: p.key.ID, Fingerprint: p.print}
	rand.Read(r.Salt[:])
	return r
}

// answer tells the caller how it ended. The pending must not be used afterwards.
func (p *pending) answer(err error) { p.done(err) }

// The queue holds at most this much; together it is also one batch.
const (
	queueRecords = 1024
	queueBytes   = 32 << 20
)

// queue holds fragments until the writer takes them all at once.
type queue struct {
	wake chan struct{} // capacity 1: something waits

	mu      sync.Mutex
	space   sync.Cond // signalled when the queue was taken or closed
	waiting []pending
	bytes   int64     // that are held until they are written, headers included
	storing time.Time // since when the oldest of those taken has waited; zero = none is left
	closed  bool
}

func newQueue() *queue {
	q := &queue{wake: make(chan struct{}, 1)}
	q.space.L = &q.mu
	return q
}

// size is what the fragment holds in memory. A header is counted with each of its
// fragments: any two may be different ones.
func (p *pending) size() int64 { return p.media + int64(len(p.content)) + int64(len(p.frames)) }

// put waits for room. A fragment larger than the whole queue goes in alone. It reports
// false when the queue is closed.
func (q *queue) put(p pending) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && len(q.waiting) > 0 && (len(q.waiting) >= queueRecords || q.bytes+p.size() > queueBytes) {
		q.space.Wait()
	}
	if q.closed {
		return false
	}
	q.waiting = append(q.waiting, p)
	q.bytes += p.size()
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return true
}

// take returns everything that waits and keeps spare, emptied, for what comes next.
func (q *queue) take(spare []pending) []pending {
	q.mu.Lock()
	defer q.mu.Unlock()
	taken := q.waiting
	q.storing = time.Time{}
	if len(taken) > 0 {
		q.storing = taken[0].since
	}
	q.waiting, q.bytes = spare[:0], 0
	q.space.Broadcast()
	return taken
}

// close makes put refuse; what was accepted stays to be taken.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.space.Broadcast()
}

// oldest returns how long the oldest fragment has waited, or is being stored.
func (q *queue) oldest(now time.Time) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	since := q.storing
	if since.IsZero() && len(q.waiting) > 0 {
		since = q.waiting[0].since
	}
	if since.IsZero() {
		return 0
	}
	return now.Sub(since)
}

// length returns how many fragments and bytes wait.
func (q *queue) length() (records int, bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting), q.bytes
}
