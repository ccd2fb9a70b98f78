package archive

import (
	"context"
	"crypto/sha256"
	"hash/crc32"
	"net"
	"sync"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// Record is a fragment to be stored.
type Record struct {
	Fragment  kvs.Fragment
	Retention int   // hours the stream keeps it as of now; decides which segment it shares
	Timecode  int64 // cluster timecode as the producer wrote it

	// Key seals the record. [Archive.Key] gives it, best when the fragment begins.
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

// Key returns the data key for a fragment of the stream that begins now with the server
// timestamp at. An error of the key provider is a *keyring.Error.
func (a *Archive) Key(ctx context.Context, stream kvs.StreamID, at kvs.Millis) (segment.DataKey, error) {
	if a.keys == nil {
		return segment.DataKey{}, kvs.Errorf(kvs.Internal, "the archive has no data keys")
	}
	return a.keys.Current(ctx, stream, at)
}

// Append queues r to be stored. done is called exactly once, from the writer's
// goroutine: with nil when the fragment is durable and visible, with an error when it
// is not and never will be. done must be quick and must not call Append.
//
// The queue is bounded. While it is full Append waits for the batch being written, so
// that a slow disk slows producers down and memory stays bounded.
func (a *Archive) Append(r Record, done func(error)) {
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
	class  segment.Class
	shared [sha256.Size]byte // content hash of header
	header []byte
	body   net.Buffers
	media  int64   // bytes of body
	head   *[]byte // record head and table, from heads; put is left to the writer
	done   func(error)
	err    error
}

// heads keeps the buffers of record heads between fragments.
var heads = sync.Pool{New: func() any { return new([]byte) }}

// prepare does what can be done outside the writer: all checksums and the hash.
func prepare(r Record, done func(error)) (pending, error) {
	p := pending{class: classOf(r.Retention), header: r.Header, body: r.Body, done: done}
	p.Fragment, p.Timecode = r.Fragment, r.Timecode
	for _, b := range r.Body {
		p.media += int64(len(b))
	}
	if p.media > maxBody || len(r.Header) > maxBody {
		return p, kvs.Errorf(kvs.InvalidArgument, "the fragment has %d bytes and its header %d; at most %d can be stored",
			p.media, len(r.Header), maxBody)
	}
	p.shared = sha256.Sum256(r.Header)
	p.head = heads.Get().(*[]byte)
	*p.head = appendTable(append((*p.head)[:0], emptyHead[:]...), r.Body)
	return p, nil
}

var emptyHead [recordHeadSize]byte

// place fixes where the record goes and completes its head.
func (p *pending) place(s *active, position, header int64) {
	p.segment, p.position, p.Stored.header = s.ID, position, header
	h := recordHead{
		kind: fragmentRecord, body: p.media, fragment: p.Fragment, timecode: p.Timecode,
		header: header, table: crc32.Checksum((*p.head)[recordHeadSize:], castagnoli),
	}
	p.length = h.recordSize()
	h.put(*p.head, s.Salt, position)
}

// answer tells the caller how it ended. The pending must not be used afterwards.
func (p *pending) answer(err error) {
	if p.head != nil {
		heads.Put(p.head)
		p.head = nil
	}
	p.done(err)
}

// headerRecordBytes returns a whole header record except for the body.
func headerRecordBytes(header []byte, salt uint64, position int64) []byte {
	b := appendTable(make([]byte, recordHeadSize, recordHeadSize+tableSize(int64(len(header)))), [][]byte{header})
	h := recordHead{kind: headerRecord, body: int64(len(header)), table: crc32.Checksum(b[recordHeadSize:], castagnoli)}
	h.put(b, salt, position)
	return b
}

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
	bytes   int64 // that are held until they are written, headers included
	closed  bool
}

func newQueue() *queue {
	q := &queue{wake: make(chan struct{}, 1)}
	q.space.L = &q.mu
	return q
}

// size is what the fragment holds in memory. A header is counted with each of its
// fragments: the writer compares contents, and any two may be different ones.
func (p *pending) size() int64 { return p.media + int64(len(p.header)) }

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

// length returns how many fragments and bytes wait.
func (q *queue) length() (records int, bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting), q.bytes
}
