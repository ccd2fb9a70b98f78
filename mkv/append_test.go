package mkv_test

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"testing"

	"github.com/millrace/millrace/mkv"
)

var (
	someInfo = &mkv.Info{TimecodeScale: 100_000, Duration: 12.5, SegmentUID: frame(1, 16), Title: "title", MuxingApp: "mux", WritingApp: "write"}

	someTracks = []mkv.Track{
		{Number: 1, UID: 1 << 63, Type: mkv.VideoTrack, CodecID: "V_MPEG4/ISO/AVC", CodecPrivate: avcC, Name: "video", Language: "und",
			DefaultDuration: 40_000_000, Video: &mkv.Video{PixelWidth: 640, PixelHeight: 480}},
		{Number: 130, Type: mkv.AudioTrack, CodecID: "A_AAC", CodecPrivate: []byte{}, Audio: &mkv.Audio{SamplingFrequency: 44100, Channels: 2, BitDepth: 16}},
		{Number: 3, Type: mkv.MetadataTrack, CodecID: "M", Audio: &mkv.Audio{SamplingFrequency: 8000, Channels: 1}},
	}

	someTags = []mkv.Tag{
		{Simple: []mkv.SimpleTag{{Name: "AWS_KINESISVIDEO_FRAGMENT_NUMBER", Value: "91343852333181432392682062607743920146159169392"}, {Name: "empty"}}},
		{Targets: &mkv.Targets{TypeValue: 30, Type: "SHOT", TrackUIDs: []uint64{1, 0, 1 << 40}},
			Simple: []mkv.SimpleTag{{Name: "n", Binary: []byte{0, 1}, Language: "eng", Nested: []mkv.SimpleTag{{Name: "in", Value: "ner"}}}}},
	}
)

func TestHeadersRoundTrip(t *testing.T) {
	info, err := mkv.ParseInfo(mkv.AppendInfo(nil, someInfo))
	if err != nil || !reflect.DeepEqual(info, someInfo) {
		t.Errorf("%+v, %v", info, err)
	}
	tracks, err := mkv.ParseTracks(mkv.AppendTracks(nil, someTracks))
	if err != nil || !reflect.DeepEqual(tracks, someTracks) {
		t.Errorf("%+v, %v", tracks, err)
	}
	tags, err := mkv.ParseTags(mkv.AppendTags(nil, someTags))
	if err != nil || !reflect.DeepEqual(tags, someTags) {
		t.Errorf("%+v, %v", tags, err)
	}
}

func TestParseWantsOneElement(t *testing.T) {
	tags := mkv.AppendTags(nil, someTags)
	for _, bad := range [][]byte{nil, tags[:3], tags[:20], cat(tags, []byte{0xEC, 0x80}), el(mkv.IDInfo, 1, []byte{0xFF, 0x80})} {
		if _, err := mkv.ParseTags(bad); err == nil {
			t.Errorf("ParseTags(%x): no error", bad)
		}
		if _, err := mkv.ParseTracks(bad); err == nil {
			t.Errorf("ParseTracks(%x): no error", bad)
		}
		if _, err := mkv.ParseInfo(bad); err == nil {
			t.Errorf("ParseInfo(%x): no error", bad)
		}
	}
}

// TestServiceTags compares with the bytes of the service (wire-media section 5.4).
func TestServiceTags(t *testing.T) {
	got := mkv.AppendTags(nil, []mkv.Tag{{Simple: []mkv.SimpleTag{{Name: "AWS_KINESISVIDEO_MILLIS_BEHIND_NOW", Value: "15858"}}}})
	want := cat(
		[]byte("\x12\x54\xc3\x67\x10\x00\x00\x3f"), []byte("\x73\x73\x10\x00\x00\x39"), []byte("\x67\xc8\x10\x00\x00\x33"),
		[]byte("\x45\xa3\x10\x00\x00\x22AWS_KINESISVIDEO_MILLIS_BEHIND_NOW"), []byte("\x44\x87\x10\x00\x00\x0515858"))
	if !bytes.Equal(got, want) {
		t.Errorf("\n got %x\nwant %x", got, want)
	}
}

