package server

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/api/admin"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/mediatest"
	"github.com/millrace/millrace/internal/playback"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/mkv"
)

func TestHLSFromTheArchive(t *testing.T) {
	p := newPlant(t, nil)
	p.create("yard", 24)
	p.film("yard", premiere, mediatest.Bytes("gstreamer-h264-aac"))
	master := p.hls("yard", yesterday+`,"DisplayFragmentTimestamp":"ALWAYS"`)
	if !strings.HasPrefix(master, p.URL("https")+"/hls/v1/getHLSMasterPlaylist.m3u8?SessionToken=Ci") || !strings.HasSuffix(master, "~") {
		t.Errorf("%s", master)
	}
	if token := master[strings.Index(master, "=")+1:]; len(token) > 200 {
		t.Errorf("a token of %d characters", len(token))
	}
	lists := uris(t, master, p.play(master))
	if len(lists) != 2 {
		t.Fatalf("%d tracks: %s", len(lists), p.play(master))
	}
	for _, list := range lists {
		text := p.play(list)
		if !strings.Contains(text, "#EXT-X-PLAYLIST-TYPE:VOD") || !strings.HasSuffix(text, "#EXT-X-ENDLIST\n") || strings.Count(text, "#EXTINF:") != 4 ||
			!strings.Contains(text, "#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:2") {
			t.Errorf("%s", text)
		}
		parts := uris(t, list, text)
		if init := p.play(parts[0]); len(parts) != 5 || init[4:8] != "ftyp" {
			t.Errorf("%d parts, the first is %.20q", len(parts), init)
		}
		for _, segment := range parts[1:] {
			if got := p.load("GET", segment); got.header.Get("Content-Type") != "video/mp4" || !strings.Contains(got.body, "moof") || !strings.Contains(got.body, "mdat") {
				t.Errorf("%s: %v", masked(segment), got.header)
			}
		}
	}
}

func TestHLSInMPEGTS(t *testing.T) {
	p := newPlant(t, nil)
	p.create("yard", 24)
	p.film("yard", premiere, mediatest.Bytes("gstreamer-h264-aac"))
	master := p.hls("yard", yesterday+`,"ContainerFormat":"MPEG_TS"`)
	lists := uris(t, master, p.play(master))
	if len(lists) != 1 {
		t.Fatalf("%d lists", len(lists))
	}
	for i, segment := range uris(t, lists[0], p.play(lists[0])) {
		if got := p.load("GET", segment); got.status != 200 || got.header.Get("Content-Type") != "video/mp2t" || got.body[0] != 0x47 || len(got.body)%188 != 0 {
			t.Errorf("segment %d: %d %v, %d bytes", i, got.status, got.header, len(got.body))
		}
		// The other container is not the session's.
		if got := p.load("GET", strings.Replace(segment, "getTSFragment.ts", "getMP4MediaFragment.mp4", 1)+"&TrackNumber=1"); got.status != 404 {
			t.Errorf("fMP4 of it: %d", got.status)
		}
	}
}

func TestHLSLive(t *testing.T) {
	p := newPlant(t, nil)
	p.create("yard", 24)
	p.film("yard", time.Now(), mediatest.Bytes("gstreamer-h264"))
	master := p.hls("yard", `"MaxMediaPlaylistFragmentResults":3`)
	list := uris(t, master, p.play(master))[0]
	before := p.play(list)
	if strings.Contains(before, "ENDLIST") || strings.Count(before, "#EXTINF") != 3 || !strings.Contains(before, "#EXT-X-MEDIA-SEQUENCE:0\n") {
		t.Errorf("%s", before)
	}
	p.film("yard", time.Now(), mediatest.Bytes("gstreamer-h264"))
	after := p.play(list)
	if !strings.Contains(after, "#EXT-X-MEDIA-SEQUENCE:4\n") || strings.Count(after, "#EXTINF") != 3 {
		t.Errorf("%s", after)
	}
	for _, one := range append(uris(t, list, before), uris(t, list, after)...) {
		p.play(one) // what left the list can be loaded still
	}
}

