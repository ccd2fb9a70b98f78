package ingest

import (
	"context"
	"errors"
	"math/bits"
	"time"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/frames"
	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/live"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/segment"
	"github.com/millrace/millrace/mkv"
)

// fragment is the fragment now arriving.
type fragment struct {
	live     *live.Fragment
	header   *live.Header
	number   kvs.FragmentNumber
	key      segment.DataKey // what it is sealed with; zero if it is not stored
	timecode uint64
	producer kvs.Millis
	began    int64 // where in the body its cluster begins
	limit    int64 // bytes
	size     int64
	blocks   int // so far
	metadata metadata
	group    group
	frames   *frames.Table
	whole    bool // a cluster of known size was read to its end
	followed bool // another cluster ended it
	failed   bool // an ERROR was sent; the rest is read and dropped
	fail     func(*Fault)
}

// previous is what the next fragment is compared with.
type previous struct {
	set      bool
	timecode uint64
}

// clusterTimecode begins a fragment: it takes a number and answers BUFFERING.
func (s *session) clusterTimecode(ctx context.Context, it *mkv.Item) error {
	if s.current != nil {
		return fault(badElement, "a second Timecode in a cluster at byte %d", it.Offset)
	}
	if err := s.admit(ctx); err != nil {
		return err
	}
	h := s.header.first
	f := &fragment{header: h, timecode: it.Timecode, began: s.began, limit: s.limits.Bytes(quota.FragmentBytes), fail: s.failFragment}
	bad := s.checkTimes(f)
	var err error
	next := func() (kvs.FragmentNumber, error) { return s.entry.NextNumber(ctx, s.floor) }
	if f.live, err = s.live.Begin(next, f.producer, h, !s.known); err != nil {
		return s.noNumber(ctx, err)
	}
	f.number, f.frames = f.live.Info().Number, frames.New(s.frags.rows)
	f.metadata, s.pending = s.pending, metadata{}
	if h != s.header.later && s.header.ownTags {
		f.metadata.join(s.header.metadata, s.limits)
	}
	s.current = f
	s.arriving.Store(f.live)
	s.frags.start(f.producer)
	s.acks.add(Ack{Type: Buffering, Timecode: f.timecode, Number: f.number, since: s.g.o.Now()})
	if bad == nil {
		bad = s.unlock(ctx, f)
	}
	if bad != nil {
		s.failFragment(bad)
	}
	lead := s.lead
	s.lead = s.lead[:0]
	if err := f.append(ctx, lead, false); err != nil {
		return err
	}
	return f.append(ctx, it.Raw, true)
}

// admit waits for its turn, reserves numbers for a new session, and refuses new
// fragments to a session that was displaced.
func (s *session) admit(ctx context.Context) error {
	s.inFlight.Store(true)
	if err := s.yield(); err != nil {
		return err
	}
	if err := s.acks.room(ctx); err != nil {
		return err
	}
	if d := s.beat.Delay(1); d > 0 {
		s.acks.pause()
		err := s.beat.Rest(ctx, d)
		s.acks.data(s.g.o.Now())
		if err != nil {
			return err
		}
	}
	if s.begun {
		return nil
	}
	s.begun = true
	if s.g.o.Newest != nil {
		s.floor = s.g.o.Newest(ctx, s.entry.Stream().ID)
	}
	if err := s.entry.BeginSession(ctx); err != nil {
		return s.noNumber(ctx, err)
	}
	return nil
}

// noNumber is why a fragment cannot begin. The stream's deletion or a full disk may be
// noticed here before anywhere else.
func (s *session) noNumber(ctx context.Context, err error) *Fault {
	kind := kvs.KindOf(err)
	if kind == kvs.NotFound {
		return fault(streamGone, "the stream was deleted")
	}
	if ctx.Err() == nil {
		s.g.complain(s.entry.Stream().Name, err)
	}
	if kind == kvs.Unavailable {
		return fault(notStored, "no fragment number could be stored").because(err)
	}
	return fault(noNumbers, "no fragment number could be reserved").because(err)
}

