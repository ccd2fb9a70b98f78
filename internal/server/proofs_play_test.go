package server

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/mediatest"
	"github.com/millrace/millrace/internal/quota"
)

// behind returns what a player asks for in a session of the stream: addresses by action.
func (h *hall) behind(s kvs.Stream) map[string]string {
	h.test.Helper()
	mp4, ts := h.hls(s.Name, yesterday), h.hls(s.Name, yesterday+`,"ContainerFormat":"MPEG_TS"`)
	list := uris(h.test, mp4, h.play(mp4))[0]
	parts := uris(h.test, list, h.play(list))
	return map[string]string{
		"GetHLSMasterPlaylist": mp4,
		"GetHLSMediaPlaylist":  list,
		"GetMP4InitFragment":   parts[0],
		"GetMP4MediaFragment":  parts[1],
		"GetTSFragment":        uris(h.test, ts, h.play(uris(h.test, ts, h.play(ts))[0]))[0],
		"GetDASHManifest":      h.dash(s.Name, rangeOf("ON_DEMAND", "DASHFragmentSelector", premiere, premiere.Add(time.Minute))),
	}
}

// recorded is a stream with four fragments of this proof.
func (h *hall) recorded(clips ...string) kvs.Stream {
	h.test.Helper()
	s := h.own(24)
	h.set(s, "PutMedia.fragment-rate", quota.None)
	for i, name := range clips {
		h.plant.film(s.Name, premiere.Add(time.Duration(i)*10*time.Second), mediatest.Bytes(name))
	}
	return s
}

// busySession asks as often as a session may, and once more.
func busySession(h *hall, l *quota.Limit) {
	s := h.recorded("gstreamer-h264")
	action, _, _ := strings.Cut(l.Name, ".")
	address := h.behind(s)[action]
	token := h.hls(s.Name, yesterday) // a fresh one
	switch action {
	case "GetTSFragment":
		token = h.hls(s.Name, yesterday+`,"ContainerFormat":"MPEG_TS"`)
	case "GetDASHManifest":
		token = address
	}
	session := regexp.MustCompile("SessionToken=[^&]*")
	address = session.ReplaceAllString(address, session.FindString(token))
	for i := range int(l.AWS) {
		if got := h.load("GET", address); got.status != 200 {
			h.test.Fatalf("request %d of %v allowed ones: %d %s", i+1, l.AWS, got.status, got.body)
		}
	}
	if got := h.load("GET", address); got.status != 429 || !strings.Contains(got.body, "Limit exceeded on number of requests for the playback session: "+action) || got.header.Get("Retry-After") != "1" {
		h.test.Errorf("%d %v %s", got.status, got.header, got.body)
	}
	if n := h.breaches(l); n < 1 {
		h.test.Errorf("%v refusals are counted", n)
	}
}

func shortLists(h *hall, l *quota.Limit) {
	s := h.recorded("gstreamer-h264")
	h.set(s, l.Name, "3")
	if strings.HasPrefix(l.Name, "GetDASH") {
		if got := h.play(h.behind(s)["GetDASHManifest"]); strings.Count(got, "<S ") != 3 {
			h.test.Errorf("%s", got)
		}
		return
	}
	if got := h.play(h.behind(s)["GetHLSMediaPlaylist"]); strings.Count(got, "#EXTINF") != 3 {
		h.test.Errorf("%s", got)
	}
}

func longRange(h *hall, _ *quota.Limit) {
	s := h.recorded("gstreamer-h264")
	span := func(selector string, d time.Duration) string {
		return rangeOf("ON_DEMAND", selector, premiere, premiere.Add(d))
	}
	h.play(h.hls(s.Name, span("HLSFragmentSelector", 24*time.Hour)))
	h.refused(h.begin("GetHLSStreamingSessionURL", s.Name, span("HLSFragmentSelector", 24*time.Hour+time.Second), nil), "InvalidArgumentException")
	h.refused(h.begin("GetDASHStreamingSessionURL", s.Name, span("DASHFragmentSelector", 24*time.Hour+time.Second), nil), "InvalidArgumentException")
}

func stillCamera(shared *hall, l *quota.Limit) {
	h := newHall(shared.test)
	s := h.recorded("gstreamer-h264")
	address := h.hls(s.Name, "")
	h.play(address)
	h.pass(time.Minute)
	if err := h.begin("GetHLSStreamingSessionURL", s.Name, "", nil); err == nil || !strings.Contains(fmt.Sprint(err), "No fragments found") {
		h.test.Errorf("a session begins with a fragment of a minute ago: %v", err)
	}
	if got := h.load("GET", address); got.status != 404 {
		h.test.Errorf("a session goes on a minute after the last fragment: %d", got.status)
	}
	h.play(address + "&LivePause=SURVIVE")
	h.set(s, l.Name, "2m")
	h.play(address)
	h.play(h.hls(s.Name, ""))
}

func manyCodecSets(h *hall, l *quota.Limit) {
	s := h.recorded("gstreamer-h264", "ffmpeg-h264", "gstreamer-h264")
	list := h.behind(s)["GetHLSMediaPlaylist"]
	if got := h.play(list); strings.Count(got, "#EXT-X-MAP") != 3 {
		h.test.Errorf("%s", got)
	}
	h.set(s, l.Name, "1")
	if got := h.load("GET", list); got.status != 400 || !strings.Contains(got.body, "changed 2 times in this streaming session; at most 1 changes are allowed") {
		h.test.Errorf("%d %s", got.status, got.body)
	}
}
