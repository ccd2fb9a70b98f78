package lint

import (
	"bytes"
	"strings"
)

// format is something that people take for Matroska.
type format struct {
	name string
	is   func(head []byte) bool
	hint string
}

// begins matches a prefix.
func begins(prefix string) func([]byte) bool {
	return func(head []byte) bool { return bytes.HasPrefix(head, []byte(prefix)) }
}

// at matches a text somewhere.
func at(offset int, text string) func([]byte) bool {
	return func(head []byte) bool { return len(head) >= offset && bytes.HasPrefix(head[offset:], []byte(text)) }
}

const copyOut = "ffmpeg -i IN -c copy -f matroska out.mkv"

var formats = []format{
	{"MP4", at(4, "ftyp"), strings.Replace(copyOut, "IN", "in.mp4", 1)},
	{"MP4 or QuickTime", at(4, "moov"), strings.Replace(copyOut, "IN", "in.mp4", 1)},
	{"MPEG-TS", func(b []byte) bool { return len(b) > 188 && b[0] == 0x47 && b[188] == 0x47 }, strings.Replace(copyOut, "IN", "in.ts", 1)},
	{"AVI or WAV", begins("RIFF"), strings.Replace(copyOut, "IN", "in.avi", 1)},
	{"Ogg", begins("OggS"), strings.Replace(copyOut, "IN", "in.ogg", 1)},
	{"FLV", begins("FLV"), strings.Replace(copyOut, "IN", "in.flv", 1)},
	{"a raw H.264 or H.265 stream", begins("\x00\x00\x00\x01"), "ffmpeg -framerate 25 -i in.h264 -c copy -f matroska out.mkv"},
	{"a raw H.264 or H.265 stream", begins("\x00\x00\x01"), "ffmpeg -framerate 25 -i in.h264 -c copy -f matroska out.mkv"},
	{"JPEG", begins("\xFF\xD8\xFF"), "ffmpeg -f image2pipe -i in.jpg -c:v libx264 -f matroska out.mkv"},
	{"the answer of a web server", begins("HTTP/"), "save the body of the answer only"},
	{"gzip", begins("\x1F\x8B"), "gunzip it first"},
}

// recognise says what the head of an input is, and what makes Matroska of it; "" when
// it does not know, or when it is Matroska.
func recognise(head []byte) (name, hint string) {
	for _, f := range formats {
		if f.is(head) {
			return f.name, f.hint
		}
	}
	return "", ""
}