// TestProducerBytes compares what the Append functions make with the forms
// that the shapes have.
func TestProducerBytes(t *testing.T) {
	h := mkv.BlockHeader{Track: 1, Time: -2, Key: true, Invisible: true, Discardable: true}
	group := cat(el(mkv.IDBlock, 8, []byte{0x81, 0xFF, 0xFE, 0x08, 'x'}), el(mkv.IDBlockDuration, 1, num(1, 7)), el(mkv.IDReferenceBlock, 1, num(8, ^uint64(32))))
	tests := []struct {
		name      string
		got, want []byte
	}{
		{"EBML header", mkv.AppendEBML(nil, mkv.Header{}), ebmlHeader(1, 2)},
		{"EBML header, fields", mkv.AppendEBML(nil, mkv.Header{DocType: "webm", DocTypeVersion: 4}), cat(id(mkv.IDEBML), []byte{0x80 | 31},
			ebmlHeader(1, 2)[5:23], []byte("\x84webm"), ebmlHeader(1, 4)[32:])},
		{"Segment", mkv.AppendSegmentUnknown(nil), open(mkv.IDSegment, 8)},
		{"Cluster", mkv.AppendClusterUnknown(nil, 7), cat(open(mkv.IDCluster, 8), el(mkv.IDTimecode, 1, num(8, 7)))},
		{"sized Cluster", mkv.AppendClusterSized(nil, 300, el(mkv.IDVoid, 1)), el(mkv.IDCluster, 1, el(mkv.IDTimecode, 1, num(2, 300)), el(mkv.IDVoid, 1))},
		{"SimpleBlock", mkv.AppendSimpleBlock(nil, h, []byte("x")), el(mkv.IDSimpleBlock, 8, []byte{0x81, 0xFF, 0xFE, 0x89, 'x'})},
		{"SimpleBlock head", mkv.AppendSimpleBlockHead(nil, mkv.BlockHeader{Track: 127}, 2), el(mkv.IDSimpleBlock, 8, []byte{0x40, 0x7F, 0, 0, 0, 'x', 'y'})[:14]},
		{"BlockGroup", mkv.AppendBlockGroup(nil, h, 7, -33, []byte("x")), el(mkv.IDBlockGroup, 8, group)},
		{"BlockGroup, nothing known", mkv.AppendBlockGroup(nil, h, -1, 0, nil), el(mkv.IDBlockGroup, 8, el(mkv.IDBlock, 8, []byte{0x81, 0xFF, 0xFE, 0x08}))},
		{"Info", mkv.AppendInfo(nil, &mkv.Info{}), el(mkv.IDInfo, 4, el(0x2AD7B1, 1, num(3, 1_000_000)), el(0x4D80, 1), el(0x5741, 1))},
		{"Element", mkv.AppendElement(nil, 0x4444, make([]byte, 127)), el(0x4444, 2, make([]byte, 127))},
	}
	for _, test := range tests {
		if !bytes.Equal(test.got, test.want) {
			t.Errorf("%s:\n got %x\nwant %x", test.name, test.got, test.want)
		}
	}
}

func TestVoidOfAnyLength(t *testing.T) {
	for n := 2; n < 20_000; n++ {
		b := mkv.AppendVoid(nil, n)
		if len(b) != n {
			t.Fatalf("%d bytes, want %d", len(b), n)
		}
		if n < 300 || n%97 == 0 {
			if got := read(t, bytes.NewReader(cat(top, b)), mkv.Options{}); got.err != io.EOF || len(got.elements) != 2 {
				t.Fatalf("a Void of %d bytes: %d elements, %v", n, len(got.elements), got.err)
			}
		}
	}
}

