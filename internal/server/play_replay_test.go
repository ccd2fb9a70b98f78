package server

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/mediatest"
)

// numberAfter is the number that follows a text in a list, -1 without it.
func numberAfter(list, text string) int {
	m := regexp.MustCompile(regexp.QuoteMeta(text) + `(\d+)`).FindStringSubmatch(list)
	if m == nil {
		return -1
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// A replay of twenty seconds through its URLs, on a clock of its own: what is listed keeps
// pace with the time that passed, has the same numbers in both protocols, and ends where its
// range does; nothing else can be had, nor anything long before its time.
func TestReplaysKeepPace(t *testing.T) {
	var passed time.Duration
	start := time.Now()
	p := newPlant(t, func(c *config.Config) {
		c.Now = func() time.Time { return start.Add(passed) }
		c.Real = time.Now
	})
	p.create("yard", 24)
	for i := range 6 { // 24 fragments of a second
		p.film("yard", premiere.Add(time.Duration(4*i)*time.Second), mediatest.Bytes("gstreamer-h264"))
	}
	stored := p.list("yard")
	if len(stored) != 24 {
		t.Fatalf("%d fragments", len(stored))
	}
	wanted := stored[1:21]
	of := func(selector string) string {
		return rangeOf("LIVE_REPLAY", selector, premiere.Add(time.Second), premiere.Add(20*time.Second))
	}
	master := p.hls("yard", of("HLSFragmentSelector")+`,"MaxMediaPlaylistFragmentResults":3`)
	manifest := p.dash("yard", of("DASHFragmentSelector")+`,"MaxManifestFragmentResults":3,"DisplayFragmentNumber":"ALWAYS"`)
	list := uris(t, master, p.play(master))[0]
	hls := list[:strings.Index(list, "getHLSMedia")] + "getMP4MediaFragment.mp4?" + list[strings.Index(list, "SessionToken="):] + "&FragmentNumber="
	dash := strings.Replace(manifest, "getDASHManifest.mpd", "getMP4MediaFragment.mp4", 1) + "&TrackNumber=1&SequenceNumber="

	for _, at := range []int{0, 900, 1500, 2500, 8500, 18_500, 19_500, 25_000} {
		passed = time.Duration(at) * time.Millisecond
		listed := min(1+at/1000, len(wanted))                   // a fragment is listed when those before it have passed
		first, ended := max(0, listed-3), listed == len(wanted) // one behind the range is there
		text := p.play(list)
		if got := numberAfter(text, "#EXT-X-MEDIA-SEQUENCE:"); got != first || ended != strings.HasSuffix(text, "#EXT-X-ENDLIST\n") {
			t.Errorf("after %d ms the list begins with %d, not %d:\n%s", at, got, first, text)
		}
		var got []string
		for _, m := range regexp.MustCompile(`FragmentNumber=(\d{47})`).FindAllStringSubmatch(text, -1) {
			got = append(got, m[1])
		}
		if !slices.Equal(got, wanted[first:listed]) {
			t.Errorf("after %d ms it has %v, not %v", at, got, wanted[first:listed])
		}
		text = p.play(manifest)
		if got := numberAfter(text, `startNumber="`); got != first+1 || strings.Count(text, "kvs:fn=") != listed-first || ended == strings.Contains(text, `type="dynamic"`) {
			t.Errorf("after %d ms the manifest begins with %d, not %d:\n%s", at, got, first+1, text)
		}
		for i, number := range stored {
			inside := i >= 1 && i <= 20
			for address, what := range map[string]string{hls + number: "fragment", fmt.Sprint(dash, i): "number"} {
				status := p.load("GET", address).status
				switch begins := (i - 1) * 1000; {
				case !inside && status != 404, inside && i <= listed && status != 200, inside && begins > at+11_000 && status != 404:
					t.Errorf("after %d ms %s %d of 1 to 20 is answered with %d", at, what, i, status)
				}
			}
		}
	}
}
