package e2e

import (
	"slices"
	"testing"
	"time"
)

// glassToGlass plays a live film with fragments of one second through plain HLS, in hls.js two
// fragments behind the end of the list, and returns how long after they were given to the
// encoder the last of so many frames are shown: it catches up with what starting cost.
func glassToGlass(t testing.TB, s *server, live *film, frames int) (median, longest time.Duration, seen *screening) {
	t.Helper()
	url := s.sessionTLS(t, "GetHLSStreamingSessionURL", object{"StreamName": "live", "HLSFragmentSelector": object{"FragmentSelectorType": "PRODUCER_TIMESTAMP"},
		"MaxMediaPlaylistFragmentResults": 60}) // all that is played can be looked up still, however slow the machine
	seen = viewer{Player: "hlsjs", URL: url, Frames: frames, Sync: 2}.watch(t, s)
	median, longest = seen.delays(live, 100)
	return median, longest, seen
}

// BenchmarkGlassToGlass measures the delay of plain HLS from a picture given to an encoder to
// the same picture in a browser. A player asks for the list once a second, or twice when it
// got the same, and stays as late as it was when it found out: so it plays several times.
func BenchmarkGlassToGlass(b *testing.B) {
	const plays, goal = 5, 3 * time.Second
	for b.Loop() {
		s := serve(b)
		live := s.record(b, "live", filmH264Live, 100_000, true)
		s.awaitLive(b, "live")
		var all []time.Duration
		for range plays {
			median, _, _ := glassToGlass(b, s, live, 350)
			all = append(all, median)
		}
		live.stop()
		slices.Sort(all)
		b.ReportMetric(all[0].Seconds(), "delay-min-s")
		b.ReportMetric(all[plays/2].Seconds(), "delay-median-s")
		b.ReportMetric(all[plays-1].Seconds(), "delay-max-s")
		if got := all[plays/2]; got > goal {
			b.Errorf("GOAL MISSED: frames are shown %v after they were made (%v to %v), at most %v are wanted", got, all[0], all[plays-1], goal)
		}
	}
}
