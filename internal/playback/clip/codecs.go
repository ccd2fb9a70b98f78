package clip

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/codec"
)

// headers remembers the tracks of headers that were read, so that a clip of a thousand
// fragments reads one.
type headers struct {
	known map[string][]codec.Track // by the tracks' numbers and fingerprints
}

// maxHeaders is how many are remembered.
const maxHeaders = 64

// of returns the tracks of a fragment's header.
func (h *headers) of(r *archive.Reader, s *archive.Stored) ([]codec.Track, error) {
	var key []byte
	for _, t := range s.Facts.Tracks {
		key = fmt.Appendf(key, "%d %x,", t.Number, t.Fingerprint)
	}
	if tracks, ok := h.known[string(key)]; ok {
		return tracks, nil
	}
	b, err := readHeader(r)
	if err != nil {
		return nil, err
	}
	tracks, err := codec.Tracks(b)
	if err != nil || len(key) == 0 { // a fragment of the first form does not tell
		return tracks, err
	}
	if h.known == nil || len(h.known) == maxHeaders {
		h.known = map[string][]codec.Track{}
	}
	h.known[string(key)] = tracks
	return tracks, nil
}

func readHeader(r *archive.Reader) ([]byte, error) {
	var b bytes.Buffer
	_, err := r.WriteHeader(&b, 0)
	return b.Bytes(), err
}

// Check refuses tracks that a clip cannot have. The first fragment decides (spec: track
// requirements of GetClip). The error has the kind UnsupportedMedia, MissingPrivateData or InvalidPrivateData.
func Check(tracks []codec.Track, strict bool) error {
	if err := codec.Check(tracks); err != nil || !strict || allowed(tracks) {
		return err
	}
	var all []string
	for _, t := range tracks {
		all = append(all, fmt.Sprintf("(track %d: %s)", t.Number, t.ID))
	}
	return codec.UnsupportedMedia(strings.Join(all, ", "))
}

// allowed reports whether the track table of GetClip has these tracks: a video track, then
// one of sound or none.
func allowed(tracks []codec.Track) bool {
	if len(tracks) == 0 || len(tracks) > 2 || !tracks[0].Kind.Video() {
		return false
	}
	sound := []codec.Kind{codec.AAC}
	if tracks[0].Kind == codec.H264 {
		sound = append(sound, codec.ALaw)
	}
	return len(tracks) == 1 || slices.Contains(sound, tracks[1].Kind)
}
