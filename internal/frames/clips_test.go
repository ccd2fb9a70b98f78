package frames

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/mediatest"
	"github.com/millrace/millrace/mkv"
)

// film is a file cut into fragments, each with its table.
type film struct {
	numbers []uint64 // of the tracks, in order
	sound   []bool   // likewise
	shots   []shot
}

type shot struct {
	timecode time.Duration
	body     []byte
	table    []byte
}

// develop reads a file as ingest does, through a buffer of so many bytes.
func develop(t *testing.T, file []byte, buffer int) (f film) {
	t.Helper()
	r := mkv.NewReader(bytes.NewReader(file), mkv.Options{Buffer: buffer})
	var tracks []Track
	var table *Table
	cut := func() {
		if table != nil {
			f.shots[len(f.shots)-1].table = table.Encode()
			table.Release()
		}
	}
	for {
		it, err := r.Next()
		if errors.Is(err, io.EOF) {
			cut()
			return f
		}
		if err != nil {
			t.Fatal(err)
		}
		switch it.Kind {
		case mkv.TracksElement:
			f.numbers, f.sound, tracks = nil, nil, nil // a new document
			for _, d := range it.Tracks {
				f.numbers, f.sound = append(f.numbers, d.Number), append(f.sound, d.Type == mkv.AudioTrack)
				tracks = append(tracks, TrackOf(d.Number, d.CodecID, d.CodecPrivate))
			}
		case mkv.ClusterStart:
			cut()
			table = New(tracks)
			f.shots = append(f.shots, shot{})
		case mkv.ClusterTimecode:
			f.shots[len(f.shots)-1].timecode = time.Duration(it.Timecode) * time.Millisecond
		case mkv.Block:
			for i, d := range tracks {
				if d.Number == it.Block.Track {
					table.Block(Block{Track: i, Key: it.Block.Key, Sizes: it.Block.Sizes, Time: time.Duration(it.Block.Time) * time.Millisecond,
						Offset: int64(len(f.shots[len(f.shots)-1].body) + it.Block.HeaderLen)})
				}
			}
			table.Data(it.Raw[it.Block.HeaderLen:])
		case mkv.BlockData:
			table.Data(it.Raw)
		case mkv.BlockDuration:
			table.Lasts(time.Duration(it.Duration) * time.Millisecond)
		case mkv.BlockReference:
			table.NotKey()
		}
		if it.InCluster {
			s := &f.shots[len(f.shots)-1]
			s.body = append(s.body, it.Raw...)
		}
	}
}

// packets writes the tables as ffprobe does, which takes every frame of sound for a key
// frame. GStreamer does not flag them; the table has the flag as it was sent.
func (f film) packets(t *testing.T) string {
	var b strings.Builder
	for _, s := range f.shots {
		for r, err := range Decode(s.table, int64(len(s.body))) {
			if err != nil {
				t.Fatal(err)
			}
			stream, key := 0, '_'
			for f.numbers[stream] != r.Track {
				stream++
			}
			if r.Key || f.sound[stream] {
				key = 'K'
			}
			fmt.Fprintf(&b, "%d,%.6f,%.6f,%d,%c_\n", stream, (s.timecode + r.Presentation).Seconds(), (s.timecode + r.Decode).Seconds(), r.Converted, key)
		}
	}
	return b.String()
}

func golden(t *testing.T, clip string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + clip + ".packets")
	if err != nil {
		t.Fatal(err)
	}
	if clip == "ffmpeg-h264-bframes" {
		return early(string(b))
	}
	return string(b)
}

// early gives each packet the decode time that ffprobe gives to the second one behind it:
// it puts decode times as many frames earlier as are reordered, two here, so that none is
// greater than the presentation time. Ours are not moved: MP4 knows negative differences.
func early(packets string) string {
	rows := strings.Split(strings.TrimSpace(packets), "\n")
	decode := []string{"3.920000", "3.960000"} // when the last two are shown
	for _, row := range slices.Backward(rows[2:]) {
		decode = append([]string{strings.Split(row, ",")[2]}, decode...)
	}
	var b strings.Builder
	for i, row := range rows {
		f := strings.Split(row, ",")
		f[2] = decode[i]
		b.WriteString(strings.Join(f, ",") + "\n")
	}
	return b.String()
}

