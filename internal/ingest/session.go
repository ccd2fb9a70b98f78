package ingest

import (
	"context"
	"errors"
	"io"
	"sync/atomic"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/live"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/mkv"
)

// session is one PutMedia call. Its fields belong to the reading goroutine unless
// they say otherwise.
type session struct {
	g       *Ingest
	request Request
	limits  *quota.View
	entry   Stream
	live    *live.Stream
	acks    *ackQueue
	cancel  context.CancelCauseFunc
	body    Body
	reader  *mkv.Reader
	flow    *quota.Pace // bytes, shared with the stream's other sessions
	beat    *quota.Pace // fragments, likewise

	header    header
	frags     *timeline
	lead      []byte   // level-1 bytes and cluster head in front of the next cluster's timecode
	pending   metadata // tags in front of the next cluster
	current   *fragment
	last      previous
	known     bool       // the cluster now arriving has a known size
	began     int64      // where in the body that cluster begins
	begun     bool       // BeginSession was called
	floor     kvs.Millis // server timestamps must not be lower
	summary   Summary
	ended     *Fault                        // chosen to end it before the next fragment; nil = it goes on
	displaced atomic.Bool                   // set by a newer session
	inFlight  atomic.Bool                   // a fragment is arriving; read by a newer session
	holding   atomic.Bool                   // the header takes memory that others may wait for
	arriving  atomic.Pointer[live.Fragment] // of current; nil between two
}

func newSession(ctx context.Context, g *Ingest, r Request, body Body, cancel context.CancelCauseFunc) *session {
	of := r.Stream.Stream()
	l := g.o.Book.View(of.Account, of.ID)
	s := &session{g: g, request: r, limits: l, flow: l.Flow(quota.PutBandwidth), beat: l.Beat(quota.PutFragmentRate), entry: r.Stream, cancel: cancel, body: body}
	s.header.store = g.o.Live
	s.live = g.o.Live.Acquire(of.ID)
	s.acks = newAckQueue(g, r, l, cancel)
	s.acks.holds = func() bool { return (s.inFlight.Load() || s.holding.Load()) && g.o.Pressed != nil && g.o.Pressed() }
	s.acks.late = func() bool { f := s.arriving.Load(); return f != nil && f.Overdue() }
	s.reader = mkv.NewReader(&countingReader{ctx: ctx, body: body, s: s}, mkv.Options{Buffer: readBuffer, MaxFrame: maxBlock})
	return s
}

// countingReader counts bytes, tells the acknowledging goroutine that data came, and
// sees to it that an element which is collected whole is charged for.
type countingReader struct {
	ctx  context.Context // of the session
	body Body
	s    *session
	owed int // bytes of the last Read, which the bandwidth still has to let through
}

func (c *countingReader) Read(p []byte) (int, error) {
	if err := c.s.collect(c.ctx); err != nil {
		return 0, err
	}
	if err := c.pace(); err != nil {
		return 0, err
	}
	now := c.s.g.o.Now()
	c.s.acks.asks(now)
	c.s.request.Watcher.Asks(now)
	n, err := c.body.Read(p)
	c.owed = n
	if n > 0 {
		c.s.summary.Bytes += int64(n)
		c.s.g.o.Metrics.PutBytes.Add(float64(n))
		now = c.s.g.o.Now()
		c.s.acks.data(now)
		c.s.request.Watcher.Data(n, now)
	}
	return n, err
}

// pace keeps to the stream's bandwidth: what is not read, the producer cannot send.
func (c *countingReader) pace() error {
	d := c.s.flow.Delay(c.owed)
	if d <= 0 {
		return nil
	}
	c.s.acks.pause()
	defer func() { c.s.acks.data(c.s.g.o.Now()) }()
	return c.s.flow.Rest(c.ctx, d)
}

// collect accounts for what the reader keeps of an element that is not whole yet.
func (s *session) collect(ctx context.Context) error {
	buffered := s.summary.Bytes - s.reader.Offset()
	if !s.header.clusters {
		err := s.header.arriving(ctx, buffered)
		s.holding.Store(s.header.held > 0)
		return err
	}
	if buffered > maxInline {
		return fault(bigElement, "an element of more than %d bytes at byte %d; only blocks and the elements in front of the first cluster may be larger", maxInline, s.reader.Offset())
	}
	return nil
}

