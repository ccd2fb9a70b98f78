package e2e

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// filmed is how many frames the recorded film of TestPlayers has: 14 seconds.
const filmed = 350

// Real players in a browser play the live stream, a replay of it and what is recorded, from the
// service's own URL with the CA in the browser's database: frame after frame, and where they
// are sent to. Two play at a time.
func TestPlayers(t *testing.T) {
	s := serve(t)
	s.record(t, "recorded", filmH264, filmed, false, "--start-time", began.Format(time.RFC3339Nano)).await(t)
	live := s.record(t, "live", filmH264Live, 100_000, true)
	s.awaitLive(t, "live")
	t.Cleanup(live.stop)
	kinds := map[string]struct{ player, format, container string }{
		"hls.js":                {"hlsjs", "HLS", "FRAGMENTED_MP4"},
		"hls.js with MPEG-TS":   {"hlsjs", "HLS", "MPEG_TS"},
		"video.js":              {"videojs", "HLS", "FRAGMENTED_MP4"},
		"video.js with MPEG-TS": {"videojs", "HLS", "MPEG_TS"},
		"Shaka with HLS":        {"shaka", "HLS", "FRAGMENTED_MP4"},
		"dash.js":               {"dashjs", "DASH", ""},
		"Shaka with DASH":       {"shaka", "DASH", ""},
	}
	t.Run("plays", func(t *testing.T) { // ends before the live film does
		t.Run("from glass to glass", func(t *testing.T) {
			t.Parallel()
			median, longest, seen := glassToGlass(t, s, live, 150)
			seen.complete(t)
			seen.smooth(t)
			t.Logf("shown %v after they were written, %v at most", median, longest)
			if median > 30*time.Second { // make bench-playback knows how long it should be
				t.Errorf("frames are shown %v after they were written", median)
			}
		})
		for _, name := range slices.Sorted(maps.Keys(kinds)) {
			k := kinds[name]
			ask := func(stream, mode string) string {
				in := object{"StreamName": stream, "PlaybackMode": mode}
				if k.container != "" {
					in["ContainerFormat"] = k.container
				}
				if mode != "ON_DEMAND" { // players do not go back to what is not listed any more
					in[map[string]string{"HLS": "MaxMediaPlaylistFragmentResults", "DASH": "MaxManifestFragmentResults"}[k.format]] = 60
				}
				if mode != "LIVE" {
					in[k.format+"FragmentSelector"] = everything()
				} else if name == "video.js" {
					// With a discontinuity in front of each segment, the default of the server's clock, it
					// throws away what it has whenever the picture's list is ahead of the sound's.
					in["HLSFragmentSelector"] = object{"FragmentSelectorType": "PRODUCER_TIMESTAMP"}
				}
				return s.sessionTLS(t, "Get"+k.format+"StreamingSessionURL", in)
			}
			t.Run(name+" LIVE", func(t *testing.T) {
				t.Parallel()
				seen := viewer{Player: k.player, URL: ask("live", "LIVE"), Frames: 150}.watch(t, s)
				seen.complete(t)
				seen.smooth(t)
				median, longest := seen.delays(live, 150)
				t.Logf("shown %v after they were written, %v at most", median, longest)
				if median > 30*time.Second { // a player far from the live edge is not live, however slow the machine
					t.Errorf("frames are shown %v after they were written", median)
				}
			})
			t.Run(name+" LIVE_REPLAY", func(t *testing.T) {
				t.Parallel()
				seen := viewer{Player: k.player, URL: ask("recorded", "LIVE_REPLAY"), Frames: 150}.watch(t, s)
				seen.complete(t)
				seen.smooth(t)
				seen.even(t)
			})
			t.Run(name+" ON_DEMAND", func(t *testing.T) {
				t.Parallel()
				seen := viewer{Player: k.player, URL: ask("recorded", "ON_DEMAND"), Frames: 100,
					Seeks: []float64{9.02, 2.54, 7.94, 5.02, 12.02}, End: true}.watch(t, s)
				seen.complete(t)
				seen.smooth(t)
				seen.even(t)
				if k.container == "MPEG_TS" && k.player == "hlsjs" {
					seen.sought(t, -2) // its timeline begins when the first picture is decoded: two frames earlier
				} else {
					seen.sought(t, 0)
				}
				if first := seen.Samples[0].Index; first > filmRate {
					t.Errorf("the film begins with frame %d", first)
				}
				if seen.Final < filmed-filmRate || seen.Final >= filmed {
					t.Errorf("the film ends with frame %d of %d", seen.Final, filmed)
				}
			})
		}
	})
}

// With --play the session's URLs point to a listener of their own, where a browser uses HTTP/2.
func TestPlayersAtTheirOwnListener(t *testing.T) {
	t.Parallel()
	s := serve(t, "--play", "127.0.0.1:0")
	s.record(t, "recorded", filmH264, 100, false, "--start-time", began.Format(time.RFC3339Nano)).await(t)
	url := s.sessionTLS(t, "GetHLSStreamingSessionURL", object{"StreamName": "recorded", "PlaybackMode": "ON_DEMAND", "HLSFragmentSelector": everything()})
	if strings.HasPrefix(url, s.https) {
		t.Fatalf("the session is at %s", url)
	}
	seen := viewer{Player: "hlsjs", URL: url, Frames: 60}.watch(t, s)
	seen.complete(t)
	seen.smooth(t)
	if len(seen.Protocols) != 1 || seen.Protocols["h2"] == 0 {
		t.Errorf("the browser used %v, want h2 alone", seen.Protocols)
	}
}
