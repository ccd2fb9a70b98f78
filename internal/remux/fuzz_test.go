package remux

import (
	"bytes"
	"testing"

	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/remux/remuxtest"
	"github.com/millrace/millrace/mkv"
)

// known reports whether an error is one that callers expect of media.
func known(err error) bool {
	switch kvs.KindOf(err) {
	case kvs.InvalidFrame, kvs.UnsupportedMedia, kvs.MissingPrivateData, kvs.InvalidPrivateData:
		return true
	}
	return err == nil
}

// FuzzFragment: any table over any body gives samples and a payload that agree, or an
// error of media. So does any body without a table.
func FuzzFragment(f *testing.F) {
	tracks := studio(f)
	blocks := [][]byte{
		block(1, 0, true, []byte{0, 0, 0, 2, 0x65, 1, 0, 0, 0, 1, 6}), block(1, 80, false, []byte{0, 0, 0, 1, 1}), block(1, 40, false, []byte{0, 0, 0, 1, 1}),
		block(2, 5, true, []byte{1, 2}), block(3, -5, true, nil), block(3, 9, true, []byte{1}), block(4, 0, true, []byte{1, 2, 3, 4}),
		mkv.AppendLacedBlock(nil, mkv.BlockHeader{Track: 5, Lacing: mkv.EBMLLacing}, [][]byte{{1, 2}, {1, 2, 3, 4}, {5, 6}}),
		mkv.AppendBlockGroup(nil, mkv.BlockHeader{Track: 2, Time: 27}, 21, -5, []byte{1}),
	}
	plain := document(tracks, blocks...)
	for _, file := range [][]byte{plain, remuxtest.StartCodes(f, plain)} {
		made := remuxtest.Cut(f, file)[0]
		f.Add(made.Header, made.Table, made.Body, made.Length)
		f.Add(made.Header, []byte(nil), made.Body, int64(-7))
	}
	f.Fuzz(func(t *testing.T, header, table, body []byte, length int64) {
		tracks, err := codec.Tracks(header)
		if err != nil {
			return
		}
		g, err := Open(Source{Table: table, Header: header, Body: bytes.NewReader(body), Size: int64(len(body)), Length: length, Tracks: tracks})
		if err != nil {
			if !known(err) {
				t.Fatal(err)
			}
			return
		}
		defer g.Close()
		for i := range tracks {
			try(t, g, tracks[i].Number)
		}
	})
}

// try asks for all that a track has.
func try(t *testing.T, g *Fragment, number uint64) {
	p, err := g.Samples(nil, number)
	if err != nil {
		if !known(err) {
			t.Fatal(err)
		}
		return
	}
	var size, lasts int64
	for i, s := range p.Samples {
		size, lasts = size+int64(s.Size), lasts+int64(s.Duration)
		if s.Duration == 0 || s.Size == 0 || i == 0 && !s.Key {
			t.Fatalf("sample %d is %+v", i, s)
		}
	}
	if size != p.Bytes || lasts != p.Length {
		t.Fatalf("%d bytes, %d units; the sums are %d and %d", p.Bytes, p.Length, size, lasts)
	}
	if size > 1<<26 { // nothing of that size can come of a body here
		t.Fatalf("%d bytes", size)
	}
	payload, err := g.AppendPayload(nil, number)
	if !known(err) || err == nil && int64(len(payload)) != p.Bytes {
		t.Fatalf("%d bytes of payload, want %d: %v", len(payload), p.Bytes, err)
	}
}
