package codec

import (
	"errors"
	"testing"

	"github.com/millrace/millrace/internal/mediatest"
	"github.com/millrace/millrace/mkv"
)

// check holds for every track, whatever strangers wrote.
func check(t *testing.T, c Track, private int) {
	switch {
	case c.Err != nil:
		if e, ok := errors.AsType[*Error](c.Err); !ok || e.Problem == None || e.Track != c.Number || e.Detail == "" {
			t.Errorf("%v says too little", c.Err)
		}
		return
	case c.Kind.Video() && (c.Width < 1 || c.Width > maxSide || c.Height < 1 || c.Height > maxSide || c.Reorder < 0 || c.Reorder > 16 ||
		c.FrameRate != 0 && (c.FrameRate < minRate || c.FrameRate > maxRate)):
		t.Errorf("impossible picture: %+v", c)
	case !c.Kind.Video() && (c.SampleRate < 1 || c.Channels < 1 || c.Channels > 48):
		t.Errorf("impossible sound: %+v", c)
	case c.Kind.G711() != (c.String == "") || c.Kind.G711() != (c.Config == nil):
		t.Errorf("%+v lacks something", c)
	}
	if len(c.Config) > private+32+private {
		t.Errorf("%d bytes of configuration made of %d", len(c.Config), private)
	}
	if !c.AnnexB {
		return
	}
	// A record that was made is one that can be read, and says the same.
	again := mkv.Track{CodecID: c.ID, CodecPrivate: c.Config}
	if d, err := Of(&again); err != nil || d.Width != c.Width || d.Height != c.Height || d.Reorder != c.Reorder || d.String != c.String || d.AnnexB {
		t.Errorf("%+v became %+v: %v", c, d, err)
	}
}

func FuzzOf(f *testing.F) {
	for _, clip := range mediatest.Clips() {
		tracks, err := mkv.ParseTracks(tracksElement(f, clip.Name))
		if err != nil {
			f.Fatal(err)
		}
		for i := range tracks {
			f.Add(tracks[i].CodecID, tracks[i].CodecPrivate, uint64(40e6))
		}
	}
	for _, r := range recordings(f) {
		f.Add(r.track.CodecID, r.track.CodecPrivate, uint64(0))
	}
	f.Add("A_MS/ACM", []byte{6, 0, 1, 0, 0x40, 0x1F, 0, 0, 0x40, 0x1F, 0, 0, 1, 0, 8, 0}, uint64(0))
	f.Fuzz(func(t *testing.T, id string, private []byte, duration uint64) {
		c, err := Of(&mkv.Track{Number: 5, CodecID: id, CodecPrivate: private, DefaultDuration: duration})
		if !errors.Is(err, c.Err) {
			t.Error("the error is not the track's")
		}
		check(t, c, len(private))
	})
}

func FuzzTracks(f *testing.F) {
	for _, clip := range mediatest.Clips() {
		f.Add(header(f, clip.Name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		tracks, err := Tracks(b)
		if (err == nil) != (len(tracks) > 0) {
			t.Errorf("%d tracks, %v", len(tracks), err)
		}
		for _, c := range tracks {
			check(t, c, len(b))
		}
	})
}