// read takes items until the body ends and closes what is open then.
func (s *session) read(ctx context.Context) error {
	for {
		it, err := s.reader.Next()
		if err == nil {
			err = s.item(ctx, it)
			if f, ok := errors.AsType[*Fault](err); ok {
				f.place(it.Offset)
			}
		}
		if err != nil {
			return s.finish(ctx, err)
		}
	}
}

// finish ends the session for the given reason: the fragment in flight is closed if
// it is whole, else it fails; a failed session says so with an ERROR.
func (s *session) finish(ctx context.Context, err error) error {
	end := errors.Is(err, io.EOF)
	if end && s.header.clusters {
		s.finishClean(ctx)
		return nil
	}
	if end && s.summary.Bytes == 0 {
		return nil
	}
	f := s.diagnose(ctx, err).at(s.reader.Offset())
	told := s.settle(ctx, f)
	if !told && !f.silent {
		s.acks.fail(f)
	}
	if !told {
		s.rejectSession(f)
	}
	return f
}

// finishClean closes the last fragment. The tags behind it describe it, because no
// cluster follows (decisions sheet, row 3).
func (s *session) finishClean(ctx context.Context) {
	if s.current != nil {
		s.current.metadata.join(s.pending, s.limits)
		s.endFragment(ctx)
	}
}

// settle deals with the fragment in flight when the session ends for f. It reports
// whether the producer needs no further ERROR.
func (s *session) settle(ctx context.Context, f *Fault) (told bool) {
	switch {
	case s.current == nil:
		return false
	case s.current.failed:
	case s.current.whole && f.Code != StreamNotActive:
		s.endFragment(ctx)
		return f.Code == StreamReadError
	default:
		s.failFragment(f)
	}
	s.closeFragment()
	return true
}

// diagnose turns the reason of an end into the fault the producer is told.
func (s *session) diagnose(ctx context.Context, err error) *Fault {
	if cause := context.Cause(ctx); cause != nil {
		if f, ok := errors.AsType[*Fault](cause); ok {
			return f
		}
		switch {
		case kvs.KindOf(cause) == kvs.Denied:
			return fault(revoked, "the session was ended: %v", cause).because(cause)
		case errors.Is(cause, errDisplaced):
			return fault(displaced, "the session was ended: %v", cause).because(cause).quietly()
		case errors.Is(cause, context.Canceled): // nobody gave another reason: the request ended
			return fault(bodyBroke, "the producer's connection broke").because(cause).quietly()
		}
		return fault(stopping, "the session was ended: %v", cause).because(cause).quietly()
	}
	if f, ok := errors.AsType[*Fault](err); ok {
		return f
	}
	if e, ok := errors.AsType[*mkv.SyntaxError](err); ok {
		if !s.header.clusters && len(s.header.all) == 0 {
			return fault(noMatroska, "byte %d: %s", e.Offset, e.Reason).at(e.Offset)
		}
		return fault(badElement, "byte %d: %s", e.Offset, e.Reason).at(e.Offset)
	}
	if errors.Is(err, io.EOF) {
		return fault(noCluster, "the body ended before the first cluster")
	}
	return fault(bodyBroke, "%s", s.broke(err)).because(err)
}

// broke says where the body broke off.
func (s *session) broke(err error) string {
	switch {
	case !errors.Is(err, io.ErrUnexpectedEOF):
		return "the body broke off"
	case s.current != nil:
		return "the media end inside a cluster"
	case !s.header.clusters:
		return "the media end inside the header"
	}
	return "the media end inside an element"
}

// displace makes the session end at the end of the fragment in flight; at once if
// there is none. Called by a newer session.
func (s *session) displace() {
	if !s.displaced.Swap(true) {
		s.g.o.Metrics.LimitBreaches.WithLabelValues(quota.PutSessions.Name).Inc()
	}
	if !s.inFlight.Load() {
		s.cancel(errDisplaced)
	}
}

// yield ends a session between two fragments when a newer one took over.
func (s *session) yield() error {
	if s.ended != nil {
		return s.ended
	}
	if s.displaced.Load() {
		return fault(displaced, "%v", errDisplaced).because(errDisplaced).quietly()
	}
	return nil
}

// errDisplaced ends a session in favour of a newer one on the same stream.
var errDisplaced = errors.New("a newer session of the stream took over")

// maxBlock is no real bound: blocks come in pieces, and a fragment's size is checked
// as they do, with an answer of its own.
const maxBlock = 1 << 40

// readBuffer is the memory one session reads through, in bytes.
const readBuffer = 8 << 10