// unlock asks for the data key of a fragment before its media come, so that a refusal
// costs none, and says what is wrong with the key. Media that are not stored need no
// data key, but as with AWS a key that may not be used stops them all the same (identity
// sheet, section 7).
func (s *session) unlock(ctx context.Context, f *fragment) *Fault {
	if s.g.o.Keys == nil {
		return nil
	}
	s.acks.pause()
	defer func() { s.acks.data(s.g.o.Now()) }()
	stream := s.entry.Stream()
	var err error
	if stream.Retention == 0 {
		err = s.g.o.Keys.Ready(ctx, stream.ID)
	} else {
		f.key, err = s.g.o.Keys.Current(ctx, stream.ID, f.number.Server)
	}
	switch e, refused := errors.AsType[*keyring.Error](err); {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return s.diagnose(ctx, err)
	case refused:
		return keyFault(e)
	case kvs.KindOf(err) == kvs.NotFound:
		return fault(streamGone, "the stream was deleted")
	}
	s.g.complain(stream.Name, err)
	return fault(notStored, "no data key could be stored").because(err)
}

// keyFault is the fault of a wrapping key that cannot be used. What the provider said
// is for the log.
func keyFault(e *keyring.Error) *Fault {
	told := keyring.Error{Failure: e.Failure, KeyID: e.KeyID}
	return fault(keyCases[Code(e.Failure)], "%v", &told).because(e)
}

// checkTimes sets the producer timestamp (media sheet, section 1) and says what is
// wrong with times that are impossible or do not grow.
func (s *session) checkTimes(f *fragment) *Fault {
	ms, ok := scaled(f.timecode, s.header.scale)
	if s.request.Relative {
		ms += s.request.Start
	}
	before := s.last
	s.last.set = true
	if !ok || ms < 0 || ms > kvs.MaxMillis {
		return fault(badTime, "cluster timecode %d gives a producer time outside the years 1970 to 9999", f.timecode)
	}
	f.producer = ms
	if before.set && f.timecode <= before.timecode {
		return fault(notGreater, "cluster timecode %d is not greater than %d, that of the fragment before", f.timecode, before.timecode)
	}
	s.last.timecode = f.timecode
	return nil
}

// scaled is a timecode of the given scale (nanoseconds) in milliseconds. It reports
// false for what is far beyond any timestamp.
func scaled(timecode, scale uint64) (kvs.Millis, bool) {
	const nanosPerMilli = 1_000_000
	hi, lo := bits.Mul64(timecode, scale)
	if hi >= nanosPerMilli {
		return 0, false
	}
	ms, _ := bits.Div64(hi, lo, nanosPerMilli)
	return kvs.Millis(min(ms, uint64(kvs.MaxMillis)+1)), true
}

// append adds bytes to the fragment; with visible true readers may have all so far.
// A fragment that failed takes nothing more.
func (f *fragment) append(ctx context.Context, raw []byte, visible bool) error {
	if f.failed {
		return nil
	}
	if f.size += int64(len(raw)); f.size > f.limit {
		f.fail(fault(tooLarge, "fragment larger than %d bytes", f.limit))
		return nil
	}
	if err := f.live.Append(ctx, raw); err != nil {
		return err
	}
	if visible {
		f.live.Publish()
	}
	return nil
}

// failFragment answers ERROR for the fragment in flight and drops its bytes.
func (s *session) failFragment(f *Fault) {
	c := s.current
	if c.failed {
		return
	}
	c.failed = true
	c.live.Fail()
	if s.header.ownTags && s.header.metadata.fault != nil {
		s.header.spent()
	}
	s.acks.add(Ack{Type: Failed, Timecode: c.timecode, Number: c.number, Code: f.Code, why: f.Reason})
	s.rejectFragment(c, f)
	s.g.o.Logger.Debug("fragment refused", "stream", s.entry.Stream().Name, "fragment", c.number.String(), "code", int(f.Code), "reason", f.Reason)
}

// closeFragment makes room for the next one.
func (s *session) closeFragment() {
	s.current.frames.Release()
	s.current = nil
	s.arriving.Store(nil)
	s.inFlight.Store(false)
}

