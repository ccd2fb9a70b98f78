package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/mediatest"
)

// A file goes in with put, is there with list, and comes out with get as one document that
// plays.
func TestPutListGetAFile(t *testing.T) {
	s := serve(t)
	clip := mediatest.Bytes("gstreamer-h264-aac")
	file, back := temporary(t, "clip.mkv"), temporary(t, "back.mkv")
	if err := os.WriteFile(file, clip, 0o600); err != nil {
		t.Fatal(err)
	}
	acks := run(t, s.variables(), program(t), "put", "garden", file, "--create", "--acks", "--start-time", began.Format(time.RFC3339Nano))
	clusters := all(t, bytes.NewReader(clip))
	if n := strings.Count(acks, `{"EventType":"PERSISTED",`); n != len(clusters) {
		t.Errorf("%d fragments are durable, want %d:\n%s", n, len(clusters), acks)
	}

	listed := run(t, s.variables(), program(t), "list", "garden", "--json", "--clock", "producer",
		"--from", began.Format(time.RFC3339Nano), "--to", began.Add(time.Hour).Format(time.RFC3339Nano))
	n := 0
	for line := range strings.Lines(listed) {
		var f struct{ FragmentNumber string }
		if err := json.Unmarshal([]byte(line), &f); err != nil || !strings.Contains(acks, `"`+f.FragmentNumber+`"`) {
			t.Errorf("listed %s: %v", line, err)
		}
		n++
	}
	if n != len(clusters) {
		t.Errorf("%d fragments are listed, want %d:\n%s", n, len(clusters), listed)
	}

	run(t, s.variables(), program(t), "get", "garden", "--start", "EARLIEST", "--once", "-o", back)
	got, err := os.ReadFile(back)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(joined(all(t, bytes.NewReader(got))), joined(clusters)) {
		t.Error("get wrote other clusters than put was given")
	}
	if n := bytes.Count(got, []byte{0x1A, 0x45, 0xDF, 0xA3}); n != 1 {
		t.Errorf("get wrote %d documents, want one", n)
	}
	if out, complaints, err := try(t, environment(), bytes.NewReader(got), "ffprobe", "-v", "error", "-count_frames", "-select_streams", "v",
		"-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", "-"); err != nil || complaints != "" || strings.TrimSpace(out) != "100" {
		t.Errorf("ffprobe counts %s pictures: %v %s", out, err, complaints)
	}
}

// put says by its exit code that something is not durable, and why.
func TestPutSaysWhatIsWrong(t *testing.T) {
	s := serve(t)
	file := temporary(t, "noise.mkv")
	if err := os.WriteFile(file, bytes.Repeat([]byte("noise"), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"put", "garden", file}, "ResourceNotFoundException"},
		{[]string{"put", "garden", file, "--create", "--raw"}, "4006"},
		{[]string{"put", "garden", file, "--create"}, "byte 0"},
		{[]string{"list", "nobody"}, "ResourceNotFoundException"},
		{[]string{"get", "nobody", "-o", "/dev/null"}, "ResourceNotFoundException"},
	} {
		_, stderr, err := try(t, s.variables(), nil, program(t), c.args...)
		if err == nil || !strings.Contains(stderr, c.says) {
			t.Errorf("%v: %v, %s; want it to say %s", c.args, err, stderr, c.says)
		}
	}
}
