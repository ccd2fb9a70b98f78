package mkv_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"

	"github.com/millrace/millrace/mkv"
)

// The documents here are put together byte by byte, without the package's own
// writer, in the forms of wire-media sections 3.2 to 3.9.

// shape is a document as some producer writes it.
type shape struct {
	name string
	doc  []byte
}

func shapes() []shape {
	return []shape{
		{"pic", picDocument()},
		{"embedded", embeddedDocument()},
		{"ffmpeg", ffmpegDocument()},
		{"gstreamer", gstreamerDocument()},
		{"python", pythonDocument()},
		{"file", fileDocument()},
		{"laced", lacedDocument()},
		{"row", cat(picDocument(), fileDocument(), gstreamerDocument())},
	}
}

func cat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// id is an element id as bytes.
func id(v uint32) []byte {
	b := binary.BigEndian.AppendUint32(nil, v)
	return bytes.TrimLeft(b, "\x00")
}

// size is a size in n bytes.
func size(n int, v int) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(v)|1<<(7*n))
	return b[8-n:]
}

// el is an element with a size of n bytes.
func el(elementID uint32, n int, data ...[]byte) []byte {
	d := cat(data...)
	return cat(id(elementID), size(n, len(d)), d)
}

// open is the head of a master of unknown size, in the form of n bytes.
func open(elementID uint32, n int) []byte {
	return cat(id(elementID), []byte{1<<(8-n) | (1<<(8-n) - 1)}, bytes.Repeat([]byte{0xFF}, n-1))
}

// num is an unsigned integer in n bytes.
func num(n int, v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v)[8-n:] }

func float64Bytes(v float64) []byte { return num(8, math.Float64bits(v)) }

func float32Bytes(v float32) []byte { return num(4, uint64(math.Float32bits(v))) }

// crc puts a CRC-32 element before data, as ffmpeg does.
func crc(data ...[]byte) []byte {
	d := cat(data...)
	return cat(el(mkv.IDCRC32, 1, binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(d))), d)
}

// frame is n bytes that differ from frame to frame.
func frame(seed byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = seed + byte(i*7)
	}
	return b
}

// simple is a SimpleBlock with a size of n bytes.
func simple(n int, track byte, time int16, flags byte, data ...[]byte) []byte {
	return el(mkv.IDSimpleBlock, n, []byte{0x80 | track, byte(uint16(time) >> 8), byte(time), flags}, cat(data...))
}

var avcC = []byte{1, 0x42, 0xC0, 0x1E, 0xFF, 0xE1, 0, 4, 0x67, 0x42, 0xC0, 0x1E, 1, 0, 2, 0x68, 0xCE}

func ebmlHeader(n int, docTypeVersion byte) []byte {
	return el(mkv.IDEBML, n, el(0x4286, 1, num(1, 1)), el(0x42F7, 1, num(1, 1)), el(0x42F2, 1, num(1, 4)),
		el(0x42F3, 1, num(1, 8)), el(0x4282, 1, []byte("matroska")), el(0x4287, 1, num(1, uint64(docTypeVersion))),
		el(0x4285, 1, num(1, 2)))
}

// picTag is one item of fragment metadata: a Tags element of its own, sizes of 8 bytes.
func picTag(name, value string) []byte {
	return el(mkv.IDTags, 8, el(0x7373, 8, el(0x67C8, 8, el(0x45A3, 8, []byte(name)), el(0x4487, 8, []byte(value)))))
}

