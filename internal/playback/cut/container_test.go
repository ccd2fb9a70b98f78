package cut

import (
	"bytes"
	"slices"
	"testing"

	"github.com/Eyevinn/mp4ff/mp4"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"

	"github.com/millrace/millrace/internal/mediatest"
)

// sent returns the frames of a track as the producer sent them.
func (k *shot) sent(track uint64) (all [][]byte) {
	for _, f := range k.Frames {
		if f.Track == track {
			all = append(all, f.Data)
		}
	}
	return all
}

// shownAt returns when the frames of a track are shown, in ticks since 1970.
func (k *shot) shownAt(track uint64) (all []int64) {
	for _, f := range k.Frames {
		if f.Track == track {
			all = append(all, int64(k.Producer)*90+(f.At.Microseconds()*9+50)/100)
		}
	}
	return all
}

// keys tells which frames of a track a decoder can begin at: the first one in any case.
func (k *shot) keys(track uint64) (all []bool) {
	for _, f := range k.Frames {
		if f.Track == track {
			all = append(all, f.Key || len(all) == 0)
		}
	}
	return all
}

// What another parser reads in a segment of fMP4 are the frames and times that were sent.
func TestFMP4AsMP4FFReadsIt(t *testing.T) {
	for _, c := range mediatest.Clips() {
		s := newStudio(t)
		cutter := New(Options{Source: s})
		for i, k := range s.clip(c.Name) {
			for _, n := range numbers(c) {
				init, err := cutter.Init(t.Context(), k.Stored, n)
				if err != nil {
					t.Fatal(err)
				}
				got, err := cutter.Segment(t.Context(), k.Stored, n, FMP4, k.Producer)
				if err != nil {
					t.Fatal(err)
				}
				f, err := mp4.DecodeFile(bytes.NewReader(append(init, contents(t, got)...)))
				if err != nil {
					t.Fatal(err)
				}
				fragment := f.Segments[0].Fragments[0]
				samples, err := fragment.GetFullSamples(f.Init.Moov.Mvex.Trex)
				if err != nil {
					t.Fatal(err)
				}
				scale := int64(f.Init.Moov.Trak.Mdia.Mdhd.Timescale)
				frames, shown := k.sent(n), k.shownAt(n)
				if len(samples) != len(frames) || fragment.Moof.Mfhd.SequenceNumber != uint32(k.Number.N) {
					t.Fatalf("%s %d: %d samples of %d frames", c.Name, i, len(samples), len(frames))
				}
				for j, m := range samples {
					at := int64(m.DecodeTime) + int64(m.CompositionTimeOffset)
					at = at/scale*90_000 + at%scale*90_000/scale
					if !bytes.Equal(m.Data, frames[j]) || max(at-shown[j], shown[j]-at) > 2*90 {
						t.Fatalf("%s %d, track %d, sample %d: %d bytes at %d, want %d at %d", c.Name, i, n, j, len(m.Data), at, len(frames[j]), shown[j])
					}
				}
			}
		}
	}
}

// unit is what a reader of MPEG-TS finds in a PES packet.
type unit struct {
	pts, dts int64
	data     [][]byte
}

// readTS reads a segment of MPEG-TS: video and sound. Times are from the first one on.
func readTS(t *testing.T, b []byte) (video, sound []unit) {
	t.Helper()
	if len(b)%packetSize != 0 {
		t.Errorf("%d bytes are no whole packets", len(b))
	}
	r := &mpegts.Reader{R: bytes.NewReader(b)}
	if err := r.Initialize(); err != nil {
		t.Fatal(err)
	}
	r.OnDecodeError(func(err error) { t.Error(err) })
	for _, d := range r.Tracks() {
		switch d.Codec.(type) {
		case *codecs.H264:
			r.OnDataH264(d, func(pts, dts int64, au [][]byte) error { video = append(video, unit{pts, dts, au}); return nil })
		case *codecs.MPEG4Audio:
			r.OnDataMPEG4Audio(d, func(pts int64, aus [][]byte) error { sound = append(sound, unit{pts, pts, aus}); return nil })
		default:
			t.Errorf("a track of %T", d.Codec)
		}
	}
	for r.Read() == nil {
	}
	return video, sound
}

// pictures takes delimiter and parameter sets out of an access unit, and gives the rest its lengths
// back. It reports whether there were some.
func pictures(au [][]byte) (frame []byte, ready bool) {
	types := ""
	for _, n := range au {
		switch h264.NALUType(n[0] & 0x1F) {
		case h264.NALUTypeAccessUnitDelimiter: // of the producer; the reader drops it
		case h264.NALUTypeSPS:
			types += "s"
		case h264.NALUTypePPS:
			types += "p"
		default:
			frame = append(frame, byte(len(n)>>24), byte(len(n)>>16), byte(len(n)>>8), byte(len(n)))
			frame = append(frame, n...)
		}
	}
	return frame, types == "sp"
}

