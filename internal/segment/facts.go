package segment

import (
	"encoding/binary"
	"math"
)

// Facts are what a fragment record says about itself and the stream's fragments up to
// it, in plain: playlists and a rebuild of the index need no key. "So far" counts over
// the fragments of the stream that have a LiveSeq, this one included.
type Facts struct {
	LiveSeq      int64  // 0 for a fragment that came behind a greater number
	Changes      uint32 // of codec private data so far
	ServerGaps   uint32 // over 50 ms between server times so far
	ProducerGaps uint32 // over 50 ms between producer times so far
	Millis       int64  // of media so far
	Tracks       []Track
}

// Track is what a fragment holds of one track.
type Track struct {
	Number      uint32
	Frames      uint32
	Bytes       int64
	Fingerprint uint64 // of codec id and private data
}

const (
	factsSize = 32 // without tracks
	trackSize = 24
)

// MaxTracks is how many tracks a record can tell of.
const MaxTracks = (math.MaxUint16 - factsSize) / trackSize

// size is the length of the encoded facts.
func (f *Facts) size() int { return factsSize + trackSize*min(len(f.Tracks), MaxTracks) }

// appendFacts appends what the record's kind has as facts.
func (r *Record) appendFacts(b []byte) []byte {
	switch r.Kind {
	case HeaderRecord:
		return append(b, r.Fingerprint[:]...)
	case FragmentRecord:
		f := &r.Facts
		tracks := f.Tracks[:min(len(f.Tracks), MaxTracks)]
		b = binary.LittleEndian.AppendUint64(b, uint64(f.LiveSeq))
		b = binary.LittleEndian.AppendUint32(b, f.Changes)
		b = binary.LittleEndian.AppendUint32(b, f.ServerGaps)
		b = binary.LittleEndian.AppendUint32(b, f.ProducerGaps)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(tracks)))
		b = binary.LittleEndian.AppendUint64(b, uint64(f.Millis))
		return AppendTracks(b, tracks)
	}
	return b
}

// parseFacts reads what appendFacts wrote for a record of this kind.
func (r *Record) parseFacts(b []byte) bool {
	switch r.Kind {
	case HeaderRecord:
		return copy(r.Fingerprint[:], b) == len(b) && len(b) == len(r.Fingerprint)
	case FragmentRecord:
		return r.Facts.parse(b)
	}
	return len(b) == 0
}

func (f *Facts) parse(b []byte) bool {
	if len(b) < factsSize || int64(len(b)-factsSize) != trackSize*int64(binary.LittleEndian.Uint32(b[20:])) {
		return false
	}
	f.LiveSeq = int64(binary.LittleEndian.Uint64(b))
	f.Changes = binary.LittleEndian.Uint32(b[8:])
	f.ServerGaps = binary.LittleEndian.Uint32(b[12:])
	f.ProducerGaps = binary.LittleEndian.Uint32(b[16:])
	f.Millis = int64(binary.LittleEndian.Uint64(b[24:]))
	var ok bool
	f.Tracks, ok = ParseTracks(f.Tracks[:0], b[factsSize:])
	return ok
}

// AppendTracks appends tracks as they stand in the facts of a record, 24 bytes each.
func AppendTracks(b []byte, tracks []Track) []byte {
	for _, t := range tracks {
		b = binary.LittleEndian.AppendUint32(b, t.Number)
		b = binary.LittleEndian.AppendUint32(b, t.Frames)
		b = binary.LittleEndian.AppendUint64(b, uint64(t.Bytes))
		b = binary.LittleEndian.AppendUint64(b, t.Fingerprint)
	}
	return b
}

// ParseTracks appends the tracks that [AppendTracks] encoded to to. It reports false
// when b ends within one.
func ParseTracks(to []Track, b []byte) ([]Track, bool) {
	for ; len(b) >= trackSize; b = b[trackSize:] {
		to = append(to, Track{
			Number:      binary.LittleEndian.Uint32(b),
			Frames:      binary.LittleEndian.Uint32(b[4:]),
			Bytes:       int64(binary.LittleEndian.Uint64(b[8:])),
			Fingerprint: binary.LittleEndian.Uint64(b[16:]),
		})
	}
	return to, len(b) == 0
}
