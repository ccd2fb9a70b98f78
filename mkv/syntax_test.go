package mkv_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/millrace/millrace/mkv"
)

var (
	top       = ebmlHeader(1, 2)                                                         // 40 bytes
	inSegment = cat(top, open(mkv.IDSegment, 1))                                         // 45 bytes
	inCluster = cat(inSegment, open(mkv.IDCluster, 1), el(mkv.IDTimecode, 1, []byte{5})) // 53 bytes
)

// fault is a document that is wrong at one byte.
type fault struct {
	name   string
	doc    []byte
	offset int64
	reason string // a part of it
}

func faults() []fault {
	bigTag := bytes.Repeat(el(0x67C8, 1), 5000)
	nested := el(0x67C8, 1)
	for range 20 {
		nested = el(0x67C8, 4, nested)
	}
	track := func(children ...[]byte) []byte { return el(mkv.IDTracks, 4, el(0xAE, 4, children...)) }
	return []fault{
		{"id of 5 bytes", cat(top, []byte{0x08, 0, 0, 0, 0}), 40, "no element id begins with byte 08"},
		{"id of zeros", cat(top, []byte{0x80, 0x80}), 40, "80 is no element id"},
		{"id of ones", cat(top, []byte{0x7F, 0xFF, 0x80}), 40, "7FFF is no element id"},
		{"id too long", cat(top, []byte{0x40, 0x6C, 0x80}), 40, "406C is no element id"},
		{"size of 9 bytes", cat(top, []byte{0xEC, 0}), 41, "longer than 8 bytes"},
		{"no EBML header", el(mkv.IDVoid, 1), 0, "EBML header must come first"},
		{"Segment first", open(mkv.IDSegment, 1), 0, "EBML header must come first"},
		{"Cluster at the top", cat(top, open(mkv.IDCluster, 1)), 40, "Cluster outside a Segment"},
		{"element at the top", cat(top, el(0xA7, 1)), 40, "element A7 outside a Segment"},
		{"EBML of unknown size", open(mkv.IDEBML, 1), 0, "EBML header has no size"},
		{"EBML too large", cat(id(mkv.IDEBML), size(8, 2<<20)), 0, "must be at most"},
		{"DocType", el(mkv.IDEBML, 1, el(0x4282, 1, []byte("mp4"))), 0, `DocType is "mp4"`},
		{"no DocType", el(mkv.IDEBML, 1), 0, `DocType is ""`},
		{"ReadVersion", el(mkv.IDEBML, 1, el(0x4282, 1, []byte("webm")), el(0x42F7, 1, num(1, 2))), 0, "EBMLReadVersion is 2"},
		{"MaxIDLength", el(mkv.IDEBML, 1, el(0x4282, 1, []byte("webm")), el(0x42F2, 1, num(1, 5))), 0, "EBMLMaxIDLength is 5"},
		{"MaxSizeLength", el(mkv.IDEBML, 1, el(0x4282, 1, []byte("webm")), el(0x42F3, 1, num(1, 9))), 0, "EBMLMaxSizeLength is 9"},
		{"integer of 9 bytes", cat(inSegment, el(mkv.IDInfo, 1, el(0x2AD7B1, 1, make([]byte, 9)))), 50, "at most 8 bytes, not 9"},
		{"float of 5 bytes", cat(inSegment, el(mkv.IDInfo, 1, el(0x4489, 1, make([]byte, 5)))), 50, "0, 4 or 8 bytes, not 5"},
		{"TimecodeScale 0", cat(inSegment, el(mkv.IDInfo, 1, el(0x2AD7B1, 1, num(1, 0)))), 45, "TimecodeScale is 0"},
		{"Info of unknown size", cat(inSegment, open(mkv.IDInfo, 1)), 45, "Info has no size"},
		{"Tags too large", cat(inSegment, id(mkv.IDTags), size(8, 1<<30)), 45, "must be at most"},
		{"child beyond Info", cat(inSegment, el(mkv.IDInfo, 1, []byte{0x7B, 0xA9, 0x85, 'a'})), 50, "must have a known size and end inside"},
		{"child of unknown size", cat(inSegment, el(mkv.IDInfo, 1, []byte{0x7B, 0xA9, 0xFF})), 50, "must have a known size and end inside"},
		{"child without size", cat(inSegment, el(mkv.IDInfo, 1, []byte{0x7B, 0xA9})), 50, "begins no element id"},
		{"child with half a size", cat(inSegment, el(mkv.IDInfo, 1, []byte{0x7B, 0xA9, 0x40})), 52, "begins no size"},
		{"child with a bad id", cat(inSegment, el(mkv.IDInfo, 1, []byte{0xFF, 0x80})), 50, "FF is no element id"},
		{"track without number", cat(inSegment, track()), 53, "TrackNumber of 1 or more"},
		{"track type", cat(inSegment, track(el(0xD7, 1, num(1, 1)), el(0x83, 1, num(2, 256)))), 53, "TrackType is 256"},
		{"width", cat(inSegment, track(el(0xE0, 4, el(0xB0, 1, make([]byte, 9))))), 63, "at most 8 bytes"},
		{"height in Audio", cat(inSegment, track(el(0xE1, 4, []byte{0}))), 63, "begins no element id"},
		{"many tracks", cat(inSegment, el(mkv.IDTracks, 4, bytes.Repeat(el(0xAE, 1, el(0xD7, 1, num(1, 1))), 257))), 53 + 256*5, "more than 256 tracks"},
		{"many tags", cat(inSegment, el(mkv.IDTags, 4, el(0x7373, 4, bigTag))), 53 + 6 + 4095*3, "more than 4096 tags"},
		{"many Tag elements", cat(inSegment, el(mkv.IDTags, 4, bytes.Repeat(el(0x7373, 1), 5000))), 53 + 4096*3, "more than 4096 tags"},
		{"many targets", cat(inSegment, el(mkv.IDTags, 4, el(0x7373, 4, el(0x63C0, 4, bytes.Repeat(el(0x63C5, 1), 5000))))), 53 + 6 + 6 + 4095*3, "more than 4096 tags"},
		{"deep tags", cat(inSegment, el(mkv.IDTags, 4, el(0x7373, 4, nested))), 53 + 6 + 16*6, "nested deeper than 16"},
		{"block before a cluster", cat(inSegment, simple(1, 1, 0, 0)), 45, "SimpleBlock outside a Cluster"},
		{"block before the Timecode", cat(inSegment, open(mkv.IDCluster, 1), simple(1, 1, 0, 0)), 50, "SimpleBlock before the Timecode"},
		{"second Timecode", cat(inCluster, el(mkv.IDTimecode, 1, []byte{6})), 53, "second Timecode"},
		{"Timecode of 9 bytes", cat(inSegment, open(mkv.IDCluster, 1), el(mkv.IDTimecode, 1, make([]byte, 9))), 50, "Timecode of 9 bytes"},
		{"Timecode too late", cat(inSegment, open(mkv.IDCluster, 1), el(mkv.IDTimecode, 1, num(8, 1<<62))), 50, "below 2^62"},
		{"BlockDuration too long", cat(inCluster, el(mkv.IDBlockGroup, 1, el(mkv.IDBlockDuration, 1, num(8, 1<<63)))), 55, "below 2^62"},
		{"ReferenceBlock of 9 bytes", cat(inCluster, el(mkv.IDBlockGroup, 1, el(mkv.IDReferenceBlock, 1, make([]byte, 9)))), 55, "must be at most 8"},
		{"Block outside a group", cat(inCluster, el(mkv.IDBlock, 1, frame(0x81, 4))), 53, "Block outside a BlockGroup"},
		{"two Blocks in a group", cat(inCluster, el(mkv.IDBlockGroup, 1, el(mkv.IDBlock, 1, []byte{0x81, 0, 0, 0}), el(mkv.IDBlock, 1, []byte{0x81, 0, 0, 0}))), 61, "second Block"},
		{"group of unknown size", cat(inCluster, open(mkv.IDBlockGroup, 1)), 53, "BlockGroup has no size"},
		{"SimpleBlock in a group", cat(inCluster, el(mkv.IDBlockGroup, 1, simple(1, 1, 0, 0))), 55, "SimpleBlock inside a BlockGroup"},
		{"Tags in a group", cat(inCluster, el(mkv.IDBlockGroup, 1, el(mkv.IDTags, 1))), 55, "Tags inside a BlockGroup"},
		{"Block beyond its group", cat(inCluster, el(mkv.IDBlockGroup, 1, []byte{0xA1, 0x84, 0x81})), 55, "ends beyond its parent"},
		{"Tags in a known Cluster", cat(inSegment, el(mkv.IDCluster, 1, el(mkv.IDTags, 1))), 50, "Tags inside a Cluster"},
		{"Segment in a known Cluster", cat(inSegment, el(mkv.IDCluster, 1, el(mkv.IDSegment, 1))), 50, "Segment inside a Cluster"},
		{"EBML in a known Segment", cat(top, el(mkv.IDSegment, 1, el(mkv.IDEBML, 1))), 45, "EBML header inside a Segment"},
		{"Cluster beyond its Segment", cat(top, el(mkv.IDSegment, 1, el(mkv.IDCluster, 1)[:4], size(1, 9))), 45, "ends beyond its parent"},
		{"block of 3 bytes", cat(inCluster, el(mkv.IDSimpleBlock, 1, frame(0x81, 3))), 53, "must be at least 4"},
		{"block too large", cat(inCluster, id(mkv.IDSimpleBlock), size(8, 1<<40)), 53, "must be at most"},
		{"track number of 9 bytes", cat(inCluster, el(mkv.IDSimpleBlock, 1, make([]byte, 20))), 55, "no track number of the SimpleBlock"},
		{"track number beyond the block", cat(inCluster, el(mkv.IDSimpleBlock, 1, []byte{0x20, 0, 0, 0})), 55, "no track number of the SimpleBlock"},
		{"track number 0", cat(inCluster, simple(1, 0, 0, 0)), 55, "track number 0"},
		{"lace without count", cat(inCluster, simple(1, 1, 0, 2)), 59, "does not end inside its block"},
		{"Xiph table too long", cat(inCluster, simple(8, 1, 0, 2, []byte{200}, bytes.Repeat([]byte{255}, 5000))), 66 + 4096, "longer than 4096"},
		{"Xiph frames too long", cat(inCluster, simple(1, 1, 0, 2, []byte{2, 5, 5}, frame(1, 9))), 62, "longer than its block by 1 bytes"},
		{"fixed remainder", cat(inCluster, simple(1, 1, 0, 4, []byte{2}, frame(1, 10))), 60, "10 bytes do not make 3 frames"},
		{"EBML frame too long", cat(inCluster, simple(1, 1, 0, 6, []byte{1, 0xBF}, frame(1, 9))), 61, "laced frame of 63 bytes"},
		{"EBML frame below 0", cat(inCluster, simple(1, 1, 0, 6, []byte{2, 0x81, 0x80}, frame(1, 9))), 62, "laced frame of -62 bytes"},
		{"EBML size of 9 bytes", cat(inCluster, simple(1, 1, 0, 6, []byte{2, 0}, frame(1, 9))), 61, "longer than 8 bytes"},
	}
}

