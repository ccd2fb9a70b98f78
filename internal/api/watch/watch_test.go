package watch

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

// handler is a page of two streams, with or without the player.
func handler(player bool) http.Handler {
	files := fstest.MapFS{"page.js": {Data: []byte("play()")}}
	if player {
		files[Player] = &fstest.MapFile{Data: []byte("hls")}
	}
	return Handler(Options{Stream: "demo", Files: files,
		Streams: func(context.Context) ([]string, error) { return []string{"demo", "gar<den"}, nil },
		Session: func(_ context.Context, stream string) (string, error) {
			if stream != "demo" {
				return "", errors.New("no stream " + stream)
			}
			return "/hls/v1/getHLSMasterPlaylist.m3u8?SessionToken=T", nil
		}})
}

func ask(h http.Handler, method, url string, header map[string]string) (int, string, http.Header) {
	r := httptest.NewRequest(method, url, nil)
	for k, v := range header {
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	b, _ := io.ReadAll(w.Body)
	return w.Code, string(b), w.Header()
}

func TestThePage(t *testing.T) {
	for name, c := range map[string]struct {
		player bool
		method string
		url    string
		header map[string]string
		code   int
		want   []string
	}{
		"the page":           {true, "GET", "http://localhost:8080/demo/play", nil, 200, []string{`data-stream="demo"`, "hls.min.js", "gar&lt;den"}},
		"another stream":     {true, "GET", "http://127.0.0.1/demo/play?stream=%22yard", nil, 200, []string{`data-stream="&#34;yard"`}},
		"no player":          {false, "GET", "http://[::1]:8080/demo/play", nil, 200, []string{"make demo-player"}},
		"the script":         {true, "GET", "http://localhost/demo/play/page.js", nil, 200, []string{"play()"}},
		"hls.js":             {true, "GET", "http://localhost/demo/play/hls.min.js", nil, 200, []string{"hls"}},
		"no hls.js":          {false, "GET", "http://localhost/demo/play/hls.min.js", nil, 404, nil},
		"another file":       {true, "GET", "http://localhost/demo/play/watch.go", nil, 404, nil},
		"a session":          {true, "POST", "http://localhost/demo/play/session", map[string]string{"Sec-Fetch-Site": "same-origin"}, 200, []string{"/hls/v1/"}},
		"no such stream":     {true, "POST", "http://localhost/demo/play/session?stream=x", nil, 409, []string{"no stream x"}},
		"another page asks":  {true, "POST", "http://localhost/demo/play/session", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403, nil},
		"another origin":     {true, "POST", "http://localhost/demo/play/session", map[string]string{"Origin": "https://example.com"}, 403, nil},
		"another name":       {true, "POST", "http://example.com/demo/play/session", nil, 403, []string{"localhost"}},
		"a session by a GET": {true, "GET", "http://localhost/demo/play/session", nil, 405, nil},
	} {
		t.Run(name, func(t *testing.T) {
			code, body, head := ask(handler(c.player), c.method, c.url, c.header)
			if code != c.code {
				t.Errorf("%d: %s", code, body)
			}
			for _, want := range c.want {
				if !strings.Contains(body, want) {
					t.Errorf("%s is not in %s", want, body)
				}
			}
			if !strings.Contains(head.Get("Content-Security-Policy"), "default-src 'none'") {
				t.Errorf("policy %q", head.Get("Content-Security-Policy"))
			}
		})
	}
}

// What is built in is a page that runs nothing inline, which its policy would not let.
func TestWhatIsBuiltIn(t *testing.T) {
	h := Handler(Options{Stream: "demo", Streams: func(context.Context) ([]string, error) { return nil, errors.New("busy") }})
	if code, body, _ := ask(h, "GET", "http://localhost"+Path, nil); code != 200 || !strings.Contains(body, "busy") || strings.Contains(body, "<script>") {
		t.Errorf("%d: %s", code, body)
	}
	for _, name := range []string{"page.js", "page.css"} {
		if code, body, _ := ask(h, "GET", "http://localhost"+Path+"/"+name, nil); code != 200 || len(body) < 50 {
			t.Errorf("%s: %d", name, code)
		}
	}
}

// callHandler is a page of two channels, with or without what joins them.
func callHandler(sdk bool) http.Handler {
	files := fstest.MapFS{"call.js": {Data: []byte("call()")}}
	if sdk {
		files[Caller] = &fstest.MapFile{Data: []byte("KVSWebRTC")}
	}
	return CallHandler(CallOptions{Channel: "demo", Files: files,
		Channels: func(context.Context) ([]string, error) { return []string{"demo", "gar<den"}, nil },
		Invite: func(_ context.Context, server, channel string) (Invitation, error) {
			if channel != "demo" {
				return Invitation{}, errors.New("no channel " + channel)
			}
			return Invitation{ClientID: "anna", URL: strings.Replace(server, "http", "ws", 1) + "/channel/viewer", ICEServers: []ICEServer{}}, nil
		}})
}

func TestTheCallPage(t *testing.T) {
	for name, c := range map[string]struct {
		sdk    bool
		method string
		url    string
		header map[string]string
		code   int
		want   []string
	}{
		"the page":          {true, "GET", "http://localhost:8080/demo/webrtc", nil, 200, []string{`data-channel="demo"`, Caller, "gar&lt;den"}},
		"another channel":   {true, "GET", "http://127.0.0.1/demo/webrtc?channel=%22yard", nil, 200, []string{`data-channel="&#34;yard"`}},
		"no SDK":            {false, "GET", "http://[::1]:8080/demo/webrtc", nil, 200, []string{"make demo-player"}},
		"the script":        {true, "GET", "http://localhost/demo/webrtc/call.js", nil, 200, []string{"call()"}},
		"the SDK":           {true, "GET", "http://localhost/demo/webrtc/" + Caller, nil, 200, []string{"KVSWebRTC"}},
		"an invitation":     {true, "POST", "http://localhost:8080/demo/webrtc/join", map[string]string{"Sec-Fetch-Site": "same-origin"}, 200, []string{`{"clientId":"anna","url":"ws://localhost:8080/channel/viewer","iceServers":[]}`}},
		"over TLS":          {true, "POST", "https://localhost:8443/demo/webrtc/join", nil, 200, []string{`"wss://localhost:8443/`}},
		"no such channel":   {true, "POST", "http://localhost/demo/webrtc/join?channel=x", nil, 409, []string{"no channel x"}},
		"another page asks": {true, "POST", "http://localhost/demo/webrtc/join", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403, nil},
		"another origin":    {true, "POST", "http://localhost/demo/webrtc/join", map[string]string{"Origin": "https://example.com"}, 403, nil},
		"another name":      {true, "POST", "http://example.com/demo/webrtc/join", nil, 403, []string{"localhost"}},
		"by a GET":          {true, "GET", "http://localhost/demo/webrtc/join", nil, 405, nil},
	} {
		t.Run(name, func(t *testing.T) {
			code, body, head := ask(callHandler(c.sdk), c.method, c.url, c.header)
			if code != c.code {
				t.Errorf("%d: %s", code, body)
			}
			for _, want := range c.want {
				if !strings.Contains(body, want) {
					t.Errorf("%s is not in %s", want, body)
				}
			}
			if !strings.Contains(head.Get("Content-Security-Policy"), "default-src 'none'") {
				t.Errorf("policy %q", head.Get("Content-Security-Policy"))
			}
		})
	}
}