// endFragment checks the whole fragment, answers RECEIVED and hands it to the archive.
func (s *session) endFragment(ctx context.Context) {
	f := s.current
	defer s.closeFragment()
	if f.failed {
		return
	}
	duration := time.Duration(s.frags.duration())
	bad := s.verdict(f, duration)
	if bad == nil {
		bad = s.chosen()
	}
	stream := s.entry.Stream()
	if bad == nil && stream.Retention > 0 && f.key.ID == 0 { // it had no retention when it began
		bad = s.unlock(ctx, f)
	}
	if bad != nil {
		s.failFragment(bad)
		return
	}
	info := kvs.Fragment{Stream: stream.ID, Number: f.number, Producer: f.producer, Size: f.live.Size(),
		Duration: duration.Round(time.Millisecond).Milliseconds()}
	body, ok := f.live.Complete(info, stream.Retention == 0)
	if !ok {
		s.failFragment(fault(streamGone, "the stream was deleted"))
		return
	}
	ended := s.g.o.Now()
	s.summary.Fragments++
	s.header.spent()
	if stream.Retention == 0 {
		s.acks.add(Ack{Type: Received, Timecode: f.timecode, Number: f.number, since: ended})
		return
	}
	s.acks.expect()
	s.acks.add(Ack{Type: Received, Timecode: f.timecode, Number: f.number, since: ended})
	s.g.o.Archive.Append(archive.Record{Fragment: info, Retention: stream.Retention, Tier: stream.Tier, Key: f.key, Timecode: int64(f.timecode), Header: f.header.Bytes, Body: body,
		Frames: f.frames.Encode(), Tracks: f.frames.Tracks()},
		func(err error) { s.archived(f, ended, err) })
}

// verdict checks what can only be said of a whole fragment, which lasts for d.
func (s *session) verdict(f *fragment, d time.Duration) *Fault {
	if track, missing := s.frags.missing(); missing && (s.frags.empty() || !s.entry.Stream().LenientTracks()) {
		if s.frags.empty() {
			return fault(noFrame, "the fragment has no frame")
		}
		return fault(trackEmpty, "track %d is declared but has no frame in the fragment", track).of(track)
	}
	shortest, longest := s.limits.Duration(quota.FragmentMinDuration), s.limits.Duration(quota.FragmentDuration)
	switch {
	case f.metadata.fault != nil:
		return f.metadata.fault
	case longest > 0 && d > longest:
		return fault(tooLong, "fragment of %v; %v are allowed", d, longest)
	case f.followed && d < shortest:
		// The last one of a session is as long as it is: a producer that stops could
		// only send it again and again.
		return fault(tooShort, "fragment of %v; at least %v are needed", d, shortest)
	}
	if t, bad := s.frags.overlap(f.producer); bad && !s.limits.On(quota.FragmentOverlap) {
		back := t.latest - f.producer - kvs.Millis(t.first/1e6)
		return fault(overlaps, "the earliest frame of track %d is %d ms before its latest in the fragment before; it must be later", t.number, back).of(t.number)
	}
	s.frags.accept(f.producer)
	return nil
}

// chosen asks what was chosen for a whole fragment with which nothing is wrong. It may
// also end the session.
func (s *session) chosen() *Fault {
	if s.request.Choose == nil {
		return nil
	}
	fails, ends := s.request.Choose()
	if ends != 0 {
		s.ended = chosenFault(ends)
		s.cancel(s.ended) // when it waits for data
	}
	if fails == 0 {
		return nil
	}
	return chosenFault(fails)
}

func chosenFault(c Code) *Fault {
	return fault(&Case{Name: "chosen", Code: c, When: "The server was told to fail it.",
		Fix: "Nothing is wrong with the media: the server runs with --fault."}, "chosen by --fault")
}

// archived is called by the archive when the fragment is durable, or never will be.
func (s *session) archived(f *fragment, ended time.Time, err error) {
	if err == nil {
		f.live.Archived()
		s.acks.settle(Ack{Type: Persisted, Timecode: f.timecode, Number: f.number, since: ended})
		return
	}
	f.live.Fail()
	bad, ok := errors.AsType[*Fault](err)
	if !ok || bad.Case == nil {
		bad = fault(notStored, "the archive did not take the fragment").because(err)
	}
	s.rejectFragment(f, bad)
	s.acks.settle(Ack{Type: Failed, Timecode: f.timecode, Number: f.number, Code: bad.Code, why: err.Error()})
}
