package producer

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/mediatest"
	"github.com/millrace/millrace/mkv"
)

// FuzzReclusterer gives it foreign bytes: whatever it makes of them is Matroska, with the
// frames of the input as far as the input is Matroska.
func FuzzReclusterer(f *testing.F) {
	for _, clip := range mediatest.Clips() {
		b := clip.Bytes()
		f.Add(b[:min(len(b), 2500)], uint16(0), uint8(0))
		f.Add(b[:min(len(b), 4000)], uint16(500), uint8(3))
	}
	var v video
	w := v.head(1_000_000)
	w.ClusterUnknown(100)
	v.Write(frames(nil, 0, 1500, 100, 10))
	w.Tags([]mkv.Tag{{Simple: []mkv.SimpleTag{{Name: "a", Value: "b"}}}})
	w.ClusterSized(1700, mkv.AppendBlockGroup(frames(nil, 0, 1500, 100, 7), mkv.BlockHeader{Track: 2}, 3, 4, []byte("x")))
	f.Add(v.Bytes(), uint16(600), uint8(1))
	f.Fuzz(func(t *testing.T, in []byte, hold uint16, seconds uint8) {
		l := Limits{Hold: int(hold), Longest: time.Duration(seconds) * time.Second}
		if hold == 0 {
			l.Hold = 1 << 20
		}
		out, err := io.ReadAll(NewReclusterer(bytes.NewReader(in), l))
		compare(t, in, out, l.Hold, err)
		// Media that fit are sent as they are; held back, only what lies between their
		// clusters can be too long (seed dd7e14932eb571ab).
		if Fits(bytes.NewReader(in), l) == nil && err != nil && !errors.Is(err, errBetween) {
			t.Fatalf("fits, but %v", err)
		}
	})
}

// compare reads frames of both documents until the input's end.
func compare(t *testing.T, in, out []byte, hold int, failed error) {
	o := mkv.Options{MaxFrame: int64(hold)}
	want, got := mkv.NewFrames(mkv.NewReader(bytes.NewReader(in), o)), mkv.NewFrames(mkv.NewReader(bytes.NewReader(out), o))
	for {
		g, outErr := got.Next()
		if outErr != nil {
			if failed == nil && outErr != io.EOF {
				t.Fatalf("the output is no Matroska: %v", outErr)
			}
			if _, err := want.Next(); failed == nil && err != io.EOF {
				t.Fatalf("frames are missing (%v)", err)
			}
			return
		}
		w, err := want.Next()
		if err != nil && failed != nil {
			return // the frame of a group whose end is cut off (seed aa7b06d1b9d05f18)
		}
		if err != nil {
			t.Fatalf("a frame that the input does not have (%v): %+v", err, g)
		}
		if w.Track != g.Track || w.Timecode != g.Timecode || w.Key != g.Key || w.Duration != g.Duration ||
			w.Invisible != g.Invisible || w.Discardable != g.Discardable || !bytes.Equal(w.Data, g.Data) {
			t.Fatalf("frame %+v, want %+v", g, w)
		}
	}
}
