package hls

import (
	"math"
	"strconv"

	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/playback"
)

// AppendMaster appends the master playlist of a session: a media playlist for each track,
// or in MPEG-TS one for all. The first video track is the stream, audio and further video
// tracks are renditions of it; without video the first audio track is the stream. Bit
// rates are estimated from t, the fragments that are listed now.
func AppendMaster(b []byte, s *playback.Session, t *playback.Timeline, tracks []codec.Track, token string) []byte {
	m := master{tracks: tracks, token: token, main: mainTrack(tracks), apart: s.Container == playback.FMP4 && len(tracks) > 1}
	if m.apart {
		b = append(b, "#EXTM3U\n#EXT-X-VERSION:4\n"...) // for EXT-X-MEDIA
		b = m.appendRenditions(b)
	} else {
		b = append(b, "#EXTM3U\n#EXT-X-VERSION:1\n"...)
	}
	return m.appendStream(b, playback.RateOf(t, s.Container, 0))
}

// master is what the lines of a master playlist have in common.
type master struct {
	tracks []codec.Track
	token  string
	main   int  // index of the track that is no rendition
	apart  bool // tracks have playlists of their own
}

// mainTrack is the index of the first video track, else 0.
func mainTrack(tracks []codec.Track) int {
	for i := range tracks {
		if tracks[i].Kind.Video() {
			return i
		}
	}
	return 0
}

// appendRenditions appends what can be played with the main track (RFC 8216 section
// 4.3.4.1). The service has FORCED=NO, too, which the RFC forbids here, and DEFAULT=NO,
// with which some players stay mute.
func (m *master) appendRenditions(b []byte) []byte {
	audio, video := 0, 1 // how many there were
	_, cameras := m.groups()
	for i := range m.tracks {
		t := &m.tracks[i]
		switch {
		case i == m.main && cameras: // it is in the group without a URI
			b = append(b, `#EXT-X-MEDIA:AUTOSELECT=YES,TYPE=VIDEO,GROUP-ID="video",DEFAULT=YES,NAME="video"`+"\n"...)
		case i == m.main:
		case t.Kind.Video():
			video++
			b = m.appendRendition(b, t, "VIDEO", "video", video)
		default:
			audio++
			b = m.appendRendition(b, t, "AUDIO", "audio", audio)
		}
	}
	return b
}

// appendRendition appends the nth rendition of its group.
func (m *master) appendRendition(b []byte, t *codec.Track, kind, group string, n int) []byte {
	b = append(append(b, "#EXT-X-MEDIA:AUTOSELECT=YES,TYPE="...), kind...)
	b = append(m.appendURI(append(b, `,URI="`...), t), `",GROUP-ID="`...)
	b = append(b, group...)
	if n == 1 {
		b = append(append(b, `",DEFAULT=YES,NAME="`...), group...)
	} else {
		b = append(append(b, `",DEFAULT=NO,NAME="`...), group...)
		b = strconv.AppendInt(append(b, ' '), int64(n), 10)
	}
	b = append(b, '"')
	if t.Channels > 0 {
		b = append(b, `,CHANNELS="`...)
		b = append(strconv.AppendInt(b, int64(t.Channels), 10), '"')
	}
	return append(b, '\n')
}

// appendStream appends the stream that players begin with.
func (m *master) appendStream(b []byte, rate playback.Rate) []byte {
	t := &m.tracks[m.main]
	b = m.appendCodecs(append(b, "#EXT-X-STREAM-INF:"...))
	if t.Width > 0 && t.Height > 0 {
		b = strconv.AppendInt(append(b, "RESOLUTION="...), int64(t.Width), 10)
		b = append(strconv.AppendInt(append(b, 'x'), int64(t.Height), 10), ',')
	}
	if t.Kind.Video() && t.FrameRate > 0 {
		b = append(appendRate(append(b, "FRAME-RATE="...), t.FrameRate), ',')
	}
	b = strconv.AppendInt(append(b, "BANDWIDTH="...), rate.Peak, 10)
	if rate.Average > 0 {
		b = strconv.AppendInt(append(b, ",AVERAGE-BANDWIDTH="...), rate.Average, 10)
	}
	if m.apart {
		b = m.appendGroups(b)
	}
	return append(m.appendURI(append(b, '\n'), t), '\n')
}

// appendCodecs appends what players must know to decode: each codec once, the main
// track's first. Without the string of a codec they find it out by themselves.
func (m *master) appendCodecs(b []byte) []byte {
	start := len(b)
	b = append(b, `CODECS="`...)
	written := make([]string, 0, 3)
	add := func(s string) {
		for _, w := range written {
			if w == s {
				return
			}
		}
		if len(written) > 0 {
			b = append(b, ',')
		}
		b, written = append(b, s...), append(written, s)
	}
	add(m.tracks[m.main].String)
	for i := range m.tracks {
		add(m.tracks[i].String)
	}
	for _, w := range written {
		if w == "" {
			return b[:start]
		}
	}
	return append(b, `",`...)
}

// groups says which groups of renditions there are.
func (m *master) groups() (audio, video bool) {
	for i := range m.tracks {
		if i != m.main {
			audio, video = audio || !m.tracks[i].Kind.Video(), video || m.tracks[i].Kind.Video()
		}
	}
	return audio, video
}

// appendGroups names the groups that belong to the stream.
func (m *master) appendGroups(b []byte) []byte {
	audio, video := m.groups()
	if video {
		b = append(b, `,VIDEO="video"`...)
	}
	if audio {
		b = append(b, `,AUDIO="audio"`...)
	}
	return b
}

// appendURI appends where the media playlist of a track is.
func (m *master) appendURI(b []byte, t *codec.Track) []byte {
	b = append(append(b, "getHLSMediaPlaylist.m3u8?SessionToken="...), m.token...)
	return strconv.AppendUint(append(b, "&TrackNumber="...), t.Number, 10)
}

// appendRate appends frames a second: at least one decimal, as the service, at most
// three, as RFC 8216 section 4.3.4.2 wants it.
func appendRate(b []byte, rate float64) []byte {
	rate = math.Round(rate*1000) / 1000
	if rate == math.Trunc(rate) {
		return strconv.AppendFloat(b, rate, 'f', 1, 64)
	}
	return strconv.AppendFloat(b, rate, 'f', -1, 64)
}
