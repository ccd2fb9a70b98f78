// Package hls writes the playlists of HLS sessions (RFC 8216) in the shape that the
// service gives them: [AppendMaster] and [AppendMedia]. It is given what to list and only
// writes it; docs/design/playback.md has the rules of what is listed and how it is
// numbered. URIs are relative to the folder that the master playlist was read from.
package hls

import (
	"strconv"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/playback"
)

// Protocol versions (RFC 8216 section 7): EXT-X-MAP outside of I-frame playlists needs 6,
// the service writes 7; without it seconds with a fraction need 3.
const (
	versionMP4 = "7"
	versionTS  = "3"
)

// AppendMedia appends the media playlist of one track of the session; in MPEG-TS, whose
// segments have all tracks, the track does not matter. The token is written as it is.
func AppendMedia(b []byte, s *playback.Session, t *playback.Timeline, token string, track uint64) []byte {
	m := media{token: token, track: strconv.FormatUint(track, 10), ts: s.Container == playback.TS}
	b = m.grow(b, len(t.Entries))
	b = m.appendHead(b, s, t)
	set := int64(-1)
	for i := range t.Entries {
		e, breaks := &t.Entries[i], t.Entries[i].Breaks
		if i == 0 && s.Discontinuity == playback.Always {
			breaks = 1 // as the service does; every list begins so, hence numbers agree
		}
		for range breaks {
			b = append(b, "#EXT-X-DISCONTINUITY\n"...)
		}
		if !m.ts && e.Set != set {
			b, set = m.appendMap(b, e.Set), e.Set
		}
		if s.ShowTimes {
			b = append(b, "#EXT-X-PROGRAM-DATE-TIME:"...)
			b = append(appendTime(b, e.Start), '\n')
		}
		b = append(b, "#EXTINF:"...)
		b = append(appendSeconds(b, t.Lasts(i)), ",\n"...)
		b = m.appendSegment(b, e)
	}
	if t.Ended {
		if s.Discontinuity == playback.Always && t.Static { // as the service does
			b = append(b, "#EXT-X-DISCONTINUITY\n"...)
		}
		b = append(b, "#EXT-X-ENDLIST\n"...)
	}
	return b
}

// media is what the lines of a playlist have in common.
type media struct {
	token string
	track string
	ts    bool
}

// grow makes room for the whole playlist at once.
func (m *media) grow(b []byte, entries int) []byte {
	const head, entry = 512, 220 // without the token
	if need := head + len(m.token) + entries*(entry+len(m.token)); cap(b)-len(b) < need {
		b = append(make([]byte, 0, len(b)+need), b...)
	}
	return b
}

// appendHead appends the lines before the first segment, in the service's order.
func (m *media) appendHead(b []byte, s *playback.Session, t *playback.Timeline) []byte {
	version := versionMP4
	if m.ts {
		version = versionTS
	}
	b = append(append(b, "#EXTM3U\n#EXT-X-VERSION:"...), version...)
	if s.Mode == playback.OnDemand {
		b = append(b, "\n#EXT-X-PLAYLIST-TYPE:VOD"...)
	}
	b = strconv.AppendInt(append(b, "\n#EXT-X-TARGETDURATION:"...), t.Target, 10)
	b = strconv.AppendInt(append(b, "\n#EXT-X-MEDIA-SEQUENCE:"...), t.First, 10)
	// RFC 8216 section 6.2.2: where discontinuities leave the list with their segments.
	if t.Breaks != 0 || s.Mode != playback.OnDemand {
		b = strconv.AppendInt(append(b, "\n#EXT-X-DISCONTINUITY-SEQUENCE:"...), t.Breaks, 10)
	}
	return append(b, "\n#EXT-X-INDEPENDENT-SEGMENTS\n"...)
}

// appendMap appends where the header of the next segments is. The number makes players
// read it again when codec private data change.
func (m *media) appendMap(b []byte, set int64) []byte {
	b = append(b, `#EXT-X-MAP:URI="getMP4InitFragment.mp4?SessionToken=`...)
	b = append(append(b, m.token...), "&TrackNumber="...)
	b = append(append(b, m.track...), "&SequenceNumber="...)
	return append(strconv.AppendInt(b, set, 10), "\"\n"...)
}

// appendSegment appends the URI of a segment.
func (m *media) appendSegment(b []byte, e *playback.Entry) []byte {
	if m.ts {
		b = append(b, "getTSFragment.ts?FragmentNumber="...)
	} else {
		b = append(b, "getMP4MediaFragment.mp4?FragmentNumber="...)
	}
	b = append(e.Stored.Number.Append(b), "&SessionToken="...)
	b = append(b, m.token...)
	if !m.ts {
		b = append(append(b, "&TrackNumber="...), m.track...)
	}
	return append(b, '\n')
}

// appendSeconds appends milliseconds as seconds with at most three decimals, without
// zeros at the end.
func appendSeconds(b []byte, ms int64) []byte {
	b = strconv.AppendInt(b, ms/1000, 10)
	rest := ms % 1000
	if rest == 0 {
		return b
	}
	b = append(b, '.', byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
	for b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	return b
}

// appendTime appends a time as EXT-X-PROGRAM-DATE-TIME has it.
func appendTime(b []byte, at kvs.Millis) []byte {
	return at.Time().AppendFormat(b, "2006-01-02T15:04:05.000Z")
}
