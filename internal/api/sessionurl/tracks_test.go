package sessionurl

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/playback"
	"github.com/millrace/millrace/internal/quota"
)

var ids = map[codec.Kind]string{codec.H264: "V_MPEG4/ISO/AVC", codec.H265: "V_MPEGH/ISO/HEVC", codec.AAC: "A_AAC", codec.ALaw: "A_MS/ACM", codec.ULaw: "A_MS/ACM"}

func tracksOf(kinds ...codec.Kind) (all []codec.Track) {
	for i, k := range kinds {
		all = append(all, codec.Track{Number: uint64(i + 1), ID: ids[k], Kind: k})
	}
	return all
}

// The tables of the playback sheet, section 2, and the rows that the profile open adds.
func TestTrackTables(t *testing.T) {
	const h264, h265, aac, alaw, ulaw = codec.H264, codec.H265, codec.AAC, codec.ALaw, codec.ULaw
	fmp4, ts, dash := playback.Session{}, playback.Session{Container: playback.TS}, playback.Session{Kind: playback.DASH}
	for _, c := range []struct {
		session playback.Session
		tracks  []codec.Kind
		aws     bool // in both profiles
		open    bool
	}{
		{fmp4, []codec.Kind{h264}, true, true},
		{fmp4, []codec.Kind{h264, aac}, true, true},
		{fmp4, []codec.Kind{aac, h264}, true, true},
		{fmp4, []codec.Kind{aac}, true, true},
		{fmp4, []codec.Kind{h265}, true, true},
		{fmp4, []codec.Kind{h265, aac}, true, true},
		{fmp4, []codec.Kind{h264, alaw}, false, false},
		{fmp4, []codec.Kind{h264, aac, aac}, false, true},
		{fmp4, []codec.Kind{h264, h264}, false, true},
		{fmp4, []codec.Kind{h264, aac, aac, aac}, false, false},
		{ts, []codec.Kind{h264}, true, true},
		{ts, []codec.Kind{h264, aac}, true, true},
		{ts, []codec.Kind{aac}, true, true},
		{ts, []codec.Kind{h265}, false, false},
		{ts, []codec.Kind{h265, aac}, false, false},
		{dash, []codec.Kind{h264}, true, true},
		{dash, []codec.Kind{h264, aac}, true, true},
		{dash, []codec.Kind{h264, alaw}, true, true},
		{dash, []codec.Kind{h264, ulaw}, true, true},
		{dash, []codec.Kind{aac}, true, true},
		{dash, []codec.Kind{h265}, true, true},
		{dash, []codec.Kind{h265, aac}, true, true},
		{dash, []codec.Kind{h265, ulaw}, false, true},
		{dash, []codec.Kind{alaw}, false, false},
	} {
		for profile, plays := range map[quota.Profile]bool{quota.AWS: c.aws, quota.Open: c.open} {
			err := checkTracks(&c.session, tracksOf(c.tracks...), profile)
			if plays != (err == nil) || err != nil && kvs.KindOf(err) != kvs.UnsupportedMedia {
				t.Errorf("%s, kind %d, container %d, %v: %v", profile, c.session.Kind, c.session.Container, c.tracks, err)
			}
			if err != nil && !strings.Contains(err.Error(), "could not be determined from the media codec ids: (track 1: "+ids[c.tracks[0]]+")") {
				t.Error(err)
			}
		}
	}
}

// Nobody is sent from one protocol to the other, which would refuse him, too.
func TestWhatIsSaidOfG711(t *testing.T) {
	hls, dash := playback.Session{}, playback.Session{Kind: playback.DASH}
	alone, beside := tracksOf(codec.ALaw), tracksOf(codec.H264, codec.ULaw)
	for _, c := range []struct {
		session playback.Session
		tracks  []codec.Track
		profile quota.Profile
		says    string
	}{
		{hls, alone, quota.Open, "(track 1: A_MS/ACM). G.711 alone is in clips only; DASH plays it beside video."},
		{dash, alone, quota.Open, "(track 1: A_MS/ACM). G.711 alone is in clips only; DASH plays it beside video."},
		{hls, alone, quota.AWS, "(track 1: A_MS/ACM). G.711 alone is not played; DASH plays it beside H.264."},
		{dash, alone, quota.AWS, "(track 1: A_MS/ACM). G.711 alone is not played; DASH plays it beside H.264."},
		{hls, beside, quota.Open, "HLS plays AAC; G.711 beside video is played by DASH and in clips."},
	} {
		if err := checkTracks(&c.session, c.tracks, c.profile); err == nil || !strings.HasSuffix(err.Error(), c.says) {
			t.Errorf("%s, kind %d: %v, want %s", c.profile, c.session.Kind, err, c.says)
		}
	}
}

// What is wrong with a track goes before what is wrong with all of them.
func TestTracksThatCannotBeRead(t *testing.T) {
	tracks := tracksOf(codec.H264, codec.AAC)
	for problem, want := range map[codec.Problem]kvs.Kind{codec.Missing: kvs.MissingPrivateData, codec.Invalid: kvs.InvalidPrivateData, codec.Unsupported: kvs.UnsupportedMedia} {
		tracks[1].Err = &codec.Error{Track: 2, ID: "A_AAC", Problem: problem, Detail: "none"}
		err := checkTracks(&playback.Session{}, tracks, quota.Open)
		if kvs.KindOf(err) != want || !strings.Contains(err.Error(), "track 2") {
			t.Errorf("%v: %v", problem, err)
		}
	}
}
