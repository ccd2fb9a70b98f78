package mkv_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/millrace/millrace/mkv"
)

// reading is what a Reader made of an input: its elements with the pieces put
// together, the bytes it handed on, and its last word.
type reading struct {
	elements []string
	raw      []byte
	offset   int64
	err      error
}

// read takes everything out of a Reader and checks what must hold for each
// item whatever the input.
func read(t testing.TB, src io.Reader, o mkv.Options) reading {
	t.Helper()
	var got reading
	more := false
	r := mkv.NewReader(src, o)
	for {
		it, err := r.Next()
		if err != nil {
			got.offset, got.err = r.Offset(), err
			return got
		}
		if it.Cont != more {
			t.Fatalf("byte %d: Cont is %t after an item with More %t", it.Offset, it.Cont, more)
		}
		if it.Offset != int64(len(got.raw)) || r.Offset() != it.Offset+int64(len(it.Raw)) {
			t.Fatalf("byte %d: item of %d bytes after %d bytes, Offset is %d", it.Offset, len(it.Raw), len(got.raw), r.Offset())
		}
		if len(it.Raw) == 0 {
			t.Fatalf("byte %d: item without bytes", it.Offset)
		}
		more = it.More
		got.raw = append(got.raw, it.Raw...)
		if !it.Cont {
			got.elements = append(got.elements, "")
		}
		got.note(it)
	}
}

// note keeps of an item what does not depend on how its element was cut.
func (g *reading) note(it *mkv.Item) {
	last := &g.elements[len(g.elements)-1]
	if it.Cont {
		*last = strings.TrimSuffix(*last, " cut")
	} else {
		whole := *it
		whole.GroupEnd, whole.ClusterEnd = false, false
		*last = describe(&whole)
	}
	if it.More {
		*last += " cut"
	} else if it.GroupEnd || it.ClusterEnd {
		*last += fmt.Sprint(" ends", it.GroupEnd, it.ClusterEnd)
	}
}

// same fails when two readings of one input differ in more than the pieces.
func same(t testing.TB, how string, a, b reading) {
	t.Helper()
	if !bytes.Equal(a.raw, b.raw) {
		t.Fatalf("%s: other bytes: %d and %d", how, len(a.raw), len(b.raw))
	}
	if len(a.elements) != len(b.elements) {
		t.Fatalf("%s: %d elements and %d", how, len(a.elements), len(b.elements))
	}
	for i := range a.elements {
		if a.elements[i] != b.elements[i] {
			t.Fatalf("%s: element %d:\n%s\n%s", how, i, a.elements[i], b.elements[i])
		}
	}
	if fmt.Sprint(a.err) != fmt.Sprint(b.err) || a.offset != b.offset {
		t.Fatalf("%s: error %v at %d and %v at %d", how, a.err, a.offset, b.err, b.offset)
	}
}

func TestRawIsTheInput(t *testing.T) {
	for _, s := range shapes() {
		t.Run(s.name, func(t *testing.T) {
			want := read(t, bytes.NewReader(s.doc), mkv.Options{})
			if want.err != io.EOF || !bytes.Equal(want.raw, s.doc) {
				t.Fatalf("error %v, %d of %d bytes", want.err, len(want.raw), len(s.doc))
			}
			same(t, "byte by byte", want, read(t, iotest.OneByteReader(bytes.NewReader(s.doc)), mkv.Options{}))
			same(t, "halves", want, read(t, iotest.HalfReader(bytes.NewReader(s.doc)), mkv.Options{}))
			same(t, "error with data", want, read(t, iotest.DataErrReader(bytes.NewReader(s.doc)), mkv.Options{}))
			same(t, "smallest buffer", want, read(t, bytes.NewReader(s.doc), mkv.Options{Buffer: 1}))
		})
	}
}

// TestNothingIsHeldBack cuts each document at every byte and lets the source
// fail there: all that can be handed on must have been handed on before.
func TestNothingIsHeldBack(t *testing.T) {
	for _, s := range shapes() {
		t.Run(s.name, func(t *testing.T) {
			firm := firmBytes(t, s.doc)
			for cut := range s.doc {
				got := read(t, &source{s.doc[:cut], errNotYet}, mkv.Options{})
				if !errors.Is(got.err, errNotYet) {
					t.Fatalf("cut at %d: %v", cut, got.err)
				}
				if got.offset != firm[cut] {
					t.Fatalf("cut at %d: handed on %d bytes, could have been %d", cut, got.offset, firm[cut])
				}
			}
		})
	}
}

// firmBytes tells for each cut how many bytes a reader can hand on: every byte
// of a block once its lace table is complete and of an element nobody looks
// into once its head is; all other elements only whole.
func firmBytes(t *testing.T, doc []byte) []int64 {
	firm := make([]int64, len(doc)+1)
	r := mkv.NewReader(bytes.NewReader(doc), mkv.Options{Buffer: len(doc)})
	for {
		it, err := r.Next()
		if err == io.EOF {
			return firm
		}
		if err != nil {
			t.Fatal(err)
		}
		head := len(it.Raw)
		switch it.Kind {
		case mkv.Block:
			head = it.Block.HeaderLen
		case mkv.Other:
			head -= int(it.Size)
		}
		for i := range it.Raw {
			firm[int(it.Offset)+i] = it.Offset
			if i >= head {
				firm[int(it.Offset)+i] += int64(i)
			}
		}
	}
}