// picDocument is what the producer SDK sends (wire-media sections 3.2, 3.3):
// two fragments, a tag before the second, then the end-of-fragment tag.
func picDocument() []byte {
	info := el(mkv.IDInfo, 2, el(0x73A4, 1, bytes.Repeat([]byte{0x55}, 16)), el(0x2AD7B1, 1, num(8, 1_000_000)),
		el(0x7BA9, 1, []byte("Kinesis Video SDK")), el(0x4D80, 1, []byte("Kinesis Video SDK 1.1.0 test")),
		el(0x5741, 1, []byte("Kinesis Video SDK 1.1.0 test")))
	video := el(0xAE, 4, el(0xD7, 1, num(1, 1)), el(0x73C5, 1, num(8, 0xAC01)), el(0x83, 1, num(1, 1)),
		el(0x536E, 1, []byte("kvs_video_track")), el(0x86, 1, []byte("V_MPEG4/ISO/AVC")),
		el(0xE0, 1, el(0xB0, 1, num(2, 640)), el(0xBA, 1, num(2, 480))), el(0x63A2, 1, avcC))
	audio := el(0xAE, 4, el(0xD7, 1, num(1, 2)), el(0x73C5, 1, num(8, 0xAC02)), el(0x83, 1, num(1, 2)),
		el(0x536E, 1, []byte("kvs_audio_track")), el(0x86, 1, []byte("A_AAC")),
		el(0xE1, 1, el(0xB5, 1, float64Bytes(48000)), el(0x9F, 1, num(1, 2)), el(0x6264, 1, num(1, 16))),
		el(0x63A2, 1, []byte{0x11, 0x90}))
	cluster := func(ms uint64) []byte {
		return cat(open(mkv.IDCluster, 1), el(0xE7, 1, num(8, ms)), el(0xA7, 1, num(1, 0)),
			simple(8, 1, 0, 0x80, frame(1, 300)), simple(8, 2, 5, 0x80, frame(2, 40)),
			simple(8, 1, 33, 0x00, frame(3, 120)), simple(8, 1, 66, 0x01, frame(4, 90)))
	}
	return cat(ebmlHeader(1, 2), open(mkv.IDSegment, 1), info, el(mkv.IDTracks, 4, video, audio),
		cluster(1_700_000_000_000), picTag("lane", "north"), picTag("speed", "12"), cluster(1_700_000_002_000),
		picTag("AWS_KINESISVIDEO_END_OF_FRAGMENT", ""))
}

// embeddedDocument is what the embedded C SDK sends (wire-media section 3.4).
func embeddedDocument() []byte {
	fixed := func(s string) []byte { return append([]byte(s), make([]byte, 16-len(s))...) }
	info := el(mkv.IDInfo, 2, el(0x73A4, 1, bytes.Repeat([]byte{7}, 16)), el(0x2AD7B1, 1, num(8, 1_000_000)),
		el(0x7BA9, 1, fixed("Embedded")), el(0x4D80, 1, fixed("mux")), el(0x5741, 1, fixed("")))
	track := el(0xAE, 4, el(0xD7, 1, num(1, 1)), el(0x73C5, 1, num(8, 9)), el(0x83, 1, num(1, 1)),
		el(0x86, 1, []byte("V_MPEG4/ISO/AVC")), el(0x63A2, 2, avcC))
	simpleTag := func(name, value string) []byte {
		return el(0x7373, 2, el(0x67C8, 2, el(0x45A3, 2, []byte(name)), el(0x4487, 2, []byte(value))))
	}
	head := func(ms uint64) []byte {
		return cat(open(mkv.IDCluster, 1), el(0xE7, 1, num(8, ms)), el(0xA7, 1, num(1, 0)))
	}
	return cat(ebmlHeader(1, 2), open(mkv.IDSegment, 1), info, el(mkv.IDTracks, 4, track),
		head(5000), simple(8, 1, 0, 0x80, frame(1, 64)), simple(8, 1, 40, 0, frame(2, 32)),
		el(mkv.IDTags, 2, simpleTag("a", "1"), simpleTag("b", "2")),
		head(7000), simple(8, 1, 0, 0x80, frame(3, 64)))
}

