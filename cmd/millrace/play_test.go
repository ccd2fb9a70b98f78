package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// sessionURLs answers calls for session URLs and keeps what was asked.
type sessionURLs struct{ path, asked string }

func (s *sessionURLs) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	switch {
	case r.URL.Path == "/getDataEndpoint":
		fmt.Fprintf(w, `{"DataEndpoint":"http://%s"}`, r.Host)
	case strings.HasSuffix(r.URL.Path, "StreamingSessionURL"):
		s.path, s.asked = r.URL.Path, string(body)
		io.WriteString(w, `{"HLSStreamingSessionURL":"http://h/hls","DASHStreamingSessionURL":"http://h/dash"}`)
	}
}

func TestSessionURLs(t *testing.T) {
	for name, c := range map[string]struct {
		args  string
		path  string
		out   string
		asked []string
		not   string
	}{
		"live": {"hls garden", "/getHLSStreamingSessionURL", "http://h/hls\n",
			[]string{`"StreamName":"garden"`, `"PlaybackMode":"LIVE"`, `"FragmentSelectorType":"SERVER_TIMESTAMP"`}, "DiscontinuityMode"},
		"a range": {"hls garden --from 1700000000 --to 1700000100.5 --clock producer --expires 1h --max 9 --show-times", "/getHLSStreamingSessionURL", "http://h/hls\n",
			[]string{`"PlaybackMode":"ON_DEMAND"`, `"FragmentSelectorType":"PRODUCER_TIMESTAMP"`, `"StartTimestamp":1.7E9`, `"EndTimestamp":1.7000001005E9`,
				`"Expires":3600`, `"MaxMediaPlaylistFragmentResults":9`, `"DisplayFragmentTimestamp":"ALWAYS"`, `"DiscontinuityMode":"ON_DISCONTINUITY"`}, "ContainerFormat"},
		"the service's own mode": {"hls garden --clock producer --discontinuity never", "/getHLSStreamingSessionURL", "http://h/hls\n",
			[]string{`"DiscontinuityMode":"NEVER"`}, "TimestampRange"},
		"old players": {"hls garden --from 1700000000 --container ts --discontinuity on-discontinuity", "/getHLSStreamingSessionURL", "http://h/hls\n",
			[]string{`"PlaybackMode":"LIVE_REPLAY"`, `"ContainerFormat":"MPEG_TS"`, `"DiscontinuityMode":"ON_DISCONTINUITY"`}, "EndTimestamp"},
		"until the camera stops":   {"hls garden --live-pause break", "/getHLSStreamingSessionURL", "http://h/hls?LivePause=BREAK\n", nil, "LivePause"},
		"whatever the camera does": {"dash garden --live-pause survive", "/getDASHStreamingSessionURL", "http://h/dash?LivePause=SURVIVE\n", nil, "LivePause"},
		"replay with an end": {"dash garden --mode replay --from 1700000000 --to 1700000100", "/getDASHStreamingSessionURL", "http://h/dash\n",
			[]string{`"PlaybackMode":"LIVE_REPLAY"`, `"EndTimestamp":1.7000001E9`}, "Display"},
		"numbers": {"dash arn:aws:kinesisvideo:us-east-1:000000000000:stream/garden/1700000000000 --show-numbers", "/getDASHStreamingSessionURL", "http://h/dash\n",
			[]string{`"StreamARN":"arn:`, `"DisplayFragmentNumber":"ALWAYS"`}, "StreamName"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &sessionURLs{}
			code, out, stderr := command(t, s, nil, strings.Fields(c.args)...)
			if code != exitOK || out != c.out || s.path != c.path {
				t.Fatalf("%d, %q, asked %s; %s", code, out, s.path, stderr)
			}
			for _, want := range c.asked {
				if !strings.Contains(s.asked, want) {
					t.Errorf("asked %s, not %s", s.asked, want)
				}
			}
			if strings.Contains(s.asked, c.not) {
				t.Errorf("asked %s, with %s", s.asked, c.not)
			}
		})
	}
}

func TestSessionURLsThatMakeNoSense(t *testing.T) {
	for args, want := range map[string]string{
		"hls garden --mode live --from 1700000000":        "has no --from",
		"hls garden --mode replay":                        "begins with --from",
		"dash garden --to 1700000000":                     "begins with --from",
		"dash garden --mode on-demand --from 1700000000":  "ends with --to",
		"hls garden --from 1700000000 --to 1700000000":    "not later",
		"hls garden --expires 1m":                         "between 5m and 12h",
		"dash garden --max 5001":                          "between 1 and 5000",
		"hls garden --live-pause wait":                    "survive",
		"hls garden --live-pause break --from 1700000000": "for live lists",
		"hls garden --container avi":                      "mp4",
		"dash garden --discontinuity never":               "unknown flag",
		"hls garden --from yesterday":                     "is no time",
	} {
		code, out, stderr := command(t, &sessionURLs{}, nil, strings.Fields(args)...)
		if code != exitUsage || out != "" || !strings.Contains(stderr, want) {
			t.Errorf("%s: %d, %q, %q", args, code, out, stderr)
		}
	}
}
