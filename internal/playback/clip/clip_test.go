package clip

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/Eyevinn/mp4ff/mp4"
	other "github.com/abema/go-mp4"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/mediatest"
	"github.com/millrace/millrace/internal/remux/remuxtest"
)

// whole writes a clip, and checks that any part of it is what it is in the whole.
func whole(t testing.TB, c *Clip) []byte {
	t.Helper()
	var file bytes.Buffer
	var sent int
	if err := c.WriteRange(t.Context(), &file, 0, c.Size(), func(kvs.Fragment) error { sent++; return nil }); err != nil {
		t.Fatal(err)
	}
	if int64(file.Len()) != c.Size() || sent != c.Fragments() {
		t.Fatalf("%d bytes of %d fragments, told were %d of %d", file.Len(), sent, c.Size(), c.Fragments())
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		off := rnd.Int64N(c.Size() + 1)
		size := rnd.Int64N(c.Size()-off+1) >> rnd.IntN(16)
		var b bytes.Buffer
		if err := c.WriteRange(t.Context(), &b, off, size, nil); err != nil || !bytes.Equal(b.Bytes(), file.Bytes()[off:off+size]) {
			t.Errorf("%d bytes from %d: %d came, %v", size, off, b.Len(), err)
		}
	}
	return file.Bytes()
}

// frame is one that a player finds.
type frame struct {
	shown float64 // seconds, in the movie
	key   bool
	entry string // of the sample description
	data  []byte
}

