package sessionurl

import (
	"fmt"
	"strings"

	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/playback"
	"github.com/millrace/millrace/internal/quota"
)

// Check says why the tracks of a fragment are not played so; nil if they are.
func Check(kind playback.Protocol, container playback.Container, tracks []codec.Track, p quota.Profile) error {
	return checkTracks(&playback.Session{Kind: kind, Container: container}, tracks, p)
}

// checkTracks holds the tracks of a session's first fragment against the tables of the
// playback sheet, section 2. The profile open has further rows: a third track, and G.711
// with either video in DASH.
func checkTracks(s *playback.Session, tracks []codec.Track, p quota.Profile) error {
	if err := codec.Check(tracks); err != nil {
		return err
	}
	if why := unplayable(s, tracks, p == quota.Open); why != "" {
		var names []string
		for i := range tracks {
			names = append(names, fmt.Sprintf("(track %d: %s)", tracks[i].Number, tracks[i].ID))
		}
		return kvs.Errorf(kvs.UnsupportedMedia, "The type of the media is not supported or could not be determined from the media codec ids: %s. %s",
			strings.Join(names, ", "), why)
	}
	return nil
}

// unplayable says why the tracks together cannot be played, "" if they can.
func unplayable(s *playback.Session, tracks []codec.Track, open bool) string {
	video, audio, g711, h265 := 0, 0, false, false
	for i := range tracks {
		k := tracks[i].Kind
		if k.Video() {
			video++
		} else {
			audio++
		}
		g711, h265 = g711 || k.G711(), h265 || k == codec.H265
	}
	most := 2
	if open {
		most = 3
	}
	switch {
	case len(tracks) > most:
		return fmt.Sprintf("A session plays at most %d tracks.", most)
	case !open && (video > 1 || audio > 1):
		return "A session plays one track of video and one of audio."
	case g711 && video == 0 && open:
		return "G.711 alone is in clips only; DASH plays it beside video."
	case g711 && video == 0:
		return "G.711 alone is not played; DASH plays it beside H.264."
	case s.Kind == playback.HLS && g711:
		return "HLS plays AAC; G.711 beside video is played by DASH and in clips."
	case s.Kind == playback.HLS && s.Container == playback.TS && h265:
		return "ContainerFormat MPEG_TS carries H.264; H.265 is played with FRAGMENTED_MP4."
	case g711 && h265 && !open:
		return "G.711 is played together with H.264."
	}
	return ""
}
