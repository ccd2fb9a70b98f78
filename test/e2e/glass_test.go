package e2e

import (
	"testing"
	"time"
)

// glassToGlass plays a live film with fragments of one second through plain HLS, in hls.js two
// fragments behind the end of the list, and returns how long after they were given to the
// encoder its frames are shown.
func glassToGlass(t testing.TB, s *server, live *film) (median, longest time.Duration, seen *screening) {
	t.Helper()
	url := s.sessionTLS(t, "GetHLSStreamingSessionURL", object{"StreamName": "live", "HLSFragmentSelector": object{"FragmentSelectorType": "PRODUCER_TIMESTAMP"}})
	seen = viewer{Player: "hlsjs", URL: url, Frames: 250, Sync: 2}.watch(t, s)
	median, longest = seen.delays(live)
	return median, longest, seen
}

// BenchmarkGlassToGlass measures the delay of plain HLS from a picture given to an encoder to
// the same picture in a browser.
func BenchmarkGlassToGlass(b *testing.B) {
	const goal = 3 * time.Second
	for b.Loop() {
		s := serve(b)
		live := s.record(b, "live", filmH264Live, 100_000, true)
		s.awaitLive(b, "live")
		median, longest, seen := glassToGlass(b, s, live)
		live.stop()
		b.ReportMetric(median.Seconds(), "median-s")
		b.ReportMetric(longest.Seconds(), "max-s")
		b.ReportMetric(float64(len(seen.Samples)), "frames")
		if longest > goal {
			b.Errorf("GOAL MISSED: frames are shown %v after they were made, at most %v are wanted", longest, goal)
		}
	}
}
