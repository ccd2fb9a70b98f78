package mp4

import (
	"bytes"
	"testing"

	"github.com/Eyevinn/mp4ff/mp4"
	abema "github.com/abema/go-mp4"

	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/mediatest"
	"github.com/millrace/millrace/mkv"
)

// tracksOf returns what a clip's header tells.
func tracksOf(t testing.TB, clip string) []codec.Track {
	t.Helper()
	r := mkv.NewReader(mediatest.Open(clip), mkv.Options{})
	for {
		it, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if it.Kind != mkv.TracksElement {
			continue
		}
		var tracks []codec.Track
		for i := range it.Tracks {
			c, err := codec.Of(&it.Tracks[i])
			if err != nil {
				t.Fatal(err)
			}
			tracks = append(tracks, c)
		}
		return tracks
	}
}

func g711(kind codec.Kind) codec.Track {
	return codec.Track{Number: 2, ID: "A_MS/ACM", Kind: kind, SampleRate: 8000, Channels: 1}
}

// mp4ff reads a file with one parser.
func mp4ff(t testing.TB, file []byte) *mp4.File {
	t.Helper()
	f, err := mp4.DecodeFile(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// probe reads it with another one, which knows nothing of the first.
func probe(t testing.TB, file []byte) *abema.ProbeInfo {
	t.Helper()
	p, err := abema.Probe(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// boxes lists the paths of all boxes the second parser knows, and checks that they fill
// their parents.
func boxes(t testing.TB, file []byte) (found []string) {
	t.Helper()
	_, err := abema.ReadBoxStructure(bytes.NewReader(file), func(h *abema.ReadHandle) (any, error) {
		path := ""
		for _, p := range h.Path {
			path += "/" + p.String()
		}
		found = append(found, path)
		if h.BoxInfo.IsSupportedType() && h.BoxInfo.Type.String() != "mdat" {
			return h.Expand()
		}
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
