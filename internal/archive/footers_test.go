package archive

import (
	"bytes"
	"context"
	"path/filepath"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// footed writes a sealed segment of fragments of two seconds and 250 KB: head, footer and
// end record around a hole. It returns where the footer begins.
func footed(tb testing.TB, dir string, id, fragments int64) (footer int64) {
	tb.Helper()
	h := segment.Head{Version: segment.Version, ID: id, Salt: uint64(id), Created: 1, Class: segment.Classes - 1}
	f, err := disk.System{}.Create(filepath.Join(dir, segment.FileName(id)))
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	rec := segment.Record{Kind: segment.FragmentRecord, Body: 250_000, FrameTable: 1200, Header: segment.HeadSize, Key: 1,
		Facts: segment.Facts{Changes: 1, Tracks: []segment.Track{{Number: 1, Frames: 50, Bytes: 200_000, Fingerprint: 1}, {Number: 2, Frames: 94, Bytes: 12_000, Fingerprint: 2}}}}
	at := int64(segment.HeadSize + 1000)
	var entries, head []byte
	for i := range fragments {
		n := id*fragments + i
		rec.Fragment = kvs.Fragment{Stream: kvs.StreamID(n%100 + 1), Producer: kvs.Millis(n * 20), Duration: 2000, Size: 250_000,
			Number: kvs.FragmentNumber{N: n/100 + 1, Server: kvs.Millis(n * 20), Random: 1}}
		rec.Facts.LiveSeq, rec.Facts.Millis = n/100+1, n/100*2000
		head = rec.Append(head[:0], h.Salt, at)
		entries = segment.AppendFooterEntry(entries, at, head)
		at += rec.Size()
	}
	w := segment.NewFooter(f, h, at)
	err = w.Add(entries)
	if err == nil {
		_, err = w.Close()
	}
	if err == nil {
		err = f.Write([][]byte{h.Encode()}, 0)
	}
	if err == nil {
		err = f.Sync() // it is old: a start need not wait for its bytes
	}
	if err != nil {
		tb.Fatal(err)
	}
	return at
}

// gauge counts what is read, and what of it is neither a segment's head nor its footer.
type gauge struct {
	disk.FS
	footer      int64
	read, media atomic.Int64
}

func (g *gauge) Open(name string) (disk.File, error) {
	f, err := g.FS.Open(name)
	if err != nil || filepath.Ext(name) != ".seg" {
		return f, err
	}
	return gauged{f, g}, nil
}

type gauged struct {
	disk.File
	g *gauge
}

func (f gauged) ReadAt(p []byte, off int64) (int, error) {
	f.g.read.Add(int64(len(p)))
	if off+int64(len(p)) > segment.HeadSize && off < f.g.footer {
		f.g.media.Add(min(off+int64(len(p)), f.g.footer) - max(off, segment.HeadSize))
	}
	return f.File.ReadAt(p, off)
}

// Holes hides that the media are holes to save room.
func (f gauged) Holes() (disk.Holes, error) { return nil, nil }

// loseIndex opens an archive that has lost its index.
func loseIndex(tb testing.TB, segments, each int64) (g *gauge, took time.Duration) {
	tb.Helper()
	dir := tb.TempDir()
	if err := (disk.System{}).MakeDir(filepath.Join(dir, "segments")); err != nil {
		tb.Fatal(err)
	}
	g = &gauge{FS: disk.System{}}
	for id := range segments {
		g.footer = footed(tb, filepath.Join(dir, "segments"), id+1, each)
	}
	start := time.Now()
	a := open(tb, Options{Dir: dir, Disk: g})
	took = time.Since(start)
	s, err := a.Stats(context.Background())
	if err != nil || s.Fragments != segments*each {
		tb.Errorf("%+v, %v", s, err)
	}
	if err := a.Close(); err != nil {
		tb.Error(err)
	}
	return g, took
}

// A lost index is made again without a look at media.
func TestARebuildReadsHeadsAndFootersOnly(t *testing.T) {
	g, _ := loseIndex(t, 3, 700)
	if n := g.media.Load(); n > 0 {
		t.Errorf("%d bytes of media were read", n)
	}
	// A row's head and facts have 208 bytes; they are read twice, to see first whether the
	// footer is whole.
	if n := g.read.Load(); n > 3*(2*700*(8+208)+4096) {
		t.Errorf("%d bytes were read", n)
	}
}

// BenchmarkLostIndex makes an index of a million rows again.
func BenchmarkLostIndex(b *testing.B) {
	const segments, each, goal = 1000, 1000, time.Minute
	for b.Loop() {
		g, took := loseIndex(b, segments, each)
		b.ReportMetric(took.Seconds(), "s")
		b.ReportMetric(float64(g.read.Load())/1e6, "MB-read")
		b.ReportMetric(float64(g.media.Load()), "B-media-read")
		if took > goal || g.media.Load() > 0 {
			b.Errorf("GOAL MISSED: %v and %d bytes of media, less than %v and none are wanted", took, g.media.Load(), goal)
		}
	}
}

// writes keeps what is written of a file.
type writes struct {
	disk.File
	at map[int64][]byte
}

func (w writes) Write(pieces [][]byte, off int64) error {
	w.at[off] = bytes.Join(pieces, nil)
	return nil
}

// The footer of what was remembered is the one of what is read again, and a segment with
// too many fragments to remember is read again.
func TestAFooterIsRememberedOrReadAgain(t *testing.T) {
	a := start(t, Options{Dir: t.TempDir()})
	for n := range int64(40) {
		rec := sample(kvs.StreamID(1+n%3), 1+n/3, int(n*997))
		rec.Tracks = []segment.Track{{Number: 1, Frames: uint32(n), Bytes: n * 900}}
		a.mustStore(rec, sample(7, n+1, 10))
	}
	if err := a.store(sample(7, 3, 10)); err == nil {
		t.Error("a number was stored twice")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.open[shelfOf(classOf(24), 0)]
	var footers [2]writes
	for i, listed := range [][]byte{s.listed, nil} {
		footers[i] = writes{s.f, make(map[int64][]byte)}
		of := *s
		of.f, of.listed = footers[i], listed
		size, err := of.footer()
		if err != nil || size <= s.end {
			t.Fatalf("%d bytes, %v", size, err)
		}
	}
	if len(s.listed) < 80*segment.RecordHeadSize {
		t.Errorf("%d bytes are remembered", len(s.listed))
	}
	if !reflect.DeepEqual(footers[0].at, footers[1].at) {
		t.Error("they differ")
	}

	crowded := active{listed: make([]byte, maxListed+1)}
	if crowded.list(make([]*pending, 1)); crowded.listed != nil {
		t.Error("it remembers more and more")
	}
}
