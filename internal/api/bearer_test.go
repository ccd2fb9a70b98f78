package api

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/quota"
)

// gate serves actions whose permission is the text "good".
func gate(t *testing.T, h *house, serve func(c *Call) error) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h.front.Bearer(Action{Name: "GetHLSMediaPlaylist", Path: "/hls/v1/list.m3u8", Serve: func(ctx context.Context, c *Call) error {
		if c.Request.URL.RawQuery != "Token=good" {
			return kvs.Errorf(kvs.Denied, "The token is invalid.")
		}
		if err := c.Trust(ctx, yard); err != nil {
			return err
		}
		return serve(c)
	}}))
	t.Cleanup(s.Close)
	return s
}

func fetch(t *testing.T, method, url string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Access-Control-Request-Headers", "range")
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func TestActionsBehindAURL(t *testing.T) {
	h := newHouse(t, nil)
	s := gate(t, h, func(c *Call) error {
		c.Writer.Header().Set("Content-Type", "text/plain")
		_, err := io.WriteString(c.Writer, "a playlist")
		return err
	})
	for _, c := range []struct {
		method, url    string
		status         int
		exception, has string
	}{
		{"GET", "/hls/v1/list.m3u8?Token=good", 200, "", "a playlist"},
		{"HEAD", "/hls/v1/list.m3u8?Token=good", 200, "", ""},
		{"GET", "/hls/v1/list.m3u8?Token=evil", 403, "NotAuthorizedException", `{"Message":"The token is invalid."}`},
		{"POST", "/hls/v1/list.m3u8?Token=good", 405, "MethodNotAllowedException", "by GET or HEAD, not by POST"},
		{"GET", "/hls/v1/other?Token=good", 404, "ResourceNotFoundException", "nothing at this path"},
		{"OPTIONS", "/hls/v1/list.m3u8", 204, "", ""},
	} {
		resp, body := fetch(t, c.method, s.URL+c.url)
		if resp.StatusCode != c.status || resp.Header.Get("X-Amzn-Errortype") != c.exception || !strings.Contains(body, c.has) {
			t.Errorf("%s %s: %d %v %q", c.method, c.url, resp.StatusCode, resp.Header, body)
		}
		if resp.Header.Get("Access-Control-Allow-Origin") != "*" || resp.Header.Get("X-Amzn-Requestid") == "" {
			t.Errorf("%s %s: %v", c.method, c.url, resp.Header)
		}
		if methods := resp.Header.Get("Access-Control-Allow-Methods"); c.method == "OPTIONS" && (methods != "GET, HEAD, OPTIONS" || resp.Header.Get("Access-Control-Allow-Headers") != "range") {
			t.Errorf("preflight: %v", resp.Header)
		}
	}
	log := h.log.String()
	for _, want := range []string{"operation=GetHLSMediaPlaylist status=200", "stream=yard", "bytes=10", "operation=unknown status=404", "operation=GetHLSMediaPlaylist status=403"} {
		if !strings.Contains(log, want) {
			t.Errorf("%q is not in the log:\n%s", want, log)
		}
	}
	if strings.Contains(log, "Token=") || strings.Contains(log, "evil") {
		t.Errorf("the log has a token:\n%s", log)
	}
}

// An error before the answer began is one; behind that the connection says it.
func TestActionsThatFail(t *testing.T) {
	h := newHouse(t, nil)
	s := gate(t, h, func(c *Call) error {
		c.Writer.Header().Set("ETag", `"x"`)
		c.Writer.Header().Set("Cache-Control", "max-age=3000")
		return kvs.Errorf(kvs.NotFound, "Nothing there.")
	})
	resp, body := fetch(t, "GET", s.URL+"/hls/v1/list.m3u8?Token=good")
	if resp.StatusCode != 404 || resp.Header.Get("ETag") != "" || resp.Header.Get("Cache-Control") != "no-store" || body != `{"Message":"Nothing there."}` {
		t.Errorf("%d %v %q", resp.StatusCode, resp.Header, body)
	}
	s = gate(t, h, func(*Call) error { panic("a mistake") })
	if resp, _ := fetch(t, "GET", s.URL+"/hls/v1/list.m3u8?Token=good"); resp.StatusCode != 500 {
		t.Errorf("a panic: %d", resp.StatusCode)
	}
	if !strings.Contains(h.log.String(), "a mistake") {
		t.Error("the panic is not in the log")
	}
}

func TestTurnsOfASession(t *testing.T) {
	h := newHouse(t, map[string]string{"GetHLSMediaPlaylist.session-rate": "2/s"})
	var meter quota.Meter
	s := gate(t, h, func(c *Call) error {
		if err := c.Turn(&meter, quota.HLSMediaRate); err != nil {
			return err
		}
		_, err := io.WriteString(c.Writer, "ok")
		return err
	})
	var statuses []int
	for range 3 {
		resp, _ := fetch(t, "GET", s.URL+"/hls/v1/list.m3u8?Token=good")
		statuses = append(statuses, resp.StatusCode)
		if resp.StatusCode == 429 && (resp.Header.Get("Retry-After") != "1" || resp.Header.Get("X-Amzn-Errortype") != "ClientLimitExceededException") {
			t.Errorf("%v", resp.Header)
		}
	}
	if statuses[0] != 200 || statuses[1] != 200 || statuses[2] != 429 {
		t.Errorf("%v", statuses)
	}
}

// drip is a connection whose client takes some bytes a second, and nothing behind a deadline.
type drip struct {
	http.ResponseWriter
	rate     int
	deadline time.Time
	sleep    func(time.Duration)
}

func (d *drip) SetWriteDeadline(t time.Time) error { d.deadline = t; return nil }

func (d *drip) Write(b []byte) (int, error) {
	takes := time.Duration(len(b)) * time.Second / time.Duration(d.rate)
	if left := time.Until(d.deadline); !d.deadline.IsZero() && left < takes {
		d.sleep(left)
		return 0, os.ErrDeadlineExceeded
	}
	d.sleep(takes)
	return len(b), nil
}

// A client that takes a large segment slowly is cut after minutes; one that takes as much as
// a link of a megabit has gets it whole.
func TestSlowPlayersAreCut(t *testing.T) {
	for _, c := range []struct {
		size, rate int
		whole      bool
	}{
		{50_000_000, 40_000, false},
		{50_000_000, 130_000, true},
		{50_000_000, 100, false},
		{250_000, 5_000, false},
		{250_000, 9_000, true}, // a short one on a poor link
	} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			d := &drip{ResponseWriter: httptest.NewRecorder(), rate: c.rate, sleep: func(t time.Duration) { time.Sleep(t) }}
			a := &answer{ResponseWriter: d, call: &Call{}, ctrl: http.NewResponseController(d)}
			n, err := io.Copy(a, io.LimitReader(zeros{}, int64(c.size)))
			if took := time.Since(start); (err == nil) != c.whole || took > 30*time.Second+time.Duration(c.size)*time.Second/leastRate {
				t.Errorf("%d bytes at %d a second: %d went in %v: %v", c.size, c.rate, n, took, err)
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }
