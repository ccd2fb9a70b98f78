package producer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/mediatest"
	"github.com/millrace/millrace/mkv"
)

// What goes through a tap is the same, Matroska or not.
func TestTapChangesNothing(t *testing.T) {
	clip := mediatest.Bytes("ffmpeg-file")
	broken := bytes.Clone(clip)
	copy(broken[len(broken)/2:], bytes.Repeat([]byte{0xFF}, 100))
	long := bytes.Repeat(clip, 3)
	for name, in := range map[string][]byte{"clip": clip, "broken": broken, "cut": clip[:len(clip)-7],
		"text": []byte("this is no Matroska at all"), "empty": nil, "long": long} {
		for _, src := range []io.Reader{bytes.NewReader(in), iotest.DataErrReader(bytes.NewReader(in)), iotest.HalfReader(bytes.NewReader(in))} {
			seen := 0
			out, err := io.ReadAll(newTap(src, func(*mkv.Item) error { seen++; return nil }))
			if err != nil || !bytes.Equal(in, out) {
				t.Errorf("%s: %d bytes of %d (%v)", name, len(out), len(in), err)
			}
			if name == "clip" && seen < 300 {
				t.Errorf("%s: only %d items seen", name, seen)
			}
		}
	}
}

func TestPeek(t *testing.T) {
	var absolute video
	absolute.head(1_000_000).ClusterUnknown(1_700_000_000_000)
	for name, c := range map[string]struct {
		in   []byte
		want First
		abs  bool
	}{
		"clip":     {mediatest.Bytes("gstreamer-h264"), First{0, true}, false},
		"absolute": {absolute.Bytes(), First{1_700_000_000 * time.Second, true}, true},
		"text":     {[]byte("no Matroska"), First{}, false},
	} {
		got, whole, err := Peek(bytes.NewReader(c.in))
		if got != c.want || got.Absolute() != c.abs || err != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if out, err := io.ReadAll(whole); err != nil || !bytes.Equal(out, c.in) {
			t.Errorf("%s: %d bytes of %d (%v)", name, len(out), len(c.in), err)
		}
	}
	broken := errors.New("broken")
	if _, _, err := Peek(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("error %v, want that of the source", err)
	}
}

func TestPacerTakesAsLongAsTheRecording(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		in := mediatest.Bytes("ffmpeg-h264-bframes")
		out, err := io.ReadAll(NewPacer(t.Context(), bytes.NewReader(in)))
		if err != nil || !bytes.Equal(in, out) {
			t.Fatalf("%d bytes of %d (%v)", len(out), len(in), err)
		}
		if d := time.Since(begun); d < 3900*time.Millisecond || d > 4*time.Second {
			t.Errorf("it took %v, want the recording's 3.96 s", d)
		}
	})
}

func TestPacerEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		out, err := io.ReadAll(NewPacer(ctx, mediatest.Open("ffmpeg-h264")))
		if !errors.Is(err, context.DeadlineExceeded) || len(out) == 0 {
			t.Errorf("%d bytes and %v", len(out), err)
		}
	})
}
