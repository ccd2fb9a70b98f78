package mp4

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	ff "github.com/Eyevinn/mp4ff/mp4"
	abema "github.com/abema/go-mp4"
	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/codec"
)

// shown is a sample as a player finds it.
type shown struct {
	At, Size, Entry      int64
	Decode, Presentation int64
	Key                  bool
}

// written is a movie, and what a player must find in it.
type written struct {
	*Movie
	tracks [][]shown
}

func (w *written) track(t *testing.T, c *codec.Track) int {
	i, err := w.Track(c)
	if err != nil {
		t.Fatal(err)
	}
	w.tracks = append(w.tracks, nil)
	return i
}

// chunk adds samples that meet those before.
func (w *written) chunk(t *testing.T, track int, decode, entry int64, samples ...Sample) {
	at := w.Payload()
	if err := w.Chunk(track, decode, samples); err != nil {
		t.Fatal(err)
	}
	first := w.Movie.tracks[track].first
	for _, s := range samples {
		w.tracks[track] = append(w.tracks[track], shown{At: at, Size: int64(s.Size), Entry: entry,
			Decode: decode - first, Presentation: decode - first + int64(s.Offset), Key: s.Key})
		at += int64(s.Size)
		decode += int64(s.Duration)
	}
}

// head returns the head's bytes.
func (w *written) head(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	h := w.Head()
	if n, err := h.WriteTo(&b); err != nil || n != h.Size() || int64(b.Len()) != n {
		t.Fatalf("%d of %d bytes: %v", n, h.Size(), err)
	}
	for off := int64(0); off <= n64(&b); off += max(1, n64(&b)/50) {
		var rest bytes.Buffer
		if _, err := h.WriteFrom(&rest, off); err != nil || !bytes.Equal(rest.Bytes(), b.Bytes()[off:]) {
			t.Fatalf("from byte %d: %v", off, err)
		}
	}
	return b.Bytes()
}

func n64(b *bytes.Buffer) int64 { return int64(b.Len()) }

