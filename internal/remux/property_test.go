package remux

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/mediatest"
	"github.com/millrace/millrace/internal/remux/remuxtest"
	"github.com/millrace/millrace/mkv"
)

// declared returns the tracks of a clip's header.
func declared(t testing.TB, name string) []mkv.Track {
	t.Helper()
	r := mkv.NewReader(mediatest.Open(name), mkv.Options{})
	for {
		it, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if it.Kind == mkv.TracksElement {
			return it.Tracks
		}
	}
}

// wave is the WAVEFORMATEX of G.711 at 8 kHz.
func wave(tag, channels uint16) []byte {
	b := binary.LittleEndian.AppendUint16(nil, tag)
	b = binary.LittleEndian.AppendUint16(b, channels)
	b = binary.LittleEndian.AppendUint32(b, 8000)
	b = binary.LittleEndian.AppendUint32(b, 8000*uint32(channels))
	b = binary.LittleEndian.AppendUint16(b, channels)
	return binary.LittleEndian.AppendUint16(b, 8)
}

// studio is the header of a camera with H.264, two tracks of AAC and one of each law.
func studio(t testing.TB) []mkv.Track {
	all := declared(t, "ffmpeg-h264-aac")
	second := all[1]
	second.Number, second.UID = 3, 3
	all = append(all, second)
	for i, tag := range []uint16{6, 7} {
		all = append(all, mkv.Track{Number: uint64(4 + i), UID: uint64(4 + i), Type: mkv.AudioTrack, CodecID: "A_MS/ACM",
			CodecPrivate: wave(tag, uint16(1+i)), Audio: &mkv.Audio{SamplingFrequency: 8000, Channels: uint64(1 + i)}})
	}
	return all
}

// document writes one cluster of the blocks.
func document(tracks []mkv.Track, blocks ...[]byte) []byte {
	b := mkv.AppendSegmentUnknown(mkv.AppendEBML(nil, mkv.Header{}))
	b = mkv.AppendInfo(b, &mkv.Info{})
	b = mkv.AppendClusterUnknown(mkv.AppendTracks(b, tracks), 1_700_000_000_000)
	return append(b, bytes.Join(blocks, nil)...)
}

// one makes a fragment of the blocks.
func one(t testing.TB, tracks []mkv.Track, blocks ...[]byte) *remuxtest.Fragment {
	t.Helper()
	return &remuxtest.Cut(t, document(tracks, blocks...))[0]
}

func block(track uint64, at int, key bool, frame []byte) []byte {
	return mkv.AppendSimpleBlock(nil, mkv.BlockHeader{Track: track, Time: int16(at), Key: key}, frame)
}

// picture makes a frame of some NAL units with lengths.
func picture(rnd *rand.Rand) (frame []byte) {
	for range rnd.IntN(4) {
		unit := bytes.Repeat([]byte{byte(rnd.IntN(255) + 1)}, 1+rnd.IntN(3000))
		frame = binary.BigEndian.AppendUint32(frame, uint32(len(unit)))
		frame = append(frame, unit...)
	}
	return frame
}

// chaos makes a fragment in which anything happens that a stored one may have: pictures
// out of order, twice at one time or without bytes, laces, times before the start.
func chaos(t testing.TB, rnd *rand.Rand) *remuxtest.Fragment {
	var blocks [][]byte
	at := rnd.IntN(100) - 50
	for range 1 + rnd.IntN(60) {
		at += rnd.IntN(60) - 4
		switch track := uint64(1 + rnd.IntN(5)); {
		case track == 1:
			blocks = append(blocks, block(1, at+rnd.IntN(3)*40, rnd.IntN(8) == 0, picture(rnd)))
		case rnd.IntN(3) == 0:
			lace := [][]byte{make([]byte, 160), make([]byte, 160), make([]byte, 160)}
			blocks = append(blocks, mkv.AppendLacedBlock(nil, mkv.BlockHeader{Track: track, Time: int16(at), Lacing: mkv.FixedLacing}, lace))
		default:
			blocks = append(blocks, block(track, at, false, bytes.Repeat([]byte{byte(at)}, rnd.IntN(100)*2)))
		}
	}
	return one(t, studio(t), blocks...)
}

