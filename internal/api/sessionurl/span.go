package sessionurl

import (
	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/playback"
	"github.com/millrace/millrace/internal/wire"
)

func hlsSelector(in *wire.GetHLSStreamingSessionURLInput) *selector {
	f := in.HLSFragmentSelector
	if f == nil {
		return nil
	}
	s := &selector{clock: f.FragmentSelectorType}
	if t := f.TimestampRange; t != nil {
		s.times = &times{t.StartTimestamp, t.EndTimestamp}
	}
	return s
}

func dashSelector(in *wire.GetDASHStreamingSessionURLInput) *selector {
	f := in.DASHFragmentSelector
	if f == nil {
		return nil
	}
	s := &selector{clock: f.FragmentSelectorType}
	if t := f.TimestampRange; t != nil {
		s.times = &times{t.StartTimestamp, t.EndTimestamp}
	}
	return s
}

func (r room) hlsSpan(c *api.Call, in *wire.GetHLSStreamingSessionURLInput) (api.Span, bool) {
	return r.span(c, in.PlaybackMode, hlsSelector(in), func() (playback.Session, error) { return r.wantHLS(c.Stream, in) })
}

func (r room) dashSpan(c *api.Call, in *wire.GetDASHStreamingSessionURLInput) (api.Span, bool) {
	return r.span(c, in.PlaybackMode, dashSelector(in), func() (playback.Session, error) { return r.wantDASH(c.Stream, in) })
}

// span is the range of time that a session shows. A live one begins with the oldest fragment
// of its list, which may reach far back.
func (r room) span(c *api.Call, mode *string, sel *selector, want func() (playback.Session, error)) (s api.Span, ok bool) {
	if sel != nil && is(sel.clock, wire.FragmentSelectorTypeProducerTimestamp) {
		s.Clock = kvs.ProducerClock
	}
	if mode == nil || modes[*mode] == playback.Live {
		s.Start, s.Open = r.oldest(c, s.Clock, want), true
		return s, true
	}
	if sel == nil || sel.times == nil || sel.times.start == nil {
		return s, false
	}
	s.Start, s.Open = *sel.times.start, sel.times.end == nil
	if !s.Open {
		s.End = *sel.times.end
	}
	return s, true
}

// oldest is where the list of a live session begins; the time of the call when there is
// nothing to show, of which the call itself tells; 0 when it cannot be known.
func (r room) oldest(c *api.Call, clock kvs.Clock, want func() (playback.Session, error)) kvs.Millis {
	called := kvs.MillisOf(c.Start)
	s, err := want()
	if err != nil {
		return called
	}
	_, first, err := r.Board.Begin(c.Request.Context(), c.Stream, s)
	switch {
	case err == nil:
		return min(called, first.At(clock))
	case kvs.KindOf(err) == kvs.NotFound:
		return called
	}
	return 0
}
