package clip

import "github.com/millrace/millrace/internal/archive"

// What a clip takes in memory, in bytes: a row with its part of the file, and an entry of the
// tables for each frame. Tables have 24 bytes for a picture and 12 for sound; most have half.
const (
	RowWeight   = 500
	frameWeight = 18
)

// Weight is how many bytes a clip of the fragments takes in memory while it is laid out and
// sent, as far as the rows tell: they, the tables in front of the file, and the media of two
// fragments. maxBytes is that of [Options].
func Weight(fragments []archive.Stored, maxBytes int64) int64 {
	var bytes, frames, largest int64
	for i := range fragments {
		s := &fragments[i]
		if bytes += s.Length(); maxBytes > 0 && bytes > maxBytes && i > 0 {
			break
		}
		largest = max(largest, s.Length())
		for _, t := range s.Facts.Tracks {
			frames += int64(t.Frames)
		}
	}
	return headSize + RowWeight*int64(len(fragments)) + frameWeight*frames + 2*largest
}

// Weight is how many bytes the clip takes in memory while it is sent.
func (c *Clip) Weight() int64 {
	var largest int64
	for i := range c.parts {
		largest = max(largest, c.parts[i].size)
	}
	return c.head.Size() + RowWeight*int64(len(c.parts)) + 2*largest
}
