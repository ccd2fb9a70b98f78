package clip

import (
	"bytes"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/mewkiz/flac"

	"github.com/millrace/millrace/internal/codec"
	ours "github.com/millrace/millrace/internal/flac"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/mediatest"
	"github.com/millrace/millrace/internal/remux/remuxtest"
	"github.com/millrace/millrace/mkv"
)

// Format tags of a WAVEFORMATEX.
const alaw, ulaw = 6, 7

// intercom is a film with sound of G.711 beside it, in frames of 20 ms, and all its codes.
func intercom(t *testing.T, name string, law byte) (file, codes []byte) {
	t.Helper()
	shots := remuxtest.Cut(t, mediatest.Bytes(name))
	r := mkv.NewReader(mediatest.Open(name), mkv.Options{})
	for {
		it, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if it.Kind == mkv.TracksElement {
			wave := []byte{law, 0, 1, 0, 0x40, 0x1F, 0, 0, 0x40, 0x1F, 0, 0, 1, 0, 8, 0, 0, 0}
			sound := mkv.Track{Number: 2, UID: 2, Type: mkv.AudioTrack, CodecID: "A_MS/ACM", CodecPrivate: wave, Audio: &mkv.Audio{SamplingFrequency: 8000, Channels: 1}}
			file = mkv.AppendSegmentUnknown(mkv.AppendEBML(nil, mkv.Header{DocType: "matroska"}))
			file = mkv.AppendTracks(file, append(slices.Clone(it.Tracks), sound))
			break
		}
	}
	for _, shot := range shots {
		file = mkv.AppendClusterUnknown(file, uint64(shot.Timecode))
		next := time.Duration(0)
		for _, f := range shot.Frames {
			file = mkv.AppendSimpleBlock(file, mkv.BlockHeader{Track: 1, Time: int16(f.At.Milliseconds()), Key: f.Key}, f.Data)
			for ; next.Milliseconds() < shot.Length && next <= f.At; next += 20 * time.Millisecond {
				block := make([]byte, 160)
				for i := range block {
					block[i] = byte(len(codes) + i*i)
				}
				codes = append(codes, block...)
				file = mkv.AppendSimpleBlock(file, mkv.BlockHeader{Track: 2, Time: int16(next.Milliseconds()), Key: true}, block)
			}
		}
	}
	return file, codes
}

// Sound of a door station comes out as FLAC, without loss.
func TestG711BecomesFLAC(t *testing.T) {
	for law, tag := range map[ours.Law]byte{ours.ALaw: alaw, ours.ULaw: ulaw} {
		s := newStudio(t)
		file, codes := intercom(t, "ffmpeg-h264", tag)
		s.film(file)
		tracks := play(t, whole(t, s.clip(Options{})))
		if len(tracks) != 2 || tracks[1][0].entry != "fLaC" {
			t.Fatalf("%d tracks", len(tracks))
		}
		e, _ := ours.New(law, 8000, 1)
		want, _ := e.Append(nil, codes[:min(len(codes), ours.MaxBlock)], 0)
		var got []byte
		for i, f := range tracks[1] {
			got = append(got, f.data...)
			if i > 0 && f.shown < tracks[1][i-1].shown {
				t.Error("sound goes back")
			}
		}
		if a, b := listen(t, got), listen(t, want); !slices.Equal(a[:len(b)], b) {
			t.Error("another sound")
		}
	}
}

// listen decodes FLAC frames.
func listen(t *testing.T, frames []byte) (samples []int32) {
	t.Helper()
	info := append([]byte("fLaC\x80\x00\x00\x22"), ours.StreamInfo(8000, 1)...)
	r, err := flac.New(io.MultiReader(bytes.NewReader(info), bytes.NewReader(frames)))
	if err != nil {
		t.Fatal(err)
	}
	for {
		f, err := r.ParseNext()
		if err == io.EOF {
			return samples
		}
		if err != nil {
			t.Fatal(err)
		}
		samples = append(samples, f.Subframes[0].Samples...)
	}
}

// The service has a table of tracks that a clip may have. We hold to it in the profile aws.
func TestTrackTable(t *testing.T) {
	video, hevc, aac := codec.Track{Number: 1, ID: "V_MPEG4/ISO/AVC", Kind: codec.H264}, codec.Track{Number: 1, Kind: codec.H265}, codec.Track{Number: 2, ID: "A_AAC", Kind: codec.AAC}
	a, u := codec.Track{Number: 2, Kind: codec.ALaw}, codec.Track{Number: 2, ID: "A_MS/ACM", Kind: codec.ULaw}
	for _, c := range []struct {
		tracks []codec.Track
		strict bool
	}{
		{[]codec.Track{video}, true}, {[]codec.Track{hevc}, true}, {[]codec.Track{video, aac}, true}, {[]codec.Track{hevc, aac}, true}, {[]codec.Track{video, a}, true},
		{[]codec.Track{hevc, a}, false}, {[]codec.Track{video, u}, false}, {[]codec.Track{aac}, false}, {[]codec.Track{aac, video}, false}, {[]codec.Track{video, aac, aac}, false},
	} {
		if err := Check(c.tracks, false); err != nil {
			t.Errorf("open: %v", err)
		}
		if err := Check(c.tracks, true); (err == nil) != c.strict || err != nil && kvs.KindOf(err) != kvs.UnsupportedMedia {
			t.Errorf("aws: %v of %v", err, c.tracks)
		}
	}
	const want = "The type of the media is not supported or could not be determined from the media codec ids: (track 1: V_MPEG4/ISO/AVC), (track 2: A_MS/ACM)"
	if err := Check([]codec.Track{video, u}, true); err.Error() != want {
		t.Error(err)
	}
}
