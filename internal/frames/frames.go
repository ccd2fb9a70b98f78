// Package frames is the table of a fragment's frames that the archive keeps beside the
// media: where each frame lies in the body, how long it will be in an MP4 file, when it
// is shown and decoded. Playback cuts segments and clips by it and opens no Matroska.
//
// The bytes are drawn in docs/design/archive-format.md, "Frame table". A [Table] is
// filled by one goroutine while the fragment streams by; [Decode] reads an encoded
// one. Nothing here keeps or copies media.
package frames

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"
)

// Version is the first byte of every encoded table.
const Version = 1

// ErrBroken says that bytes are no frame table of this version, or none of a body of
// that length.
var ErrBroken = errors.New("the frame table is broken")

// Frame is one row of a table.
type Frame struct {
	Track     uint64 // number, as the header declares it
	Key       bool   // a decoder can begin here
	Offset    int64  // of the frame's data, from the start of the fragment's body
	Length    int64  // of the data in bytes, as archived
	Converted int64  // with a length of four bytes in front of each NAL unit, see [AnnexB]

	// Both from the cluster's timecode, in whole microseconds. Matroska stores only the
	// first; the second is what sorting makes of it, so a difference may be negative.
	Presentation, Decode time.Duration
}

// AnnexB reports whether frames of such a track separate their NAL units with start
// codes (ISO/IEC 14496-10, Annex B): H.264 and H.265 whose private data is no avcC or
// hvcC, which begin with the version 1. Frames of other tracks are stored as MP4 has them.
func AnnexB(codecID string, private []byte) bool {
	switch codecID {
	case "V_MPEG4/ISO/AVC", "V_MPEGH/ISO/HEVC", "V_MPEG/ISO/AVC", "V_MPEG/ISO/HEVC": // the latter are the guide's
		return !bytes.HasPrefix(private, []byte{1})
	}
	return false
}

// Fingerprint tells one codec configuration from another: the first 8 bytes, as
// little-endian, of SHA-256 over codec id, a zero byte and private data.
func Fingerprint(codecID string, private []byte) uint64 {
	h := sha256.New()
	h.Write([]byte(codecID))
	h.Write([]byte{0})
	h.Write(private)
	return binary.LittleEndian.Uint64(h.Sum(nil))
}