// ffmpegDocument is ffmpeg's live output (wire-media section 3.7): clusters of
// known size with a CRC-32 first, one with a BlockGroup.
func ffmpegDocument() []byte {
	seek := el(mkv.IDSeekHead, 1, crc(el(0x4DBB, 1, el(0x53AB, 1, id(mkv.IDInfo)), el(0x53AC, 1, num(1, 0xE5)))))
	info := el(mkv.IDInfo, 8, crc(el(0x2AD7B1, 1, num(3, 1_000_000)), el(0x4D80, 1, []byte("Lavf59.27.100")),
		el(0x5741, 1, []byte("Lavf59.27.100")), el(0x73A4, 1, frame(9, 16)), el(0x4489, 1, float64Bytes(10_000))))
	track := el(0xAE, 8, el(0xD7, 1, num(1, 1)), el(0x73C5, 1, num(8, 77)), el(0x9C, 1, num(1, 0)),
		el(0x22B59C, 1, []byte("und")), el(0x88, 1, num(1, 0)), el(0x86, 1, []byte("V_MPEG4/ISO/AVC")), el(0x83, 1, num(1, 1)),
		el(0x23E383, 1, num(4, 33_333_333)), el(0xE0, 8, el(0xB0, 1, num(2, 640)), el(0xBA, 1, num(2, 360)),
			el(0x55B0, 1, el(0x55B1, 1, num(1, 1)))), el(0x63A2, 1, avcC))
	tags := el(mkv.IDTags, 8, crc(
		el(0x7373, 1, el(0x63C0, 1), el(0x67C8, 1, el(0x45A3, 1, []byte("ENCODER")), el(0x4487, 1, []byte("Lavf59.27.100")))),
		el(0x7373, 1, el(0x63C0, 1, el(0x63C5, 1, num(8, 77))), el(0x67C8, 1, el(0x45A3, 1, []byte("DURATION")), el(0x4487, 1, []byte("00:00:10.000\x00\x00"))))))
	block := el(mkv.IDBlock, 1, []byte{0x81, 0, 80, 0}, frame(5, 21))
	group := el(mkv.IDBlockGroup, 1, block, el(0x9B, 1, num(1, 33)), el(0xFB, 1, num(1, 0xD8)), el(0x75A2, 1, num(2, 3)))
	return cat(ebmlHeader(8, 4), open(mkv.IDSegment, 8), seek, el(mkv.IDVoid, 1, make([]byte, 98)), info,
		el(mkv.IDTracks, 8, crc(track)), tags,
		el(mkv.IDCluster, 2, crc(el(0xE7, 1, num(1, 0)), simple(2, 1, 0, 0x80, frame(1, 200)), simple(1, 1, 40, 0, frame(2, 50)), group)),
		el(mkv.IDCluster, 2, crc(el(0xE7, 1, num(2, 1000)), simple(1, 1, 0, 0, frame(3, 60)))))
}

// gstreamerDocument is matroskamux with streamable=true (wire-media section 3.8).
func gstreamerDocument() []byte {
	header := el(mkv.IDEBML, 8, el(0x4282, 1, []byte("matroska\x00")), el(0x4287, 1, num(1, 2)), el(0x4285, 1, num(1, 2)))
	tags := el(mkv.IDTags, 8, el(0x7373, 8, el(0x63C0, 8, el(0x68CA, 1, num(1, 50)), el(0x63CA, 1, []byte("MOVIE\x00"))),
		el(0x67C8, 8, el(0x45A3, 1, []byte("ENCODER\x00")), el(0x4487, 1, []byte("x264\x00")), el(0x447A, 1, []byte("eng\x00")))))
	info := el(mkv.IDInfo, 8, el(0x73A4, 1, frame(3, 16)), el(0x2AD7B1, 1, num(3, 1_000_000)),
		el(0x4D80, 1, []byte("GStreamer matroskamux version 1.22.0\x00")), el(0x5741, 1, []byte("GStreamer Matroska muxer\x00")),
		el(0x4461, 1, num(8, 12345)))
	track := el(0xAE, 8, el(0xD7, 1, num(1, 1)), el(0x83, 1, num(1, 1)), el(0x73C5, 1, num(8, 0xFEDC)),
		el(0x23E383, 1, num(4, 33_333_333)), el(0xE0, 8, el(0xB0, 1, num(2, 320)), el(0xBA, 1, num(1, 240))),
		el(0x86, 1, []byte("V_MPEG4/ISO/AVC\x00")), el(0x63A2, 1, avcC))
	first := cat(open(mkv.IDCluster, 8), el(0xE7, 1, num(1, 0)), simple(1, 1, 0, 0x80, frame(1, 80)), simple(1, 1, 33, 0, frame(2, 30)))
	second := cat(open(mkv.IDCluster, 8), el(0xE7, 1, num(2, 500)), el(0xAB, 1, num(1, uint64(len(first)))), simple(1, 1, 0, 0x80, frame(3, 80)))
	return cat(header, open(mkv.IDSegment, 8), tags, info, el(mkv.IDTracks, 8, track), first, second)
}

