package cut

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/mediatest"
	"github.com/millrace/millrace/internal/mp4"
	"github.com/millrace/millrace/internal/remux"
	"github.com/millrace/millrace/internal/remux/remuxtest"
	"github.com/millrace/millrace/mkv"
)

// footage is two seconds of a camera that sends so many bits a second: 50 pictures with
// two NAL units and the sound of ffmpeg-h264-aac, with start codes or lengths.
func footage(b testing.TB, bits int, startCodes bool) *remuxtest.Fragment {
	b.Helper()
	r := mkv.NewReader(mediatest.Open("ffmpeg-h264-aac"), mkv.Options{})
	var tracks []mkv.Track
	for tracks == nil {
		it, err := r.Next()
		if err != nil {
			b.Fatal(err)
		}
		tracks = it.Tracks
	}
	file := mkv.AppendTracks(mkv.AppendSegmentUnknown(mkv.AppendEBML(nil, mkv.Header{})), tracks)
	file = mkv.AppendClusterUnknown(file, 1000)
	rnd := rand.New(rand.NewPCG(1, 2))
	const pictures = 50
	for i := range pictures {
		var frame []byte
		for unit := range 2 {
			frame = binary.BigEndian.AppendUint32(frame, uint32(bits/8*2/pictures/2))
			frame = append(frame, byte(0x61+4*unit))
			for range bits/8*2/pictures/2 - 1 {
				next := byte(rnd.Uint32())
				if frame[len(frame)-1] == 0 { // start codes are in front only
					next |= 4
				}
				frame = append(frame, next)
			}
		}
		file = mkv.AppendSimpleBlock(file, mkv.BlockHeader{Track: 1, Time: int16(40 * i), Key: i == 0}, frame)
		file = mkv.AppendSimpleBlock(file, mkv.BlockHeader{Track: 2, Time: int16(40 * i), Key: true}, frame[:300])
	}
	if startCodes {
		file = remuxtest.StartCodes(b, file)
	}
	return &remuxtest.Cut(b, file)[0]
}

// BenchmarkRemux makes fMP4 of a fragment in memory: samples, head and payload. Below are the
// same with reading and unsealing.
func BenchmarkRemux(b *testing.B) {
	for _, mode := range []string{"lengths", "startcodes"} {
		for _, megabits := range []int{1, 8, 40} {
			b.Run(fmt.Sprintf("%s/%dMbit", mode, megabits), func(b *testing.B) {
				f := footage(b, megabits*1_000_000, mode == "startcodes")
				tracks, err := codec.Tracks(f.Header)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(f.Body)))
				b.ReportAllocs()
				var head, out []byte
				var samples []mp4.Sample
				for b.Loop() {
					g, err := remux.Open(remux.Source{Table: f.Table, Body: bytes.NewReader(f.Body), Size: int64(len(f.Body)), Length: f.Length, Tracks: tracks})
					if err != nil {
						b.Fatal(err)
					}
					p, err := g.Samples(samples, 1)
					if err != nil {
						b.Fatal(err)
					}
					head, _ = mp4.AppendHead(head[:0], 1, 0, p.Samples)
					if out, err = g.AppendPayload(out[:0], 1); err != nil {
						b.Fatal(err)
					}
					samples = p.Samples
					g.Close()
				}
			})
		}
	}
}

// benchmarkCut cuts a stored fragment of 8 Mbit/s again and again.
func benchmarkCut(b *testing.B, kind Container) {
	s := newStudio(b)
	f := footage(b, 8_000_000, false)
	k := s.store(f, begin)
	c := New(Options{Source: s, Cache: -1})
	b.SetBytes(int64(len(f.Body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Segment(b.Context(), k.Stored, 1, kind, begin); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCutFMP4(b *testing.B) { benchmarkCut(b, FMP4) }
func BenchmarkCutTS(b *testing.B)   { benchmarkCut(b, TS) }

// BenchmarkSegmentCached sends a segment that is there already.
func BenchmarkSegmentCached(b *testing.B) {
	s := newStudio(b)
	f := footage(b, 8_000_000, false)
	k := s.store(f, begin)
	c := New(Options{Source: s})
	b.SetBytes(int64(len(f.Body)))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			got, err := c.Segment(b.Context(), k.Stored, 1, FMP4, begin)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := got.Reader().(io.WriterTo).WriteTo(io.Discard); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkSegmentLent does the same within a bound of memory, as the server does.
func BenchmarkSegmentLent(b *testing.B) {
	s := newStudio(b)
	f := footage(b, 8_000_000, false)
	k := s.store(f, begin)
	c := New(Options{Source: s, Memory: &purse{has: 100 << 20}})
	b.SetBytes(int64(len(f.Body)))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			got, err := c.Lend(b.Context(), k.Stored, 1, FMP4, begin, 0)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := got.Reader().(io.WriterTo).WriteTo(io.Discard); err != nil {
				b.Fatal(err)
			}
			got.Close()
		}
	})
}
