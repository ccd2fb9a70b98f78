package mkv_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/at-wat/ebml-go"

	"github.com/millrace/millrace/mkv"
)

// The ids that the flat headers of a comparable document may hold.
var (
	flatMasters = []uint32{0xAE, 0xE0, 0xE1, 0x7373, 0x63C0, 0x67C8}
	flatNumbers = []uint32{0x4286, 0x42F7, 0x42F2, 0x42F3, 0x4287, 0x4285, 0x2AD7B1, 0xD7, 0x73C5, 0x83, 0x23E383, 0xB0, 0xBA,
		0x9F, 0x6264, 0x68CA, 0x63C5, 0x9C, 0x88}
	flatFloats = []uint32{0x4489, 0xB5}
	flatData   = []uint32{0x4282, 0x73A4, 0x7BA9, 0x4D80, 0x5741, 0x536E, 0x22B59C, 0x86, 0x63A2, 0x63CA, 0x45A3, 0x4487, 0x447A, 0x4485, 0x4461,
		mkv.IDVoid, mkv.IDCRC32}
	// RFC 9559 gives these a default that ebml-go does not know.
	wanted = map[uint32][]uint32{mkv.IDInfo: {0x2AD7B1}, 0xE1: {0xB5, 0x9F}, mkv.IDEBML: {0x4287}}
)

// flat reports whether all of a header element lies in the comparable domain.
// It has its own eyes for elements, as it must not trust either reader.
func flat(b []byte) bool {
	parent, body, rest, ok := cutElement(b)
	if !ok || len(rest) > 0 {
		return false
	}
	var children []uint32
	for len(body) > 0 {
		child, data, after, ok := cutElement(body)
		switch {
		case !ok:
			return false
		case slices.Contains(flatMasters, child):
			if !flat(body[:len(body)-len(after)]) {
				return false
			}
		case slices.Contains(flatNumbers, child):
			if len(data) == 0 {
				return false
			}
		case slices.Contains(flatFloats, child):
			if len(data) == 0 || data[0]&0x7F == 0x7F {
				return false // not finite, perhaps
			}
		case !slices.Contains(flatData, child):
			return false
		}
		children = append(children, child)
		body = after
	}
	for _, w := range wanted[parent] {
		if !slices.Contains(children, w) {
			return false
		}
	}
	return true
}

func cutElement(b []byte) (elementID uint32, data, rest []byte, ok bool) {
	cut := func() (v uint64, length int, ok bool) {
		for length = 1; length <= 8 && len(b) > 0 && b[0]&(0x80>>(length-1)) == 0; {
			length++
		}
		if length > 8 || length > len(b) {
			return 0, 0, false
		}
		for _, c := range b[:length] {
			v = v<<8 | uint64(c)
		}
		b = b[length:]
		return v, length, true
	}
	v, _, ok := cut()
	if !ok {
		return 0, nil, nil, false
	}
	n, length, ok := cut()
	n &^= 1 << (7 * length)
	if !ok || n > uint64(len(b)) {
		return 0, nil, nil, false
	}
	return uint32(v), b[:n], b[n:], true
}

// compare asks both readers and says whether they could be compared.
func compare(t *testing.T, doc []byte) bool {
	t.Helper()
	mine, comparable, err := ours(doc)
	if err != nil || !comparable {
		return false
	}
	var d theirs
	if err := ebml.Unmarshal(bytes.NewReader(doc), &d); err != nil {
		return false
	}
	for i, line := range d.lines() {
		if i >= len(mine) || mine[i] != line {
			t.Fatalf("line %d\nebml-go: %s\n   ours: %s", i, line, mine[min(i, len(mine)-1)])
		}
	}
	if len(mine) > len(d.lines()) {
		t.Fatalf("ebml-go did not see %s", mine[len(d.lines()):])
	}
	return true
}

// choices turns a fuzzer's bytes into decisions; when they run out it says 0.
type choices struct{ b []byte }

func (c *choices) next(n int) int {
	if len(c.b) == 0 {
		return 0
	}
	v := int(c.b[0])
	c.b = c.b[1:]
	return v % n
}

func (c *choices) text() string {
	return []string{"", "a", "ENCODER", "Grüße", "AWS_KINESISVIDEO_END_OF_FRAGMENT"}[c.next(5)]
}

// document is a well-formed document of the package's own writer, whose
// structure the fuzzer chooses.
func (c *choices) document() []byte {
	doc := mkv.AppendEBML(nil, mkv.Header{DocType: []string{"matroska", "webm"}[c.next(2)], DocTypeVersion: uint64(c.next(4))})
	doc = mkv.AppendSegmentUnknown(doc)
	if c.next(2) > 0 {
		doc = c.tags(doc)
	}
	doc = mkv.AppendInfo(doc, &mkv.Info{TimecodeScale: uint64(c.next(200) * 10_000), Duration: float64(c.next(9)), SegmentUID: frame(1, 16*c.next(2)),
		Title: c.text(), MuxingApp: c.text(), WritingApp: c.text()})
	doc = c.tracks(doc)
	for range c.next(5) {
		doc = c.cluster(doc)
		switch c.next(4) {
		case 1:
			doc = c.tags(doc)
		case 2:
			doc = mkv.AppendVoid(doc, 2+c.next(250))
		}
	}
	return doc
}

