package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/client"
)

// The media of these tests: ten seconds of a test picture with a key frame every two.
const (
	pictures = 250
	gop      = 50
)

var (
	gstreamer = strings.Fields(`gst-launch-1.0 -q videotestsrc num-buffers=250 ! video/x-raw,width=320,height=240,framerate=25/1 !
		x264enc key-int-max=50 bframes=0 speed-preset=ultrafast ! video/x-h264,profile=baseline ! h264parse !
		matroskamux streamable=true ! fdsink`)
	gstreamerSound = strings.Fields(`gst-launch-1.0 -q matroskamux name=m streamable=true ! fdsink
		videotestsrc num-buffers=250 ! video/x-raw,width=320,height=240,framerate=25/1 ! x264enc key-int-max=50 bframes=0 speed-preset=ultrafast !
		h264parse ! queue ! m. audiotestsrc num-buffers=431 samplesperbuffer=1024 ! audio/x-raw,rate=44100,channels=2 ! avenc_aac ! aacparse ! queue ! m.`)
	ffmpegPipe = strings.Fields(`ffmpeg -v error -f lavfi -i testsrc2=size=320x240:rate=25 -t 10 -c:v libx264 -preset ultrafast -g 50 -keyint_min 50
		-sc_threshold 0 -f matroska -`)
	ffmpegSound = strings.Fields(`ffmpeg -v error -f lavfi -i testsrc2=size=320x240:rate=25 -f lavfi -i sine=frequency=440:sample_rate=48000
		-t 10 -c:v libx264 -preset fast -bf 2 -g 50 -keyint_min 50 -sc_threshold 0 -c:a aac -f matroska -`)
)

// pipe runs "tool | millrace put STREAM -" and returns what the tool wrote and the
// acknowledgements.
func (s *server) pipe(t *testing.T, tool []string, stream string, args ...string) (written []byte, acks []client.Ack) {
	t.Helper()
	var b, acknowledged bytes.Buffer
	diagnostics := newOutput()
	from := exec.CommandContext(t.Context(), tool[0], tool[1:]...)
	from.Env, from.Stderr = environment(), diagnostics
	out, err := from.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	to := exec.CommandContext(t.Context(), program(t), append([]string{"put", stream, "-", "--create", "--acks"}, args...)...)
	to.Env, to.Stdin, to.Stdout, to.Stderr = s.variables(), io.TeeReader(out, &b), &acknowledged, diagnostics
	if err := from.Start(); err != nil {
		t.Fatal(err)
	}
	if err := to.Run(); err != nil {
		t.Fatalf("millrace put: %v\n%s", err, diagnostics.text())
	}
	if err := from.Wait(); err != nil {
		t.Fatalf("%s: %v\n%s", tool[0], err, diagnostics.text())
	}
	for line := range bytes.Lines(acknowledged.Bytes()) {
		a, err := client.ParseAck(bytes.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		acks = append(acks, a)
	}
	return b.Bytes(), acks
}

// got is a stream's media by both ways out.
func (s *server) got(t *testing.T, stream string, numbers []string) map[string][]byte {
	t.Helper()
	who := s.caller(t)
	return map[string][]byte{
		"GetMedia":                readAll(t, who.stream(t, "GetMedia", object{"StreamName": stream, "StartSelector": object{"StartSelectorType": "EARLIEST"}})),
		"GetMediaForFragmentList": readAll(t, who.stream(t, "GetMediaForFragmentList", object{"StreamName": stream, "Fragments": numbers})),
	}
}

// What begins each cluster with a key frame goes through with not a byte of a cluster
// changed; anything else is cut anew with not a byte or time of a frame changed.
func TestPipesIntoMillracePut(t *testing.T) {
	s := serve(t)
	for _, c := range []struct {
		name      string
		tool      []string
		unchanged bool
		tracks    int
	}{
		{"gstreamer", gstreamer, true, 1},
		{"gstreamer with sound", gstreamerSound, true, 2},
		{"ffmpeg", ffmpegPipe, false, 1},
		{"ffmpeg with sound and B-frames", ffmpegSound, false, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			stream := strings.ReplaceAll(c.name, " ", "-")
			written, acks := s.pipe(t, c.tool, stream)
			numbers := persisted(acks)
			if len(numbers) != pictures/gop {
				t.Errorf("%d fragments are durable, want one for each of %d key frames\n%s", len(numbers), pictures/gop, lines(acks))
			}
			fragments(t, s, stream, numbers)
			for way, media := range s.got(t, stream, numbers) {
				if c.unchanged {
					if in, out := joined(all(t, bytes.NewReader(written))), joined(all(t, bytes.NewReader(media))); !bytes.Equal(in, out) {
						t.Errorf("%s: clusters of %d bytes, %d were sent", way, len(out), len(in))
					}
				}
				sameFrames(t, way, frames(t, bytes.NewReader(written)), frames(t, bytes.NewReader(media)))
				probe(t, way, media, c.tracks)
			}
		})
	}
}

// sameFrames compares the frames of each track, in their order.
func sameFrames(t *testing.T, way string, in, out []frame) {
	t.Helper()
	if len(in) < pictures {
		t.Errorf("%s: only %d frames were sent", way, len(in))
	}
	for track := range uint64(3) {
		other := func(f frame) bool { return f.track != track }
		i, o := slices.DeleteFunc(slices.Clone(in), other), slices.DeleteFunc(slices.Clone(out), other)
		for k := range min(len(i), len(o)) {
			if i[k] != o[k] {
				t.Errorf("%s: frame %d is %v, was %v", way, k, o[k], i[k])
				break
			}
		}
		if len(i) != len(o) {
			t.Errorf("%s: track %d has %d frames, had %d", way, track, len(o), len(i))
		}
	}
}

// probe lets ffprobe decode media: every picture must be there, and no complaint.
func probe(t *testing.T, way string, media []byte, tracks int) {
	t.Helper()
	pictureCount := 0
	for i, document := range documents(media) {
		out, complaints, err := try(t, environment(), bytes.NewReader(document), "ffprobe", "-v", "error", "-count_frames",
			"-show_entries", "stream=codec_type,nb_read_frames", "-of", "json", "-")
		if err != nil || complaints != "" {
			t.Fatalf("%s: ffprobe of chunk %d: %v %s", way, i, err, complaints)
		}
		var found struct {
			Streams []struct {
				Type   string `json:"codec_type"`
				Frames string `json:"nb_read_frames"`
			}
		}
		if err := json.Unmarshal([]byte(out), &found); err != nil || len(found.Streams) != tracks {
			t.Fatalf("%s: ffprobe of chunk %d: %v in %s, want %d tracks", way, i, err, out, tracks)
		}
		for _, s := range found.Streams {
			n, _ := strconv.Atoi(s.Frames)
			if s.Type == "video" {
				pictureCount += n
			} else if n == 0 {
				t.Errorf("%s: no sound is decoded in chunk %d", way, i)
			}
		}
	}
	if pictureCount != pictures {
		t.Errorf("%s: %d pictures are decoded, want %d", way, pictureCount, pictures)
	}
}

// documents splits an answer into its Matroska documents.
func documents(media []byte) [][]byte {
	var all [][]byte
	for _, d := range bytes.Split(media, []byte{0x1A, 0x45, 0xDF, 0xA3})[1:] {
		all = append(all, append([]byte{0x1A, 0x45, 0xDF, 0xA3}, d...))
	}
	return all
}
