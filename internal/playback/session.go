package playback

import (
	"encoding/binary"
	"math"

	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/kvs"
)

// Protocol is what a session's lists are written in.
type Protocol uint8

// The protocols.
const (
	HLS Protocol = iota
	DASH
)

// Mode says which fragments a session lists (PlaybackMode).
type Mode uint8

// The modes.
const (
	Live       Mode = iota // the newest
	LiveReplay             // those of a range, as fast as they were recorded
	OnDemand               // the oldest of a range, once
)

// Container is the form of segments (ContainerFormat). DASH has FMP4 only.
type Container uint8

// The containers.
const (
	FMP4 Container = iota // one segment for each track
	TS                    // MPEG-TS: one segment with all tracks
)

// Discontinuity says where a list has EXT-X-DISCONTINUITY (DiscontinuityMode).
type Discontinuity uint8

// The modes of discontinuities.
const (
	Always          Discontinuity = iota // in front of every fragment
	Never                                // where codecs change
	OnDiscontinuity                      // also where there is a gap or an overlap of more than 50 ms
)

// NoEnd is the end of a range of LIVE_REPLAY that has none.
const NoEnd = kvs.MaxMillis

// Session is all there is to know of a session: what its token carries.
type Session struct {
	Stream        kvs.StreamID
	StreamCreated kvs.Millis
	Kind          Protocol
	Mode          Mode
	Clock         kvs.Clock
	Range         kvs.TimeRange // zero in LIVE; End may be NoEnd in LIVE_REPLAY
	Container     Container
	Discontinuity Discontinuity
	ShowTimes     bool // DisplayFragmentTimestamp
	ShowNumbers   bool // DisplayFragmentNumber
	Break         bool // a LIVE session ends when the producer pauses for 30 s (LivePause=BREAK)
	Max           int  // fragments in a list, 1 to 5,000
	Created       kvs.Millis
	Expires       kvs.Millis
	Base          Base
	Tracks        []SessionTrack
}

// SessionTrack is a track that the session was begun with.
type SessionTrack struct {
	Number      uint64
	Kind        codec.Kind
	Fingerprint uint64 // frames.Fingerprint; of DASH sessions only, where it may not change
}

// Base is where a session's numbers and times begin. Of LIVE and LIVE_REPLAY it is what
// was counted up to the fragment listed first when the session began. An ON_DEMAND list only gets
// shorter at its beginning, so there it is what the whole list had: numbers are counted
// from the end.
type Base struct {
	LiveSeq int64 // of the first fragment; ON_DEMAND: how many fragments there were
	Changes int64 // of codecs, so far; ON_DEMAND: in the list
	Gaps    int64 // on the clock, so far; ON_DEMAND: in the list
	Millis  int64 // of media, before the first fragment; ON_DEMAND: in the list
	First   int64 // counter of the first fragment
	Last    int64 // ON_DEMAND: counter of the last fragment
	Through int64 // ON_DEMAND: counter of the last fragment that has a say in the list: one behind Last may have taken a twin out
	Listed  int64 // milliseconds of media in the list when the session began
}

// MaxSessionBytes is how many bytes a session of at most three tracks takes: a token may
// have 200 characters.
const MaxSessionBytes = 100

const (
	sessionForm   = 2 // version of the binary form
	maxTrackCount = 7
)

var errSession = kvs.Errorf(kvs.InvalidArgument, "the session token holds no session")

// AppendBinary appends the session in the form that [ParseSession] reads. It has at most
// 7 tracks: the others are left out.
func (s *Session) AppendBinary(b []byte) []byte {
	tracks := s.Tracks[:min(len(s.Tracks), maxTrackCount)]
	var h head
	for _, f := range s.members(len(tracks)) {
		h.put(f.value, f.bits)
	}
	b = binary.LittleEndian.AppendUint16(b, h.bits)
	for _, v := range s.numbers() {
		b = binary.AppendUvarint(b, uint64(v))
	}
	for _, t := range tracks {
		b = append(binary.AppendUvarint(b, t.Number), byte(t.Kind))
		if s.Kind == DASH {
			b = binary.LittleEndian.AppendUint64(b, t.Fingerprint)
		}
	}
	return b
}

// head is the first two bytes: small values beside each other.
type head struct {
	bits uint16
	at   int
}

func (h *head) put(v uint16, bits int) {
	h.bits |= v << h.at
	h.at += bits
}

