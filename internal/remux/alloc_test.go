package remux

import (
	"bytes"
	"testing"

	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/mp4"
	"github.com/millrace/millrace/internal/remux/remuxtest"
)

// A frame costs no memory of its own, whether its NAL units have start codes or lengths:
// ten times the frames make no more allocations.
func TestAFrameCostsNoAllocation(t *testing.T) {
	tracks := studio(t)
	for name, form := range map[string]func(testing.TB, []byte) []byte{
		"lengths":     func(_ testing.TB, file []byte) []byte { return file },
		"start codes": remuxtest.StartCodes,
	} {
		made := func(frames int) func() {
			var blocks [][]byte
			for i := range frames {
				blocks = append(blocks, block(1, i*4, i == 0, []byte{0, 0, 0, 1, 9}), block(4, i*4, true, []byte{1, 2, 3}))
			}
			f := remuxtest.Cut(t, form(t, document(tracks, blocks...)))[0]
			declared, err := codec.Tracks(f.Header)
			if err != nil {
				t.Fatal(err)
			}
			samples, out := make([]mp4.Sample, 0, frames), make([]byte, 0, 1<<20)
			return func() {
				g, err := Open(Source{Table: f.Table, Body: bytes.NewReader(f.Body), Size: int64(len(f.Body)), Length: f.Length, Tracks: declared})
				if err != nil {
					t.Fatal(err)
				}
				defer g.Close()
				for _, number := range []uint64{1, 4} {
					if _, err := g.Samples(samples, number); err != nil {
						t.Fatal(err)
					}
					if _, err := g.AppendPayload(out, number); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		few, many := testing.AllocsPerRun(50, made(20)), testing.AllocsPerRun(50, made(200))
		if many-few > 10 { // the pool may be emptied in between
			t.Errorf("%s: %g allocations for 200 frames, %g for 20", name, many, few)
		}
	}
}