func TestAnyFragmentHasSamplesThatAgree(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		made := chaos(t, rnd)
		f, walked := open(t, made, false), open(t, made, true)
		for number := range uint64(5) {
			number++
			p, q := check(t, f, number), check(t, walked, number)
			if fmt.Sprint(p.First, p.Samples) != fmt.Sprint(q.First, q.Samples) {
				t.Errorf("seed %d, track %d: the body tells other samples than the table", seed, number)
			}
			shown(t, made, &p)
			if t.Failed() {
				t.Fatalf("seed %d, track %d", seed, number)
			}
		}
	}
}

// shown fails unless each sample is shown when the producer said, to a unit of time, but
// for sound, which flows.
func shown(t *testing.T, f *remuxtest.Fragment, p *Part) {
	at, i := p.First, 0
	for _, r := range f.Frames {
		if r.Track != p.Track.Number || len(r.Data) == 0 {
			continue
		}
		s, off := p.Samples[i], int64(0)
		if p.Track.Kind.Video() {
			off = at + int64(s.Offset) - units(r.At, p.Scale)
		}
		if off != 0 {
			t.Errorf("frame %d is shown %d units from when it should be", i, off)
		}
		at, i = at+int64(s.Duration), i+1
	}
	if i != len(p.Samples) {
		t.Errorf("%d samples of %d frames", len(p.Samples), i)
	}
}

// durations lists the durations of a part.
func durations(p Part) (all []uint32) {
	for _, s := range p.Samples {
		all = append(all, s.Duration)
	}
	return all
}

func TestLastFramesLast(t *testing.T) {
	frame := []byte{0, 0, 0, 1, 9}
	tracks := declared(t, "ffmpeg-h264")
	tracks[0].DefaultDuration = 0
	for _, c := range []struct {
		what   string
		at     []int
		length int64
		want   string
	}{
		{"to an end that is near", []int{0, 40, 80}, 123, "[3600 3600 3870]"},
		{"an end that is far", []int{0, 40, 80}, 500, "[3600 3600 3600]"},
		{"an end before the last frame", []int{0, 40, 80}, 20, "[3600 3600 3600]"},
		{"one frame to the end", []int{0}, 1500, "[135000]"},
		{"two at one time", []int{0, 40, 40, 80}, 120, "[3600 1 3599 3600]"},
		{"late", []int{20, 60}, 100, "[3600 3600]"},
	} {
		var blocks [][]byte
		for i, at := range c.at {
			blocks = append(blocks, block(1, at, i == 0, frame))
		}
		made := one(t, tracks, blocks...)
		made.Length = c.length
		p := check(t, open(t, made, false), 1)
		if got := fmt.Sprint(durations(p)); got != c.want || p.First != int64(c.at[0])*90 {
			t.Errorf("%s: %s from %d, want %s", c.what, got, p.First, c.want)
		}
	}
}

func TestSoundFlowsWhileItsStampsAreNear(t *testing.T) {
	tracks := studio(t)
	var stamps [][]byte
	for _, at := range []int{5, 26, 48, 69, 90, 150, 171} { // 1,024 samples are 21.33 ms; one frame was lost
		stamps = append(stamps, block(2, at, false, []byte{1, 2}))
	}
	f := open(t, one(t, tracks, stamps...), false)
	p := check(t, f, 2)
	if got, want := fmt.Sprint(p.Scale, p.First, durations(p)), "48000 240 [1024 1024 1024 1024 2864 1024 1024]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestTimesAreTheClocks(t *testing.T) {
	p := Part{Scale: 44100, First: -100}
	if got := p.Decode(1_700_000_000_001); got != 1_700_000_000*44100+44-100 {
		t.Error(got)
	}
	if got := p.Decode(0); got != 0 {
		t.Errorf("%d before the beginning", got)
	}
	if got := units(-11333*time.Microsecond, 90000); got != -1020 {
		t.Error(got)
	}
}

