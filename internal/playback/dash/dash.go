// Package dash writes the manifests of DASH sessions (ISO/IEC 23009-1) in the shape that
// players of the service know: one period, an AdaptationSet for each track, an S element for
// each fragment, segments named by numbers. It is given what to list and only writes it;
// docs/design/playback.md has the rules. URIs are relative to the manifest's folder.
package dash

import (
	"strconv"

	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/playback"
)

// Namespace is that of the attributes kvs:fn and kvs:ts. Nobody wrote down which one the
// service has; players look for the attributes by name.
const Namespace = "urn:millrace:kvs"

// AppendManifest appends the manifest of a session as it is at a moment: static for
// ON_DEMAND and for what has ended, else dynamic. The token is written as it is.
func AppendManifest(b []byte, s *playback.Session, t *playback.Timeline, tracks []codec.Track, token string, now kvs.Millis) []byte {
	m := manifest{s: s, t: t, token: token, now: now}
	if need := 2048 + len(tracks)*(1024+2*len(token)+130*len(t.Entries)); cap(b)-len(b) < need {
		b = append(make([]byte, 0, len(b)+need), b...)
	}
	b = append(b, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"+`<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"`...)
	if s.ShowNumbers || s.ShowTimes {
		b = append(b, ` xmlns:kvs="`+Namespace+`"`...)
	}
	b = append(b, ` profiles="urn:mpeg:dash:profile:isoff-live:2011"`...)
	static := t.Static || t.Ended
	if static {
		b = m.appendStatic(b)
	} else {
		b = m.appendDynamic(b)
	}
	for i := range tracks {
		b = m.appendTrack(b, tracks, i)
	}
	b = append(b, " </Period>\n"...)
	if !static { // so that players whose clocks are wrong know what is available
		b = append(b, ` <UTCTiming schemeIdUri="urn:mpeg:dash:utc:direct:2014" value="`...)
		b = append(appendTime(b, now), "\"/>\n"...)
	}
	return append(b, "</MPD>\n"...)
}

// manifest is what a manifest is made of.
type manifest struct {
	s     *playback.Session
	t     *playback.Timeline
	token string
	now   kvs.Millis
}

// end is where the last fragment ends on the timeline.
func (m *manifest) end() int64 {
	e := &m.t.Entries[len(m.t.Entries)-1]
	return e.Begin + e.Length
}

// longest is the length of the longest fragment listed, in milliseconds.
func (m *manifest) longest() int64 {
	longest := int64(1)
	for i := range m.t.Entries {
		longest = max(longest, m.t.Entries[i].Length)
	}
	return longest
}

// appendStatic appends the rest of the MPD element, and the period, of a list that is
// complete.
func (m *manifest) appendStatic(b []byte) []byte {
	b = appendDuration(append(b, ` type="static" mediaPresentationDuration="`...), m.end())
	b = appendDuration(append(b, `" maxSegmentDuration="`...), m.longest())
	b = appendDuration(append(b, `" minBufferTime="`...), m.longest())
	b = append(b, "\">\n <Period id=\"0\" start=\"PT0S\" duration=\""...)
	return append(appendDuration(b, m.end()), "\">\n"...)
}

// appendDynamic appends the same of a list that goes on.
func (m *manifest) appendDynamic(b []byte) []byte {
	origin := m.origin()
	b = appendTime(append(b, ` type="dynamic" availabilityStartTime="`...), origin)
	b = appendTime(append(b, `" publishTime="`...), m.now)
	// The service's guide wants players to read the manifest again about each second.
	b = append(b, `" minimumUpdatePeriod="PT1S" timeShiftBufferDepth="`...)
	b = appendDuration(b, m.depth(origin))
	b = appendDuration(append(b, `" suggestedPresentationDelay="`...), m.delay())
	b = appendDuration(append(b, `" maxSegmentDuration="`...), max(m.longest(), m.t.Target*1000))
	b = appendDuration(append(b, `" minBufferTime="`...), m.longest())
	return append(b, "\">\n <Period id=\"0\" start=\"PT0S\">\n"...)
}

// appendTime appends a moment as xs:dateTime.
func appendTime(b []byte, at kvs.Millis) []byte {
	return at.Time().AppendFormat(b, "2006-01-02T15:04:05.000Z")
}

// appendDuration appends milliseconds as xs:duration.
func appendDuration(b []byte, ms int64) []byte {
	return append(strconv.AppendFloat(append(b, "PT"...), float64(ms)/1000, 'f', -1, 64), 'S')
}
