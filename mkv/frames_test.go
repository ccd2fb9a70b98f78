package mkv_test

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"testing"

	"github.com/millrace/millrace/mkv"
)

// framesOf is every frame of a document, and the error behind the last.
func framesOf(doc []byte, o mkv.Options) (frames []string, err error) {
	f := mkv.NewFrames(mkv.NewReader(bytes.NewReader(doc), o))
	for {
		next, err := f.Next()
		if err != nil {
			return frames, err
		}
		data := next.Data
		next.Data = nil
		frames = append(frames, fmt.Sprintf("%+v %d bytes %08x", *next, len(data), crc32.ChecksumIEEE(data)))
	}
}

// TestFramesInPieces cuts blocks into pieces of a few bytes.
func TestFramesInPieces(t *testing.T) {
	for _, s := range shapes() {
		t.Run(s.name, func(t *testing.T) {
			whole, err := framesOf(s.doc, mkv.Options{})
			if err != io.EOF || len(whole) == 0 {
				t.Fatalf("%d frames, %v", len(whole), err)
			}
			pieces, err := framesOf(s.doc, mkv.Options{Buffer: 1})
			if err != io.EOF || fmt.Sprint(whole) != fmt.Sprint(pieces) {
				t.Errorf("%v\nwhole:  %s\npieces: %s", err, whole, pieces)
			}
		})
	}
}

// TestFrameWithoutItsBlock: an assembler that joins in the middle of a block
// leaves that block out.
func TestFrameWithoutItsBlock(t *testing.T) {
	doc := cat(inCluster, simple(4, 1, 0, 0x80, frame(1, 500)), simple(4, 1, 9, 0x80, frame(2, 500)))
	r := mkv.NewReader(bytes.NewReader(doc), mkv.Options{Buffer: 100})
	var a mkv.Assembler
	var times []int64
	joined := false
	for {
		it, err := r.Next()
		if err != nil {
			break
		}
		joined = joined || it.Kind == mkv.BlockData
		if joined {
			for _, f := range a.Add(it) {
				times = append(times, f.Timecode)
			}
		}
	}
	if fmt.Sprint(times) != "[14]" {
		t.Errorf("frames at %v", times)
	}
}

// TestLaceTimes spreads the frames of a lace by what is known of their length.
func TestLaceTimes(t *testing.T) {
	track := func(duration uint64) []byte {
		return el(mkv.IDTracks, 1, el(0xAE, 1, el(0xD7, 1, num(1, 1)), el(0x23E383, 1, num(8, duration))))
	}
	lace := simple(1, 1, 0, 0x84, []byte{2}, frame(1, 6))
	tests := []struct {
		name    string
		headers []byte
		want    string
	}{
		{"nothing known", nil, "[5 5 5]"},
		{"milliseconds", track(20_000_000), "[5 25 45]"},
		{"ticks of 100 ns", cat(el(mkv.IDInfo, 1, el(0x2AD7B1, 1, num(1, 100))), track(1_000)), "[5 15 25]"},
		{"no believable duration", track(1 << 60), "[5 5 5]"},
		{"later Tracks forget earlier ones", cat(track(20_000_000), track(0)), "[5 5 5]"},
	}
	for _, test := range tests {
		doc := cat(inSegment, test.headers, open(mkv.IDCluster, 1), el(0xE7, 1, []byte{5}), lace)
		f := mkv.NewFrames(mkv.NewReader(bytes.NewReader(doc), mkv.Options{}))
		var times []int64
		for {
			next, err := f.Next()
			if err != nil {
				break
			}
			times = append(times, next.Timecode)
		}
		if fmt.Sprint(times) != test.want {
			t.Errorf("%s: %v, want %s", test.name, times, test.want)
		}
	}
}

// TestAssemblerForgetsLargeBuffers: one huge frame does not cost memory for
// the rest of the session, and small ones come out right after it.
func TestAssemblerForgetsLargeBuffers(t *testing.T) {
	doc := cat(inCluster, simple(8, 1, 0, 0x80, make([]byte, 5<<20)), simple(8, 1, 1, 0, frame(1, 30_000)), simple(8, 1, 2, 0, frame(2, 30_000)))
	f := mkv.NewFrames(mkv.NewReader(bytes.NewReader(doc), mkv.Options{}))
	for i, want := range [][]byte{make([]byte, 5<<20), frame(1, 30_000), frame(2, 30_000)} {
		next, err := f.Next()
		if err != nil || !bytes.Equal(next.Data, want) {
			t.Fatalf("frame %d: %v", i, err)
		}
	}
}