func (c *choices) tracks(doc []byte) []byte {
	var tracks []mkv.Track
	for i := range c.next(4) {
		t := mkv.Track{Number: uint64(i + 1), UID: uint64(c.next(256)) << c.next(56), Type: mkv.TrackType(c.next(256)), CodecID: c.text(), Name: c.text(),
			Language: c.text(), DefaultDuration: uint64(c.next(100) * 1_000_000), CodecPrivate: frame(2, c.next(100))}
		if c.next(2) > 0 {
			t.Video = &mkv.Video{PixelWidth: uint64(c.next(256) * 16), PixelHeight: uint64(c.next(256))}
		}
		if c.next(2) > 0 {
			t.Audio = &mkv.Audio{SamplingFrequency: float64(c.next(256) * 1000), Channels: uint64(c.next(8)), BitDepth: uint64(c.next(33))}
		}
		tracks = append(tracks, t)
	}
	return mkv.AppendTracks(doc, tracks)
}

func (c *choices) tags(doc []byte) []byte {
	var tags []mkv.Tag
	for range c.next(3) {
		var t mkv.Tag
		if c.next(2) > 0 {
			t.Targets = &mkv.Targets{TypeValue: uint64(1 + c.next(70)), Type: c.text(), TrackUIDs: make([]uint64, c.next(3))}
		}
		for range c.next(4) {
			s := mkv.SimpleTag{Name: c.text(), Value: c.text(), Language: c.text()}
			if c.next(3) == 0 {
				s.Value, s.Binary = "", frame(3, c.next(20))
			}
			t.Simple = append(t.Simple, s)
		}
		tags = append(tags, t)
	}
	return mkv.AppendTags(doc, tags)
}

func (c *choices) cluster(doc []byte) []byte {
	sized, timecode := c.next(2) > 0, uint64(c.next(256))<<c.next(40)
	var body []byte
	for range c.next(6) {
		h := mkv.BlockHeader{Track: 1 + uint64(c.next(256))<<c.next(40), Time: int16(c.next(256) << 8), Key: c.next(2) > 0,
			Invisible: c.next(2) > 0, Discardable: c.next(2) > 0}
		switch c.next(6) {
		case 0:
			body = mkv.AppendBlockGroup(body, h, int64(c.next(200)-1), int64(-c.next(200)), frame(4, c.next(256)))
		case 1:
			body = c.laced(body, h)
		default:
			body = mkv.AppendSimpleBlock(body, h, frame(5, c.next(256)*c.next(4)))
		}
	}
	if sized {
		return mkv.AppendClusterSized(doc, timecode, body)
	}
	return append(mkv.AppendClusterUnknown(doc, timecode), body...)
}

// laced appends a lace of frames that ebml-go can read: two or more, none empty.
func (c *choices) laced(body []byte, h mkv.BlockHeader) []byte {
	h.Lacing = mkv.XiphLacing + mkv.Lacing(c.next(3))
	frames := make([][]byte, 2+c.next(20))
	for i := range frames {
		frames[i] = frame(byte(i), 1+c.next(256)*c.next(9))
		if h.Lacing == mkv.FixedLacing {
			frames[i] = frame(byte(i), len(frames[0]))
		}
	}
	return mkv.AppendLacedBlock(body, h, frames)
}

// FuzzAgainstEBMLGo: documents of the package's writer mean the same to
// ebml-go; with one byte changed they still do, where both accept them.
func FuzzAgainstEBMLGo(f *testing.F) {
	for i := range 40 {
		f.Add(frame(byte(i), 50+20*i), uint16(i*31), byte(i))
	}
	f.Fuzz(func(t *testing.T, decisions []byte, at uint16, flip byte) {
		doc := (&choices{decisions}).document()
		if !compare(t, doc) {
			t.Fatal("both readers must accept what the writer makes")
		}
		doc[int(at)%len(doc)] ^= flip
		compare(t, doc)
	})
}

// FuzzBytesAgainstEBMLGo: any bytes mean the same to both, where both accept them.
func FuzzBytesAgainstEBMLGo(f *testing.F) {
	addDocuments(f)
	f.Fuzz(func(t *testing.T, doc []byte) { compare(t, doc) })
}

// TestShapesAgainstEBMLGo compares the shapes that lie in the common domain.
func TestShapesAgainstEBMLGo(t *testing.T) {
	var compared []string
	for _, s := range shapes() {
		if compare(t, s.doc) {
			compared = append(compared, s.name)
		}
	}
	if got := fmt.Sprint(compared); got != "[pic embedded gstreamer python]" {
		t.Errorf("compared %s", got)
	}
}
