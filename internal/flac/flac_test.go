package flac

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/mewkiz/flac"
)

// full is a code's value at 16 bits.
func full(l Law, code byte) int32 {
	if l == ALaw {
		return int32(alaw(code))
	}
	return int32(ulaw(code))
}

// streamInfo is the block with its header, which says that it is the last one.
func streamInfo(rate, channels int) []byte {
	return append([]byte{0x80, 0, 0, 34}, StreamInfo(rate, channels)...)
}

// listen decodes a stream of frames with a decoder that is not ours.
func listen(t testing.TB, rate, channels int, frames []byte) (samples []int32) {
	t.Helper()
	s, err := flac.New(io.MultiReader(bytes.NewReader([]byte("fLaC")), bytes.NewReader(streamInfo(rate, channels)), bytes.NewReader(frames)))
	if err != nil {
		t.Fatal(err)
	}
	if int(s.Info.SampleRate) != rate || int(s.Info.NChannels) != channels || s.Info.BitsPerSample != 16 {
		t.Fatalf("%+v", s.Info)
	}
	for {
		f, err := s.ParseNext()
		if errors.Is(err, io.EOF) {
			return samples
		}
		if err != nil {
			t.Fatal(err)
		}
		if int(f.Num) != len(samples)/channels {
			t.Fatalf("a frame says that %d samples came before, and it were %d", f.Num, len(samples)/channels)
		}
		for i := range f.Subframes[0].Samples {
			for _, c := range f.Subframes {
				samples = append(samples, c.Samples[i])
			}
		}
	}
}

// sounds are codes that a microphone and its failures may give.
func sounds(n int) map[string][]byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	noise, tone, ramp := make([]byte, n), make([]byte, n), make([]byte, n)
	for i := range n {
		noise[i], ramp[i] = byte(rnd.Uint32()), byte(i)
		loud := math.Sin(float64(i)/9) * 7000 * math.Sin(float64(i)/3000)
		tone[i] = nearest(int32(loud))
	}
	return map[string][]byte{
		"noise": noise, "tone": tone, "every code": ramp,
		"silence": slices.Repeat([]byte{0xD5}, n), "zeros": make([]byte, n),
		"loudest": bytes.Repeat([]byte{0xAA, 0x2A}, n/2+1)[:n],
	}
}

// nearest is the A-law code that comes nearest to a value.
func nearest(v int32) (best byte) {
	abs := func(v int32) int32 { return max(v, -v) }
	for code := range 256 {
		if abs(full(ALaw, byte(code))-v) < abs(full(ALaw, best)-v) {
			best = byte(code)
		}
	}
	return best
}

// Values of tables 1 and 2 of ITU-T G.711, at 16 bits.
func TestValuesOfTheLaws(t *testing.T) {
	for code, want := range map[byte][2]int32{
		0xD5: {8, 716}, 0x55: {-8, -716}, 0xAA: {32256, 5372}, 0x2A: {-32256, -5372},
		0x80: {5504, 32124}, 0x00: {-5504, -32124}, 0xFF: {848, 0}, 0x7F: {-848, 0},
	} {
		if a, u := full(ALaw, code), full(ULaw, code); a != want[0] || u != want[1] {
			t.Errorf("%#x: %d and %d, want %v", code, a, u, want)
		}
	}
	for code := range 256 {
		for law := ALaw; law <= ULaw; law++ {
			if int32(values[law][code])<<law.wasted() != full(law, byte(code)) {
				t.Errorf("law %d: %#x loses bits", law, code)
			}
		}
	}
}

// What goes in comes out, whatever its length, in one frame or many.
func TestNothingIsLost(t *testing.T) {
	for _, law := range []Law{ALaw, ULaw} {
		for _, channels := range []int{1, 2, 3} {
			for _, block := range []int{1, 2, 4, 5, 15, 160, 256, 257, 1024, 8000, MaxBlock} {
				if block*channels > MaxBlock {
					continue // once is enough
				}
				for name, codes := range sounds(block * channels) {
					t.Run(fmt.Sprint(law, channels, block, name), func(t *testing.T) { roundTrip(t, law, channels, block, codes) })
				}
			}
		}
	}
}

