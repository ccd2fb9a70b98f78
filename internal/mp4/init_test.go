package mp4

import (
	"bytes"
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/codec"
)

// allTracks are tracks of every kind.
func allTracks(t testing.TB) []codec.Track {
	tracks := tracksOf(t, "ffmpeg-h264-aac")
	tracks = append(tracks, tracksOf(t, "ffmpeg-h265")...)
	return append(tracks, g711(codec.ALaw), g711(codec.ULaw))
}

func TestInitIsReadByTwoParsers(t *testing.T) {
	entries := map[codec.Kind]string{codec.H264: "avc1", codec.H265: "hvc1", codec.AAC: "mp4a", codec.ALaw: "fLaC", codec.ULaw: "fLaC"}
	for _, c := range allTracks(t) {
		b, err := Init(&c)
		if err != nil {
			t.Fatal(err)
		}
		f := mp4ff(t, b)
		trak := f.Init.Moov.Trak
		stsd := trak.Mdia.Minf.Stbl.Stsd
		if got := stsd.Children[0].Type(); got != entries[c.Kind] || trak.Tkhd.TrackID != 1 || f.Init.Moov.Mvex.Trex.TrackID != 1 {
			t.Errorf("%s: sample entry %s, track %d", c.Kind, got, trak.Tkhd.TrackID)
		}
		if trak.Mdia.Mdhd.Timescale != Timescale(&c) {
			t.Errorf("%s: time scale %d", c.Kind, trak.Mdia.Mdhd.Timescale)
		}
		var again bytes.Buffer
		if err := f.Init.Encode(&again); err != nil || !bytes.Equal(again.Bytes(), b) {
			t.Errorf("%s: read and written again, the segment is another one (%v)", c.Kind, err)
		}
		checkEntry(t, &c, b)
	}
}

// checkEntry looks at the sample entry with the second parser.
func checkEntry(t *testing.T, c *codec.Track, b []byte) {
	t.Helper()
	p := probe(t, b)
	if len(p.Tracks) != 1 || p.Tracks[0].Timescale != Timescale(c) {
		t.Fatalf("%s: %+v", c.Kind, p.Tracks)
	}
	if !slices.Contains(boxes(t, b), "/moov/mvex/trex") {
		t.Errorf("%s: no trex", c.Kind)
	}
	if c.Kind == codec.H264 && (int(p.Tracks[0].AVC.Width) != c.Width || int(p.Tracks[0].AVC.Height) != c.Height || p.Tracks[0].AVC.LengthSize != 4) {
		t.Errorf("%+v", p.Tracks[0].AVC)
	}
	if c.Kind == codec.AAC && (p.Tracks[0].MP4A.OTI != 0x40 || p.Tracks[0].MP4A.AudOTI != 2 || int(p.Tracks[0].MP4A.ChannelCount) != c.Channels) {
		t.Errorf("%+v", p.Tracks[0].MP4A)
	}
	if len(c.Config) > 0 && bytes.Count(b, c.Config) != 1 {
		t.Errorf("%s: the configuration is not there as it is", c.Kind)
	}
}

func TestInitOfNoCodec(t *testing.T) {
	for _, c := range []codec.Track{
		{Number: 1, ID: "V_VP8", Err: &codec.Error{Track: 1, ID: "V_VP8", Problem: codec.Unsupported}},
		{Number: 1},
		{Number: 1, Kind: codec.H264},
		{Number: 1, Kind: codec.AAC, Config: make([]byte, maxConfig+1)},
	} {
		if b, err := Init(&c); err == nil {
			t.Errorf("%+v: %d bytes", c, len(b))
		}
	}
}
