// Package tally counts what a stream's fragments add up to, in the order they are stored.
//
// Playlists need to know of any fragment how many came before it, how often the codecs
// changed, how many gaps there were and how much media it was. The archive's writer asks
// when it places a record, and the answer stands in the record. A [Stream] is for one
// goroutine at a time.
package tally

import (
	"math"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// gap is how far the start of a fragment may be from the end of the one before, in
// milliseconds, until it is a discontinuity (spec: DiscontinuityMode ON_DISCONTINUITY, a
// gap or overlap of more than 50 ms).
const gap = 50

// near is how far, in milliseconds, a fragment may begin in front of the end of the one before
// and still stand there on the timeline that closes gaps: muxers put sound up to a few hundred
// milliseconds into the cluster before, so that ends and beginnings overlap in each.
const near = 500

// Stream is what the fragments of one stream add up to so far. The zero value is that of
// a stream without any.
type Stream struct {
	stored state // what is durable
	placed state // with what is on its way
	given  int64 // no LiveSeq above was ever given
}

// state is the sum over the fragments that came in order.
type state struct {
	any      bool
	greatest int64 // number, counter part
	facts    segment.Facts
	ends     [2]kvs.Millis // of the last fragment, per clock
	duration int64         // of the last fragment
	behind   bool          // others were counted behind it, and are gone
}

// Resume goes on behind the last stored fragment that has a LiveSeq, f. greatest is the
// greatest counter of all that are stored. Without any that has a LiveSeq facts are zero.
//
// top is the greatest counter known of fragments that were removed. When it is above
// greatest, what was given to these is not known any more, and nothing may go back behind
// it: each counter after f may have had a LiveSeq, a change and a gap, which is the most
// there was, since each LiveSeq was given for another counter.
func Resume(f kvs.Fragment, facts segment.Facts, greatest, top int64) *Stream {
	s := &Stream{given: facts.LiveSeq}
	behind := top > greatest && facts.LiveSeq > 0
	if behind {
		lost := top - f.Number.N
		s.given += lost
		facts.Changes += uint32(lost)
		facts.ServerGaps += uint32(lost)
		facts.ProducerGaps += uint32(lost)
	}
	s.stored.set(f, facts)
	s.stored.greatest = max(s.stored.greatest, greatest, top)
	s.stored.behind = behind
	s.placed.copy(&s.stored)
	return s
}

// Begin begins the counts of a stream that keeps nothing. top is the greatest counter known
// of fragments that were removed; what still comes from before is late, as it was.
func Begin(top int64) *Stream {
	s := &Stream{}
	if top > math.MinInt64 {
		s.stored.any, s.stored.greatest = true, top
		s.placed.copy(&s.stored)
	}
	return s
}

// set makes f the last fragment.
func (s *state) set(f kvs.Fragment, facts segment.Facts) {
	tracks := append(s.facts.Tracks[:0], facts.Tracks...)
	s.any, s.greatest, s.facts, s.behind = true, f.Number.N, facts, false
	s.facts.Tracks, s.duration = tracks, f.Duration
	for c := range s.ends {
		s.ends[c] = f.At(kvs.Clock(c)) + kvs.Millis(f.Duration)
	}
}

// copy makes s equal to t without sharing memory.
func (s *state) copy(t *state) {
	tracks := append(s.facts.Tracks[:0], t.facts.Tracks...)
	*s = *t
	s.facts.Tracks = tracks
}

// Late reports whether a fragment with this counter came behind a greater one.
func (s *Stream) Late(n int64) bool { return s.placed.any && n <= s.placed.greatest }

// Beginnings is how far apart the LiveSeq are, at least, of two fragments with which a
// stream that kept nothing began its counts, for each millisecond between their server
// timestamps.
const Beginnings = 1_000_000

// beginning is the first LiveSeq of a stream whose counts begin with f: the server
// timestamp in nanoseconds. It may have kept fragments before; no number that was given to
// one of those is as great, as they began so, and no stream stores a million fragments in
// each millisecond. Who compares two of its numbers sees that counts began anew in between.
func beginning(f *kvs.Fragment) int64 { return int64(f.Number.Server) * Beginnings }

// Place returns the facts of a fragment that is put behind all others. One that is late
// gets none but its tracks, and counts for nothing.
func (s *Stream) Place(f kvs.Fragment, tracks []segment.Track) segment.Facts {
	if s.Late(f.Number.N) {
		return segment.Facts{Tracks: tracks}
	}
	facts := s.placed.next(&f, tracks)
	if s.given == 0 {
		s.given = beginning(&f) - 1
	}
	s.given++
	facts.LiveSeq = s.given
	s.placed.set(f, facts)
	return facts
}

// next returns the counts up to f, which comes next.
func (s *state) next(f *kvs.Fragment, tracks []segment.Track) segment.Facts {
	n := s.facts
	n.Tracks = tracks
	n.Millis += f.Duration
	if s.behind {
		n.Millis += max(0, int64(f.Number.Server-s.ends[kvs.ServerClock]))
	}
	if !s.any || s.facts.LiveSeq == 0 { // nothing that was counted came before
		return n
	}
	if !s.behind {
		n.Millis += drift(s.ends[kvs.ProducerClock], s.duration, f)
	}
	if !Same(s.facts.Tracks, tracks) {
		n.Changes++
	}
	if s.apart(f, kvs.ServerClock) {
		n.ServerGaps++
	}
	if s.apart(f, kvs.ProducerClock) {
		n.ProducerGaps++
	}
	return n
}

// apart reports whether there is a gap or an overlap before f.
func (s *state) apart(f *kvs.Fragment, c kvs.Clock) bool {
	return far(f.At(c) - s.ends[c])
}

func far(d kvs.Millis) bool { return d > gap || d < -gap }

// Apart reports whether there is a gap or an overlap on a clock between a and b, which
// comes next.
func Apart(a, b *kvs.Fragment, c kvs.Clock) bool {
	return far(b.At(c) - a.At(c) - kvs.Millis(a.Duration))
}

// Step returns how far behind the beginning of a the beginning of b is, which comes next,
// on the timeline that closes gaps: the duration of a, and the difference to where b begins
// on the producer's clock unless that is a gap, or no near overlap.
func Step(a, b *kvs.Fragment) int64 {
	return a.Duration + drift(a.Producer+kvs.Millis(a.Duration), a.Duration, b)
}

// drift is how far behind the end of a fragment of this duration the next one begins.
// Neither a beginning nor an end may lie before that of the one before.
func drift(end kvs.Millis, duration int64, b *kvs.Fragment) int64 {
	d := b.Producer - end
	if d > gap || d < -near {
		return 0
	}
	return max(int64(d), -duration, -b.Duration)
}

// Same reports whether both have the same tracks with the same codecs, in any order.
func Same(a, b []segment.Track) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !has(b, &a[i]) {
			return false
		}
	}
	return true
}

func has(tracks []segment.Track, t *segment.Track) bool {
	for i := range tracks {
		if tracks[i].Number == t.Number {
			return tracks[i].Fingerprint == t.Fingerprint
		}
	}
	return false
}

// Stored says that everything placed is durable.
func (s *Stream) Stored() { s.stored.copy(&s.placed) }

// Lost says that nothing placed since the last Stored is, or ever will be. The numbers
// that were given are not given again.
func (s *Stream) Lost() { s.placed.copy(&s.stored) }
