package demo

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/millrace/millrace/mkv"
)

// The camera sends a cluster as a fragment and repeats the clip for ever: each cluster
// must begin with the only key frame in it and last exactly a second.
func TestClipIsMadeOfWholeSeconds(t *testing.T) {
	r := mkv.NewReader(bytes.NewReader(Clip()), mkv.Options{})
	clusters, frames, inCluster := 0, 0, 0
	for {
		item, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch item.Kind {
		case mkv.ClusterTimecode:
			if item.Timecode != uint64(clusters)*1000 {
				t.Errorf("cluster %d starts at %d ms", clusters, item.Timecode)
			}
			clusters++
			inCluster = 0
		case mkv.Block:
			if want := int16(inCluster * 1000 / FrameRate); item.Block.Time != want {
				t.Errorf("cluster %d, frame %d: at %d ms, want %d", clusters, inCluster, item.Block.Time, want)
			}
			if key := inCluster == 0; item.Block.Key != key {
				t.Errorf("cluster %d, frame %d: key frame %v", clusters, inCluster, item.Block.Key)
			}
			inCluster++
			frames++
		}
	}
	if clusters != Clusters || frames != Frames {
		t.Errorf("%d clusters with %d frames, want %d and %d", clusters, frames, Clusters, Frames)
	}
}

func TestClipIsSmall(t *testing.T) {
	if n := len(Clip()); n > 400<<10 {
		t.Errorf("%d bytes in every binary; at most 400 KiB", n)
	}
}
