package playback

import (
	"testing"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// listed is a fragment of so many milliseconds with two tracks.
func listed(duration, video, audio int64) Entry {
	return Entry{Stored: archive.Stored{Fragment: kvs.Fragment{Duration: duration, Size: video + audio + 500}, Facts: segment.Facts{
		Tracks: []segment.Track{{Number: 1, Frames: 10, Bytes: video}, {Number: 2, Frames: 20, Bytes: audio}}}}}
}

func TestRateOfAList(t *testing.T) {
	// The last one is dense, and too short to matter.
	l := &Timeline{Entries: []Entry{listed(2000, 100_000, 5_000), listed(2000, 200_000, 5_000), listed(100, 50_000, 250)}}
	first := &Timeline{Entries: []Entry{{Stored: archive.Stored{Fragment: kvs.Fragment{Duration: 1000, Size: 1000}}}}}
	for name, c := range map[string]struct {
		got  Rate
		want Rate
	}{
		"video":                 {RateOf(l, FMP4, 1), Rate{Peak: 8 * 200_240 / 2, Average: 8 * (350_000 + 720) * 1000 / 4100}},
		"audio":                 {RateOf(l, FMP4, 2), Rate{Peak: 8 * (10_250 + 1080) * 1000 / 4100, Average: 8 * (10_250 + 1080) * 1000 / 4100}},
		"a track that is none":  {RateOf(l, FMP4, 3), Rate{Peak: 1}},
		"nothing":               {RateOf(&Timeline{}, TS, 0), Rate{Peak: 1}},
		"fragments of old form": {RateOf(first, FMP4, 1), Rate{Peak: 8000, Average: 8000}},
	} {
		if c.got != c.want {
			t.Errorf("%s: %+v, not %+v", name, c.got, c.want)
		}
	}
	ts, mp4 := RateOf(l, TS, 0), RateOf(l, FMP4, 0)
	if ts.Average < mp4.Average*101/100 || ts.Average > mp4.Average*125/100 {
		t.Errorf("MPEG-TS takes %d, fMP4 %d", ts.Average, mp4.Average)
	}
}
