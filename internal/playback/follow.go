package playback

import (
	"context"
	"errors"
	"time"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/live"
)

// stall is how long a fragment that stopped growing may hold up later ones.
const stall = 3 * time.Second

// bufferSize is the memory one consumer's copying takes.
const bufferSize = 32 << 10

// errIdle and errGone end a session without being errors of it.
var (
	errIdle = errors.New("no media for some time")
	errGone = errors.New("the stream was deleted")
	// errBroken: a fragment failed while a reader was in the middle of an element.
	errBroken = errors.New("a fragment failed in the middle of an element")
)

// follower is one GetMedia session.
type follower struct {
	p      *Player
	stream Stream
	id     kvs.StreamID
	live   *live.Stream
	wake   *live.Reader
	out    Output

	after        kvs.FragmentNumber // the last fragment sent
	at           kvs.FragmentNumber // the one that is being sent; zero = none
	newestServer kvs.Millis         // newest server timestamp known
	quiet        time.Time          // since when nothing was sent
	buf          []byte
	scratch      []byte
	chunks       int
	lostConsumer bool        // Write failed
	timer        *time.Timer // one for the session: a wait must not allocate
}

// Follow sends chunks from the selected start on until ctx ends, nothing comes for the
// idle time, or the stream is deleted. It returns the number of chunks sent whole; the
// error is one of reading or of writing to out.
func (p *Player) Follow(ctx context.Context, s Stream, sel kvs.Selector, out Output) (chunks int, err error) {
	st := p.o.Live.Acquire(s.Stream().ID)
	defer st.Release()
	wake := st.Subscribe()
	defer wake.Close()
	f := &follower{p: p, stream: s, id: s.Stream().ID, live: st, wake: wake, out: out, buf: make([]byte, bufferSize), quiet: p.o.Real()}
	f.timer = time.NewTimer(stall)
	defer f.timer.Stop()
	err = f.run(ctx, sel)
	return f.chunks, err
}

func (f *follower) run(ctx context.Context, sel kvs.Selector) error {
	err := f.unlock(ctx)
	if err == nil {
		f.after, err = f.start(ctx, sel)
	}
	if err != nil {
		return f.stop(ctx, err)
	}
	if s, ok, err := f.p.o.Archive.Newest(ctx, f.id, f.p.horizon(f.stream)); err == nil && ok {
		f.newestServer = s.Number.Server
	}
	for {
		if err := f.step(ctx); err != nil {
			return f.stop(ctx, err)
		}
	}
}

// stop ends the body: reasons that a reader can act on stand in a last document.
func (f *follower) stop(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		_ = f.out.Flush() // the consumer left, or the server is about to
		return nil
	case errors.Is(err, errIdle), errors.Is(err, errBroken):
		return f.out.Flush()
	case errors.Is(err, errGone):
		return f.write(appendError(f.scratch[:0], f.after, fragmentNotFound, "The stream was deleted."), true)
	}
	if e, ok := errors.AsType[*readError](err); ok {
		id, text := explain(e.err, "Stored media could not be read.")
		at := f.at
		if at == (kvs.FragmentNumber{}) {
			at = f.after
		}
		_ = f.write(appendError(f.scratch[:0], at, id, text), true)
		return e.err
	}
	return err
}

// readError is a failure of the archive where a reader can be told: no cluster was begun.
type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }

// step sends the next chunk, or waits until something changes. Chunks leave in the
// order of their numbers, but a fragment that stopped growing is overtaken.
func (f *follower) step(ctx context.Context) error {
	select {
	case <-f.stream.Gone():
		return errGone
	default:
	}
	f.at = kvs.FragmentNumber{}
	for after := f.after; ; {
		// The live buffer is asked first: what it evicts before the archive is asked is in
		// the archive by then.
		l, gap := f.live.Next(after)
		if gap {
			s, ok, err := f.p.o.Archive.Next(ctx, f.id, after, f.p.horizon(f.stream))
			if err != nil {
				return &readError{err}
			}
			if ok && (l == nil || s.Number.Less(l.Info().Number)) {
				return f.sendStored(ctx, s)
			}
		}
		switch {
		case l == nil:
			return f.wait(ctx)
		case sendable(l):
			return f.sendLive(ctx, l)
		case !f.stalled(l):
			return f.wait(ctx)
		}
		after = l.Info().Number
	}
}

// sendable reports whether bytes of l may leave now.
func sendable(l *live.Fragment) bool {
	state, _ := l.State()
	return state == live.Complete || state == live.Arriving && l.FrameWise() && l.Published() > 0
}

// stalled reports whether l arrives but stopped growing: then it is not worth waiting
// for. Asked about one that grows it notes that the session is not idle.
func (f *follower) stalled(l *live.Fragment) bool {
	state, last := l.State()
	if state == live.Arriving && f.p.o.Real().Sub(last) >= stall {
		return true
	}
	f.quiet = later(f.quiet, last)
	return false
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// wait flushes and sleeps until the stream changes; it fails with errIdle when
// nothing came for too long.
func (f *follower) wait(ctx context.Context) error {
	if err := f.out.Flush(); err != nil {
		return err
	}
	limit := f.p.o.Idle(f.stream.Stream())
	rest := stall
	if limit > 0 {
		if rest = limit - f.p.o.Real().Sub(f.quiet); rest <= 0 {
			return errIdle
		}
	}
	f.timer.Reset(rest)
	select {
	case <-f.wake.Wake():
	case <-f.timer.C:
	case <-f.stream.Gone():
		return errGone
	case <-ctx.Done():
		return context.Canceled
	}
	return nil
}

// write sends b and notes that something was sent.
func (f *follower) write(b []byte, flush bool) error {
	if len(b) > 0 {
		if _, err := f.out.Write(b); err != nil {
			return err
		}
		f.quiet = f.p.o.Real()
	}
	if flush {
		return f.out.Flush()
	}
	return nil
}

// tags sends what stands between header and cluster.
func (f *follower) tags(info kvs.Fragment) error {
	f.scratch = appendHead(f.scratch[:0], info)
	return f.write(f.scratch, false)
}

// Write lets the archive write to the consumer.
func (f *follower) Write(b []byte) (int, error) {
	if err := f.write(b, false); err != nil {
		f.lostConsumer = true
		return 0, err
	}
	return len(b), nil
}

// tail ends a chunk that was sent whole.
func (f *follower) tail(info kvs.Fragment) error {
	f.newestServer = max(f.newestServer, info.Number.Server, f.live.Newest().Server)
	f.scratch = appendTail(f.scratch[:0], info, int64(f.newestServer-info.Number.Server))
	f.after = info.Number
	f.chunks++
	return f.write(f.scratch, false)
}

// sendStored sends one chunk from the archive.
func (f *follower) sendStored(ctx context.Context, s archive.Stored) error {
	f.at = s.Number
	if err := f.unlock(ctx); err != nil {
		return err
	}
	r, err := f.p.o.Archive.OpenRecord(ctx, s)
	if err != nil {
		return f.lost(s.Number, err)
	}
	defer func() { _ = r.Close() }()
	if err := f.out.Chunk(s.Fragment); err != nil {
		return err
	}
	return f.copyRecord(ctx, s, r, 0)
}

// copyRecord sends a chunk from the archive, of which the consumer has so many bytes of
// the header already.
func (f *follower) copyRecord(ctx context.Context, s archive.Stored, r *archive.Reader, has int64) error {
	if err := f.copyHead(r, has, s.Fragment); err != nil {
		return err
	}
	if err := f.copyStored(ctx, r, 0); err != nil {
		return err
	}
	return f.tail(s.Fragment)
}

// copyHead sends everything in front of the cluster of a record.
func (f *follower) copyHead(r *archive.Reader, has int64, info kvs.Fragment) error {
	n, err := r.WriteHeader(f, has)
	switch {
	case err != nil && n+has == 0 && !f.lostConsumer:
		return &readError{err} // nothing was sent: the reader can be told
	case err != nil:
		return err
	}
	return f.tags(info)
}

// lost handles a record that cannot be opened: one that expired meanwhile is passed
// over, anything else ends the session.
func (f *follower) lost(n kvs.FragmentNumber, err error) error {
	if kvs.KindOf(err) != kvs.NotFound {
		return &readError{err}
	}
	f.after = n
	return nil
}

// copyStored sends the body of a record from off on.
func (f *follower) copyStored(ctx context.Context, r *archive.Reader, off int64) error {
	n, err := r.WriteFrom(&session{ctx, f}, off)
	if err != nil && n+off == 0 && !f.lostConsumer {
		return &readError{err} // whole elements only were sent: the reader can be told
	}
	return err
}

// session lets the archive write to the consumer until a context ends.
type session struct {
	ctx context.Context
	f   *follower
}

func (s *session) Write(b []byte) (int, error) {
	if s.ctx.Err() != nil {
		s.f.lostConsumer = true
		return 0, context.Canceled
	}
	return s.f.Write(b)
}

// unlock fails where a reader can be told when the wrapping key may not be used.
func (f *follower) unlock(ctx context.Context) error {
	err := f.p.unlock(ctx, f.id)
	switch {
	case err == nil:
		return nil
	case kvs.KindOf(err) == kvs.NotFound:
		return errGone
	}
	return &readError{err}
}

// sendLive sends one chunk from the live buffer, frame by frame while it grows.
func (f *follower) sendLive(ctx context.Context, l *live.Fragment) error {
	f.at = l.Info().Number
	if err := f.unlock(ctx); err != nil {
		return err
	}
	if err := f.out.Chunk(l.Info()); err != nil {
		return err
	}
	for off := int64(0); ; {
		n, size, err := l.HeaderAt(f.buf, off)
		if err != nil {
			return f.resumeHead(ctx, l, off)
		}
		if err := f.write(f.buf[:n], false); err != nil {
			return err
		}
		if off += int64(n); off == size {
			break
		}
	}
	if err := f.tags(l.Info()); err != nil {
		return err
	}
	var off, edge int64
	for {
		state, _ := l.State()
		n, published, err := l.ReadAt(f.buf, off)
		switch {
		case err != nil && state == live.Complete && off == l.Info().Size:
			return f.tail(l.Info()) // it left when it had been sent
		case err != nil:
			return f.resume(ctx, l, off, off == edge)
		case n > 0:
			edge = published
			off += int64(n)
			if err := f.write(f.buf[:n], false); err != nil {
				return err
			}
		case state == live.Complete:
			return f.tail(l.Info())
		case f.stalled(l) && f.overtaken(l):
			f.after = l.Info().Number // it may be whole one day; nobody waits for that
			return nil
		default:
			if err := f.wait(ctx); err != nil {
				return err
			}
		}
	}
}

// overtaken reports whether a later fragment is worth leaving l for.
func (f *follower) overtaken(l *live.Fragment) bool {
	next, gap := f.live.Next(l.Info().Number)
	return gap || next != nil && (sendable(next) || !f.stalled(next))
}

// resumeHead goes on with a fragment that left the live buffer when off bytes of its
// header had been sent.
func (f *follower) resumeHead(ctx context.Context, l *live.Fragment, off int64) error {
	s, r, err := f.reopen(ctx, l.Info().Number, off == 0)
	if r == nil {
		return err
	}
	defer func() { _ = r.Close() }()
	return f.copyRecord(ctx, s, r, off)
}

// resume goes on with a fragment that left the live buffer while it was being sent:
// from the archive at the same byte, or not at all if it failed. boundary says that
// what was sent ends with a whole element, so that the next chunk may follow.
func (f *follower) resume(ctx context.Context, l *live.Fragment, off int64, boundary bool) error {
	s, r, err := f.reopen(ctx, l.Info().Number, boundary)
	if r == nil {
		return err
	}
	defer func() { _ = r.Close() }()
	if err := f.copyStored(ctx, r, off); err != nil {
		return err
	}
	return f.tail(s.Fragment)
}

// reopen finds a fragment that left the live buffer in the archive. Without a reader the
// fragment is done with: it failed or expired, and is passed over if the next chunk may
// follow, or the archive did, which ends the session.
func (f *follower) reopen(ctx context.Context, n kvs.FragmentNumber, boundary bool) (s archive.Stored, r *archive.Reader, err error) {
	s, ok, err := f.p.o.Archive.Get(ctx, f.id, n, 0)
	if err == nil && ok {
		r, err = f.p.o.Archive.OpenRecord(ctx, s)
	}
	switch {
	case err == nil && r != nil:
		return s, r, nil
	case err != nil && kvs.KindOf(err) != kvs.NotFound && boundary:
		return s, nil, &readError{err}
	case err != nil && kvs.KindOf(err) != kvs.NotFound:
		return s, nil, err
	}
	f.after = n
	if !boundary {
		return s, nil, errBroken
	}
	return s, nil, nil
}