func TestDASHFromTheArchive(t *testing.T) {
	p := newPlant(t, nil)
	p.create("yard", 24)
	p.film("yard", premiere, mediatest.Bytes("gstreamer-h264-aac"))
	address := p.dash("yard", rangeOf("ON_DEMAND", "DASHFragmentSelector", premiere, premiere.Add(time.Minute))+`,"DisplayFragmentNumber":"ALWAYS","DisplayFragmentTimestamp":"ALWAYS"`)
	got := p.load("GET", address)
	if got.header.Get("Content-Type") != "application/dash+xml" || strings.Count(got.body, "<AdaptationSet") != 2 || strings.Count(got.body, "kvs:fn=") != 8 {
		t.Errorf("%v\n%s", got.header, got.body)
	}
	base := strings.Replace(address, "getDASHManifest.mpd", "%s", 1)
	for _, track := range []string{"1", "2"} {
		if init := p.play(fmt.Sprintf(base, "getMP4InitFragment.mp4") + "&TrackNumber=" + track); init[4:8] != "ftyp" {
			t.Errorf("%.20q", init)
		}
		for n := 1; n <= 4; n++ {
			p.play(fmt.Sprintf(base, "getMP4MediaFragment.mp4") + "&TrackNumber=" + track + fmt.Sprintf("&SequenceNumber=%d", n))
		}
		for _, n := range []string{"0", "5", "-1", "x", ""} {
			if got := p.load("GET", fmt.Sprintf(base, "getMP4MediaFragment.mp4")+"&TrackNumber="+track+"&SequenceNumber="+n); got.status != 404 && got.status != 400 {
				t.Errorf("segment %q: %d", n, got.status)
			}
		}
	}
}

// A token gives the fragments of its range, in either protocol: nothing in front of it or
// behind it, and no other recording of the same producer times.
func TestTokensGiveTheirRangeOnly(t *testing.T) {
	p := newPlant(t, nil)
	p.create("yard", 24)
	p.film("yard", premiere, mediatest.Bytes("gstreamer-h264"))
	p.film("yard", premiere, mediatest.Bytes("gstreamer-h264"))
	part := func(mode, selector string) string {
		return rangeOf(mode, selector, premiere.Add(time.Second), premiere.Add(2*time.Second))
	}
	whole := p.hls("yard", rangeOf("LIVE_REPLAY", "HLSFragmentSelector", premiere, premiere.Add(time.Hour)))
	token := func(address string) string { return address[strings.Index(address, "SessionToken="):] }
	numbers := p.list("yard")
	if len(numbers) != 8 {
		t.Fatalf("%d fragments", len(numbers))
	}
	for _, mode := range []string{"LIVE_REPLAY", "ON_DEMAND"} {
		hls, dash := token(p.hls("yard", part(mode, "HLSFragmentSelector"))), token(p.dash("yard", part(mode, "DASHFragmentSelector")))
		for i, n := range numbers {
			want := 404
			if i == 1 || i == 2 {
				want = 200
			}
			at := p.URL("https") + "/hls/v1/getMP4MediaFragment.mp4?TrackNumber=1&FragmentNumber=" + n + "&"
			if got := p.load("GET", at+hls); got.status != want {
				t.Errorf("%s: fragment %d of HLS: %d", mode, i, got.status)
			}
			if got := p.load("GET", at+token(whole)); got.status != 200 {
				t.Errorf("%s: fragment %d of the whole: %d", mode, i, got.status)
			}
			at = fmt.Sprintf("%s/dash/v1/getMP4MediaFragment.mp4?TrackNumber=1&SequenceNumber=%d&", p.URL("https"), i)
			if got := p.load("GET", at+dash); got.status != want {
				t.Errorf("%s: number %d of DASH: %d", mode, i, got.status)
			}
		}
	}
}

