package ingest

import (
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/mkv"
)

// Durations are, per track, from the first frame's start to the last one's end; the
// longest counts (decided rules, PutMedia).
func TestDurations(t *testing.T) {
	shared := newStudio(t, quota.Open)
	fixed := videoTrack
	fixed.DefaultDuration = 33_333_333
	fixedAudio := mkv.Track{Number: 1, UID: 1, Type: mkv.AudioTrack, CodecID: "A_X", DefaultDuration: 20e6}
	aac := mkv.Track{Number: 1, UID: 1, Type: mkv.AudioTrack, CodecID: "A_AAC", Audio: &mkv.Audio{SamplingFrequency: 16000}}
	opus := mkv.Track{Number: 1, UID: 1, Type: mkv.AudioTrack, CodecID: "A_OPUS"}
	g711 := mkv.Track{Number: 1, UID: 1, Type: mkv.AudioTrack, CodecID: "A_MS/ACM", CodecPrivate: []byte{7, 0, 2, 0, 0x40, 0x1F, 0, 0}}
	packet := func(time int16, b ...byte) []byte {
		return mkv.AppendSimpleBlock(nil, mkv.BlockHeader{Track: 1, Time: time}, b)
	}
	laced := func(time int16, frames int) []byte {
		all := slices.Repeat([][]byte{make([]byte, 10)}, frames)
		return mkv.AppendLacedBlock(nil, mkv.BlockHeader{Track: 1, Time: time, Lacing: mkv.FixedLacing}, all)
	}
	groups := func(b []byte, more ...[]byte) []byte { return append(b, slices.Concat(more...)...) }
	for _, test := range []struct {
		name   string
		scale  uint64
		tracks []mkv.Track
		blocks [][]byte
		want   int64
	}{
		{"the distance of frames", 0, []mkv.Track{videoTrack}, [][]byte{at(0), at(40), at(80)}, 120},
		{"one frame of unknown duration", 0, []mkv.Track{videoTrack}, [][]byte{at(0)}, 0},
		{"DefaultDuration", 0, []mkv.Track{fixed}, [][]byte{at(0), at(40), at(80)}, 113},
		{"DefaultDuration of a single frame", 0, []mkv.Track{fixed}, [][]byte{at(0)}, 33},
		{"1024 samples of AAC at 16 kHz", 0, []mkv.Track{aac}, [][]byte{at(0), at(64)}, 128},
		{"BlockDuration", 0, []mkv.Track{fixed}, [][]byte{at(0), groupAt(1, 40, 500)}, 540},
		{"BlockDuration 0", 0, []mkv.Track{fixed}, [][]byte{at(0), groupAt(1, 40, 0)}, 40},
		{"BlockDuration of a frame that is not the last", 0, []mkv.Track{fixed}, [][]byte{groupAt(1, 0, 500), at(40)}, 73},
		{"a group without duration", 0, []mkv.Track{fixed}, [][]byte{groupAt(1, 0, 500), groupAt(1, 40, -1)}, 73},
		{"frames in decoding order", 0, []mkv.Track{videoTrack}, [][]byte{at(0), at(120), at(40), at(80)}, 160},
		{"a BlockDuration in decoding order", 0, []mkv.Track{videoTrack}, [][]byte{at(0), groupAt(1, 120, 90), groupAt(1, 40, 10), groupAt(1, 80, 10)}, 210},
		{"times before the cluster's", 0, []mkv.Track{videoTrack}, [][]byte{at(-80), at(-40), at(0)}, 120},
		{"frames of changing distance", 0, []mkv.Track{videoTrack}, [][]byte{at(0), at(10), at(20), at(120)}, 220},
		{"the last two in presentation order", 0, []mkv.Track{videoTrack}, [][]byte{at(0), at(200), at(50), at(150)}, 250},
		{"Opus of 20 ms", 0, []mkv.Track{opus}, [][]byte{packet(0, 15<<3), packet(20, 15<<3)}, 40},
		{"Opus of three frames of 60 ms", 0, []mkv.Track{opus}, [][]byte{packet(0, 3<<3|3, 3)}, 180},
		{"Opus of twice 2.5 ms", 0, []mkv.Track{opus}, [][]byte{packet(0, 16<<3|1), packet(5, 16<<3|1)}, 10},
		{"Opus without a byte", 0, []mkv.Track{opus}, [][]byte{packet(0)}, 20},
		{"G.711", 0, []mkv.Track{g711}, [][]byte{packet(0, make([]byte, 1600)...)}, 100},
		{"the longest track", 0, []mkv.Track{videoTrack, audioTrack}, [][]byte{at(0), frame(2, 21, 10), at(40), frame(2, 100, 10)}, 100},
		{"a lace", 0, []mkv.Track{fixedAudio}, [][]byte{laced(0, 5), laced(100, 5)}, 200},
		{"a lace of AAC", 0, []mkv.Track{aac}, [][]byte{laced(0, 4)}, 256},
		{"a frame in several blocks", 0, []mkv.Track{videoTrack}, [][]byte{at(0), at(0), at(0), at(40), at(80), at(80), at(120)}, 160},
		{"tenths of milliseconds", 100_000, []mkv.Track{videoTrack}, [][]byte{at(0), at(333), at(667)}, 100},
		{"rounded to the next", 1_400_000, []mkv.Track{videoTrack}, [][]byte{at(0), at(1)}, 3},
		{"microseconds in a group", 1000, []mkv.Track{videoTrack}, [][]byte{groups(groupAt(1, 0, 1_500_000))}, 1500},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := shared.again(t)
			s.put(s.stream(24), headOf(otherApp, test.scale, test.tracks...), unknown(0, test.blocks...)).want("b1@0 r1@0 p1@0", 0)
			if got := s.shelf.all()[0].Fragment.Duration; got != test.want {
				t.Errorf("%d ms, want %d", got, test.want)
			}
		})
	}
}

