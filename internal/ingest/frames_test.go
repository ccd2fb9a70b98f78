package ingest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/frames"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/mkv"
)

// table writes the frame table of the only fragment, times in milliseconds.
func (s *studio) table() (rows []string) {
	s.t.Helper()
	r := s.shelf.all()[0]
	for f, err := range frames.Decode(r.Frames, int64(len(r.body))) {
		if err != nil {
			s.t.Fatal(err)
		}
		key := ""
		if f.Key {
			key = " key"
		}
		rows = append(rows, fmt.Sprintf("%d: %d>%d @%g/%g%s", f.Track, f.Length, f.Converted,
			float64(f.Presentation)/float64(time.Millisecond), float64(f.Decode)/float64(time.Millisecond), key))
	}
	return rows
}

// What stands beside a block in its group, or in the header, reaches the table.
func TestFrameTables(t *testing.T) {
	coded := videoTrack
	coded.CodecPrivate = []byte{0, 0, 0, 1, 0x67, 0x42}
	opus := mkv.Track{Number: 2, UID: 2, Type: mkv.AudioTrack, CodecID: "A_OPUS"}
	aac := mkv.Track{Number: 2, UID: 2, Type: mkv.AudioTrack, CodecID: "A_AAC", Audio: &mkv.Audio{SamplingFrequency: 16000}}
	laced := func(track uint64, time int16, frames int) []byte {
		all := slices.Repeat([][]byte{{15 << 3, 1, 2}}, frames)
		return mkv.AppendLacedBlock(nil, mkv.BlockHeader{Track: track, Time: time, Key: true, Lacing: mkv.XiphLacing}, all)
	}
	// A BlockGroup of a Block with two frames, and what stands around it.
	lace := []byte{0x82, 0, 40, byte(mkv.FixedLacing) << 1, 1, 5, 5, 6, 6}
	element := func(id uint32, b ...byte) []byte { return mkv.AppendElement(nil, id, b) }
	group := func(parts ...[]byte) []byte { return element(mkv.IDBlockGroup, slices.Concat(parts...)...) }
	block := element(mkv.IDBlock, lace...)
	lasts, refers := element(mkv.IDBlockDuration, 25), element(mkv.IDReferenceBlock, 0xD8)
	coding := func(time int16, b ...byte) []byte {
		return mkv.AppendSimpleBlock(nil, mkv.BlockHeader{Track: 1, Time: time}, b)
	}
	for _, test := range []struct {
		name   string
		scale  uint64
		tracks []mkv.Track
		blocks [][]byte
		want   []string
	}{
		{"B-frames", 0, []mkv.Track{videoTrack}, [][]byte{at(0), at(80), at(40)}, []string{"1: 100>100 @0/0 key", "1: 100>100 @80/40", "1: 100>100 @40/80"}},
		{"a finer clock", 20_833, []mkv.Track{videoTrack}, [][]byte{at(0), at(960)}, []string{"1: 100>100 @0/0 key", "1: 100>100 @20/20"}},
		{"start codes", 0, []mkv.Track{coded}, [][]byte{coding(0, 0, 0, 0, 1, 9, 0, 0, 1, 0x65, 4), coding(40, 0, 0, 1, 9, 8, 0)},
			[]string{"1: 10>11 @0/0", "1: 6>6 @40/40"}},
		{"a lace of Opus", 0, []mkv.Track{videoTrack, opus}, [][]byte{at(0), laced(2, 0, 3)},
			[]string{"1: 100>100 @0/0 key", "2: 3>3 @0/0 key", "2: 3>3 @20/20 key", "2: 3>3 @40/40 key"}},
		{"duration in front, reference behind", 0, []mkv.Track{aac}, [][]byte{group(lasts, block, refers)}, []string{"2: 2>2 @40/40", "2: 2>2 @52.5/52.5"}},
		{"duration behind, reference in front", 0, []mkv.Track{aac}, [][]byte{group(refers, block, lasts)}, []string{"2: 2>2 @40/40", "2: 2>2 @52.5/52.5"}},
		{"neither", 0, []mkv.Track{aac}, [][]byte{group(block)}, []string{"2: 2>2 @40/40 key", "2: 2>2 @104/104 key"}},
		{"a group does not change the one before", 0, []mkv.Track{aac}, [][]byte{group(block), group(lasts, refers)}, []string{"2: 2>2 @40/40 key", "2: 2>2 @104/104 key"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, piece := range []int{0, 1} {
				s := newStudio(t, quota.Open)
				body := newScript(headOf(otherApp, test.scale, test.tracks...), unknown(0, test.blocks...))
				body.piece = piece
				s.putCtx(t.Context(), Request{Stream: s.stream(24)}, body, &ledger{t: t}).want("b1@0 r1@0 p1@0", 0)
				if diff := cmp.Diff(test.want, s.table()); diff != "" {
					t.Errorf("pieces of %d: %s", piece, diff)
				}
			}
		})
	}
}

// Many tiny frames are stored as they are, without a table that nobody pays for.
func TestAFragmentOfTinyFramesHasNoTable(t *testing.T) {
	s := newStudio(t, quota.Open)
	s.put(s.stream(24), head(otherApp), unknown(0, slices.Repeat([][]byte{frame(1, 0, 0)}, 4000)...)).want("b1@0 r1@0 p1@0", 0)
	r := s.shelf.all()[0]
	if len(r.Frames) != 0 || r.Tracks[0].Frames != 4000 {
		t.Errorf("%d bytes, %+v", len(r.Frames), r.Tracks)
	}
}
