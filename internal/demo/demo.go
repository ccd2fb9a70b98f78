// Package demo is the built-in camera of a development server: a short clip, made by
// this project, that shows a running frame counter.
//
// The clip is Matroska with one H.264 track: 250 frames in ten seconds, no B-frames, a
// key frame and a new cluster every second. Each cluster can therefore be sent as one
// fragment, and the clip can be repeated without a break in decoding. make_clip.sh says
// how it was made.
package demo

import _ "embed"

// Facts about the clip that a camera needs to repeat it in real time.
const (
	FrameRate = 25 // frames a second
	Frames    = 250
	Clusters  = 10 // each of FrameRate frames, the first of them a key frame
)

//go:embed clip.mkv
var clip []byte

// Clip returns the bytes of the clip. They are shared by all callers: do not write to
// them.
func Clip() []byte { return clip }