func TestBrokenFragments(t *testing.T) {
	tracks := studio(t)
	good := block(1, 0, true, []byte{0, 0, 0, 1, 9})
	long := block(1, 40, false, []byte{0, 0, 1, 1, 9})
	f := open(t, one(t, tracks, good, long), false)
	if _, err := f.AppendPayload(nil, 1); kvs.KindOf(err) != kvs.InvalidFrame {
		t.Errorf("a NAL unit behind its frame: %v", err)
	}
	if _, err := f.Samples(nil, 9); kvs.KindOf(err) != kvs.UnsupportedMedia {
		t.Errorf("a track that is not there: %v", err)
	}
	odd := open(t, one(t, tracks, block(5, 0, false, []byte{1, 2, 3})), false)
	if _, err := odd.Samples(nil, 5); kvs.KindOf(err) != kvs.InvalidFrame {
		t.Errorf("half a sample of G.711: %v", err)
	}
	made := one(t, tracks, good)
	short := Source{Table: made.Table, Body: bytes.NewReader(made.Body[:20]), Size: int64(len(made.Body)), Tracks: f.source.Tracks}
	if g, err := Open(short); err != nil {
		t.Error(err)
	} else if _, err := g.AppendPayload(nil, 1); kvs.KindOf(err) != kvs.Internal {
		t.Errorf("a body that ends too soon: %v", err)
	}
	if _, err := Open(Source{Header: made.Header, Body: bytes.NewReader(good), Size: int64(len(good))}); kvs.KindOf(err) != kvs.InvalidFrame {
		t.Errorf("a body without a cluster: %v", err)
	}
	tail := block(1, 40, false, []byte{0, 0, 0, 1, 9})
	cut := one(t, tracks, good, tail)
	if _, err := Open(Source{Header: cut.Header, Body: bytes.NewReader(cut.Body), Size: int64(len(cut.Body)) - 1, Tracks: f.source.Tracks}); kvs.KindOf(err) != kvs.InvalidFrame {
		t.Errorf("a frame behind the end of a body without a table: %v", err)
	}
	half := int64(len(cut.Body) - len(tail) + 1)
	if _, err := Open(Source{Header: cut.Header, Body: bytes.NewReader(cut.Body), Size: half, Tracks: f.source.Tracks}); kvs.KindOf(err) != kvs.InvalidFrame {
		t.Errorf("half the head of an element at the end of a body without a table: %v", err)
	}
	grown := Source{Table: []byte{1, 2<<1 | 1, 22, 6, 2, 0, 0}, Body: bytes.NewReader(made.Body), Size: int64(len(made.Body)), Tracks: f.source.Tracks}
	if g, err := Open(grown); err != nil {
		t.Error(err)
	} else if _, err := g.Samples(nil, 2); kvs.KindOf(err) != kvs.InvalidFrame {
		t.Errorf("sound that grows by conversion: %v", err)
	}
	bad := Source{Table: []byte{9, 9}, Body: bytes.NewReader(nil), Tracks: f.source.Tracks}
	if g, err := Open(bad); err != nil {
		t.Error(err)
	} else if _, err := g.Samples(nil, 1); kvs.KindOf(err) != kvs.InvalidFrame {
		t.Errorf("a broken table: %v", err)
	}
}

// A track whose private data nobody can use says so itself.
func TestUnplayableTracks(t *testing.T) {
	tracks := studio(t)
	tracks[0].CodecPrivate = nil
	f := open(t, one(t, tracks, block(1, 0, true, []byte{0, 0, 0, 1, 9})), false)
	if _, err := f.Samples(nil, 1); kvs.KindOf(err) != kvs.MissingPrivateData {
		t.Error(err)
	}
	if d, ok := f.Track(4); !ok || d.Kind != codec.ALaw {
		t.Errorf("%+v", d)
	}
}

// Windows give the same bytes as a whole body.
func TestLongBodiesAreReadInWindows(t *testing.T) {
	tracks := studio(t)
	big := make([]byte, 3<<20)
	binary.BigEndian.PutUint32(big, uint32(len(big)-4))
	big[4] = 0x65
	var blocks [][]byte
	for i := range 7 {
		big[5] = byte(i)
		blocks = append(blocks, block(1, i*40, i == 0, big), block(2, i*40, false, []byte{7, byte(i)}))
	}
	made := one(t, tracks, blocks...)
	f := open(t, made, false)
	for number := range uint64(2) {
		if got, err := f.AppendPayload(nil, number+1); err != nil || !bytes.Equal(got, data(made, number+1)) {
			t.Errorf("track %d: %d bytes, %v", number+1, len(got), err)
		}
	}
	if len(*f.body) > window+3<<20 {
		t.Errorf("%d bytes in memory", len(*f.body))
	}
}
