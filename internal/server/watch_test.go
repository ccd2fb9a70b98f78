package server

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/api/watch"
	"github.com/millrace/millrace/internal/mediatest"
)

// browse asks as a browser at the machine does.
func (p *plant) browse(method, path string) (int, string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.URL("http")+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// The page of a development server plays what its streams have, without a key.
func TestTheDemoPagePlays(t *testing.T) {
	p := devPlant(t, "2030-01-01@0")
	p.create("yard", 1)
	if code, page := p.browse("GET", watch.Path+"?stream=yard"); code != http.StatusOK || !strings.Contains(page, `"?stream=yard"`) {
		t.Errorf("the page: %d, %s", code, page)
	}
	if code, why := p.browse("POST", watch.Path+"/session?stream=yard"); code != http.StatusConflict || !strings.Contains(why, "ResourceNotFoundException") {
		t.Errorf("a session of nothing: %d, %s", code, why)
	}
	p.show("garden", mediatest.Bytes("gstreamer-h264-aac"))
	code, path := p.browse("POST", watch.Path+"/session?stream=garden")
	if code != http.StatusOK || !strings.HasPrefix(path, "/hls/v1/getHLSMasterPlaylist.m3u8?SessionToken=") {
		t.Fatalf("a session: %d, %s", code, path)
	}
	code, list := p.browse("GET", path)
	lines := strings.Split(strings.TrimSpace(list), "\n")
	if code != http.StatusOK || !strings.HasPrefix(list, "#EXTM3U\n") {
		t.Fatalf("the list: %d, %s", code, list)
	}
	if code, list = p.browse("GET", "/hls/v1/"+lines[len(lines)-1]); code != http.StatusOK || !strings.Contains(list, "#EXTINF:") {
		t.Errorf("the list of a track: %d, %s", code, list)
	}
}

// No other server has it: there, whoever plays must have a key.
func TestOnlyDevelopmentServersHaveTheDemoPage(t *testing.T) {
	p := newPlant(t, nil)
	for _, c := range []struct{ method, path string }{{"GET", ""}, {"GET", "/page.js"}, {"POST", "/session"}} {
		if code, body := p.browse(c.method, watch.Path+c.path); !strings.Contains(body, "UnknownOperationException") {
			t.Errorf("%s: %d, %s", c.path, code, body)
		}
	}
}