// A fragment of one frame lasts as long as the frames of the fragment before.
func TestTheDurationOfASingleFrame(t *testing.T) {
	s := newStudio(t, quota.Open)
	s.put(s.stream(24), head(otherApp), unknown(0, at(0), at(50), at(100)), unknown(150, at(0)), unknown(200, at(0)), unknown(250, at(0), at(20)))
	var got []int64
	for _, r := range s.shelf.all() {
		got = append(got, r.Fragment.Duration)
	}
	if want := []int64{150, 50, 50, 40}; !slices.Equal(got, want) {
		t.Errorf("%v ms, want %v", got, want)
	}
}

// Fragments of one frame each last until the next, as far as the ones before tell; a
// pause is no duration.
func TestTheDurationOfSingleFramesInARow(t *testing.T) {
	s := newStudio(t, quota.Open)
	steps := []any{head(otherApp)}
	for _, ms := range []uint64{0, 1000, 2000, 62_000, 62_500, 64_000, 65_500} {
		steps = append(steps, unknown(ms, at(0)))
	}
	s.put(s.stream(24), steps...)
	var got []int64
	for _, r := range s.shelf.all() {
		got = append(got, r.Fragment.Duration)
	}
	if want := []int64{0, 1000, 1000, 1000, 500, 500, 1500}; !slices.Equal(got, want) {
		t.Errorf("%v ms, want %v", got, want)
	}
}

// The producer timestamp (media sheet, section 1).
func TestProducerTimes(t *testing.T) {
	shared := newStudio(t, quota.Open)
	for _, test := range []struct {
		name     string
		request  Request
		scale    uint64
		timecode uint64
		want     kvs.Millis
	}{
		{"absolute", Request{}, 0, 1_600_994_737_365, 1_600_994_737_365},
		{"absolute ignores the start", Request{Start: 1000}, 0, 5, 5},
		{"relative", Request{Relative: true, Start: 1_600_994_737_365}, 0, 2000, 1_600_994_739_365},
		{"absolute, 100 ns", Request{}, 100, 16_009_947_373_650_009, 1_600_994_737_365},
		{"relative, seconds", Request{Relative: true, Start: 100}, 1_000_000_000, 3, 3100},
		{"relative, before the start of time", Request{Relative: true, Start: -50}, 0, 50, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := shared.again(t)
			test.request.Stream = s.stream(24)
			body := newScript(headOf(otherApp, test.scale, videoTrack), unknown(test.timecode, at(0)))
			c := s.putCtx(t.Context(), test.request, body, &ledger{t: t})
			r := s.shelf.all()
			if c.Persisted != 1 || r[0].Fragment.Producer != test.want || r[0].Timecode != int64(test.timecode) {
				t.Errorf("%s; producer time %d, timecode %d; want %d and %d", c.text(), r[0].Fragment.Producer, r[0].Timecode, test.want, test.timecode)
			}
		})
	}
}
