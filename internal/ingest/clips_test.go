package ingest

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/frames"
	"github.com/millrace/millrace/internal/mediatest"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/mkv"
)

var update = flag.Bool("update", false, "write the golden files anew")

// What real muxers and the known clients send, and what becomes of it.
func TestShapes(t *testing.T) {
	shapes := map[string][]byte{
		"sdk": slices.Concat(sdkHead(videoTrack, audioTrack), meta("first", "1"), meta("lat", "52.5"),
			sdkCluster(1600994737365, at(0), frame(2, 5, 10), at(40)), meta("lat", "52.6"),
			sdkCluster(1600994737445, at(0), frame(2, 5, 10), at(40)), endTag,
			sdkCluster(1600994740000, frame(2, 0, 10), at(3), at(43)), endTag),
		"embedded": slices.Concat(headOf(embeddedApp, 0, videoTrack),
			sdkCluster(1600994737365, at(0), at(40), at(80)), meta("motion", "yes", "zone", "2"),
			sdkCluster(1600994737485, at(0), at(40)), meta("motion", "no", endOfFragment, "")),
		"go":  slices.Concat(head(otherApp), unknown(0, at(0), at(33), at(67)), meta("name", "value")),
		"web": slices.Concat(headOf("", 0, videoTrack), unknown(0, at(0), at(0), at(0), at(40), at(40)), unknown(80, at(0), at(0), at(0), at(40))),
	}
	for _, c := range mediatest.Clips() {
		shapes[c.Name] = c.Bytes()
	}
	shared := newStudio(t, quota.Open)
	for name, b := range shapes {
		t.Run(name, func(t *testing.T) {
			got := develop(t, shared.again(t), b, 0)
			if slow := develop(t, shared.again(t), b, 1); slow != got {
				t.Errorf("byte by byte it is something else:\n%s", slow)
			}
			golden(t, name, got)
		})
	}
}

// develop runs a session of b and writes down the acknowledgements and what was
// archived.
func develop(t *testing.T, s *studio, b []byte, piece int) string {
	body := newScript(b)
	body.piece = piece
	c := s.putCtx(t.Context(), Request{Stream: s.stream(24, "millrace:lenient-tracks", "1")}, body, &ledger{t: t})
	var out strings.Builder
	fmt.Fprintln(&out, strings.Join(c.short, "\n"))
	var all []byte
	for _, r := range s.shelf.all() {
		fmt.Fprintf(&out, "producer %d, %d ms, %d bytes, header of %d bytes %x\n", r.Fragment.Producer, r.Fragment.Duration, r.Fragment.Size, len(r.Header), sha256.Sum256(r.Header))
		all = append(all, r.body...)
		playable(t, r)
		for _, tr := range r.Tracks {
			fmt.Fprintf(&out, "\ttrack %d, %d frames, %d bytes, %016x\n", tr.Number, tr.Frames, tr.Bytes, tr.Fingerprint)
		}
	}
	fmt.Fprintf(&out, "end %v\n", c.End)
	if tail := b[len(b)-len(all):]; c.End == nil && !bytes.Equal(all, tail) {
		t.Error("the fragments together are not the end of what was sent")
	}
	s.wantEmpty()
	return out.String()
}

// playable fails unless header and body are a whole Matroska document whose frames are
// those of the frame table.
func playable(t *testing.T, r record) {
	t.Helper()
	document := mkv.NewFrames(mkv.NewReader(bytes.NewReader(slices.Concat(r.Header, r.body)), mkv.Options{}))
	for row, err := range frames.Decode(r.Frames, int64(len(r.body))) {
		if err != nil {
			t.Fatal(err)
		}
		f, err := document.Next()
		if err != nil {
			t.Fatalf("no frame at %d: %v", row.Offset, err)
		}
		at := time.Duration(f.Timecode-r.Timecode) * time.Millisecond
		if row.Track != f.Track || row.Key != f.Key || row.Presentation != at || !bytes.Equal(r.body[row.Offset:][:row.Length], f.Data) {
			t.Fatalf("the table has %+v, the body a frame of track %d, %d bytes, at %v, key %v", row, f.Track, len(f.Data), at, f.Key)
		}
	}
	if _, err := document.Next(); err != io.EOF {
		t.Fatalf("a frame that is not in the table: %v", err)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}
