package mp4

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/codec"
)

// segments are samples of many shapes: what they have in common is written once.
func segments() map[string][]Sample {
	r := rand.New(rand.NewPCG(5, 5))
	mixed := make([]Sample, 100)
	for i := range mixed {
		mixed[i] = Sample{Size: r.Uint32N(2000), Duration: r.Uint32N(9000), Offset: r.Int32N(9000) - 4500, Key: r.IntN(3) == 0}
	}
	sound := slices.Repeat([]Sample{{Size: 300, Duration: 1024, Key: true}}, 94)
	video := slices.Repeat([]Sample{{Size: 900, Duration: 3600}}, 50)
	video[0].Key = true
	keys := slices.Clone(video)
	keys[20].Key = true
	odd := slices.Clone(sound)
	odd[93].Duration = 1000
	ordered := slices.Clone(video)
	ordered[3].Offset, ordered[4].Offset = math.MinInt32, math.MaxInt32
	return map[string][]Sample{"none": nil, "one": video[:1], "late": video[1:2], "mixed": mixed, "sound": sound, "video": video, "keys": keys,
		"odd": odd, "ordered": ordered, "refreshed": video[1:]}
}

func TestSegmentsAreReadByTwoParsers(t *testing.T) {
	track := tracksOf(t, "ffmpeg-h264")[0]
	init, err := Init(&track)
	if err != nil {
		t.Fatal(err)
	}
	const decode = 1<<40 + 7
	for name, samples := range segments() {
		head, tfdt := AppendHead([]byte("before"), 9, decode, samples)
		if binary.BigEndian.Uint64(head[tfdt:]) != decode {
			t.Errorf("%s: no decode time at %d", name, tfdt)
		}
		file := slices.Concat(init, head[len("before"):])
		for i := range samples {
			file = append(file, bytes.Repeat([]byte{byte(i)}, int(samples[i].Size))...)
		}
		f := mp4ff(t, file)
		if len(f.Segments) != 1 || f.Segments[0].Styp == nil || len(f.Segments[0].Fragments) != 1 {
			t.Fatalf("%s: %d segments", name, len(f.Segments))
		}
		fragment := f.Segments[0].Fragments[0]
		if traf := fragment.Moof.Traf; fragment.Moof.Mfhd.SequenceNumber != 9 || traf.Tfdt.BaseMediaDecodeTime() != decode || traf.Tfdt.Version != 1 ||
			!traf.Tfhd.DefaultBaseIfMoof() || traf.Trun.Version != 1 {
			t.Errorf("%s: %+v %+v", name, traf.Tfhd, traf.Tfdt)
		}
		full, err := fragment.GetFullSamples(f.Init.Moov.Mvex.Trex)
		if err != nil || len(full) != len(samples) {
			t.Fatalf("%s: %d samples, %v", name, len(full), err)
		}
		at := uint64(decode)
		for i, got := range full {
			want := samples[i]
			if got.Size != want.Size || got.Dur != want.Duration || got.CompositionTimeOffset != want.Offset || got.IsSync() != want.Key || got.DecodeTime != at ||
				!bytes.Equal(got.Data, bytes.Repeat([]byte{byte(i)}, int(want.Size))) {
				t.Fatalf("%s: sample %d is %+v, want %+v", name, i, got.Sample, want)
			}
			at += uint64(want.Duration)
		}
		second(t, name, file, samples)
	}
}

// second asks the other parser.
func second(t *testing.T, name string, file []byte, samples []Sample) {
	t.Helper()
	p := probe(t, file)
	if len(p.Segments) != 1 {
		t.Fatalf("%s: %d segments", name, len(p.Segments))
	}
	s := p.Segments[0]
	size, duration := uint32(0), uint32(0)
	for _, m := range samples {
		size, duration = size+m.Size, duration+m.Duration
	}
	if s.TrackID != 1 || s.BaseMediaDecodeTime != 1<<40+7 || int(s.SampleCount) != len(samples) || s.Size != size || s.Duration != duration {
		t.Errorf("%s: %+v", name, s)
	}
	if !slices.Contains(boxes(t, file), "/moof/traf/trun") {
		t.Errorf("%s: no trun", name)
	}
}

// A segment of 4 GiB and more has a longer head of its media.
func TestMediaOfFourGigabytes(t *testing.T) {
	for _, n := range []uint64{1<<32 - 9, 1<<32 - 8} {
		b := appendMdat(nil, n)
		if len(b) != mdatHead(n) {
			t.Errorf("%d bytes of head, %d announced", len(b), mdatHead(n))
		}
		size := uint64(binary.BigEndian.Uint32(b))
		if size == 1 {
			size = binary.BigEndian.Uint64(b[8:])
		}
		if size != n+uint64(len(b)) {
			t.Errorf("mdat of %d bytes says %d", n, size)
		}
	}
}

func TestHeadsNeedNoMemoryOfTheirOwn(t *testing.T) {
	b := make([]byte, 0, 1<<16)
	samples := segments()["mixed"]
	if n := testing.AllocsPerRun(100, func() { AppendHead(b, 1, 2, samples) }); n != 0 {
		t.Errorf("%g allocations", n)
	}
}

func BenchmarkAppendHead(b *testing.B) {
	for _, name := range []string{"video", "mixed", "sound"} {
		b.Run(name, func(b *testing.B) {
			samples := segments()[name]
			var buffer []byte
			b.ReportAllocs()
			for b.Loop() {
				buffer, _ = AppendHead(buffer[:0], 1, 2, samples)
			}
			b.ReportMetric(float64(len(buffer)), "B/head")
		})
	}
}

func BenchmarkInit(b *testing.B) {
	for _, c := range []codec.Track{tracksOf(b, "ffmpeg-h264")[0], g711(codec.ALaw)} {
		b.Run(c.Kind.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Init(&c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
