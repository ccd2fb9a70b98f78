package codec

import (
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/mediatest"
	"github.com/millrace/millrace/mkv"
)

// header returns a clip as far as its Tracks.
func header(t testing.TB, clip string) []byte {
	t.Helper()
	b, _ := beginning(t, clip)
	return b
}

// tracksElement returns the Tracks of a clip.
func tracksElement(t testing.TB, clip string) []byte {
	t.Helper()
	_, b := beginning(t, clip)
	return b
}

func beginning(t testing.TB, clip string) (header, tracks []byte) {
	t.Helper()
	r := mkv.NewReader(mediatest.Open(clip), mkv.Options{})
	var b []byte
	for {
		it, err := r.Next()
		if errors.Is(err, io.EOF) {
			t.Fatal("no tracks")
		}
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, it.Raw...)
		if it.Kind == mkv.TracksElement {
			return b, b[len(b)-len(it.Raw):]
		}
	}
}

// The figures are those of ffprobe.
func TestTracksOfClips(t *testing.T) {
	sound := Track{Number: 2, ID: "A_AAC", Kind: AAC, SampleRate: 48000, Channels: 1, FrameSamples: 1024, String: "mp4a.40.2"}
	alone := sound
	alone.Number = 1
	video := func(id string, k Kind, reorder int, name string) Track {
		return Track{Number: 1, ID: id, Kind: k, LengthSize: 4, Width: 320, Height: 180, FrameRate: 25, Reorder: reorder, String: name}
	}
	high := video("V_MPEG4/ISO/AVC", H264, 0, "avc1.64000C")
	baseline := video("V_MPEG4/ISO/AVC", H264, 0, "avc1.42C00C")
	for clip, want := range map[string][]Track{
		"ffmpeg-h264":         {high},
		"ffmpeg-h264-aac":     {high, sound},
		"ffmpeg-h264-bframes": {video("V_MPEG4/ISO/AVC", H264, 2, "avc1.64000C")},
		"ffmpeg-h265":         {video("V_MPEGH/ISO/HEVC", H265, 0, "hvc1.1.6.L60.90")},
		"ffmpeg-aac":          {alone},
		"ffmpeg-file":         {high, sound},
		"gstreamer-h264":      {baseline},
		"gstreamer-h264-aac":  {baseline, sound},
	} {
		tracks, err := Tracks(header(t, clip))
		if err != nil {
			t.Fatal(clip, err)
		}
		if err := Check(tracks); err != nil {
			t.Error(clip, err)
		}
		for i := range tracks {
			if len(tracks[i].Config) == 0 || tracks[i].Fingerprint == 0 {
				t.Errorf("%s: track without configuration or fingerprint", clip)
			}
			tracks[i].Config, tracks[i].Fingerprint = nil, 0
		}
		if d := cmp.Diff(want, tracks); d != "" {
			t.Error(clip, d)
		}
	}
}

func TestWhatCannotBePlayed(t *testing.T) {
	avc, aac := "V_MPEG4/ISO/AVC", "A_AAC"
	for _, c := range []struct {
		tracks []mkv.Track
		kind   kvs.Kind
		want   string
	}{
		{[]mkv.Track{{Number: 1, CodecID: "V_VP8"}}, kvs.UnsupportedMedia,
			"The type of the media is not supported or could not be determined from the media codec ids: (track 1: V_VP8)"},
		{[]mkv.Track{{Number: 1, CodecID: avc}, {Number: 3, CodecID: "A_OPUS"}, {Number: 4, CodecID: "A_MS/ACM", CodecPrivate: make([]byte, 18)}}, kvs.UnsupportedMedia,
			"The type of the media is not supported or could not be determined from the media codec ids: (track 3: A_OPUS), (track 4: A_MS/ACM)"},
		{[]mkv.Track{{Number: 2, CodecID: aac}}, kvs.MissingPrivateData, "Missing codec private data in fragment for track 2. Its codec id is A_AAC."},
		{[]mkv.Track{{Number: 7, CodecID: avc, CodecPrivate: []byte{1, 2, 3}}}, kvs.InvalidPrivateData,
			"Invalid codec private data in fragment for track 7 (V_MPEG4/ISO/AVC): no whole avcC record with a sequence and a picture parameter set."},
	} {
		var tracks []Track
		for i := range c.tracks {
			tr, err := Of(&c.tracks[i])
			if e, ok := errors.AsType[*Error](err); !ok || e.Track != tr.Number || e.ID != tr.ID || !errors.Is(tr.Err, err) {
				t.Errorf("%v: %v", c.tracks[i], err)
			}
			tracks = append(tracks, tr)
		}
		if err := Check(tracks); kvs.KindOf(err) != c.kind || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}