// TestSyntaxErrors names for each fault the byte where it lies.
func TestSyntaxErrors(t *testing.T) {
	for _, test := range faults() {
		t.Run(test.name, func(t *testing.T) {
			// Bytes behind the fault must not matter, nor must their absence.
			for _, doc := range [][]byte{test.doc, cat(test.doc, make([]byte, 300))} {
				got := read(t, bytes.NewReader(doc), mkv.Options{})
				var syntax *mkv.SyntaxError
				if !errors.As(got.err, &syntax) {
					t.Fatalf("error %v", got.err)
				}
				if syntax.Offset != test.offset || !strings.Contains(syntax.Reason, test.reason) {
					t.Errorf("%v; want byte %d: ...%s...", syntax, test.offset, test.reason)
				}
			}
		})
	}
}

func TestLimits(t *testing.T) {
	doc := cat(inSegment, el(mkv.IDTags, 1, make([]byte, 0)), open(mkv.IDCluster, 1), el(0xE7, 1, num(1, 0)), simple(8, 1, 0, 0, frame(1, 96)))
	if got := read(t, bytes.NewReader(doc), mkv.Options{MaxFrame: 100, MaxHeader: 35}); got.err != io.EOF {
		t.Errorf("at the limits: %v", got.err)
	}
	for _, o := range []mkv.Options{{MaxFrame: 99}, {MaxHeader: 34}} {
		var syntax *mkv.SyntaxError
		if got := read(t, bytes.NewReader(doc), o); !errors.As(got.err, &syntax) {
			t.Errorf("%+v: %v", o, got.err)
		}
	}
}

// TestUnknownSizes reads the unknown size in each of its eight forms.
func TestUnknownSizes(t *testing.T) {
	for n := 1; n <= 8; n++ {
		doc := cat(top, open(mkv.IDSegment, n), open(mkv.IDCluster, n), el(0xE7, n, num(1, 1)), simple(n, 1, 0, 0x80, frame(1, 5)),
			open(mkv.IDCluster, n), el(0xE7, 1, num(1, 2)), top, open(mkv.IDSegment, n), open(mkv.IDSegment, n))
		got := read(t, bytes.NewReader(doc), mkv.Options{})
		if got.err != io.EOF || len(got.elements) != 10 {
			t.Errorf("%d bytes: %d elements, %v", n, len(got.elements), got.err)
		}
	}
}

func TestKindString(t *testing.T) {
	if got := mkv.BlockReference.String() + " " + mkv.Kind(99).String(); got != "BlockReference Kind(?)" {
		t.Error(got)
	}
}