func TestTSAsMediacommonReadsIt(t *testing.T) {
	for _, c := range mediatest.Clips() {
		if c.Video == mediatest.HEVC {
			continue
		}
		s := newStudio(t)
		cutter := New(Options{Source: s})
		last := int64(-1)
		for i, k := range s.clip(c.Name) {
			got, err := cutter.Segment(t.Context(), k.Stored, 1, TS, k.Producer)
			if err != nil {
				t.Fatal(err)
			}
			b := contents(t, got)
			if b[1]&0x1F != 0 || b[2] != 0 || b[packetSize+1]&0x1F == 0 && b[packetSize+2] == 0 {
				t.Errorf("%s %d does not begin with PAT and PMT", c.Name, i)
			}
			video, sound := readTS(t, b)
			if c.VideoTrack > 0 {
				if n := bytes.Count(b, []byte{0, 0, 0, 1, 9}); n != len(video) { // which the reader drops
					t.Errorf("%d delimiters for %d pictures", n, len(video))
				}
				last = checkPictures(t, &k, c.VideoTrack, video, last)
			}
			if c.AudioTrack > 0 {
				checkSound(t, &k, c.AudioTrack, sound)
			}
			if t.Failed() {
				t.Fatalf("%s %d", c.Name, i)
			}
		}
	}
}

// checkPictures compares video with what was sent; last is the decode time of the segment
// before, and the result that of this one.
func checkPictures(t *testing.T, k *shot, track uint64, got []unit, last int64) int64 {
	t.Helper()
	frames, shown, keys := k.sent(track), k.shownAt(track), k.keys(track)
	if len(got) != len(frames) {
		t.Fatalf("%d pictures of %d", len(got), len(frames))
	}
	for i, u := range got {
		frame, ready := pictures(u.data)
		want, _ := pictures(lengthUnits(frames[i]))
		if !bytes.Equal(frame, want) || ready != keys[i] || u.pts != shown[i]&clockMask {
			t.Errorf("picture %d at %d has %d bytes, want %d at %d", i, u.pts, len(frame), len(want), shown[i]&clockMask)
		}
		if u.dts > u.pts || u.dts <= last {
			t.Errorf("picture %d is decoded at %d behind %d, and shown at %d", i, u.dts, last, u.pts)
		}
		last = u.dts
	}
	return last
}

// lengthUnits splits a frame with lengths of four bytes.
func lengthUnits(frame []byte) (units [][]byte) {
	for len(frame) > 4 {
		n := int(frame[0])<<24 | int(frame[1])<<16 | int(frame[2])<<8 | int(frame[3])
		units, frame = append(units, frame[4:4+n]), frame[4+n:]
	}
	return units
}

func checkSound(t *testing.T, k *shot, track uint64, got []unit) {
	t.Helper()
	frames, shown := k.sent(track), k.shownAt(track)
	for _, u := range got {
		if len(u.data) > len(frames) || !slices.EqualFunc(u.data, frames[:len(u.data)], bytes.Equal) {
			t.Fatal("other sound than was sent")
		}
		if want := shown[0] & clockMask; max(u.pts-want, want-u.pts) > 2*90 {
			t.Errorf("sound at %d, want %d", u.pts, want)
		}
		frames, shown = frames[len(u.data):], shown[len(u.data):]
	}
	if len(frames) > 0 {
		t.Errorf("%d frames of sound are missing", len(frames))
	}
}

// Each elementary stream begins with a discontinuity indicator, and nothing else has one.
func TestContinuityBeginsAnew(t *testing.T) {
	s := newStudio(t)
	k := s.clip("ffmpeg-h264-aac")[1]
	got, err := New(Options{Source: s}).Segment(t.Context(), k.Stored, 0, TS, k.Producer)
	if err != nil {
		t.Fatal(err)
	}
	marks := map[int]int{}
	for b := contents(t, got); len(b) > 0; b = b[packetSize:] {
		if b[3]&0x20 != 0 && b[4] > 0 && b[5]&0x80 != 0 {
			marks[int(b[1]&0x1F)<<8|int(b[2])]++
		}
	}
	if len(marks) != 2 || marks[256] != 1 || marks[257] != 1 {
		t.Errorf("marks %v", marks)
	}
}