func TestClipsAgreeWithFfprobe(t *testing.T) {
	for _, c := range mediatest.Clips() {
		for _, buffer := range []int{64, 16 << 10} {
			if got, want := develop(t, c.Bytes(), buffer).packets(t), golden(t, c.Name); got != want {
				t.Errorf("%s through %d bytes:\n%s", c.Name, buffer, difference(got, want))
			}
		}
	}
}

func difference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("packet %d is %s, ffprobe says %s", i, g[i], w[i])
		}
	}
	return fmt.Sprintf("%d packets, ffprobe says %d", len(g)-1, len(w)-1)
}

// Where the table says that a frame lies, the frame lies.
func TestOffsetsFindTheFrames(t *testing.T) {
	for _, c := range mediatest.Clips() {
		f := develop(t, c.Bytes(), 100)
		whole := mkv.NewFrames(mkv.NewReader(mediatest.Open(c.Name), mkv.Options{}))
		for _, s := range f.shots {
			for r := range Decode(s.table, int64(len(s.body))) {
				want, err := whole.Next()
				if err != nil {
					t.Fatal(err)
				}
				if got := s.body[r.Offset : r.Offset+r.Length]; !bytes.Equal(got, want.Data) || r.Track != want.Track || r.Key != want.Key {
					t.Fatalf("%s: frame of track %d at %d is another one", c.Name, r.Track, r.Offset)
				}
			}
		}
		if _, err := whole.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: more frames than the table has", c.Name)
		}
	}
}

// A camera that sends start codes gets the lengths of the same film with NAL units of
// stated length, whatever it puts between them.
func TestStartCodesConvertToTheLengthsOfTheSameFilm(t *testing.T) {
	for _, name := range []string{"ffmpeg-h264-bframes", "ffmpeg-h265", "gstreamer-h264-aac"} {
		for _, buffer := range []int{64, 67, 4096} {
			file := withStartCodes(t, mediatest.Bytes(name))
			if got, want := develop(t, file, buffer).packets(t), golden(t, name); got != want {
				t.Errorf("%s through %d bytes:\n%s", name, buffer, difference(got, want))
			}
		}
	}
}

// withStartCodes writes the file again with start codes in its H.264 and H.265 frames.
func withStartCodes(t *testing.T, file []byte) (out []byte) {
	r := mkv.NewReader(bytes.NewReader(file), mkv.Options{})
	var a mkv.Assembler
	video := map[uint64]bool{}
	for n := 0; ; n++ {
		it, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		switch it.Kind {
		case mkv.EBML:
			out = append(out, it.Raw...)
		case mkv.SegmentStart:
			out = mkv.AppendSegmentUnknown(out)
		case mkv.TracksElement:
			for i, d := range it.Tracks {
				if d.CodecID != mediatest.AAC {
					video[d.Number] = true
					it.Tracks[i].CodecPrivate = []byte{0, 0, 0, 1, 0x67}
				}
			}
			out = mkv.AppendTracks(out, it.Tracks)
		case mkv.ClusterTimecode:
			out = mkv.AppendClusterUnknown(out, it.Timecode)
		}
		for _, f := range a.Add(it) {
			if video[f.Track] {
				f.Data = startCodes(f.Data, n)
			}
			out = mkv.AppendSimpleBlock(out, mkv.BlockHeader{Track: f.Track, Time: int16(f.Timecode - int64(it.Timecode)), Key: f.Key}, f.Data)
		}
	}
}

// startCodes changes lengths of NAL units to start codes, with zeros around them.
func startCodes(frame []byte, n int) (out []byte) {
	for len(frame) > 4 {
		size := int(frame[0])<<24 | int(frame[1])<<16 | int(frame[2])<<8 | int(frame[3])
		out = append(out, make([]byte, n%5)...)
		out = append(out, startCode...)
		out = append(out, frame[4:4+size]...)
		frame, n = frame[4+size:], n+1
	}
	return append(out, make([]byte, n%3)...)
}
