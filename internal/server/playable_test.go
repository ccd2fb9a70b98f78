package server

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/mediatest"
	"github.com/millrace/millrace/internal/rejection"
	"github.com/millrace/millrace/internal/wire"
)

// Who runs a stream hears why it is not seen: what calls and segments were refused for, and
// what plays its newest fragment.
func TestWhyAStreamDoesNotPlay(t *testing.T) {
	p := newPlant(t, nil)
	for _, name := range []string{"vp8", "gate", "empty"} {
		p.create(name, 24)
	}
	if got := p.why(of("empty")); len(got.Players) != 0 {
		t.Errorf("nothing is stored: %+v", got)
	}
	p.film("vp8", premiere, withPrivate("V_VP8", nil))
	var out wire.GetHLSStreamingSessionURLOutput
	for range 2 {
		if err := p.begin("GetHLSStreamingSessionURL", "vp8", yesterday, &out); err == nil {
			t.Fatal("VP8 plays")
		}
	}
	if err := p.begin("GetHLSStreamingSessionURL", "empty", yesterday, &out); err == nil {
		t.Fatal("nothing plays")
	}
	got := p.why(of("vp8"))
	if len(got.Rejections) != 1 || len(got.Players) != 4 {
		t.Fatalf("%+v", got)
	}
	e := got.Rejections[0]
	if e.Count != 2 || e.Last.Call != "GetHLSStreamingSessionURL" || e.Last.Case != "media-not-played" || e.Last.Scope != rejection.Request || !strings.Contains(e.Last.Why, "V_VP8") || e.Last.Fix == "" {
		t.Errorf("%+v", e)
	}
	for _, way := range got.Players {
		if !strings.Contains(way.Why, "V_VP8") {
			t.Errorf("%+v", way)
		}
	}
	if got := p.why(of("empty")).Rejections; len(got) != 1 || got[0].Last.Case != "nothing-to-play" {
		t.Errorf("%+v", got)
	}

	// Of a session only what the media are to blame for: not what is gone, nor a foreign token.
	p.film("gate", premiere, mediatest.Bytes("gstreamer-h264"))
	p.film("gate", premiere.Add(20*time.Second), mediatest.Bytes("ffmpeg-h264")) // with other private data
	manifest := p.dash("gate", rangeOf("ON_DEMAND", "DASHFragmentSelector", premiere, premiere.Add(time.Minute)))
	list := p.hls("gate", yesterday)
	media := uris(t, list, p.play(uris(t, list, p.play(list))[0]))[1]
	for _, address := range []string{strings.Replace(media, "FragmentNumber=", "FragmentNumber=9", 1), media + "x", strings.Replace(media, "SessionToken=", "SessionToken=x", 1)} {
		p.load("GET", address)
	}
	if got := p.why(of("gate")); len(got.Rejections) != 0 || len(got.Players) != 4 || got.Players[0].Why+got.Players[1].Why+got.Players[2].Why+got.Players[3].Why != "" {
		t.Errorf("%+v", got)
	}
	listed := strings.Count(p.play(manifest), "<S ")
	next := strings.Replace(manifest, "getDASHManifest.mpd", "getMP4MediaFragment.mp4", 1) + "&TrackNumber=1&SequenceNumber="
	if got := p.load("GET", next+strconv.Itoa(listed)); got.status != 200 {
		t.Errorf("the last one: %d %s", got.status, got.body)
	}
	if got := p.load("GET", next+strconv.Itoa(listed+1)); got.status != 400 || !strings.Contains(got.body, "other private data") {
		t.Errorf("the one behind the manifest's end: %d %s", got.status, got.body)
	}
	if got := p.why(of("gate")).Rejections; len(got) != 1 || got[0].Last.Call != "GetMP4MediaFragment" {
		t.Errorf("%+v", got)
	}
}
