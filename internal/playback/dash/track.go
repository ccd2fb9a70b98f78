package dash

import (
	"math"
	"strconv"

	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/playback"
)

// appendTrack appends the AdaptationSet of a track. Each track has its own: tracks of one
// set would be taken for bit rates of the same picture.
func (m *manifest) appendTrack(b []byte, tracks []codec.Track, i int) []byte {
	t := &tracks[i]
	kind, role := "audio", "main"
	if t.Kind.Video() {
		kind = "video"
	}
	for j := range i {
		if tracks[j].Kind.Video() == t.Kind.Video() {
			role = "alternate"
		}
	}
	b = strconv.AppendUint(append(b, `  <AdaptationSet id="`...), t.Number, 10)
	b = append(append(b, `" contentType="`...), kind...)
	b = append(append(b, `" mimeType="`...), kind...)
	b = append(b, "/mp4\" segmentAlignment=\"true\" startWithSAP=\"1\">\n"...)
	b = append(append(b, `   <Role schemeIdUri="urn:mpeg:dash:role:2011" value="`...), role...)
	b = m.appendTemplate(append(b, "\"/>\n"...), t.Number)
	b = m.appendRepresentation(b, t)
	return append(b, "  </AdaptationSet>\n"...)
}

// appendTemplate appends where segments are and when. Its time scale is that of the
// timeline, milliseconds; media times have the track's own and agree within half of one.
// They begin playback.Margin before the timeline does, which presentationTimeOffset takes off.
func (m *manifest) appendTemplate(b []byte, track uint64) []byte {
	b = append(b, `   <SegmentTemplate timescale="1000" presentationTimeOffset="`...)
	b = strconv.AppendInt(b, int64(playback.Margin), 10)
	b = strconv.AppendInt(append(b, `" startNumber="`...), m.t.First+1, 10)
	b = m.appendURI(append(b, `" initialization="getMP4InitFragment.mp4?SessionToken=`...), track)
	b = m.appendURI(append(b, `" media="getMP4MediaFragment.mp4?SessionToken=`...), track)
	b = append(b, "&amp;SequenceNumber=$Number$\">\n    <SegmentTimeline>\n"...)
	for i := range m.t.Entries {
		b = m.appendS(b, &m.t.Entries[i])
	}
	return append(b, "    </SegmentTimeline>\n   </SegmentTemplate>\n"...)
}

func (m *manifest) appendURI(b []byte, track uint64) []byte {
	b = append(append(b, m.token...), "&amp;TrackNumber="...)
	return strconv.AppendUint(b, track, 10)
}

// appendS appends a fragment.
func (m *manifest) appendS(b []byte, e *playback.Entry) []byte {
	b = strconv.AppendInt(append(b, `     <S t="`...), int64(e.MediaBegin()), 10)
	b = strconv.AppendInt(append(b, `" d="`...), max(1, e.Length), 10)
	if m.s.ShowNumbers {
		b = e.Stored.Number.Append(append(b, `" kvs:fn="`...))
	}
	if m.s.ShowTimes {
		b = e.Start.AppendSeconds(append(b, `" kvs:ts="`...))
	}
	return append(b, "\"/>\n"...)
}

// appendRepresentation appends what a player must know to decode the track.
func (m *manifest) appendRepresentation(b []byte, t *codec.Track) []byte {
	b = strconv.AppendUint(append(b, `   <Representation id="`...), t.Number, 10)
	b = append(append(b, `" codecs="`...), codecs(t)...)
	b = strconv.AppendInt(append(b, `" bandwidth="`...), playback.RateOf(m.t, playback.FMP4, t.Number).Peak, 10)
	if t.Width > 0 && t.Height > 0 {
		b = strconv.AppendInt(append(b, `" width="`...), int64(t.Width), 10)
		b = strconv.AppendInt(append(b, `" height="`...), int64(t.Height), 10)
	}
	if t.Kind.Video() && t.FrameRate > 0 {
		b = appendRate(append(b, `" frameRate="`...), t.FrameRate)
	}
	if t.SampleRate > 0 {
		b = strconv.AppendInt(append(b, `" audioSamplingRate="`...), int64(t.SampleRate), 10)
	}
	if t.Channels == 0 {
		return append(b, "\"/>\n"...)
	}
	b = append(b, "\">\n    <AudioChannelConfiguration schemeIdUri=\"urn:mpeg:dash:23003:3:audio_channel_configuration:2011\" value=\""...)
	b = strconv.AppendInt(b, int64(t.Channels), 10)
	return append(b, "\"/>\n   </Representation>\n"...)
}

// codecs is what players ask their decoders for: G.711 is sent as FLAC.
func codecs(t *codec.Track) string {
	if t.Kind.G711() {
		return "flac"
	}
	return t.String
}

// appendRate appends frames a second as a whole number or a fraction of two: 30000/1001
// for what television calls 29.97.
func appendRate(b []byte, rate float64) []byte {
	whole := math.Round(rate)
	switch {
	case math.Abs(rate-whole) < 0.001:
		return strconv.AppendInt(b, int64(whole), 10)
	case math.Abs(rate-whole*1000/1001) < 0.001:
		return append(strconv.AppendInt(b, int64(whole)*1000, 10), "/1001"...)
	}
	return append(strconv.AppendInt(b, int64(math.Round(rate*1000)), 10), "/1000"...)
}
