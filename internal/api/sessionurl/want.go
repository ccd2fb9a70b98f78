package sessionurl

import (
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/playback"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/wire"
)

// The defaults of sessions (limits sheet, section 4).
const (
	defaultExpires = 300 // seconds
	defaultLive    = 5   // fragments in a list
	defaultStatic  = 1000
)

// modes are the values of PlaybackMode, those of HLS and of DASH alike.
var modes = map[string]playback.Mode{
	wire.HLSPlaybackModeLive:       playback.Live,
	wire.HLSPlaybackModeLiveReplay: playback.LiveReplay,
	wire.HLSPlaybackModeOnDemand:   playback.OnDemand,
}

func modeName(m playback.Mode) string {
	for name, mode := range modes {
		if mode == m {
			return name
		}
	}
	return ""
}

// common are the parameters that both operations have.
type common struct {
	mode     *string
	selector *selector // nil = not given
	member   string    // name of the selector
	expires  *int64
	most     *int64 // fragments in a list
	limit    quota.Count
}

// selector is the fragment selector of either operation.
type selector struct {
	clock *string
	times *times // nil = not given
}

type times struct{ start, end *kvs.Millis }

func (r room) wantHLS(stream kvs.Stream, in *wire.GetHLSStreamingSessionURLInput) (playback.Session, error) {
	p := common{mode: in.PlaybackMode, member: "HLSFragmentSelector", expires: in.Expires, most: in.MaxMediaPlaylistFragmentResults, limit: quota.HLSFragments}
	p.selector = hlsSelector(in)
	s, err := r.want(stream, &p)
	if err != nil {
		return s, err
	}
	s.Kind = playback.HLS
	if is(in.ContainerFormat, wire.ContainerFormatMPEGTS) {
		s.Container = playback.TS
	}
	s.ShowTimes = is(in.DisplayFragmentTimestamp, wire.HLSDisplayFragmentTimestampAlways)
	s.Discontinuity = discontinuity(in.DiscontinuityMode, s.Clock)
	return s, nil
}

func (r room) wantDASH(stream kvs.Stream, in *wire.GetDASHStreamingSessionURLInput) (playback.Session, error) {
	p := common{mode: in.PlaybackMode, member: "DASHFragmentSelector", expires: in.Expires, most: in.MaxManifestFragmentResults, limit: quota.DASHFragments}
	p.selector = dashSelector(in)
	s, err := r.want(stream, &p)
	if err != nil {
		return s, err
	}
	s.Kind, s.Discontinuity = playback.DASH, playback.Never
	s.ShowTimes = is(in.DisplayFragmentTimestamp, wire.DASHDisplayFragmentTimestampAlways)
	s.ShowNumbers = is(in.DisplayFragmentNumber, wire.DASHDisplayFragmentNumberAlways)
	return s, nil
}

func is(value *string, want string) bool { return value != nil && *value == want }

// discontinuity is the mode that was asked for, or the one that suits the clock: server
// timestamps say when data came, not how long they last.
func discontinuity(asked *string, c kvs.Clock) playback.Discontinuity {
	switch {
	case is(asked, wire.HLSDiscontinuityModeAlways):
		return playback.Always
	case is(asked, wire.HLSDiscontinuityModeNever):
		return playback.Never
	case is(asked, wire.HLSDiscontinuityModeOnDiscontinuity):
		return playback.OnDiscontinuity
	case c == kvs.ProducerClock:
		return playback.Never
	}
	return playback.Always
}

