package lint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/mediatest"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/rejection"
	"github.com/millrace/millrace/mkv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The private data of a 16x16 picture, and of stereo at 48 kHz.
var (
	avcRecord = []byte{1, 0x42, 0xC0, 0x0A, 0xFF, 0xE1, 0, 4, 0x67, 0x42, 0xC0, 0x0A, 1, 0, 3, 0x68, 0xCE, 0x01}
	aacConfig = []byte{0x11, 0x90}
)

func video(change ...func(*mkv.Track)) mkv.Track {
	t := mkv.Track{Number: 1, UID: 1, Type: mkv.VideoTrack, CodecID: "V_MPEG4/ISO/AVC", CodecPrivate: avcRecord, DefaultDuration: 40e6, Video: &mkv.Video{PixelWidth: 16, PixelHeight: 16}}
	for _, c := range change {
		c(&t)
	}
	return t
}

func audio() mkv.Track {
	return mkv.Track{Number: 2, UID: 2, Type: mkv.AudioTrack, CodecID: "A_AAC", CodecPrivate: aacConfig, Audio: &mkv.Audio{SamplingFrequency: 48000, Channels: 2}}
}

func head(tracks ...mkv.Track) []byte {
	b := mkv.AppendSegmentUnknown(mkv.AppendEBML(nil, mkv.Header{}))
	b = mkv.AppendInfo(b, &mkv.Info{MuxingApp: "test", WritingApp: "lint"})
	return mkv.AppendTracks(b, tracks)
}

// block is a frame of a track, with the time in its cluster; k says key frame.
func block(track uint64, time int16, key bool) []byte {
	return mkv.AppendSimpleBlock(nil, mkv.BlockHeader{Track: track, Time: time, Key: key}, []byte{0, 0, 0, 2, 9, 9})
}

// second is a cluster of a second of video.
func second(timecode uint64) []byte {
	return clusterAt(timecode, block(1, 0, true), block(1, 480, false), block(1, 960, false))
}

func clusterAt(timecode uint64, blocks ...[]byte) []byte {
	return append(mkv.AppendClusterUnknown(nil, timecode), slices.Concat(blocks...)...)
}