func roundTrip(t *testing.T, law Law, channels, block int, codes []byte) {
	e, err := New(law, 8000, channels)
	if err != nil {
		t.Fatal(err)
	}
	var frames []byte
	var want []int32
	for n := range uint64(2) {
		first := n * uint64(block)
		before := len(frames)
		if frames, err = e.Append(frames, codes, first); err != nil {
			t.Fatal(err)
		}
		if size, err := e.Size(len(codes), first); err != nil || len(frames)-before != size {
			t.Errorf("%d bytes, told were %d: %v", len(frames)-before, size, err)
		}
		for _, c := range codes {
			want = append(want, full(law, c))
		}
	}
	if got := listen(t, 8000, channels, frames); !slices.Equal(got, want) {
		t.Error("another sound")
	}
}

// The count of samples takes one to seven bytes, and other rates stand in STREAMINFO.
func TestLongStreamsAndOddRates(t *testing.T) {
	for _, rate := range []int{1, 8000, 11025, 16000, 48000, MaxRate} {
		e, _ := New(ULaw, rate, 1)
		for shift := range 37 {
			first := uint64(1)<<shift - 1
			size, _ := e.Size(4, first)
			b, err := e.Append(nil, []byte{1, 2, 3, 4}, first)
			if err != nil || len(b) != size {
				t.Fatalf("%d bytes, told were %d", len(b), size)
			}
			s, err := flac.New(io.MultiReader(bytes.NewReader([]byte("fLaC")), bytes.NewReader(streamInfo(rate, 1)), bytes.NewReader(b)))
			if err != nil {
				t.Fatal(err)
			}
			if f, err := s.ParseNext(); err != nil || f.Num != first {
				t.Fatalf("%d Hz, %d samples before: %v %v", rate, first, f, err)
			}
		}
	}
}

func TestWhatIsRefused(t *testing.T) {
	for _, c := range [][2]int{{0, 1}, {8000, 0}, {8000, 9}, {MaxRate + 1, 1}, {-1, -1}} {
		if _, err := New(ALaw, c[0], c[1]); !errors.Is(err, ErrSound) {
			t.Errorf("%v: %v", c, err)
		}
	}
	e, _ := New(ALaw, 8000, 2)
	for _, n := range []int{0, 1, 3, 2 * (MaxBlock + 1)} {
		if b, err := e.Append([]byte{7}, make([]byte, n), 0); !errors.Is(err, ErrFrame) || len(b) != 1 {
			t.Errorf("%d codes: %v", n, err)
		}
		if _, err := e.Size(n, 0); !errors.Is(err, ErrFrame) {
			t.Errorf("%d codes: %v", n, err)
		}
	}
}

func TestAFrameCostsNoAllocation(t *testing.T) {
	e, _ := New(ULaw, 8000, 1)
	codes := sounds(1024)["noise"]
	b, _ := e.Append(nil, codes, 0)
	b, _ = e.Append(b, codes, 0)
	if n := testing.AllocsPerRun(20, func() { b, _ = e.Append(b[:0], codes, 0) }); n > 0 {
		t.Errorf("%g allocations", n)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(true, uint8(1), []byte{1, 2, 3}, uint64(5))
	f.Add(false, uint8(2), bytes.Repeat([]byte{0xAA, 0x2A, 7}, 300), uint64(1)<<35)
	f.Fuzz(func(t *testing.T, a bool, channels uint8, codes []byte, first uint64) {
		law := ULaw
		if a {
			law = ALaw
		}
		e, err := New(law, 8000, int(channels))
		if err != nil {
			return
		}
		b, err := e.Append(nil, codes, 0)
		if size, err2 := e.Size(len(codes), 0); (err == nil) != (err2 == nil) || err == nil && len(b) != size {
			t.Fatal(err, err2)
		}
		if err != nil {
			return
		}
		if c, err := e.Append(b, codes, first); err != nil || !bytes.Equal(c[:len(b)], b) {
			t.Fatal(err)
		}
		for i, v := range listen(t, 8000, int(channels), b) {
			if full(law, codes[i]) != v {
				t.Fatal("another sound")
			}
		}
	})
}

func BenchmarkFrame(b *testing.B) {
	e, _ := New(ALaw, 8000, 1)
	codes := sounds(8000)["tone"]
	var out []byte
	b.SetBytes(int64(len(codes)))
	b.ReportAllocs()
	for b.Loop() {
		out, _ = e.Append(out[:0], codes, 0)
	}
	b.ReportMetric(float64(len(out))/float64(len(codes)), "B/code")
}