// play returns the frames of each track of a file, in decoding order.
func play(t testing.TB, file []byte) (tracks [][]frame) {
	t.Helper()
	if _, err := other.Probe(bytes.NewReader(file)); err != nil {
		t.Errorf("a second parser: %v", err)
	}
	f, err := mp4.DecodeFile(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	for _, trak := range f.Moov.Traks {
		tracks = append(tracks, playTrack(t, file, trak))
	}
	return tracks
}

func playTrack(t testing.TB, file []byte, trak *mp4.TrakBox) (frames []frame) {
	b := trak.Mdia.Minf.Stbl
	pause := 0.0
	if trak.Edts != nil {
		for _, e := range trak.Edts.Elst[0].Entries {
			if e.MediaTime < 0 {
				pause += float64(e.SegmentDuration) / 90_000
			} else {
				pause -= float64(e.MediaTime) / float64(trak.Mdia.Mdhd.Timescale)
			}
		}
	}
	at, chunk := uint64(0), 0
	for n := uint32(1); n <= b.Stsz.SampleNumber; n++ {
		in, _, err := b.Stsc.ChunkNrFromSampleNr(int(n))
		if err != nil {
			t.Fatal(err)
		}
		if in != chunk {
			chunk = in
			if at, err = b.Stco.GetOffset(in); err != nil {
				t.Fatal(err)
			}
		}
		entry := 0
		if len(b.Stsc.SampleDescriptionID) > 0 {
			entry = int(b.Stsc.SampleDescriptionID[b.Stsc.FindEntryNrForSampleNr(n, 0)]) - 1
		}
		decode, _ := b.Stts.GetDecodeTime(n)
		shown := int64(decode)
		if b.Ctts != nil {
			shown += int64(b.Ctts.GetCompositionTimeOffset(n))
		}
		size := uint64(b.Stsz.GetSampleSize(int(n)))
		frames = append(frames, frame{pause + float64(shown)/float64(trak.Mdia.Mdhd.Timescale),
			b.Stss == nil || b.Stss.IsSyncSample(n), b.Stsd.Children[entry].Type(), file[at : at+size]})
		at += size
	}
	return frames
}

// expect compares a track with the frames of fragments; at says when each begins, in
// seconds.
func expect(t testing.TB, got []frame, number uint64, shots []remuxtest.Fragment, at []float64) {
	t.Helper()
	n := 0
	for i, shot := range shots {
		for _, want := range shot.Frames {
			if want.Track != number {
				continue
			}
			if n == len(got) {
				t.Fatalf("there are %d frames, and more were sent", n)
			}
			f := &got[n]
			if shown := at[i] + want.At.Seconds(); math.Abs(shown-f.shown) > 0.0035 {
				t.Errorf("frame %d of fragment %d is shown at %.4f, want %.4f", n, i, f.shown, shown)
			}
			if !bytes.Equal(f.data, want.Data) {
				t.Errorf("frame %d of fragment %d has other bytes", n, i)
			}
			n++
		}
	}
	if n != len(got) {
		t.Errorf("%d frames, want %d", len(got), n)
	}
}

// begins returns when fragments begin that follow each other.
func begins(shots []remuxtest.Fragment) (at []float64) {
	for i := range shots {
		at = append(at, float64(shots[i].Timecode-shots[0].Timecode)/1000)
	}
	return at
}

// Every shape of file comes out with the frames that went in: H.264, H.265, with and without
// B-frames, with AAC, and the same from cameras that send start codes.
func TestClipsHaveTheFramesThatWereSent(t *testing.T) {
	for _, c := range mediatest.Clips() {
		plain := remuxtest.Cut(t, c.Bytes())
		for name, file := range map[string][]byte{c.Name: c.Bytes(), c.Name + " with start codes": remuxtest.StartCodes(t, c.Bytes())} {
			t.Run(name, func(t *testing.T) {
				s := newStudio(t)
				s.film(file)
				tracks := play(t, whole(t, s.clip(Options{})))
				for i, number := range []uint64{c.VideoTrack, c.AudioTrack} {
					if number == 0 {
						continue
					}
					if c.VideoTrack == 0 {
						i = 0
					}
					expect(t, tracks[i], number, plain, begins(plain))
				}
			})
		}
	}
}

// Gaps on the clock are closed.
func TestFragmentsFollowEachOther(t *testing.T) {
	s := newStudio(t)
	shots := remuxtest.Cut(t, mediatest.Bytes("ffmpeg-h264-bframes"))
	var want []remuxtest.Fragment
	var at []float64
	next := 0.0
	for i := range 8 {
		shot := shots[i%4]
		s.store(shot)
		s.at += 3_600_000
		want, at = append(want, shot), append(at, next)
		next += float64(shot.Length) / 1000
	}
	expect(t, play(t, whole(t, s.clip(Options{})))[0], 1, want, at)
}

// A camera that is set anew sends other private data: another sample description. Another
// codec is another track.
func TestCodecsThatChange(t *testing.T) {
	s := newStudio(t)
	s.film(mediatest.Bytes("ffmpeg-h264"))
	s.film(mediatest.Bytes("gstreamer-h264"))
	s.film(mediatest.Bytes("ffmpeg-h265"))
	s.film(mediatest.Bytes("ffmpeg-h264"))
	file := whole(t, s.clip(Options{}))
	tracks := play(t, file)
	f, _ := mp4.DecodeFile(bytes.NewReader(file))
	if len(tracks) != 2 || len(tracks[0]) != 300 || len(tracks[1]) != 100 {
		t.Fatalf("%d tracks", len(tracks))
	}
	if n := f.Moov.Traks[0].Mdia.Minf.Stbl.Stsd.SampleCount; n != 2 {
		t.Errorf("%d sample descriptions of H.264", n)
	}
	if e := tracks[1][0]; e.entry != "hvc1" || math.Abs(e.shown-8) > 0.1 || !e.key {
		t.Errorf("H.265 begins at %.3f s as %s", e.shown, e.entry)
	}
	if last := tracks[0][299].shown; math.Abs(last-15.96) > 0.2 {
		t.Errorf("the last frame is shown at %.3f s", last)
	}
}

// What was asked for begins in the middle of the first fragment.
func TestAClipThatBeginsWithinAFragment(t *testing.T) {
	s := newStudio(t)
	s.film(mediatest.Bytes("gstreamer-h264-aac"))
	tracks := play(t, whole(t, s.clip(Options{Skip: 300})))
	for i, track := range tracks {
		if math.Abs(track[0].shown+0.3) > 0.05 {
			t.Errorf("track %d begins at %.3f s", i, track[0].shown)
		}
	}
	if a, b := s.clip(Options{Skip: 300}), s.clip(Options{Skip: 301}); a.Tag() == b.Tag() || a.Tag() != s.clip(Options{Skip: 300}).Tag() {
		t.Error("tags do not tell files apart")
	}
}

// A clip of at most so many bytes ends with the last fragment that fits.
func TestLongClipsAreCut(t *testing.T) {
	s := newStudio(t)
	s.film(mediatest.Bytes("ffmpeg-h264"))
	all := s.clip(Options{})
	for most := int64(1); most < 2*all.Size(); most += all.Size() / 7 {
		c := s.clip(Options{MaxBytes: most})
		if c.Fragments() > 1 && c.Size() > most {
			t.Errorf("%d bytes, at most %d were asked for", c.Size(), most)
		}
		play(t, whole(t, c))
	}
	if n := s.clip(Options{MaxBytes: all.Size() + 100_000}).Fragments(); n != 4 {
		t.Errorf("%d of 4 fragments of a clip that fits", n)
	}
}

// Fragments that went while the clip was made are left out; what goes later cuts the
// file, which never lies.
func TestFragmentsThatExpire(t *testing.T) {
	s := newStudio(t)
	s.film(mediatest.Bytes("ffmpeg-h264"))
	rows := s.rows()
	clip := s.clip(Options{Fragments: rows})
	erase := func(f *archive.Stored) {
		r := kvs.TimeRange{Start: f.Producer, End: f.Producer + 1}
		if _, err := s.archive.Erase(t.Context(), stream, archive.Erasure{Clock: kvs.ProducerClock, Range: r, Through: math.MaxInt64}); err != nil {
			t.Fatal(err)
		}
	}
	erase(&rows[2])
	var b bytes.Buffer
	err := clip.WriteRange(t.Context(), &b, 0, clip.Size(), nil)
	if kvs.KindOf(err) != kvs.NotFound || int64(b.Len()) >= clip.Size() {
		t.Errorf("%d of %d bytes, %v", b.Len(), clip.Size(), err)
	}
	play(t, whole(t, s.clip(Options{Fragments: s.rows()})))
	for i := range rows {
		erase(&rows[i])
	}
	if _, err := Open(t.Context(), Options{Archive: s.archive, Fragments: rows}); err == nil || kvs.KindOf(err) != kvs.NotFound {
		t.Errorf("of nothing: %v", err)
	}
	if _, err := Open(t.Context(), Options{Archive: s.archive}); kvs.KindOf(err) != kvs.NotFound {
		t.Errorf("of no rows: %v", err)
	}
}

// A consumer that goes away ends the reading.
func TestAConsumerThatGoes(t *testing.T) {
	s := newStudio(t)
	s.film(mediatest.Bytes("ffmpeg-h264"))
	c := s.clip(Options{})
	gone := errors.New("gone")
	for n := range 6 {
		w := &failing{left: n, err: gone}
		if err := c.WriteRange(t.Context(), w, 0, c.Size(), nil); n < 4 && err != gone {
			t.Errorf("after %d writes: %v", n, err)
		}
	}
	if err := c.WriteRange(t.Context(), &failing{left: 99}, 0, c.Size(), func(f kvs.Fragment) error {
		if f.Number.N == 3 {
			return gone
		}
		return nil
	}); err != gone {
		t.Error(err)
	}
}

type failing struct {
	left int
	err  error
}

func (w *failing) Write(p []byte) (int, error) {
	if w.left--; w.left < 0 {
		return 0, w.err
	}
	return len(p), nil
}

// A producer whose frames are not what its header says is told before the file begins.
func TestFramesThatAreNone(t *testing.T) {
	s := newStudio(t)
	for _, shot := range remuxtest.Cut(t, mediatest.Bytes("ffmpeg-h264")) {
		at := bytes.Index(shot.Body, shot.Frames[0].Data)
		shot.Body = bytes.Clone(shot.Body)
		copy(shot.Body[at:], "\xFF\xFF\xFF\xFF")
		s.store(shot)
		s.at += kvs.Millis(shot.Length)
	}
	_, err := Open(t.Context(), Options{Archive: s.archive, Fragments: s.rows()})
	if err == nil || kvs.KindOf(err) != kvs.InvalidFrame || !strings.Contains(err.Error(), "track 1") {
		t.Error(err)
	}
}
