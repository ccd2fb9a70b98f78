// Package mp4 writes the boxes of MP4 files (ISO/IEC 14496-12): what stands in front of
// the media of initialization segments, media segments and clips. Media never pass through
// it.
//
// Boxes are appended to byte slices, so that a segment costs one allocation, its own.
package mp4

import "github.com/millrace/millrace/internal/codec"

// videoTimescale is divisible by the usual frame rates and by a thousand milliseconds.
const videoTimescale = 90_000

// Timescale is how many units a second has in the times of a track: 90,000 for video, the
// sampling rate for sound.
func Timescale(t *codec.Track) uint32 {
	if t.Kind.Video() || t.SampleRate <= 0 {
		return videoTimescale
	}
	return uint32(t.SampleRate)
}
