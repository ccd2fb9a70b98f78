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

func hlsSpan(c *api.Call, in *wire.GetHLSStreamingSessionURLInput) (api.Span, bool) {
	return span(c, in.PlaybackMode, hlsSelector(in))
}

func dashSpan(c *api.Call, in *wire.GetDASHStreamingSessionURLInput) (api.Span, bool) {
	return span(c, in.PlaybackMode, dashSelector(in))
}

// span is the range of time that a session shows. A live one begins with the call.
func span(c *api.Call, mode *string, sel *selector) (s api.Span, ok bool) {
	if sel != nil && is(sel.clock, wire.FragmentSelectorTypeProducerTimestamp) {
		s.Clock = kvs.ProducerClock
	}
	if mode == nil || modes[*mode] == playback.Live {
		s.Start, s.Open = kvs.MillisOf(c.Start), true
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