// What players, caches and browsers rely on.
func TestAnswersToPlayers(t *testing.T) {
	p := newPlant(t, nil)
	p.create("yard", 24)
	p.film("yard", premiere, mediatest.Bytes("gstreamer-h264"))
	master := p.hls("yard", yesterday)
	list := uris(t, master, p.play(master))[0]
	parts := uris(t, list, p.play(list))
	segment := p.load("GET", parts[1])
	tag := segment.header.Get("ETag")
	for name, c := range map[string]struct {
		page
		status int
		header map[string]string
		body   string
	}{
		"segment": {segment, 200, map[string]string{"Accept-Ranges": "bytes", "Access-Control-Allow-Origin": "*", "Content-Length": fmt.Sprint(len(segment.body))}, segment.body},
		"head":    {p.load("HEAD", parts[1]), 200, map[string]string{"ETag": tag, "Content-Length": fmt.Sprint(len(segment.body))}, ""},
		"range": {p.load("GET", parts[1], "Range", "bytes=10-19"), 206, map[string]string{"Content-Range": fmt.Sprintf("bytes 10-19/%d", len(segment.body))},
			segment.body[10:20]},
		"the end":          {p.load("GET", parts[1], "Range", "bytes=-7"), 206, nil, segment.body[len(segment.body)-7:]},
		"beyond":           {p.load("GET", parts[1], "Range", "bytes=999999999-"), 416, map[string]string{"Content-Range": fmt.Sprintf("bytes */%d", len(segment.body))}, "*"},
		"if range":         {p.load("GET", parts[1], "Range", "bytes=0-3", "If-Range", tag), 206, nil, segment.body[:4]},
		"if another range": {p.load("GET", parts[1], "Range", "bytes=0-3", "If-Range", `"other"`), 200, nil, segment.body},
		"known segment":    {p.load("GET", parts[1], "If-None-Match", tag), 304, map[string]string{"ETag": tag}, ""},
		"list":             {p.load("GET", list), 200, map[string]string{"Cache-Control": "no-store", "Content-Type": "application/vnd.apple.mpegurl", "Vary": "Accept-Encoding"}, p.play(list)},
		"head of a list":   {p.load("HEAD", list), 200, map[string]string{"Content-Length": fmt.Sprint(len(p.play(list)))}, ""},
		"known list":       {p.load("GET", list, "If-None-Match", p.load("GET", list).header.Get("ETag")), 304, nil, ""},
		"gzip refused":     {p.load("GET", list, "Accept-Encoding", "gzip;q=0"), 200, map[string]string{"Content-Encoding": ""}, p.play(list)},
		"options":          {p.load("OPTIONS", list, "Origin", "https://example.com", "Access-Control-Request-Headers", "range"), 204, map[string]string{"Access-Control-Allow-Headers": "range", "Access-Control-Allow-Origin": "*"}, ""},
	} {
		if c.page.status != c.status || c.body != "*" && c.page.body != c.body {
			t.Errorf("%s: %d, %d bytes", name, c.page.status, len(c.page.body))
		}
		for k, want := range c.header {
			if got := c.page.header.Get(k); got != want {
				t.Errorf("%s: %s is %q, want %q", name, k, got, want)
			}
		}
	}
	if c := segment.header.Get("Cache-Control"); !regexp.MustCompile(`^private, immutable, max-age=(29[0-9]|300)$`).MatchString(c) {
		t.Errorf("a segment has %q", c)
	}
	zipped := p.load("GET", list, "Accept-Encoding", "br, gzip;q=0.5")
	if zipped.header.Get("Content-Encoding") != "gzip" || len(zipped.body) >= len(p.play(list)) || zipped.header.Get("ETag") == p.load("GET", list).header.Get("ETag") {
		t.Errorf("%v, %d bytes", zipped.header, len(zipped.body))
	}
}

// Tokens of players stand in each line of their lists, so they are shorter than others.
func TestTokensOfPlayersAreShort(t *testing.T) {
	if sessionPurpose.Longest() != 200 || sessionPurpose.Room() < playback.MaxSessionBytes {
		t.Errorf("%d bytes of a session in %d characters", sessionPurpose.Room(), sessionPurpose.Longest())
	}
}

