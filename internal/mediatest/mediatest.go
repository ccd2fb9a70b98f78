// Package mediatest is the media that tests read: short Matroska files of this project's
// own test picture and tone, in the shapes that ffmpeg and GStreamer produce.
//
// They are committed, so that no test needs a program but Go; make_media.sh says how
// they were made. Only tests may import this package.
package mediatest

import (
	"bytes"
	"embed"
	"path"
)

// Clip describes one file: what a test may expect to find in it.
type Clip struct {
	Name  string // for Bytes and Open
	Shape string // what is particular about it

	VideoTrack uint64 // its track number, 0 if there is none
	Video      string // its codec id
	AudioTrack uint64
	Audio      string

	VideoFrames int
	AudioFrames int
	KeyFrames   int  // of the video track
	Clusters    int  // as the writer made them
	KeyFirst    bool // each cluster's first video frame is a key frame
	UnknownSize bool // clusters of unknown size
}

// Codec ids of the clips.
const (
	AVC  = "V_MPEG4/ISO/AVC"
	HEVC = "V_MPEGH/ISO/HEVC"
	AAC  = "A_AAC"
)

var clips = []Clip{
	{Name: "ffmpeg-h264", Shape: "pipe: clusters of known size with a CRC-32",
		VideoTrack: 1, Video: AVC, VideoFrames: 100, KeyFrames: 4, Clusters: 4, KeyFirst: true},
	{Name: "ffmpeg-h264-aac", Shape: "pipe: clusters that do not begin with key frames",
		VideoTrack: 1, Video: AVC, VideoFrames: 100, KeyFrames: 2, Clusters: 5,
		AudioTrack: 2, Audio: AAC, AudioFrames: 189},
	{Name: "ffmpeg-h264-bframes", Shape: "pipe: frames in decoding order with B-frames",
		VideoTrack: 1, Video: AVC, VideoFrames: 100, KeyFrames: 4, Clusters: 4, KeyFirst: true},
	{Name: "ffmpeg-h265", Shape: "pipe: H.265",
		VideoTrack: 1, Video: HEVC, VideoFrames: 100, KeyFrames: 4, Clusters: 4, KeyFirst: true},
	{Name: "ffmpeg-aac", Shape: "pipe: audio alone",
		AudioTrack: 1, Audio: AAC, AudioFrames: 189, Clusters: 5},
	{Name: "ffmpeg-file", Shape: "file: Segment of known size, Cues at the end",
		VideoTrack: 1, Video: AVC, VideoFrames: 100, KeyFrames: 4, Clusters: 4, KeyFirst: true,
		AudioTrack: 2, Audio: AAC, AudioFrames: 189},
	{Name: "gstreamer-h264", Shape: "streamable: everything of unknown size, strings end in NUL",
		VideoTrack: 1, Video: AVC, VideoFrames: 100, KeyFrames: 4, Clusters: 4, KeyFirst: true,
		UnknownSize: true},
	{Name: "gstreamer-h264-aac", Shape: "streamable: audio beside video",
		VideoTrack: 1, Video: AVC, VideoFrames: 100, KeyFrames: 4, Clusters: 4, KeyFirst: true,
		AudioTrack: 2, Audio: AAC, AudioFrames: 189, UnknownSize: true},
}

//go:embed media/*.mkv
var media embed.FS

// Clips lists every clip.
func Clips() []Clip { return append([]Clip(nil), clips...) }

// Bytes returns a copy of the clip of that name. It panics if there is none.
func Bytes(name string) []byte {
	b, err := media.ReadFile(path.Join("media", name+".mkv"))
	if err != nil {
		panic("mediatest: no clip named " + name)
	}
	return b
}

// Open returns a reader of the clip of that name. It panics if there is none.
func Open(name string) *bytes.Reader { return bytes.NewReader(Bytes(name)) }

// Bytes returns a copy of the clip's file.
func (c Clip) Bytes() []byte { return Bytes(c.Name) }