// pythonDocument has one SimpleBlock per NAL unit and minimal sizes (wire-media section 3.6).
func pythonDocument() []byte {
	track := el(0xAE, 1, el(0xD7, 1, num(1, 1)), el(0x73C5, 1, num(1, 1)), el(0x83, 1, num(1, 1)),
		el(0x86, 1, []byte("V_MPEG4/ISO/AVC")), el(0x63A2, 1, avcC))
	return cat(ebmlHeader(1, 4), open(mkv.IDSegment, 8), el(mkv.IDInfo, 1, el(0x2AD7B1, 1, num(3, 1_000_000))),
		el(mkv.IDTracks, 1, track), open(mkv.IDCluster, 8), el(0xE7, 1, num(8, 1)),
		simple(1, 1, 0, 0x80, frame(1, 9)), simple(1, 1, 0, 0x80, frame(2, 100)))
}

// fileDocument is a finished file (wire-media section 3.9): everything of known
// size, Cues, Chapters, Attachments and Tags behind the clusters.
func fileDocument() []byte {
	track := el(0xAE, 1, el(0xD7, 1, num(1, 1)), el(0x83, 1, num(1, 2)), el(0x86, 1, []byte("A_AAC")),
		el(0xE1, 1, el(0xB5, 1, float32Bytes(8000))))
	return cat(ebmlHeader(1, 2), el(mkv.IDSegment, 8,
		el(mkv.IDSeekHead, 1), el(mkv.IDVoid, 8, make([]byte, 20)),
		el(mkv.IDInfo, 1, el(0x4489, 1, float32Bytes(2000))), el(mkv.IDTracks, 1, track),
		el(mkv.IDCluster, 8, el(0xE7, 1, num(1, 0)), el(0xA7, 1, num(1, 99)), simple(1, 1, 0, 0x80, frame(1, 10))),
		el(mkv.IDCluster, 8),
		el(mkv.IDCues, 1, make([]byte, 30)), el(mkv.IDChapters, 1), el(mkv.IDAttachments, 2, make([]byte, 200)),
		el(mkv.IDTags, 1, el(0x7373, 1, el(0x67C8, 1, el(0x45A3, 1, []byte("N")), el(0x4485, 1, []byte{0, 1}),
			el(0x67C8, 1, el(0x45A3, 1, []byte("inner"))))))), el(mkv.IDVoid, 1, make([]byte, 3)))
}

// lacedDocument has audio in every lacing (RFC 9559 section 10.3).
func lacedDocument() []byte {
	track := el(0xAE, 1, el(0xD7, 1, num(1, 2)), el(0x83, 1, num(1, 2)), el(0x86, 1, []byte("A_AAC")), el(0x23E383, 1, num(4, 20_000_000)))
	long := frame(2, 300)
	return cat(ebmlHeader(1, 2), open(mkv.IDSegment, 8), el(mkv.IDTracks, 1, track), open(mkv.IDCluster, 2), el(0xE7, 1, num(1, 100)),
		simple(2, 2, 0, 0x82, []byte{2, 255, 45, 4}, long, frame(3, 4), frame(4, 5)),
		simple(2, 2, 60, 0x84, []byte{2}, frame(5, 12)),
		simple(2, 2, 120, 0x86, []byte{3, 0x41, 0x2C, 0x5E, 0xD3, 0xC0}, long, frame(6, 0), frame(7, 1), frame(8, 7)),
		el(mkv.IDBlockGroup, 1, el(0xFB, 1, num(1, 0xEC)), el(mkv.IDBlock, 1, []byte{0x82, 0xFF, 0xF6, 0x0C, 1}, frame(9, 8)), el(0x9B, 1, num(1, 41))),
		el(mkv.IDBlockGroup, 1),
		simple(1, 2, 200, 0x82, []byte{0}, frame(10, 3)))
}