// Whoever has no good token learns nothing, and the log has none.
func TestTokensOfPlayers(t *testing.T) {
	p, other := newPlant(t, nil), newPlant(t, nil)
	for _, one := range []*plant{p, other} {
		one.create("yard", 24)
		one.film("yard", premiere, mediatest.Bytes("gstreamer-h264"))
	}
	p.create("barn", 24)
	p.film("barn", premiere, mediatest.Bytes("gstreamer-h264"))
	master := p.hls("yard", yesterday)
	list := uris(t, master, p.play(master))[0]
	parts := uris(t, list, p.play(list))
	barn := uris(t, master, p.play(uris(t, master, p.play(p.hls("barn", yesterday)))[0]))
	foreign := strings.TrimPrefix(other.hls("yard", yesterday), other.URL("https"))
	cut := strings.Index(list, "=") + 30
	const token = `SessionToken=[^&]*`
	swap := func(address, with string) string { return regexp.MustCompile(token).ReplaceAllString(address, with) }
	own := regexp.MustCompile(token).FindString(list)
	for name, c := range map[string]struct {
		address string
		status  int
		says    string
	}{
		"none":                    {swap(list, ""), 403, "Streaming session token is missing"},
		"forged":                  {list[:cut] + string('A'+('B'-list[cut])&1) + list[cut+1:], 403, "Streaming session token is invalid"},
		"forged for a segment":    {swap(parts[1], "SessionToken=CiAAAAAA~"), 403, "Streaming session token is invalid"},
		"of another server":       {p.URL("https") + foreign, 403, "Streaming session token is invalid"},
		"of HLS for DASH":         {strings.Replace(master, "/hls/v1/getHLSMasterPlaylist.m3u8", "/dash/v1/getDASHManifest.mpd", 1), 403, "Streaming session token is invalid"},
		"another stream's number": {swap(barn[1], own), 404, "no such fragment"},
		"no number":               {parts[1][:strings.Index(parts[1], "?")] + "?" + own + "&TrackNumber=1&FragmentNumber=x", 400, "FragmentNumber must be"},
		"another track":           {strings.Replace(list, "TrackNumber=1", "TrackNumber=2", 1), 404, "no track 2"},
		"no track":                {strings.Replace(list, "TrackNumber=1", "TrackNumber=x", 1), 400, "TrackNumber must be"},
		"another codec set":       {strings.Replace(parts[0], "SequenceNumber=0", "SequenceNumber=7", 1), 404, "no such fragment"},
		"another file":            {strings.Replace(list, "getHLSMedia", "getMedia", 1), 404, "nothing at this path"},
		"an option":               {list + "&LivePause=never", 400, "LivePause must be BREAK or SURVIVE"},
	} {
		got := p.load("GET", c.address)
		if got.status != c.status || !strings.Contains(got.body, c.says) || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v %s", name, got.status, got.header, got.body)
		}
	}
	if log := p.log.String(); strings.Contains(log, "SessionToken=Ci") || strings.Contains(log, own[len("SessionToken="):][:40]) {
		t.Error("the log has a token")
	}
}

