package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/mediatest"
	"github.com/millrace/millrace/producer"
)

// written is a file with the given bytes.
func written(t *testing.T, b ...[]byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "media.mkv")
	if err := os.WriteFile(name, slices.Concat(b...), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestLint(t *testing.T) {
	good, late := mediatest.Bytes("gstreamer-h264-aac"), mediatest.Bytes("ffmpeg-h264-aac")
	twice := written(t, mediatest.Bytes("ffmpeg-h264"), mediatest.Bytes("ffmpeg-h264"))
	bFrames := written(t, mediatest.Bytes("ffmpeg-h264-bframes"))
	for _, c := range []struct {
		name string
		args []string
		code int
		says []string
	}{
		{"a good file", []string{written(t, good)}, exitOK, []string{": nothing would be refused\n", "track 1: video V_MPEG4/ISO/AVC, 320x180, 25 frames/s, private data valid, 100 frames, 4 of them key frames",
			"track 2: audio A_AAC, 46.88 frames/s, 48000 Hz, 1 channel", "4 fragments, 4 would be kept: 1.00 s to 1.02 s, 1.01 s on average; ", "clusters of unknown size"}},
		{"a bad one", []string{written(t, late)}, exitFailed, []string{": 1 refusal, 2 warnings\n", "4011 FRAMES_MISSING_FOR_TRACK, track-without-frame\n",
			"fragment 5, timecode 3989, cluster at byte 105369, track 1", "  fix    Every declared", "warning: no-key-frame: 2 times\n", "  first  timecode 981, cluster at byte 26055"}},
		{"the session's end", []string{twice}, exitFailed, []string{"second-document", "the rest was not looked at"}},
		{"warnings only", []string{bFrames}, exitOK, []string{": nothing would be refused, 35 warnings\n"}},
		{"warnings that count", []string{"--strict", bFrames}, exitFailed, []string{"warning: b-frames: 35 times"}},
		{"each one", []string{"--each", twice}, exitFailed, []string{"media.mkv:74955: 4006 INVALID_MKV_DATA, second-document: a second EBML header at byte 74955"}},
		{"another profile", []string{"--profile", "aws", written(t, good)}, exitOK, []string{"nothing would be refused"}},
		{"a tag", []string{"--tag", "millrace:lenient-tracks=1", written(t, late)}, exitOK, []string{": nothing would be refused, 2 warnings\n"}},
		{"a limit", []string{"--limit", "fragment.bytes=20000", "--limit", "fragment.tracks=2", written(t, late)}, exitFailed, []string{"4001 MAX_FRAGMENT_SIZE_REACHED, fragment-too-large: 4 times", "millrace limit set fragment.bytes VALUE --stream STREAM"}},
		{"a limit of another name", []string{"--limit", "fragment.byte=1", twice}, exitUsage, []string{"fragment.bytes"}},
		{"a limit of another form", []string{"--limit", "fragment.bytes=much", twice}, exitUsage, []string{"fragment.bytes"}},
		{"absolute", []string{"--absolute", written(t, good)}, exitOK, []string{"producer-time-1970"}},
		{"MP4", []string{written(t, []byte("\x00\x00\x00\x20ftypisom"))}, exitFailed, []string{"1 refusal: this is MP4, not Matroska: ffmpeg -i in.mp4 -c copy -f matroska out.mkv"}},
		{"nothing", []string{written(t)}, exitFailed, []string{"media.mkv: it is empty: it has no cluster, and nothing would be kept\n", "millrace: without a cluster nothing would be kept"}},
		{"nothing, as JSON", []string{"--json", written(t)}, exitFailed, []string{`"Bytes":0`, "without a cluster"}},
		{"a header only", []string{written(t, good[:477])}, exitFailed, []string{"no-cluster"}},
		{"nothing beside good ones", []string{written(t, good), written(t), written(t, good)}, exitFailed, []string{"it is empty", "without a cluster"}},
		{"nothing beside a bad one", []string{twice, written(t)}, exitFailed, []string{"it is empty", "not all of the media"}},
		{"half a cluster", []string{written(t, good[:len(good)-10])}, exitFailed, []string{"4000 STREAM_READ_ERROR, body-broke-off\n  why    the media end inside a cluster\n"}},
		{"half a header", []string{written(t, good[:60])}, exitFailed, []string{"  why    the media end inside the header\n"}},
		{"two files", []string{bFrames, twice}, exitFailed, []string{"35 warnings", "second-document"}},
		{"no such file", []string{"nonesuch.mkv"}, exitFailed, []string{"nonesuch.mkv: no such file or directory"}},
		{"a directory", []string{t.TempDir()}, exitFailed, []string{"it is a directory"}},
		{"no file", nil, exitUsage, nil},
		{"another profile than there is", []string{"--profile", "x", twice}, exitUsage, nil},
		{"both ways", []string{"--relative", "--absolute", twice}, exitUsage, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errs := program(t, append([]string{"lint"}, c.args...)...)
			if code != c.code {
				t.Errorf("code %d, want %d", code, c.code)
			}
			for _, s := range c.says {
				if !strings.Contains(out+errs, s) {
					t.Errorf("does not say %q:\n%s%s", s, out, errs)
				}
			}
		})
	}
}

func TestLintAsJSON(t *testing.T) {
	name := written(t, mediatest.Bytes("ffmpeg-h264-aac"))
	_, out, _ := program(t, "lint", "--json", "--each", name)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 4 {
		t.Fatalf("%d lines: %s", len(lines), out)
	}
	var finding struct {
		File, Case string
		Offset     int64
	}
	var report struct {
		File    string
		Refused int
		Tracks  []struct{ Codec string }
	}
	if err := json.Unmarshal([]byte(lines[3]), &report); err != nil || report.File != name || report.Refused != 1 || len(report.Tracks) != 2 {
		t.Errorf("%v, %+v", err, report)
	}
	found := false
	for _, line := range lines[:3] {
		if err := json.Unmarshal([]byte(line), &finding); err != nil || finding.File != name {
			t.Errorf("%v, %s", err, line)
		}
		found = found || finding.Case == "track-without-frame" && finding.Offset == 105369
	}
	if !found {
		t.Errorf("not found: %s", out)
	}
}

// Who is refused learns where to read on.
func TestPutPointsToWhy(t *testing.T) {
	p := &plumbing{streams: map[string]int64{"garden": 24}, fail: true}
	code, _, errs := command(t, p, nil, "put", "garden", clipFile(t, "ffmpeg-h264"))
	if code != exitFailed || !strings.Contains(errs, "hint: millrace why garden says where") {
		t.Errorf("%d, %s", code, errs)
	}
}

// A server that failed is not the media's fault: lint would find nothing.
func TestPutPointsToTheServersLog(t *testing.T) {
	for code, want := range map[int]string{5001: "hint: the media is not at fault; the server's log says why", 5000: "the server's log", 4011: "millrace lint FILE"} {
		err := new(putCmd{Stream: "garden"}).outcome(stdio{}, producer.Progress{}, nil, nil, &producer.AckError{Ack: producer.Ack{ErrorID: code}})
		if err == nil || !strings.Contains(err.Error(), want) || code >= 5000 && strings.Contains(err.Error(), "lint") {
			t.Errorf("%d: %v", code, err)
		}
	}
}
