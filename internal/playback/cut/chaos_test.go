package cut

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/remux"
	"github.com/millrace/millrace/internal/remux/remuxtest"
)

// chaos is a fragment whose pictures come in any order, at the same time or without
// bytes, and whose sound stumbles.
func chaos(t testing.TB, rnd *rand.Rand) *remuxtest.Fragment {
	return scene(t, "ffmpeg-h264-aac", func(b []byte) []byte {
		at := rnd.IntN(200) - 100
		for range 1 + rnd.IntN(80) {
			at += rnd.IntN(50) - 3
			if rnd.IntN(2) == 0 {
				b = sound(b, at+rnd.IntN(40))
				continue
			}
			var units []string
			for range rnd.IntN(4) {
				units = append(units, string(bytes.Repeat([]byte{0x61}, rnd.IntN(700))))
			}
			b = picture(b, at+rnd.IntN(4)*40, rnd.IntN(10) == 0, frameOf(units...))
		}
		return b
	})
}

// Any fragment becomes MPEG-TS that another parser reads: all that has bytes is there,
// decode times grow, and nothing is shown before it is decoded.
func TestAnyFragmentIsMPEGTS(t *testing.T) {
	for seed := range uint64(150) {
		made := chaos(t, rand.New(rand.NewPCG(seed, 9)))
		tracks, err := codec.Tracks(made.Header)
		if err != nil {
			t.Fatal(err)
		}
		f, err := remux.Open(remux.Source{Table: made.Table, Body: bytes.NewReader(made.Body), Size: int64(len(made.Body)), Length: made.Length, Tracks: tracks})
		if err != nil {
			t.Fatal(err)
		}
		p, err := cutTS(f, &archive.Stored{}, begin)
		f.Close()
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		pictures, frames := 0, 0
		for _, k := range made.Frames {
			switch {
			case k.Track == 2:
				frames++
			case bytes.IndexByte(k.Data, 0x61) >= 0: // a unit that has bytes
				pictures++
			}
		}
		if pictures == 0 || frames == 0 { // the parser wants to see some of each track
			continue
		}
		video, heard := readTS(t, p.body)
		last := int64(-1)
		for i, u := range video {
			if u.dts <= last || u.dts > u.pts {
				t.Errorf("seed %d: picture %d is decoded at %d behind %d, and shown at %d", seed, i, u.dts, last, u.pts)
			}
			last = u.dts
		}
		for _, u := range heard {
			frames -= len(u.data)
		}
		if len(video) != pictures || frames != 0 {
			t.Errorf("seed %d: %d pictures of %d, and %d frames of sound are missing", seed, len(video), pictures, frames)
		}
	}
}