func TestSessionsEnd(t *testing.T) {
	var passed time.Duration
	start := time.Now()
	p := newPlant(t, func(c *config.Config) {
		c.Now = func() time.Time { return start.Add(passed) }
		c.Real = time.Now
	})
	p.create("yard", 24)
	p.film("yard", premiere, mediatest.Bytes("gstreamer-h264"))
	p.create("barn", 24)
	p.film("barn", start, mediatest.Bytes("gstreamer-h264"))
	short, long := p.hls("yard", yesterday), p.hls("yard", yesterday+`,"Expires":3600`)
	live := p.hls("barn", `"Expires":3600`)
	list := uris(t, live, p.play(live))[0]
	p.play(list)

	var out admin.RevokeSessionsOutput
	yard := "yard"
	passed = 299 * time.Second
	p.play(short)
	passed = 300 * time.Second
	if got := p.load("GET", short); got.status != 403 || !strings.Contains(got.body, "Streaming session token is expired") {
		t.Errorf("expired: %d %s", got.status, got.body)
	}
	p.play(long)
	p.do("RevokeSessions", admin.RevokeSessionsInput{Stream: admin.Stream{StreamName: &yard}}, &out)
	if got := p.load("GET", long); got.status != 403 || !strings.Contains(got.body, "Streaming session token is revoked") {
		t.Errorf("revoked: %d %s", got.status, got.body)
	}
	p.play(p.hls("yard", yesterday)) // a new one

	if got := p.play(list); strings.Contains(got, "ENDLIST") { // the producer pauses
		t.Errorf("%s", got)
	}
	if got := p.load("GET", list+"&LivePause=BREAK"); got.status != 404 {
		t.Errorf("a pause that breaks: %d %s", got.status, got.body)
	}
	p.ask("DeleteStream", &wire.DeleteStreamInput{StreamARN: new(p.arn("barn"))}, nil)
	if got := p.play(list); !strings.HasSuffix(got, "#EXT-X-ENDLIST\n") || strings.Count(got, "#EXTINF") != 4 {
		t.Errorf("of a deleted stream: %s", got)
	}
	passed += 61 * time.Second
	if got := p.load("GET", list); got.status != 404 || !strings.Contains(got.body, "was deleted") {
		t.Errorf("a minute later: %d %s", got.status, got.body)
	}
}

// withPrivate is a document of one fragment with a track of these.
func withPrivate(id string, private []byte) []byte {
	b := mkv.AppendEBML(nil, mkv.Header{DocType: "matroska"})
	b = mkv.AppendInfo(mkv.AppendSegmentUnknown(b), &mkv.Info{MuxingApp: "test", WritingApp: "test"})
	b = mkv.AppendTracks(b, []mkv.Track{{Number: 1, UID: 1, Type: mkv.VideoTrack, CodecID: id, CodecPrivate: private}})
	b = mkv.AppendClusterUnknown(b, 0)
	for f := range 5 {
		b = mkv.AppendSimpleBlock(b, mkv.BlockHeader{Track: 1, Time: int16(200 * f), Key: f == 0}, make([]byte, 100))
	}
	return b
}

// Exceptions of the calls that begin sessions, each with a text that says what was wrong.
func TestSessionsThatCannotBegin(t *testing.T) {
	p := newPlant(t, func(c *config.Config) { c.Profile = quota.AWS; c.Limits = unlimitedRates() })
	p.create("nothing", 0)
	for _, name := range []string{"empty", "vp8", "bare", "broken", "gone", "good", "hevc"} {
		p.create(name, 24)
	}
	p.film("vp8", premiere, withPrivate("V_VP8", nil))
	p.film("bare", premiere, withPrivate(mediatest.AVC, nil))
	p.film("broken", premiere, withPrivate(mediatest.AVC, []byte{1, 2, 3}))
	p.film("gone", premiere, mediatest.Bytes("gstreamer-h264"))
	p.film("good", premiere, mediatest.Bytes("gstreamer-h264"))
	p.film("hevc", premiere, mediatest.Bytes("ffmpeg-h265"))
	p.ask("DeleteStream", &wire.DeleteStreamInput{StreamARN: new(p.arn("gone"))}, nil)
	later := rangeOf("ON_DEMAND", "HLSFragmentSelector", premiere.Add(time.Hour), premiere.Add(2*time.Hour))
	day := rangeOf("ON_DEMAND", "HLSFragmentSelector", premiere, premiere.Add(25*time.Hour))
	for _, c := range []struct{ stream, in, exception, says string }{
		{"nothing", "", "NoDataRetentionException", "data retention of 0 hours"},
		{"nowhere", "", "ResourceNotFoundException", "not found"},
		{"gone", yesterday, "ResourceNotFoundException", "not found"},
		{"empty", "", "ResourceNotFoundException", "No fragments found"},
		{"empty", yesterday, "ResourceNotFoundException", "No fragments found"},
		{"good", later, "ResourceNotFoundException", "No fragments found"},
		{"good", day, "InvalidArgumentException", "at most 24h are allowed"},
		{"good", `"PlaybackMode":"ON_DEMAND"`, "InvalidArgumentException", "needs HLSFragmentSelector"},
		{"good", `"PlaybackMode":"NOW"`, "InvalidArgumentException", "PlaybackMode"},
		{"good", `"Expires":299`, "InvalidArgumentException", "Expires"},
		{"good", `"Expires":43201`, "InvalidArgumentException", "Expires"},
		{"good", `"MaxMediaPlaylistFragmentResults":0`, "InvalidArgumentException", "MaxMediaPlaylistFragmentResults"},
		{"good", `"MaxMediaPlaylistFragmentResults":5001`, "InvalidArgumentException", "MaxMediaPlaylistFragmentResults"},
		{"vp8", yesterday, "UnsupportedStreamMediaTypeException", "(track 1: V_VP8)"},
		{"hevc", yesterday + `,"ContainerFormat":"MPEG_TS"`, "UnsupportedStreamMediaTypeException", "(track 1: V_MPEGH/ISO/HEVC)"},
		{"bare", yesterday, "MissingCodecPrivateDataException", "for track 1. Its codec id is V_MPEG4/ISO/AVC"},
		{"broken", yesterday, "InvalidCodecPrivateDataException", "for track 1 (V_MPEG4/ISO/AVC)"},
	} {
		err := p.begin("GetHLSStreamingSessionURL", c.stream, c.in, nil)
		wantException(t, err, c.exception)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s, %s: %v, want %q", c.stream, c.in, err, c.says)
		}
	}
	p.play(p.hls("good", yesterday))
	p.play(p.hls("hevc", yesterday))
}

