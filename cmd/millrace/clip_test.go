package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// cutter is a server that has one clip.
type cutter struct {
	mu    sync.Mutex
	sends int    // bytes of it, of 1,000
	asked string // query and selector of the last call
}

func (c *cutter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/getDataEndpoint" {
		_ = json.NewEncoder(w).Encode(map[string]string{"DataEndpoint": "http://" + r.Host})
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	b, _ := io.ReadAll(r.Body)
	c.asked = r.URL.RawQuery + string(b)
	if c.sends < 0 {
		w.Header().Set("x-amzn-ErrorType", "NoDataRetentionException")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"Message":"The stream has no data retention."}`)
		return
	}
	w.Header().Set("Content-Length", "1000")
	_, _ = w.Write(make([]byte, c.sends))
}

func TestClip(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "x.mp4")
	for name, c := range map[string]struct {
		args  string
		sends int
		code  int
		errs  string
		asked string
		size  int // of the file, 0 = there is none
	}{
		"a file": {args: "clip yard --from 1000 --to 2000 -o FILE", sends: 1000, size: 1000,
			asked: `{"ClipFragmentSelector":{"FragmentSelectorType":"SERVER_TIMESTAMP","TimestampRange":{"EndTimestamp":2000.0,"StartTimestamp":1000.0}},"StreamName":"yard"}`},
		"exactly": {args: "clip yard --from 1000.5 --to 2000 --exact --producer-time -o FILE", sends: 1000, size: 1000,
			asked: `ExactStart=true{"ClipFragmentSelector":{"FragmentSelectorType":"PRODUCER_TIMESTAMP"`},
		"one that breaks off": {args: "clip yard --from 1000 --to 2000 -o FILE", sends: 400, code: exitFailed, errs: "the clip broke off after 400 of 1000 bytes"},
		"a refusal":           {args: "clip yard --from 1000 --to 2000 -o FILE", sends: -1, code: exitFailed, errs: "NoDataRetentionException"},
		"the wrong way round": {args: "clip yard --from 3000 --to 2000 -o FILE", code: exitUsage, errs: "--to must be later than --from"},
		"no time":             {args: "clip yard --from noon -o FILE", code: exitUsage, errs: "is no time"},
		"no folder":           {args: "clip yard --from 1000 --to 2000 -o FILE/x.mp4", sends: 1000, code: exitFailed, errs: "no such file"},
	} {
		p := &cutter{sends: c.sends}
		_ = os.Remove(file)
		code, _, errs := command(t, p, nil, strings.Fields(strings.ReplaceAll(c.args, "FILE", file))...)
		if code != c.code || !strings.Contains(errs, c.errs) || !strings.HasPrefix(p.asked, c.asked) {
			t.Errorf("%s: code %d %s, asked %s", name, code, errs, p.asked)
		}
		b, err := os.ReadFile(file)
		if (c.size == 0) != os.IsNotExist(err) || len(b) != c.size {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
		if left, _ := os.ReadDir(dir); len(left) > 1 || c.size == 0 && len(left) > 0 {
			t.Errorf("%s leaves %v", name, left)
		}
	}
	if code, out, errs := command(t, &cutter{sends: 1000}, nil, "clip", "yard", "--from", "1000", "-o", "-"); code != exitOK || len(out) != 1000 {
		t.Errorf("%d, %d bytes, %s", code, len(out), errs)
	}
}

func TestClipLine(t *testing.T) {
	l := newClipLine(io.Discard, 4_000_000)
	_, _ = l.Write(make([]byte, 1_000_000))
	if got := l.text(l.begun.Add(2e9)); got != "2s  1.0 of 4.0 MB (25 %)  0.5 MB/s" {
		t.Error(got)
	}
}
