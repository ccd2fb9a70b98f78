package cut

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/mediatest"
	"github.com/millrace/millrace/internal/remux/remuxtest"
	"github.com/millrace/millrace/mkv"
)

// scene makes a fragment of the clip's tracks.
func scene(t testing.TB, clip string, blocks func([]byte) []byte) *remuxtest.Fragment {
	t.Helper()
	r := mkv.NewReader(mediatest.Open(clip), mkv.Options{})
	for {
		it, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if it.Kind == mkv.TracksElement {
			file := mkv.AppendTracks(mkv.AppendSegmentUnknown(mkv.AppendEBML(nil, mkv.Header{})), it.Tracks)
			return &remuxtest.Cut(t, blocks(mkv.AppendClusterUnknown(file, 1000)))[0]
		}
	}
}

func frameOf(units ...string) (frame []byte) {
	for _, u := range units {
		frame = append(binary.BigEndian.AppendUint32(frame, uint32(len(u))), u...)
	}
	return frame
}

func picture(b []byte, at int, key bool, frame []byte) []byte {
	return mkv.AppendSimpleBlock(b, mkv.BlockHeader{Track: 1, Time: int16(at), Key: key}, frame)
}

func sound(b []byte, at int) []byte {
	return mkv.AppendSimpleBlock(b, mkv.BlockHeader{Track: 2, Time: int16(at)}, []byte{1, 2, 3})
}

// cutOne cuts a fragment that starts at that time both ways.
func cutOne(t *testing.T, f *remuxtest.Fragment, start kvs.Millis) (ts, mp4 []byte) {
	t.Helper()
	s := newStudio(t)
	k := s.store(f, start)
	c := New(Options{Source: s})
	for _, kind := range []Container{TS, FMP4} {
		got, err := c.Segment(t.Context(), k.Stored, 1, kind, start)
		if err != nil {
			t.Fatal(err)
		}
		ts, mp4 = mp4, contents(t, got)
	}
	return ts, mp4
}

func TestOnePictureIsASegment(t *testing.T) {
	f := scene(t, "ffmpeg-h264", func(b []byte) []byte { return picture(b, 0, true, frameOf("e1", "", "e2")) })
	ts, mp4 := cutOne(t, f, begin)
	if video, _ := readTS(t, ts); len(video) != 1 || len(mp4) == 0 {
		t.Errorf("%d pictures, %d bytes of MP4", len(video), len(mp4))
	}
}

// A track that is declared and silent, and one whose first frame is late: the clock is the
// video's in any case.
func TestSoundMayBeLateOrMissing(t *testing.T) {
	silent := scene(t, "ffmpeg-h264-aac", func(b []byte) []byte { return picture(b, 0, true, frameOf("e")) })
	s := newStudio(t)
	k := s.store(silent, begin)
	got, err := New(Options{Source: s}).Segment(t.Context(), k.Stored, 2, FMP4, begin)
	if err != nil || got.Size() == 0 {
		t.Errorf("a segment without sound: %v", err)
	}
	early := scene(t, "ffmpeg-h264-aac", func(b []byte) []byte {
		return picture(sound(sound(b, -30), 400), 0, true, frameOf("e"))
	})
	ts, _ := cutOne(t, early, begin)
	video, heard := readTS(t, ts)
	if len(video) != 1 || len(heard) != 2 || heard[1].pts-video[0].pts != 400*90 || heard[0].pts-video[0].pts != -30*90 {
		t.Errorf("%v, %v", video, heard)
	}
}

// Times go over the end of 33 bits, and the first picture is decoded before it.
func TestTimesOfMPEGTSGoRound(t *testing.T) {
	const round = (1 << 33) / 90 // its last whole millisecond
	f := scene(t, "ffmpeg-h264", func(b []byte) []byte {
		b = picture(b, 0, true, frameOf("e"))
		b = picture(b, 120, false, frameOf("A"))
		return picture(picture(b, 40, false, frameOf("B")), 80, false, frameOf("C"))
	})
	ts, _ := cutOne(t, f, 3*round-60)
	video, _ := readTS(t, ts)
	for i, u := range video {
		if before := (u.pts - u.dts) & clockMask; before > ticksPerSecond {
			t.Errorf("picture %d is decoded %d ticks before it is shown", i, before)
		}
		if i > 0 && (u.dts-video[i-1].dts)&clockMask > ticksPerSecond {
			t.Errorf("picture %d is decoded at %d, the one before at %d", i, u.dts, video[i-1].dts)
		}
	}
}

// The cache keeps what fits and what was used last, whatever is asked.
func TestTheCacheHasABound(t *testing.T) {
	s := newStudio(t)
	all := s.clip("ffmpeg-file")
	first, err := New(Options{Source: s}).Segment(t.Context(), all[0].Stored, 1, FMP4, 0)
	if err != nil {
		t.Fatal(err)
	}
	room := 2*first.Size() + 4000
	c := New(Options{Source: s, Cache: room})
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		if _, err := c.Segment(t.Context(), all[rnd.IntN(len(all))].Stored, 1+rnd.Uint64N(2), FMP4, 0); err != nil {
			t.Fatal(err)
		}
		if got := c.Stats(); got.Bytes > room || got.Kept == 0 {
			t.Fatalf("%+v in %d bytes", got, room)
		}
	}
	got := c.Stats()
	if got.Asked != 200 || got.Cuts == 200 || got.Failed != 0 {
		t.Errorf("%+v", got)
	}
	// What was just used is still there.
	k := all[0].Stored
	for range 2 {
		if _, err := c.Segment(t.Context(), k, 1, FMP4, 7); err != nil {
			t.Fatal(err)
		}
	}
	if c.Stats().Cuts > got.Cuts+1 {
		t.Error("the segment used last was cut again")
	}
}
