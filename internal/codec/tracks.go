package codec

import (
	"bytes"
	"errors"
	"io"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/mkv"
)

// Tracks reads a fragment's header, from its EBML header to its Tracks, and returns all
// its tracks in their order. One that cannot be played has its Err set. An error means
// that the header cannot be read, or has no tracks; it is a [*kvs.Error].
func Tracks(header []byte) ([]Track, error) {
	r := mkv.NewReader(bytes.NewReader(header), mkv.Options{Buffer: min(max(len(header), 64), 16<<10), MaxHeader: max(len(header), 64)})
	var found []mkv.Track
	for {
		it, err := r.Next()
		if err != nil && len(found) > 0 { // a Segment of known size ends with the fragment's media
			break
		}
		if errors.Is(err, io.EOF) {
			return nil, kvs.Errorf(kvs.InvalidPrivateData, "The fragment's header has no tracks.")
		}
		if err != nil {
			return nil, &kvs.Error{Kind: kvs.InvalidPrivateData, Message: "The fragment's header cannot be read.", Cause: err}
		}
		if it.Kind == mkv.TracksElement {
			found = it.Tracks
		}
	}
	tracks := make([]Track, len(found))
	for i := range found {
		tracks[i], _ = Of(&found[i]) // the error stands in the track
	}
	return tracks, nil
}
