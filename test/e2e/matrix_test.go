package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	x264 = "-c:v libx264 -preset veryfast -g 25 -keyint_min 25 -sc_threshold 0"
	x265 = "-c:v libx265 -preset ultrafast -tag:v hvc1 -x265-params keyint=25:min-keyint=25:scenecut=0:log-level=none"
)

// recordings are what cameras send. Fragments begin each second.
var recordings = []struct {
	name    string
	encoder string
	sound   string
	annexB  bool
	hls, ts bool // whether it may be played so; DASH and clips play all
}{
	{"H.264", x264 + " -bf 0 -c:a aac", coded, false, true, true},
	{"H.264 with B-frames", x264 + " -bf 3 -b_strategy 0 -c:a aac", coded, false, true, true},
	{"H.264 with B-frames in Annex B", x264 + " -bf 3 -b_strategy 0 -c:a aac", coded, true, true, true},
	{"H.264 with open groups", x264 + " -bf 3 -b_strategy 0 -flags -cgop -x264-params open-gop=1 -c:a aac", coded, false, true, true},
	{"H.265", x265 + ":bframes=0 -c:a aac", coded, false, true, false},
	{"H.265 with B-frames", x265 + ":bframes=4:b-adapt=0:open-gop=0 -c:a aac", coded, false, true, false},
	{"H.265 with B-frames in Annex B", x265 + ":bframes=4:b-adapt=0:open-gop=0 -c:a aac", coded, true, true, false},
	{"H.265 with open groups", x265 + ":bframes=4:b-adapt=0 -c:a aac", coded, false, true, false},
	{"H.264 and A-law", x264 + " -bf 2 -c:a pcm_alaw -ar 8000", samples, false, false, false},
	{"H.264 and µ-law", x264 + " -bf 2 -c:a pcm_mulaw -ar 8000", samples, false, false, false},
	{"H.264 without sound", x264 + " -bf 2 -an", noSound, false, true, true},
	{"H.264 and late sound", x264 + " -bf 2 -c:a aac -af asetpts=PTS+0.4/TB", coded, false, true, true},
	{"H.264 and two sounds", x264 + " -bf 2 -map 0:v -map 1:a -map 1:a -c:a aac -filter:a:1 volume=0.3", two, false, true, false},
	{"sound alone", "-vn -c:a aac", alone, false, true, true},
}

// stories are how a recording gets into a stream: by one producer, by a second one after a
// pause, by a second one whose pictures have another size.
var stories = []struct {
	name  string
	later time.Duration // when the second producer begins after the first did, 0 for none
	size  string        // of its pictures
}{
	{"one producer", 0, ""},
	{"a gap", 15 * time.Second, pictureSize},
	{"another size", 4 * time.Second, "256x144"},
}

// Each producer sends so many seconds. The first one's pictures have this size.
const (
	recorded    = 4
	pictureSize = "320x180"
)

// The pictures in front of an open group's key frame are stored with it and shown before it: where the
// timeline closes gaps it takes their place for one. Frames are compared, their times are not.

// Whatever comes out as HLS, DASH or a clip, ffmpeg decodes to the frames that went in.
func TestFrameMD5(t *testing.T) {
	s := serve(t)
	for i, r := range recordings {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			for j, story := range stories {
				if r.sound == alone && story.size != pictureSize && story.later > 0 {
					continue // it has no pictures
				}
				t.Run(story.name, func(t *testing.T) {
					stream := fmt.Sprintf("recording-%d-%d", i, j)
					want := s.send(t, stream, r.encoder, r.sound, pictureSize, r.annexB, 0)
					if story.later > 0 {
						want = want.plus(s.send(t, stream, r.encoder, r.sound, story.size, r.annexB, story.later), story.later.Seconds())
					}
					open := strings.HasSuffix(r.name, "open groups")
					changed := story.later > 0 && story.size != pictureSize
					if r.hls {
						s.compareHLS(t, stream, r.sound, want, changed, open)
					}
					if r.ts {
						s.compareTS(t, stream, r.sound, want, changed)
					}
					s.compareDASH(t, stream, r.sound, want, story.later, changed, open)
					s.compareClip(t, stream, r.sound, want, story.later, open)
				})
			}
		})
	}
}

