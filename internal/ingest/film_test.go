package ingest

import (
	"encoding/binary"
	"slices"

	"github.com/millrace/millrace/mkv"
)

// What bodies are made of. Sizes and times are small; nothing looks into a frame.

var (
	videoTrack = mkv.Track{Number: 1, UID: 11, Type: mkv.VideoTrack, CodecID: "V_MPEG4/ISO/AVC", CodecPrivate: []byte{1, 0x42, 0, 0x1e}}
	audioTrack = mkv.Track{Number: 2, UID: 22, Type: mkv.AudioTrack, CodecID: "A_AAC", Audio: &mkv.Audio{SamplingFrequency: 48000, Channels: 2}}
)

// The muxing applications that matter.
const (
	sdkApp      = "Kinesis Video SDK 1.1.0 JNI 2.0"
	embeddedApp = "KVS APP\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	otherApp    = "kinesisvideomanager.Provider"
)

// head is a header with one video track.
func head(app string) []byte { return headOf(app, 0, videoTrack) }

func headOf(app string, scale uint64, tracks ...mkv.Track) []byte {
	b := mkv.AppendSegmentUnknown(mkv.AppendEBML(nil, mkv.Header{}))
	b = mkv.AppendInfo(b, &mkv.Info{TimecodeScale: scale, MuxingApp: app, WritingApp: app})
	return mkv.AppendTracks(b, tracks)
}

func unknown(timecode uint64, blocks ...[]byte) []byte {
	return append(mkv.AppendClusterUnknown(nil, timecode), slices.Concat(blocks...)...)
}

func sized(timecode uint64, blocks ...[]byte) []byte {
	return mkv.AppendClusterSized(nil, timecode, slices.Concat(blocks...))
}

// at is a frame of the video track.
func at(time int16) []byte { return frame(1, time, 100) }

func frame(track uint64, time int16, size int) []byte {
	return mkv.AppendSimpleBlock(nil, mkv.BlockHeader{Track: track, Time: time, Key: time == 0}, make([]byte, size))
}

// group is a BlockGroup of one frame.
func groupAt(track uint64, time int16, duration int64) []byte {
	return mkv.AppendBlockGroup(nil, mkv.BlockHeader{Track: track, Time: time}, duration, 0, make([]byte, 50))
}

// meta is one Tags element of names and values.
func meta(pairs ...string) []byte {
	var t mkv.Tag
	for i := 0; i+1 < len(pairs); i += 2 {
		t.Simple = append(t.Simple, mkv.SimpleTag{Name: pairs[i], Value: pairs[i+1]})
	}
	return mkv.AppendTags(nil, []mkv.Tag{t})
}

var endTag = meta(endOfFragment, "")

// The exact bytes of the producer SDK's elements (wire-media section 3.2).

func sdkHead(tracks ...mkv.Track) []byte {
	b := append(mkv.AppendEBML(nil, mkv.Header{}), 0x18, 0x53, 0x80, 0x67, 0xFF)
	b = mkv.AppendInfo(b, &mkv.Info{SegmentUID: slices.Repeat([]byte{0x55}, 16), TimecodeScale: 1_000_000, Title: "Kinesis Video SDK", MuxingApp: sdkApp, WritingApp: sdkApp})
	return mkv.AppendTracks(b, tracks)
}

func sdkCluster(timecode uint64, blocks ...[]byte) []byte {
	b := []byte{0x1F, 0x43, 0xB6, 0x75, 0xFF, 0xE7, 0x88}
	b = binary.BigEndian.AppendUint64(b, timecode)
	b = append(b, 0xA7, 0x81, 0x00)
	return append(b, slices.Concat(blocks...)...)
}