// want is the session that the common parameters describe. What the model says about
// single values was checked before.
func (r room) want(stream kvs.Stream, p *common) (s playback.Session, err error) {
	if stream.Retention == 0 {
		return s, playback.NoRetention(&stream)
	}
	if p.mode != nil {
		s.Mode = modes[*p.mode]
	}
	if p.selector != nil && is(p.selector.clock, wire.FragmentSelectorTypeProducerTimestamp) {
		s.Clock = kvs.ProducerClock
	}
	now := kvs.MillisOf(r.Now())
	if s.Range, err = r.timeRange(stream, p, s.Mode, s.Clock, now); err != nil {
		return s, err
	}
	s.Max = defaultLive
	if s.Mode == playback.OnDemand {
		s.Max = defaultStatic
	}
	if p.most != nil {
		s.Max = int(*p.most)
	}
	if most := r.Limits.View(stream.Account, stream.ID).Int(p.limit); most > 0 {
		s.Max = min(s.Max, most)
	}
	expires := int64(defaultExpires)
	if p.expires != nil {
		expires = *p.expires
	}
	s.Created = max(now, stream.SessionsFrom) // not revoked by what ended others in this millisecond
	s.Expires = s.Created.Add(time.Duration(expires) * time.Second)
	s.Break = breaks(stream, r.Limits.Profile())
	return s, nil
}

// breaks reports whether a LIVE session ends when its producer pauses: as the stream's tag
// says, else as the profile.
func breaks(s kvs.Stream, p quota.Profile) bool {
	switch s.Tags["millrace:live-pause"] {
	case "break":
		return true
	case "survive":
		return false
	}
	return p == quota.AWS
}

// timeRange reads and checks the range (playback sheet, section 3.1).
func (r room) timeRange(stream kvs.Stream, p *common, m playback.Mode, c kvs.Clock, now kvs.Millis) (kvs.TimeRange, error) {
	var out kvs.TimeRange
	name := modeName(m)
	if m == playback.Live {
		if p.selector != nil && p.selector.times != nil {
			return out, invalid("%s.TimestampRange must not be given with PlaybackMode LIVE, which lists the newest fragments; give PlaybackMode ON_DEMAND or LIVE_REPLAY for a range.", p.member)
		}
		return out, nil
	}
	switch {
	case p.selector == nil:
		return out, invalid("PlaybackMode %s needs %s with FragmentSelectorType and TimestampRange.", name, p.member)
	case p.selector.times == nil:
		return out, invalid("PlaybackMode %s needs %s.TimestampRange.", name, p.member)
	case p.selector.times.start == nil:
		return out, invalid("TimestampRange needs StartTimestamp.")
	case p.selector.times.end == nil && m == playback.OnDemand:
		return out, invalid("PlaybackMode ON_DEMAND needs TimestampRange.EndTimestamp; only LIVE_REPLAY goes on without an end.")
	}
	out = kvs.TimeRange{Start: *p.selector.times.start, End: playback.NoEnd}
	if out.Start < 0 {
		return out, invalid("StartTimestamp must not be before 1970.")
	}
	if p.selector.times.end == nil {
		return out, nil
	}
	out.End = *p.selector.times.end
	return out, r.checkEnd(stream, out, c, now)
}

func (r room) checkEnd(stream kvs.Stream, t kvs.TimeRange, c kvs.Clock, now kvs.Millis) error {
	longest := r.Limits.View(stream.Account, stream.ID).Duration(quota.PlaybackRange)
	switch {
	case t.End <= t.Start:
		return invalid("EndTimestamp %s must be later than StartTimestamp %s.", stamp(t.End), stamp(t.Start))
	case longest > 0 && t.End.Sub(t.Start) > longest:
		return invalid("EndTimestamp %s is %s after StartTimestamp %s; at most %s are allowed.", stamp(t.End), hours(t.End.Sub(t.Start)), stamp(t.Start), hours(longest))
	case c == kvs.ServerClock && t.End > now:
		return invalid("EndTimestamp %s must be in the past with FragmentSelectorType SERVER_TIMESTAMP; it is %s now.", stamp(t.End), stamp(now))
	}
	return nil
}

// hours spells a duration as limits are written.
func hours(d time.Duration) string { return quota.PlaybackRange.Format(quota.Value(d.Seconds())) }

func stamp(m kvs.Millis) string { return m.Time().Format("2006-01-02T15:04:05.000Z") }

func invalid(format string, args ...any) error {
	return kvs.Errorf(kvs.InvalidArgument, format, args...)
}