// send makes a recording, sends it as of a time after [began] and returns its hashes.
func (s *server) send(t *testing.T, stream, encoder, sound, size string, startCodes bool, later time.Duration) hashed {
	t.Helper()
	file := filepath.Join(t.TempDir(), "recording.mkv")
	want, b := recordInto(t, file, encoder, sound, size, int(later.Seconds())*20)
	if startCodes {
		if err := os.WriteFile(file, annexB(t, b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(t, s.variables(), program(t), "put", stream, file, "--create", "--start-time", began.Add(later).Format(time.RFC3339Nano))
	return want
}

// recordInto makes a recording of a hue and a tone and returns its hashes and bytes.
func recordInto(t *testing.T, file, encoder, sound, size string, hue int) (want hashed, b []byte) {
	t.Helper()
	args := strings.Fields(fmt.Sprintf("-v error -y -f lavfi -i testsrc2=size=%s:rate=25,hue=h=%d -f lavfi -i sine=frequency=%d:sample_rate=48000 -t %d %s -f matroska",
		size, hue, 300+hue/20, recorded, encoder))
	run(t, environment(), "ffmpeg", append(args, file)...)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return hashes(t, file, sound), b
}

func (s *server) compareHLS(t *testing.T, stream, sound string, want hashed, changed, open bool) {
	t.Helper()
	url := s.compareSegments(t, stream, sound, want, open)
	if !changed { // ffmpeg does not take another init segment in the middle
		same(t, "HLS", hashes(t, url, sound), want)
	}
}

// compareSegments compares what is in the segments of HLS, from one discontinuity to the
// next, and returns the session's URL. Of open groups they are joined: what lies in front of the key frame makes
// a gap where none is, and a decoder that begins there leaves it out.
func (s *server) compareSegments(t *testing.T, stream, sound string, want hashed, open bool) (url string) {
	t.Helper()
	url = s.session(t, "GetHLSStreamingSessionURL", object{"StreamName": stream, "PlaybackMode": "ON_DEMAND",
		"HLSFragmentSelector": everything(), "DiscontinuityMode": "ON_DISCONTINUITY"})
	var got hashed
	tracks := []*[]frameHash{&got.pictures, &got.sound, &got.other}
	if sound == alone {
		tracks = tracks[1:]
	}
	for i, list := range mediaLists(t, url, downloadText(t, url)) {
		groups := parseMedia(t, list)
		if open {
			groups = united(groups)
		}
		for _, g := range groups {
			media := g.save(t, ".mp4")
			begin := inspectSegments(t, media, g)
			args := []string{"-map", "0:a:0", "-c", "copy"}
			if g.kind == "video" {
				args = []string{"-map", "0:v:0", "-vsync", "passthrough", "-enc_time_base", "1:90000"}
			}
			*tracks[i] = append(*tracks[i], from(begin, framemd5(t, media, args...))...)
		}
	}
	same(t, "HLS by segments", got, want)
	sameTimes(t, "HLS by segments", got, want)
	return url
}

func (s *server) compareTS(t *testing.T, stream, sound string, want hashed, changed bool) {
	t.Helper()
	url := s.session(t, "GetHLSStreamingSessionURL", object{"StreamName": stream, "PlaybackMode": "ON_DEMAND",
		"HLSFragmentSelector": everything(), "ContainerFormat": "MPEG_TS", "DiscontinuityMode": "ON_DISCONTINUITY"})
	unframed := []string{"-bsf:a", "aac_adtstoasc"}
	got := hashes(t, url, sound, unframed...)
	same(t, "HLS with MPEG-TS", got, want)
	if sound == alone { // ffmpeg's HLS gives the first two packets one time, its MPEG-TS does not
		list := mediaLists(t, url, downloadText(t, url))[0]
		var all []string
		for _, uri := range uriLine.FindAllString(list.text, -1) {
			all = append(all, resolve(t, list.url, uri))
		}
		got = hashes(t, group{media: all}.save(t, ".ts"), sound, unframed...)
	}
	if !changed { // there sound overlaps, and ffmpeg lets no time go back
		sameTimes(t, "HLS with MPEG-TS", got, want)
	}
}

func (s *server) compareDASH(t *testing.T, stream, sound string, want hashed, later time.Duration, changed, open bool) {
	t.Helper()
	url := s.session(t, "GetDASHStreamingSessionURL", object{"StreamName": stream, "PlaybackMode": "ON_DEMAND", "DASHFragmentSelector": everything()})
	manifest := parseManifest(t, url)
	var begins []float64
	for _, set := range manifest.sets {
		g := group{kind: set.kind, init: set.url(set.init)}
		for n := range set.segments {
			g.media = append(g.media, set.url(strings.ReplaceAll(set.media, "$Number$", fmt.Sprint(set.first+n))))
		}
		if changed { // it ends in front of the other size
			if set.segments != recorded {
				t.Errorf("%d segments of %s, not %d", set.segments, set.kind, recorded)
			}
			refused(t, set.url(strings.ReplaceAll(set.media, "$Number$", fmt.Sprint(set.first+set.segments))))
		}
		begins = append(begins, inspectSegments(t, g.save(t, ".mp4"), g))
	}
	if changed { // as documented: a session has one set of private data
		return
	}
	got := hashes(t, url, sound)
	same(t, "DASH", got, want)
	for i, track := range got.tracks() {
		*track = from(begins[i], *track)
	}
	if later == 0 && !open {
		sameTimes(t, "DASH", got, want)
	}
}

// refused checks that a segment cannot be had.
func refused(t *testing.T, url string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 4 {
		t.Errorf("a segment with other private data than the session's: %s", resp.Status)
	}
}

func (s *server) compareClip(t *testing.T, stream, sound string, want hashed, later time.Duration, open bool) {
	t.Helper()
	got := hashes(t, s.clip(t, stream), sound)
	same(t, "clip", got, want)
	if later == 0 && !open {
		sameTimes(t, "clip", got, want)
	}
}

// clip saves a clip of all that a stream has, and looks into it.
func (s *server) clip(t *testing.T, stream string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "clip.mp4")
	clip := readAll(t, s.caller(t).stream(t, "GetClip", object{"StreamName": stream, "ClipFragmentSelector": everything()}))
	if err := os.WriteFile(file, clip, 0o600); err != nil {
		t.Fatal(err)
	}
	inspectClip(t, clip)
	return file
}
