package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// picturesOf returns the hashes of the pictures that ffmpeg shows of a file.
func picturesOf(t *testing.T, file string) (all []string) {
	t.Helper()
	out := run(t, os.Environ(), "ffmpeg", "-v", "error", "-i", file, "-map", "0:v", "-fps_mode", "passthrough", "-f", "framemd5", "-")
	for _, line := range strings.Split(out, "\n") {
		if i := strings.LastIndexByte(line, ' '); i > 0 && line[0] != '#' {
			all = append(all, line[i+1:])
		}
	}
	return all
}

// The command saves what was sent, from the picture on that was asked for, and gets the same
// file that the AWS command does.
func TestMillraceClip(t *testing.T) {
	s := serve(t)
	film, clip, exact := temporary(t, "film.mkv"), temporary(t, "clip.mp4"), temporary(t, "exact.mp4")
	run(t, os.Environ(), "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-t", "6",
		"-c:v", "libx264", "-preset", "veryfast", "-g", "50", "-keyint_min", "50", "-sc_threshold", "0", "-bf", "2", "-cluster_time_limit", "2000", film)
	run(t, s.variables(), program(t), "put", "yard", film, "--create", "--start-time", "1700000000")
	want := picturesOf(t, film)

	from := []string{"clip", "yard", "--producer-time", "--to", "1700000010", "--from"}
	run(t, s.variables(), program(t), append(from, "1700000000", "-o", clip)...)
	if got := picturesOf(t, clip); len(want) != 150 || !slices.Equal(got, want) {
		t.Errorf("%d pictures, want %d", len(got), len(want))
	}
	run(t, s.variables(), program(t), append(from, "1700000002.8", "--exact", "-o", exact)...)
	if got := picturesOf(t, exact); !slices.Equal(got, want[70:]) {
		t.Errorf("exactly, %d pictures, want %d", len(got), len(want)-70)
	}
	if _, stderr, err := try(t, s.variables(), nil, program(t), append(from, "1700000008", "-o", temporary(t, "none.mp4"))...); err == nil || !strings.Contains(stderr, "ResourceNotFoundException") {
		t.Errorf("of nothing: %v %s", err, stderr)
	}

	aws, err := exec.LookPath("aws")
	if err != nil {
		t.Fatal(err)
	}
	theirs := temporary(t, "aws.mp4")
	run(t, s.variables(), aws, "--endpoint-url", s.https, "kinesis-video-archived-media", "get-clip", "--stream-name", "yard", "--clip-fragment-selector",
		"FragmentSelectorType=PRODUCER_TIMESTAMP,TimestampRange={StartTimestamp=1700000000,EndTimestamp=1700000010}", theirs)
	a, err := os.ReadFile(theirs)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(clip); err != nil || !bytes.Equal(a, b) {
		t.Errorf("the AWS command gets %d bytes, ours %d: %v", len(a), len(b), err)
	}
}