// check reads the file with two parsers that are not ours.
func (w *written) check(t *testing.T) *ff.MoovBox {
	t.Helper()
	head := w.head(t)
	file := append(slices.Clone(head), make([]byte, w.Payload())...)
	f, err := ff.DecodeFile(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	var again bytes.Buffer
	if err := f.Moov.Encode(&again); err != nil || !bytes.Contains(head, again.Bytes()) {
		t.Errorf("written again the moov is another: %v", err)
	}
	probe, err := abema.Probe(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if !probe.FastStart {
		t.Error("the moov is not in front")
	}
	for i, trak := range f.Moov.Traks {
		want := w.tracks[i]
		for k := range want {
			want[k].At += int64(len(head))
		}
		if diff := cmp.Diff(want, samplesOf(t, trak)); diff != "" {
			t.Errorf("track %d: %s", i+1, diff)
		}
		if diff := cmp.Diff(want, probed(probe.Tracks[i]), cmp.Transformer("", func(s shown) shown { s.Key, s.Entry = false, 0; return s })); diff != "" {
			t.Errorf("track %d, second parser: %s", i+1, diff)
		}
	}
	return f.Moov
}

// samplesOf lists what the first parser finds.
func samplesOf(t *testing.T, trak *ff.TrakBox) (list []shown) {
	b := trak.Mdia.Minf.Stbl
	at, chunk := int64(0), 0
	for n := uint32(1); n <= b.Stsz.SampleNumber; n++ {
		in, _, err := b.Stsc.ChunkNrFromSampleNr(int(n))
		if err != nil {
			t.Fatal(err)
		}
		if in != chunk {
			chunk = in
			var offset uint64
			if b.Co64 != nil {
				offset, err = b.Co64.GetOffset(in)
			} else {
				offset, err = b.Stco.GetOffset(in)
			}
			if err != nil {
				t.Fatal(err)
			}
			at = int64(offset)
		}
		decode, _ := b.Stts.GetDecodeTime(n)
		s := shown{At: at, Size: int64(b.Stsz.GetSampleSize(int(n))), Decode: int64(decode), Presentation: int64(decode),
			Entry: entryOf(b.Stsc, n), Key: b.Stss == nil || b.Stss.IsSyncSample(n)}
		if b.Ctts != nil {
			s.Presentation += int64(b.Ctts.GetCompositionTimeOffset(n))
		}
		list = append(list, s)
		at += s.Size
	}
	return list
}

// entryOf is the sample description of a sample.
func entryOf(b *ff.StscBox, n uint32) int64 {
	if len(b.SampleDescriptionID) == 0 {
		return int64(b.GetSampleDescriptionID(1))
	}
	return int64(b.SampleDescriptionID[b.FindEntryNrForSampleNr(n, 0)])
}

// probed lists what the second one does.
func probed(p *abema.Track) (list []shown) {
	decode, n := int64(0), 0
	for _, c := range p.Chunks {
		at := int64(c.DataOffset)
		for range c.SamplesPerChunk {
			s := p.Samples[n]
			list = append(list, shown{At: at, Size: int64(s.Size), Decode: decode, Presentation: decode + s.CompositionTimeOffset})
			decode, at, n = decode+int64(s.TimeDelta), at+int64(s.Size), n+1
		}
	}
	return list
}

// Any fragments of a film with sound are found again, where and when they were put.
func TestMovieAsPlayersSeeIt(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	tracks := tracksOf(t, "ffmpeg-h264-aac")
	for range 30 {
		w := &written{Movie: NewMovie(1_700_000_000_000)}
		video, audio := w.track(t, &tracks[0]), w.track(t, &tracks[1])
		var ends [2]int64
		for range rnd.IntN(40) {
			for track := range []int{video, audio} {
				samples := make([]Sample, rnd.IntN(12))
				at := ends[track]
				for i := range samples {
					samples[i] = Sample{Size: uint32(rnd.IntN(2000)), Duration: 1024, Key: true}
					if track == video {
						samples[i].Duration, samples[i].Key = 2970+uint32(rnd.IntN(2))*30, i == 0
						samples[i].Offset = int32(rnd.IntN(3)-1) * 3000
					}
					ends[track] += int64(samples[i].Duration)
				}
				w.chunk(t, track, at, 1, samples...)
			}
		}
		moov := w.check(t)
		for i, trak := range moov.Traks {
			want := uint64(scaled(ends[i], movieScale, w.Movie.tracks[i].scale))
			if uint64(ends[i]) != trak.Mdia.Mdhd.Duration || trak.Tkhd.Duration != want || moov.Mvhd.Duration < want {
				t.Errorf("durations %d %d %d, want %d", trak.Mdia.Mdhd.Duration, trak.Tkhd.Duration, moov.Mvhd.Duration, ends[i])
			}
		}
		if at := moov.Mvhd.CreationTimeS(); at != 1_700_000_000 {
			t.Errorf("made %d", at)
		}
	}
}

// The last sample of a fragment lasts until the next begins; overlaps are taken from it.
func TestPausesAndOverlaps(t *testing.T) {
	tracks := tracksOf(t, "ffmpeg-h264-aac")
	m := NewMovie(0)
	video, _ := m.Track(&tracks[0])
	audio, _ := m.Track(&tracks[1])
	decodes := func(track int, scale int64, chunks ...[3]int64) (list []uint64) { // when, how many, each
		for _, c := range chunks {
			if err := m.Chunk(track, c[0], slices.Repeat([]Sample{{Duration: uint32(c[2])}}, int(c[1]))); err != nil {
				t.Fatal(err)
			}
		}
		b, _ := m.tracks[track].durations.closed(m.tracks[track].last)
		d, runs := uint64(0), slices.Concat(b.pieces...)
		for ; len(runs) > 0; runs = runs[8:] {
			for range binary.BigEndian.Uint32(runs) {
				d += uint64(binary.BigEndian.Uint32(runs[4:]))
				list = append(list, d/uint64(scale))
			}
		}
		return list
	}
	got := decodes(video, 90, [3]int64{9000, 2, 3600}, [3]int64{18000, 2, 3600}, [3]int64{23400, 1, 3600}, [3]int64{9000, 2, 3600}, [3]int64{900000, 1, 3600})
	want := []uint64{40, 100, 140, 160, 160, 200, 9900, 9940} // the second but last moved behind what it overlaps
	if !slices.Equal(got, want) {
		t.Errorf("video ends at %d, want %d", got, want)
	}
	rate := int64(m.tracks[audio].scale)
	got = decodes(audio, 1, [3]int64{0, 2, 1024}, [3]int64{2048 + rate*2/1000, 1, 1024}, [3]int64{3072 - rate*2/1000, 1, 1024}, [3]int64{4096 + rate/10, 1, 1024})
	if want := []uint64{1024, 2048, 3072, uint64(4096 + rate/10), uint64(5120 + rate/10)}; !slices.Equal(got, want) {
		t.Errorf("audio ends at %d, want %d", got, want)
	}
	if err := m.Chunk(video, math.MaxUint32*2, make([]Sample, 1)); err != ErrMovie {
		t.Errorf("a pause of a day: %v", err)
	}
}

// Another camera sends another resolution, and the first comes back.
func TestCodecsChange(t *testing.T) {
	a, b := tracksOf(t, "ffmpeg-h264")[0], tracksOf(t, "gstreamer-h264")[0]
	b.Width, b.Height = 1920, 1080
	w := &written{Movie: NewMovie(0)}
	v := w.track(t, &a)
	one := Sample{Size: 10, Duration: 3000, Key: true}
	w.chunk(t, v, 0, 1, one, one)
	for i, c := range []*codec.Track{&b, &a, &b, &b} {
		if err := w.Codec(v, c); err != nil {
			t.Fatal(err)
		}
		w.chunk(t, v, int64(i)*6000+6000, []int64{2, 1, 2, 2}[i], one, one)
	}
	moov := w.check(t)
	if n := moov.Trak.Mdia.Minf.Stbl.Stsd.SampleCount; n != 2 {
		t.Errorf("%d sample descriptions", n)
	}
	if moov.Trak.Tkhd.Width>>16 != 1920 || moov.Trak.Tkhd.Height>>16 != 1080 {
		t.Error("the picture has another size")
	}
	broken := codec.Track{Number: 1, Err: ErrMovie}
	if w.Codec(v, &broken) == nil {
		t.Error("a track that cannot be played was taken")
	}
	if _, err := w.Track(&broken); err == nil {
		t.Error("a track that cannot be played was added")
	}
}

// Late sound begins late, and a clip begins where it was asked to.
func TestEdits(t *testing.T) {
	tracks := tracksOf(t, "ffmpeg-h264-aac")
	rate := int64(tracks[1].SampleRate)
	for name, c := range map[string]struct {
		video, audio int64 // begin, milliseconds
		begin        int64
		want         [2][]ff.ElstEntry
		shown        uint64
	}{
		"together": {shown: 360000},
		"late sound": {audio: 500, shown: 405000,
			want: [2][]ff.ElstEntry{nil, {{SegmentDuration: 45000, MediaTime: -1, MediaRateInteger: 1}, {SegmentDuration: 360000, MediaRateInteger: 1}}}},
		"early sound": {video: 20, audio: -80, shown: 369000,
			want: [2][]ff.ElstEntry{{{SegmentDuration: 9000, MediaTime: -1, MediaRateInteger: 1}, {SegmentDuration: 360000, MediaRateInteger: 1}}, nil}},
		"a second later": {begin: 1000, shown: 270000,
			want: [2][]ff.ElstEntry{{{SegmentDuration: 270000, MediaTime: 90000, MediaRateInteger: 1}}, {{SegmentDuration: 270000, MediaTime: rate, MediaRateInteger: 1}}}},
		"before the sound": {audio: 3000, begin: 1000, shown: 540000,
			want: [2][]ff.ElstEntry{{{SegmentDuration: 270000, MediaTime: 90000, MediaRateInteger: 1}},
				{{SegmentDuration: 180000, MediaTime: -1, MediaRateInteger: 1}, {SegmentDuration: 360000, MediaRateInteger: 1}}}},
		"behind the sound": {video: 5000, begin: 5000, shown: 360000,
			want: [2][]ff.ElstEntry{nil, {{SegmentDuration: 1, MediaTime: -1, MediaRateInteger: 1}}}},
	} {
		m := NewMovie(0)
		video, _ := m.Track(&tracks[0])
		audio, _ := m.Track(&tracks[1])
		_ = m.Chunk(video, c.video*90, slices.Repeat([]Sample{{Duration: 90000, Key: true}}, 4))
		_ = m.Chunk(audio, c.audio*rate/1000, slices.Repeat([]Sample{{Duration: uint32(rate), Key: true}}, 4))
		if c.begin != 0 {
			m.Begin(c.begin)
		}
		w := &written{Movie: m}
		f, err := ff.DecodeFile(bytes.NewReader(w.head(t)))
		if err != nil {
			t.Fatal(err)
		}
		for i, trak := range f.Moov.Traks {
			var got []ff.ElstEntry
			if trak.Edts != nil {
				got = trak.Edts.Elst[0].Entries
			}
			if diff := cmp.Diff(c.want[i], got); diff != "" {
				t.Errorf("%s, track %d: %s", name, i+1, diff)
			}
		}
		if f.Moov.Mvhd.Duration != c.shown {
			t.Errorf("%s: lasts %d, want %d", name, f.Moov.Mvhd.Duration, c.shown)
		}
	}
}

// A movie without media, or with a track that has none, is a file all the same.
func TestMoviesWithoutMedia(t *testing.T) {
	w := &written{Movie: NewMovie(0)}
	w.check(t)
	tracks := tracksOf(t, "ffmpeg-h264-aac")
	w.track(t, &tracks[0])
	w.track(t, &tracks[1])
	w.chunk(t, 0, 0, 1, Sample{Size: 5, Duration: 3000, Key: true})
	if moov := w.check(t); moov.Traks[1].Tkhd.Duration > 1 {
		t.Error("a track without media lasts")
	}
}

// A day of 30 pictures a second with sound: 11 GB of media, whose layout takes less than 150 MB.
func TestADayOfMedia(t *testing.T) {
	tracks := tracksOf(t, "ffmpeg-h264-aac")
	m := NewMovie(0)
	video, _ := m.Track(&tracks[0])
	audio, _ := m.Track(&tracks[1])
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	pictures, sound := make([]Sample, 60), make([]Sample, 94)
	const day = 43_200
	for f := range int64(day) {
		for i := range pictures {
			pictures[i] = Sample{Size: uint32(4000 + i), Duration: 3000 - 30*uint32(i%3%2), Key: i == 0}
		}
		for i := range sound {
			sound[i] = Sample{Size: uint32(160 + i%7), Duration: 1024, Key: true}
		}
		if err := m.Chunk(video, f*180_000, pictures); err != nil {
			t.Fatal(err)
		}
		if err := m.Chunk(audio, f*2*int64(tracks[1].SampleRate), sound); err != nil {
			t.Fatal(err)
		}
	}
	h := m.Head()
	runtime.ReadMemStats(&after)
	if used := int64(after.TotalAlloc - before.TotalAlloc); used > 150<<20 {
		t.Errorf("%d MB were allocated", used>>20)
	}
	var b bytes.Buffer
	_, _ = h.WriteTo(&b)
	f, err := ff.DecodeFile(bytes.NewReader(append(slices.Clone(b.Bytes()[:b.Len()-16]), []byte("\x00\x00\x00\x08mdat")...)))
	if err != nil {
		t.Fatal(err)
	}
	stbl := f.Moov.Trak.Mdia.Minf.Stbl
	if stbl.Co64 == nil || f.Moov.Mvhd.Version != 1 || f.Moov.Trak.Mdia.Mdhd.Duration/90_000 != 2*day-1 || b.Len() > 60<<20 {
		t.Errorf("version %d, %d, %d bytes", f.Moov.Mvhd.Version, f.Moov.Trak.Mdia.Mdhd.Duration, b.Len())
	}
	if last := b.Bytes()[b.Len()-16:]; binary.BigEndian.Uint32(last) != 1 || int64(binary.BigEndian.Uint64(last[8:])) != m.Payload()+16 {
		t.Errorf("the media's box begins % x", last)
	}
	last, err := stbl.Co64.GetOffset(day)
	if want := h.Size() + m.Payload(); err != nil || int64(last) >= want || int64(last) < want-1<<20 {
		t.Errorf("the last chunk is at %d of %d: %v", last, want, err)
	}
}