// unlimitedRates lifts the request rates of the calls that tests make often.
func unlimitedRates() map[string]string {
	all := map[string]string{}
	for _, l := range quota.Table() {
		if isRequestRate(l) {
			all[l.Name] = quota.None
		}
	}
	return all
}

// A listener for players speaks HTTP/2, serves nothing else, and is where session URLs
// point.
func TestThePlayListener(t *testing.T) {
	p := newPlant(t, func(c *config.Config) { c.Play = "127.0.0.1:0" })
	p.create("yard", 24)
	p.film("yard", premiere, mediatest.Bytes("gstreamer-h264"))
	master := p.hls("yard", yesterday)
	base := "https" + strings.TrimPrefix(p.URL("play"), "play")
	if !strings.HasPrefix(master, base+"/hls/v1/") {
		t.Fatalf("%s is not at %s", master, base)
	}
	transport := p.HTTP.Transport.(*http.Transport).Clone()
	transport.Protocols = new(http.Protocols)
	transport.Protocols.SetHTTP2(true)
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get(master)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 200 || resp.ProtoMajor != 2 {
		t.Errorf("%d over %s", resp.StatusCode, resp.Proto)
	}
	p.play(master) // HTTP/1.1
	if got := p.load("GET", base+"/healthz"); got.status != 200 {
		t.Errorf("health: %d", got.status)
	}
	for _, path := range []string{"/metrics", "/listStreams", "/"} {
		if got := p.load("POST", base+path); got.status != 404 {
			t.Errorf("%s: %d", path, got.status)
		}
	}
	// The API serves players as before.
	p.play(p.URL("http") + strings.TrimPrefix(master, base))
}

// A token outlives its server.
func TestSessionsOutliveTheirServer(t *testing.T) {
	dir := t.TempDir()
	p := newPlant(t, func(c *config.Config) { c.Data = dir })
	p.create("yard", 24)
	p.film("yard", premiere, mediatest.Bytes("gstreamer-h264"))
	master := strings.TrimPrefix(p.hls("yard", yesterday), p.URL("https"))
	want := masked(p.play(p.URL("https") + master))
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	p = newPlant(t, func(c *config.Config) { c.Data = dir })
	if got := masked(p.play(p.URL("https") + master)); got != want {
		t.Errorf("%s", got)
	}
}