func (h *head) take(bits int) uint16 {
	v := h.bits >> h.at & (1<<bits - 1)
	h.at += bits
	return v
}

type member struct {
	value uint16
	bits  int
}

func (s *Session) members(tracks int) [10]member {
	return [...]member{
		{sessionForm, 3}, {uint16(s.Kind), 1}, {uint16(s.Mode), 2}, {uint16(s.Clock), 1}, {uint16(s.Container), 1},
		{uint16(s.Discontinuity), 2}, {bit(s.ShowTimes), 1}, {bit(s.ShowNumbers), 1}, {bit(s.Break), 1}, {uint16(tracks), 3},
	}
}

func bit(v bool) uint16 {
	if v {
		return 1
	}
	return 0
}

// numbers are the members that are written as unsigned numbers of any length. What is
// large and close to another is written as the difference.
func (s *Session) numbers() []int64 {
	b := &s.Base
	all := append(make([]int64, 0, 16), int64(s.Stream), int64(s.StreamCreated), int64(s.Created), int64(s.Expires-s.Created),
		int64(s.Max), b.LiveSeq, b.Changes, b.Gaps, b.Millis)
	if s.Mode == Live {
		return append(all, b.Listed)
	}
	length := int64(0)
	if s.Range.End != NoEnd {
		length = int64(s.Range.End-s.Range.Start) + 1
	}
	all = append(all, int64(s.Range.Start), length, b.First)
	if s.Mode == LiveReplay {
		return append(all, b.Listed)
	}
	return append(all, b.Last-b.First, b.Through-b.Last)
}

// ParseSession reads what [Session.AppendBinary] wrote. Whatever else it is given is an
// error of kind InvalidArgument.
func ParseSession(b []byte) (Session, error) {
	if len(b) < 2 {
		return Session{}, errSession
	}
	h := head{bits: binary.LittleEndian.Uint16(b)}
	r := varints{b: b[2:]}
	version := h.take(3)
	s := Session{Kind: Protocol(h.take(1)), Mode: Mode(h.take(2)), Clock: kvs.Clock(h.take(1)), Container: Container(h.take(1)),
		Discontinuity: Discontinuity(h.take(2)), ShowTimes: h.take(1) == 1, ShowNumbers: h.take(1) == 1, Break: h.take(1) == 1}
	tracks := int(h.take(3))
	if version != sessionForm || h.bits>>h.at != 0 || s.Mode > OnDemand || s.Discontinuity > OnDiscontinuity {
		return Session{}, errSession
	}
	s.takeNumbers(&r)
	for range tracks {
		s.Tracks = append(s.Tracks, r.track(s.Kind == DASH))
	}
	if r.bad || len(r.b) > 0 || s.Max < 1 {
		return Session{}, errSession
	}
	return s, nil
}

func (s *Session) takeNumbers(r *varints) {
	s.Stream, s.StreamCreated = kvs.StreamID(r.next()), kvs.Millis(r.next())
	s.Created = kvs.Millis(r.next())
	s.Expires = s.Created + kvs.Millis(r.next())
	s.Max = int(r.next())
	b := &s.Base
	b.LiveSeq, b.Changes, b.Gaps, b.Millis = r.next(), r.next(), r.next(), r.next()
	if s.Mode == Live {
		b.Listed = r.next()
		return
	}
	s.Range.Start = kvs.Millis(r.next())
	s.Range.End = NoEnd
	if length := r.next(); length > 0 {
		s.Range.End = s.Range.Start + kvs.Millis(length-1)
	}
	b.First = r.next()
	if s.Mode == LiveReplay {
		b.Listed = r.next()
		return
	}
	b.Last = b.First + r.next()
	b.Through = b.Last + r.next()
}

// varints takes numbers from bytes.
type varints struct {
	b   []byte
	bad bool // there were not enough, or one was too great to add to another
}

// next returns the next number. It is in its shortest form, so that a session has one form
// only, and small enough to be added to another.
func (r *varints) next() int64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > math.MaxInt64/2 || n > 1 && r.b[n-1] == 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return int64(v)
}

func (r *varints) track(fingerprint bool) (t SessionTrack) {
	t.Number = uint64(r.next())
	size := 1
	if fingerprint {
		size += 8
	}
	if len(r.b) < size {
		r.bad = true
		return t
	}
	t.Kind = codec.Kind(r.b[0])
	if fingerprint {
		t.Fingerprint = binary.LittleEndian.Uint64(r.b[1:])
	}
	r.b = r.b[size:]
	return t
}