func TestLacedBlocksRoundTrip(t *testing.T) {
	equal := make([][]byte, 256)
	growing := make([][]byte, 60)
	for i := range equal {
		equal[i] = frame(byte(i), 3)
	}
	for i := range growing {
		growing[i] = frame(byte(i), i*i*i%9000)
	}
	tests := []struct {
		lacing mkv.Lacing
		frames [][]byte
	}{
		{mkv.NoLacing, equal[:1]}, {mkv.FixedLacing, equal}, {mkv.FixedLacing, equal[:1]},
		{mkv.XiphLacing, growing}, {mkv.XiphLacing, [][]byte{frame(1, 255), frame(2, 510), nil, nil}},
		{mkv.EBMLLacing, growing}, {mkv.EBMLLacing, equal}, {mkv.EBMLLacing, equal[:1]}, {mkv.EBMLLacing, [][]byte{nil, frame(1, 20_000), nil, frame(2, 300)}},
		{mkv.EBMLLacing, [][]byte{frame(1, 127), frame(2, 63), frame(3, 127), frame(4, 1)}},
	}
	for _, test := range tests {
		doc := mkv.AppendLacedBlock(inCluster[:len(inCluster):len(inCluster)], mkv.BlockHeader{Track: 1, Time: 1, Key: true, Lacing: test.lacing}, test.frames)
		f := mkv.NewFrames(mkv.NewReader(bytes.NewReader(doc), mkv.Options{Buffer: 500}))
		for i, want := range test.frames {
			got, err := f.Next()
			if err != nil || !bytes.Equal(got.Data, want) || got.Timecode != 6 || !got.Key {
				t.Fatalf("lacing %d, frame %d: %+v, %v", test.lacing, i, got, err)
			}
		}
		if _, err := f.Next(); err != io.EOF {
			t.Errorf("lacing %d: %v", test.lacing, err)
		}
	}
}

func TestMisuseOfAppendPanics(t *testing.T) {
	misuses := map[string]func(){
		"no frames":          func() { mkv.AppendLacedBlock(nil, mkv.BlockHeader{Track: 1}, nil) },
		"two without lacing": func() { mkv.AppendLacedBlock(nil, mkv.BlockHeader{Track: 1}, make([][]byte, 2)) },
		"257 frames": func() {
			mkv.AppendLacedBlock(nil, mkv.BlockHeader{Track: 1, Lacing: mkv.XiphLacing}, make([][]byte, 257))
		},
		"fixed, different sizes": func() { mkv.AppendLacedBlock(nil, mkv.BlockHeader{Lacing: mkv.FixedLacing}, [][]byte{{1}, {}}) },
		"Void of 1 byte":         func() { mkv.AppendVoid(nil, 1) },
	}
	for name, misuse := range misuses {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			misuse()
		}()
	}
}

// TestWriter writes a document with every method and reads it back.
func TestWriter(t *testing.T) {
	var doc bytes.Buffer
	w := mkv.NewWriter(&doc)
	block := mkv.AppendSimpleBlock(nil, mkv.BlockHeader{Track: 1, Key: true}, frame(1, 10))
	for _, err := range []error{
		w.WriteEBML(mkv.Header{}), w.SegmentUnknown(), w.Void(50), w.Info(someInfo), w.Tracks(someTracks), w.Tags(someTags),
		w.ClusterUnknown(9), w.SimpleBlock(mkv.BlockHeader{Track: 1, Time: 1}, frame(2, 20)),
		w.BlockGroup(mkv.BlockHeader{Track: 1, Time: 2}, 5, 0, frame(3, 30)), w.ClusterSized(20, block),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	got := read(t, bytes.NewReader(doc.Bytes()), mkv.Options{})
	if got.err != io.EOF || len(got.elements) != 15 {
		t.Errorf("%d elements, %v", len(got.elements), got.err)
	}
	frames, err := framesOf(doc.Bytes(), mkv.Options{})
	if err != io.EOF || len(frames) != 3 {
		t.Errorf("%s, %v", frames, err)
	}
}

// brokenPipe takes nothing.
type brokenPipe struct{}

func (brokenPipe) Write(p []byte) (int, error) { return 0, io.ErrClosedPipe }

func TestWriterSaysWhatItsWriterSays(t *testing.T) {
	if err := mkv.NewWriter(brokenPipe{}).SegmentUnknown(); err != io.ErrClosedPipe {
		t.Error(err)
	}
}

func ExampleReader() {
	r := mkv.NewReader(bytes.NewReader(pythonDocument()), mkv.Options{})
	for {
		it, err := r.Next()
		if err != nil {
			break
		}
		if it.Kind == mkv.Block {
			fmt.Println(it.Timecode+uint64(it.Block.Time), it.Block.Key, it.Block.Sizes)
		}
	}
	// Output:
	// 1 true [9]
	// 1 true [100]
}