func lint(t testing.TB, o Options, media ...[]byte) *Report {
	t.Helper()
	r, err := Check(t.Context(), bytes.NewReader(slices.Concat(media...)), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// short is what was found, as "case:count@offset".
func short(all []rejection.Entry) string {
	var text []string
	for _, e := range all {
		text = append(text, fmt.Sprintf("%s:%d@%d", e.Last.Case, e.Count, e.First.Offset))
	}
	return strings.Join(text, " ")
}

func TestTheClips(t *testing.T) {
	want := map[string]string{
		"ffmpeg-h264-aac":     "track-without-frame:1@105369 no-key-frame:2@26055",
		"ffmpeg-h264-bframes": " b-frames:35@3876",
	}
	for _, c := range mediatest.Clips() {
		t.Run(c.Name, func(t *testing.T) {
			r := lint(t, Options{}, c.Bytes())
			if got := short(r.Refusals) + " " + short(r.Warnings); strings.TrimSpace(got) != strings.TrimSpace(want[c.Name]) {
				t.Errorf("found %s, want %s", got, want[c.Name])
			}
			if r.Fragments.Count != int64(c.Clusters) || r.Fragments.Kept+r.Refused != r.Fragments.Count || (r.Fragments.UnknownSize > 0) != c.UnknownSize || r.Bytes != int64(len(c.Bytes())) || r.Cut {
				t.Errorf("%+v", r)
			}
			for _, track := range r.Tracks {
				frames, key, codec := c.VideoFrames, c.KeyFrames, c.Video
				if track.Number == c.AudioTrack {
					frames, key, codec = c.AudioFrames, 0, c.Audio
				}
				if track.Frames != int64(frames) || track.KeyFrames != int64(key) || track.Codec != codec || track.Private != valid {
					t.Errorf("%+v, want %d frames, %d key frames, %s", track, frames, key, codec)
				}
			}
		})
	}
}

// Each caution is found where it is, and nothing else is.
func TestEachCaution(t *testing.T) {
	plain, two := head(video()), head(video(), audio())
	n := len(plain)
	for _, c := range []struct {
		name  string
		o     Options
		media []byte
		want  string // "" = nothing
	}{
		{"nothing", Options{}, slices.Concat(plain, second(0), second(1000)), ""},
		{"nothing with two tracks", Options{}, slices.Concat(two, clusterAt(0, block(1, 0, true), block(2, 10, true)), clusterAt(1000, block(1, 0, true), block(2, 10, true))), ""},
		{"no private data", Options{}, slices.Concat(head(video(func(t *mkv.Track) { t.CodecPrivate = nil })), second(0)), "private-data-missing:1@81"},
		{"Annex B as private data", Options{}, slices.Concat(head(video(func(t *mkv.Track) { t.CodecPrivate = []byte{0, 0, 0, 1, 0x67, 1, 2, 3} })), second(0)), "private-data-broken:1@81"},
		{"another codec", Options{}, slices.Concat(head(video(func(t *mkv.Track) { t.CodecID = "V_VP9" })), second(0)), "codec-not-playable:1@81"},
		{"no durations", Options{}, slices.Concat(head(video(func(t *mkv.Track) { t.DefaultDuration = 0 })), second(0)), fmt.Sprintf("no-frame-duration:1@%d", len(head(video(func(t *mkv.Track) { t.DefaultDuration = 0 }))))},
		{"durations in the blocks", Options{}, slices.Concat(head(video(func(t *mkv.Track) { t.DefaultDuration = 0 })), clusterAt(0, mkv.AppendBlockGroup(nil, mkv.BlockHeader{Track: 1}, 40, 0, []byte{0, 0, 0, 1, 9}[:4]))), "annex-b-frames"},
		{"timecodes of 1970", Options{Absolute: true}, slices.Concat(plain, second(0)), fmt.Sprintf("producer-time-1970:1@%d", n+12)},
		{"timecodes of today", Options{Absolute: true}, slices.Concat(plain, second(1_700_000_000_000)), ""},
		{"no key frame", Options{}, slices.Concat(plain, second(0), clusterAt(1000, block(1, 0, false))), fmt.Sprintf("no-key-frame:1@%d", n+len(second(0)))},
		{"no key frame in a group", Options{}, slices.Concat(plain, clusterAt(0, mkv.AppendBlockGroup(nil, mkv.BlockHeader{Track: 1}, 40, -40, []byte{0, 0, 0, 2, 9, 9}))), fmt.Sprintf("no-key-frame:1@%d", n)},
		{"a long one", Options{}, slices.Concat(plain, clusterAt(0, block(1, 0, true), block(1, 10_500, false))), fmt.Sprintf("long-fragment:1@%d", n)},
		{"a jump", Options{}, slices.Concat(plain, second(0), second(5000)), fmt.Sprintf("timecode-jump:1@%d", n+len(second(0))+12)},
		{"sound that is late", Options{}, slices.Concat(two, clusterAt(0, block(1, 0, true), block(1, 1500, false), block(2, 1400, true))), fmt.Sprintf("late-track:1@%d", len(two)+len(clusterAt(0, block(1, 0, true), block(1, 1500, false))))},
		{"sound far behind", Options{}, slices.Concat(two, clusterAt(0, block(2, 0, true), block(1, 0, true), block(1, 3000, false), block(2, 20, true))), fmt.Sprintf("bad-interleaving:1@%d", len(two)+len(clusterAt(0, block(1, 0, true), block(1, 0, true), block(1, 0, true))))},
		{"an open group", Options{}, slices.Concat(plain, second(0), clusterAt(1000, block(1, 40, true), block(1, 0, false))), fmt.Sprintf("open-gop:1@%d", n+len(second(0))+len(clusterAt(0, block(1, 0, true))))},
		{"B-frames", Options{}, slices.Concat(plain, clusterAt(0, block(1, 0, true), block(1, 80, false), block(1, 40, false))), fmt.Sprintf("b-frames:1@%d", n+len(clusterAt(0, block(1, 0, true), block(1, 0, true))))},
		{"start codes", Options{}, slices.Concat(plain, clusterAt(0, mkv.AppendSimpleBlock(nil, mkv.BlockHeader{Track: 1, Key: true}, []byte{0, 0, 1, 0x65, 1, 2}))), fmt.Sprintf("annex-b-frames:1@%d", n+len(clusterAt(0)))},
		{"a length that looks like one", Options{}, slices.Concat(plain, clusterAt(0, mkv.AppendSimpleBlock(nil, mkv.BlockHeader{Track: 1, Key: true}, append([]byte{0, 0, 1, 0x2C}, make([]byte, 300)...)))), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := lint(t, c.o, c.media)
			if r.Refused != 0 {
				t.Errorf("refused: %s", short(r.Refusals))
			}
			if got := short(r.Warnings); got != c.want && (c.want == "" || strings.Contains(c.want, "@") || !strings.HasPrefix(got, c.want)) {
				t.Errorf("got %s, want %s", got, c.want)
			}
			for _, e := range r.Warnings {
				delete(unseen, e.Last.Case)
			}
		})
	}
	for name := range unseen {
		t.Errorf("no test finds %s", name)
	}
}

// unseen are the cautions that no row of the table above found yet.
var unseen = func() map[string]bool {
	all := map[string]bool{}
	for _, c := range Cautions() {
		all[c.Name] = true
	}
	return all
}()

func TestEachCautionHelps(t *testing.T) {
	for _, c := range Cautions() {
		if len(c.When) < 20 || len(c.Fix) < 40 {
			t.Errorf("%+v", c)
		}
	}
}

func TestPrivateData(t *testing.T) {
	for _, c := range []struct {
		codec string
		data  []byte
		want  string
	}{
		{"V_MPEG4/ISO/AVC", avcRecord, valid},
		{"V_MPEG4/ISO/AVC", nil, "none"},
		{"V_MPEG4/ISO/AVC", []byte{0, 0, 1, 0x67}, isAnnexB},
		{"V_MPEG4/ISO/AVC", avcRecord[:11], "a configuration record without a whole sequence parameter set"},
		{"V_MPEG4/ISO/AVC", avcRecord[:14], "a configuration record without a whole picture parameter set"},
		{"V_MPEG4/ISO/AVC", []byte{2, 3}, "no configuration record: byte 0 is 2, 1 is wanted, and 7 bytes or more; there are 2"},
		{"V_MPEGH/ISO/HEVC", []byte{0, 0, 0, 1, 0x40}, isAnnexB},
		{"V_MPEGH/ISO/HEVC", append([]byte{1}, make([]byte, 22)...), "a configuration record without parameter sets"},
		{"V_MPEGH/ISO/HEVC", append(append([]byte{1}, make([]byte, 21)...), 1, 32, 0, 1, 0, 9, 1), "a configuration record that ends too soon"},
		{"V_MPEGH/ISO/HEVC", append(append([]byte{1}, make([]byte, 21)...), 1, 32, 0, 1, 0, 2, 1, 1), valid},
		{"A_AAC", aacConfig, valid},
		{"A_AAC", []byte{0x11}, "an AudioSpecificConfig has 2 bytes or more; there is 1"},
		{"A_AAC", []byte{0xFF, 0xF1, 0x50}, "an ADTS header where an AudioSpecificConfig must be"},
		{"A_AAC", []byte{0, 0}, "an AudioSpecificConfig with the unknown type 0 or frequency index 0"},
		{"A_OPUS", []byte("OpusHead"), "no OpusHead of 19 bytes or more"},
		{"A_OPUS", append([]byte("OpusHead"), make([]byte, 11)...), valid},
		{"V_VP9", []byte{1}, "present"},
	} {
		if got := private(&mkv.Track{CodecID: c.codec, CodecPrivate: c.data}); got != c.want {
			t.Errorf("%s %x: %q, want %q", c.codec, c.data, got, c.want)
		}
	}
}

func TestOtherFormatsAreRecognised(t *testing.T) {
	for head, want := range map[string]string{
		"\x00\x00\x00\x20ftypisom": "MP4",
		"\x00\x00\x02\x20moov":     "MP4 or QuickTime",
		"G" + strings.Repeat("\xFF", 187) + "G" + strings.Repeat("\xFF", 187): "MPEG-TS",
		"RIFF1234AVI ":              "AVI or WAV",
		"\x00\x00\x00\x01\x67":      "a raw H.264 or H.265 stream",
		"HTTP/1.1 200 OK\r\n":       "the answer of a web server",
		"\x1A\x45\xDF\xA3 and more": "",
		"":                          "",
		"something else":            "",
	} {
		r := lint(t, Options{}, []byte(head))
		if r.Format != want || (r.Hint != "") != (want != "") || (r.Refused == 1) != (head != "") {
			t.Errorf("%q: %q, %q, %d refused; want %q", head, r.Format, r.Hint, r.Refused, want)
		}
	}
}

// The profile decides, and each finding is told when it is found.
func TestTheLimitsOfAProfile(t *testing.T) {
	media := slices.Concat(head(video()), clusterAt(0, block(1, 0, true)), clusterAt(500, block(1, 0, true)), clusterAt(1000, block(1, 0, true)))
	if r := lint(t, Options{}, media); r.Refused != 0 || r.Fragments.Kept != 3 {
		t.Errorf("open: %+v", r)
	}
	var each []string
	r := lint(t, Options{Profile: quota.AWS, Found: func(r rejection.Refusal) {
		each = append(each, fmt.Sprint(r.Number, " ", r.Code, " ", r.Timecode))
	}}, media)
	if got := strings.Join(each, ", "); r.Refused != 2 || got != "1 4013 0, 2 4013 500" || len(r.Refusals) != 1 || r.Refusals[0].Count != 2 {
		t.Errorf("aws: %+v, %s", r, got)
	}
	if _, err := Check(t.Context(), strings.NewReader(""), Options{Profile: "other"}); err == nil {
		t.Error("another profile")
	}
}

// What ends the session ends the check, and the report says so.
func TestTheRestIsNotLookedAt(t *testing.T) {
	broken := slices.Concat(head(video()), second(0), []byte{0})
	if r := lint(t, Options{}, broken); r.Cut || short(r.Refusals) != fmt.Sprintf("broken-element:1@%d", len(broken)-1) {
		t.Errorf("at the end: %v, %s", r.Cut, short(r.Refusals))
	}
	if r := lint(t, Options{}, broken, make([]byte, 1<<20)); !r.Cut || r.Refused != 1 || r.Bytes > int64(len(broken)+100<<10) {
		t.Errorf("before the end: %+v", r)
	}
}

func TestWhatCannotBeRead(t *testing.T) {
	failure := errors.New("the disk is broken")
	media := slices.Concat(head(video()), second(0))
	if r, err := Check(t.Context(), io.MultiReader(bytes.NewReader(media), iotest.ErrReader(failure)), Options{}); !errors.Is(err, failure) {
		t.Errorf("got %+v, %v", r, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var read int64
	endless := io.MultiReader(bytes.NewReader(media), &pulse{tick: func() { cancel() }})
	if r, err := Check(ctx, endless, Options{Progress: func(n int64) { read = n }}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %+v, %v", r, err)
	}
	if read < int64(len(media)) {
		t.Errorf("%d bytes were told", read)
	}
}

// pulse is media without end, one cluster after the other.
type pulse struct {
	tick     func()
	timecode uint64
	rest     []byte
}

func (p *pulse) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		p.timecode += 1000
		p.rest = clusterAt(p.timecode, block(1, 0, true))
		p.tick()
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// FuzzCheck: whatever comes in, a check ends, reports no more than there is, and takes no
// more memory than it may.
func FuzzCheck(f *testing.F) {
	for _, c := range mediatest.Clips() {
		b := c.Bytes()
		f.Add(b[:min(len(b), 30_000)], false)
	}
	f.Add(slices.Concat(head(video(), audio()), clusterAt(0, block(1, 0, true), block(9, 1, true)), clusterAt(0, block(2, -5, false)), []byte{0}), true)
	f.Add([]byte("\x00\x00\x00\x20ftypisom"), true)
	f.Fuzz(func(t *testing.T, b []byte, strict bool) {
		o := Options{Absolute: strict}
		if strict {
			o.Profile = quota.AWS
		}
		each := int64(0)
		o.Found = func(rejection.Refusal) { each++ }
		r, err := check(t.Context(), bytes.NewReader(b), o, 16<<20, 8<<20)
		if err != nil {
			t.Fatal(err)
		}
		var folded int64
		for _, e := range append(r.Refusals, r.Warnings...) {
			folded += e.Count
			if e.First.Offset > int64(len(b)) || e.Last.Why == "" || e.Last.Fix == "" {
				t.Errorf("%+v", e)
			}
		}
		if each != r.Refused+r.Warned || folded > each || r.Bytes > int64(len(b)) || r.Fragments.Kept > r.Fragments.Count || r.Fragments.Size.sum > r.Bytes {
			t.Errorf("%d found, %d folded, %+v", each, folded, r)
		}
	})
}