func TestEndInsideIsUnexpected(t *testing.T) {
	doc := fileDocument()
	doc = doc[:len(doc)-5] // without the Void behind the Segment
	for cut := 1; cut < len(doc); cut++ {
		got := read(t, bytes.NewReader(doc[:cut]), mkv.Options{})
		if cut == 40 { // between EBML header and Segment
			if got.err != io.EOF {
				t.Fatalf("cut at %d: %v", cut, got.err)
			}
			continue
		}
		if !errors.Is(got.err, io.ErrUnexpectedEOF) || !strings.Contains(got.err.Error(), fmt.Sprintf("byte %d:", cut)) {
			t.Fatalf("cut at %d: %v", cut, got.err)
		}
	}
}

func TestErrorsAreFinal(t *testing.T) {
	r := mkv.NewReader(strings.NewReader("no Matroska"), mkv.Options{})
	_, first := r.Next()
	_, second := r.Next()
	var syntax *mkv.SyntaxError
	if !errors.As(first, &syntax) || first != second {
		t.Fatalf("%v, then %v", first, second)
	}
}

// badSource breaks the contract of io.Reader in one of two ways.
type badSource struct{ n int }

func (s badSource) Read(p []byte) (int, error) { return s.n, nil }

func TestBadSources(t *testing.T) {
	if got := read(t, badSource{0}, mkv.Options{}); !errors.Is(got.err, io.ErrNoProgress) {
		t.Errorf("a source that gives nothing: %v", got.err)
	}
	for _, n := range []int{-1, 1 << 30} {
		if got := read(t, badSource{n}, mkv.Options{}); got.err == nil || !strings.Contains(got.err.Error(), "impossible") {
			t.Errorf("a source that says %d: %v", n, got.err)
		}
	}
}

// claims is a source that begins with a head and goes on with zeros for ever.
type claims struct {
	head  []byte
	given int64
}

func (c *claims) Read(p []byte) (int, error) {
	n := copy(p, c.head)
	c.head = c.head[n:]
	clear(p[n:])
	c.given += int64(len(p))
	return len(p), nil
}

// TestMemoryFollowsNoClaim reads elements that claim to be huge. Those nobody
// looks into pass through the fixed buffer; the others are refused at once.
func TestMemoryFollowsNoClaim(t *testing.T) {
	start := cat(ebmlHeader(1, 2), open(mkv.IDSegment, 8))
	void := cat(id(mkv.IDVoid), size(8, math.MaxInt64>>8))
	src := &claims{head: cat(start, void)}
	r := mkv.NewReader(src, mkv.Options{})
	allocs := testing.AllocsPerRun(1000, func() {
		it, err := r.Next()
		if err != nil || len(it.Raw) > 16<<10 {
			t.Fatalf("%d bytes, %v", len(it.Raw), err)
		}
	})
	if allocs > 0.1 {
		t.Errorf("%v allocations per piece", allocs)
	}
	for _, elementID := range []uint32{mkv.IDInfo, mkv.IDTracks, mkv.IDTags, mkv.IDEBML} {
		src := &claims{head: cat(ebmlHeader(1, 2), open(mkv.IDSegment, 8), id(elementID), size(8, 1<<40))}
		got := read(t, src, mkv.Options{})
		var syntax *mkv.SyntaxError
		if !errors.As(got.err, &syntax) || src.given > 64<<10 {
			t.Errorf("%X: %v after %d bytes", elementID, got.err, src.given)
		}
	}
}

func TestManyHeaders(t *testing.T) {
	one := cat(el(mkv.IDInfo, 1), picTag("a", "b"), el(mkv.IDTracks, 1))
	const times = 3000
	doc := cat(ebmlHeader(1, 2), open(mkv.IDSegment, 8), bytes.Repeat(one, times))
	got := read(t, bytes.NewReader(doc), mkv.Options{})
	if got.err != io.EOF || len(got.elements) != 2+3*times {
		t.Fatalf("%d elements, %v", len(got.elements), got.err)
	}
}

// TestLargeHeader reads a Tracks larger than the buffer, then blocks through
// the small one again.
func TestLargeHeader(t *testing.T) {
	private := frame(1, 100_000)
	track := el(0xAE, 4, el(0xD7, 1, num(1, 1)), el(0x63A2, 4, private))
	doc := cat(ebmlHeader(1, 2), open(mkv.IDSegment, 8), el(mkv.IDTracks, 4, track), open(mkv.IDCluster, 1), el(0xE7, 1, num(1, 0)),
		simple(4, 1, 0, 0x80, frame(2, 50_000)))
	r := mkv.NewReader(bytes.NewReader(doc), mkv.Options{Buffer: 1000})
	longest := 0
	for {
		it, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if it.Kind == mkv.TracksElement && !bytes.Equal(it.Tracks[0].CodecPrivate, private) {
			t.Error("other CodecPrivate")
		}
		if it.Kind == mkv.Block || it.Kind == mkv.BlockData {
			longest = max(longest, len(it.Raw))
		}
	}
	if longest == 0 || longest > 1000 {
		t.Errorf("a piece of %d bytes with a buffer of 1000", longest)
	}
}
