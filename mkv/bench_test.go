package mkv_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/at-wat/ebml-go"

	"github.com/millrace/millrace/mkv"
)

// video is video of 4 Mbit/s as the producer SDK sends it: 25 frames of about
// 20 KB in a second, a cluster of two seconds, n clusters.
func video(n int) (doc []byte, frames int) {
	doc = mkv.AppendTracks(mkv.AppendInfo(cat(ebmlHeader(1, 2), open(mkv.IDSegment, 1)), someInfo), someTracks)
	data := frame(1, 20_000)
	for c := range n {
		doc = mkv.AppendClusterUnknown(doc, uint64(c)*2000)
		for i := range 50 {
			doc = mkv.AppendSimpleBlock(doc, mkv.BlockHeader{Track: 1, Time: int16(i * 40), Key: i == 0}, data)
			frames++
		}
	}
	return doc, frames
}

// BenchmarkReader reads video; compare with BenchmarkCopy.
func BenchmarkReader(b *testing.B) {
	doc, frames := video(5)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		r := mkv.NewReader(bytes.NewReader(doc), mkv.Options{})
		n := 0
		for {
			it, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
			if it.Kind == mkv.Block {
				n++
			}
		}
		if n != frames {
			b.Fatal(n)
		}
	}
}

// BenchmarkCopy is the least that reading through a buffer costs: the bytes
// pass through 16 KiB and nobody looks at them.
func BenchmarkCopy(b *testing.B) {
	doc, _ := video(5)
	buf := make([]byte, 16<<10)
	b.SetBytes(int64(len(doc)))
	for b.Loop() {
		r := bytes.NewReader(doc)
		for {
			if _, err := r.Read(buf); err == io.EOF {
				break
			}
		}
	}
}

// BenchmarkFrames reads video and puts whole frames together.
func BenchmarkFrames(b *testing.B) {
	doc, _ := video(5)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		f := mkv.NewFrames(mkv.NewReader(bytes.NewReader(doc), mkv.Options{}))
		for {
			if _, err := f.Next(); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkEBMLGo reads the same video with the library of the second opinion.
func BenchmarkEBMLGo(b *testing.B) {
	doc, _ := video(5)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		var d theirs
		if err := ebml.Unmarshal(bytes.NewReader(doc), &d); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSmallBlocks reads audio: blocks of 200 bytes.
func BenchmarkSmallBlocks(b *testing.B) {
	doc := cat(inCluster, bytes.Repeat(simple(8, 1, 0, 0x80, frame(1, 200)), 5000))
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		r := mkv.NewReader(bytes.NewReader(doc), mkv.Options{})
		for {
			if _, err := r.Next(); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
}

// TestNoAllocations: frames cost no allocation, neither read, nor put
// together, nor written.
func TestNoAllocations(t *testing.T) {
	doc, _ := video(3)
	laces := mkv.AppendLacedBlock(nil, mkv.BlockHeader{Track: 1, Lacing: mkv.EBMLLacing}, [][]byte{frame(1, 30), frame(2, 40), frame(3, 50)})
	doc = cat(doc, laces, mkv.AppendBlockGroup(nil, mkv.BlockHeader{Track: 1}, 40, -40, frame(4, 9000)))
	loop := &loop{doc: doc, from: bytes.Index(doc, id(mkv.IDCluster))}
	f := mkv.NewFrames(mkv.NewReader(loop, mkv.Options{}))
	next := func() {
		if _, err := f.Next(); err != nil {
			t.Fatal(err)
		}
	}
	for range 500 {
		next()
	}
	if n := testing.AllocsPerRun(2000, next); n != 0 {
		t.Errorf("%v allocations per frame read", n)
	}
	out := make([]byte, 0, 64<<10)
	data := frame(1, 20_000)
	tags := []mkv.Tag{{Simple: []mkv.SimpleTag{{Name: "a", Value: "b"}}}}
	if n := testing.AllocsPerRun(1000, func() {
		b := mkv.AppendTags(mkv.AppendSegmentUnknown(out), tags)
		b = mkv.AppendClusterUnknown(b, 12)
		b = mkv.AppendSimpleBlock(b, mkv.BlockHeader{Track: 1}, data)
		b = mkv.AppendBlockGroup(b, mkv.BlockHeader{Track: 1}, 4, -4, data)
		mkv.AppendVoid(b, 1000)
	}); n != 0 {
		t.Errorf("%v allocations per chunk written", n)
	}
	w := mkv.NewWriter(io.Discard)
	if n := testing.AllocsPerRun(1000, func() { _ = w.SimpleBlock(mkv.BlockHeader{Track: 1}, data) }); n != 0 {
		t.Errorf("%v allocations per frame written", n)
	}
}

// loop gives a document whose clusters never end.
type loop struct {
	doc      []byte
	at, from int
}

func (l *loop) Read(p []byte) (int, error) {
	if l.at == len(l.doc) {
		l.at = l.from
	}
	n := copy(p, l.doc[l.at:])
	l.at += n
	return n, nil
}
