package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// viewer is a headless browser in which a player plays a session URL. The page comes from a
// server of the test, so that all of the session's answers need CORS.
type viewer struct {
	Player   string    `json:"player"` // one of player.js
	URL      string    `json:"url"`
	Frames   int       `json:"frames"`   // how many to show
	Seeks    []float64 `json:"seeks"`    // where to seek then, in seconds from the beginning
	End      bool      `json:"end"`      // whether to play on to the end after that
	Sync     int       `json:"sync"`     // hls.js: liveSyncDurationCount, 0 for its default
	Patience int       `json:"patience"` // milliseconds for each step
	Origin   string    `json:"origin"`
	Browser  string    `json:"browser"`
	Home     string    `json:"home"` // its NSS database has the CA
}

// screening is what a viewer saw.
type screening struct {
	Samples []sample
	Seeks   []struct {
		Asked, Media, Begin float64
		Index               int
	}
	Errors    []string // of the player
	Fatal     string   // what ended the play
	Ended     bool
	Final     int // with End: the last frame that was read
	Duration  float64
	Said      []string       // the console's
	Refused   []string       // answers with 4xx and 5xx
	Protocols map[string]int // answers by protocol
}

// sample is a frame that was read from the picture when it was shown.
type sample struct {
	Index     int     // of the frame, -1 unreadable
	Media     float64 // its time in the media, seconds
	Told      float64 // that of the frame that the page was told of: an earlier one where the page was late
	Presented int     // frames shown so far, with the one told of
	Dropped   int     // frames decoded and not shown so far
	At        float64 // when, in milliseconds since 1970
}

// atOnce is how many browsers play at a time.
var atOnce = make(chan struct{}, 2)

// watch plays and returns what was seen. The play must not have failed.
func (v viewer) watch(t testing.TB, s *server) *screening {
	t.Helper()
	atOnce <- struct{}{}
	defer func() { <-atOnce }()
	var err error
	if v.Browser, err = exec.LookPath("chromium"); err != nil {
		t.Fatal(err)
	}
	v.Home, v.Patience = t.TempDir(), int(patience/2/time.Millisecond)
	if s != nil {
		trust(t, v.Home, s.ca())
	}
	pages := httptest.NewServer(http.FileServer(http.Dir(".")))
	defer pages.Close()
	v.Origin = pages.URL
	if v.Seeks == nil {
		v.Seeks = []float64{}
	}
	ask, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	c := exec.CommandContext(ctx, "node", "player.mjs")
	diagnostics := newOutput()
	c.Env, c.Stdin, c.Stderr = environment("HOME="+v.Home), bytes.NewReader(ask), diagnostics
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", v.Player, err, diagnostics.tail(20))
	}
	w := &screening{}
	if err := json.Unmarshal(out, w); err != nil {
		t.Fatalf("%s: %v in %.500s", v.Player, err, out)
	}
	if w.Fatal != "" {
		t.Fatalf("%s of %s: %s\nthe player said %q\nthe console said\n%s\nrefused: %v", v.Player, v.URL, w.Fatal, w.Errors, strings.Join(w.Said, "\n"), w.Refused)
	}
	return w
}

// trust makes the CA one that a browser with this home directory trusts.
func trust(t testing.TB, home, ca string) {
	t.Helper()
	db := filepath.Join(home, ".pki", "nssdb")
	if err := os.MkdirAll(db, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"-N", "--empty-password"}, {"-A", "-n", "millrace", "-t", "C,,", "-i", ca}} {
		c := exec.Command("certutil", append(args, "-d", "sql:"+db)...)
		c.Env = environment("HOME=" + home)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("certutil: %v\n%s", err, out)
		}
	}
}

// complete checks that the film went by as it was made: indexes rise, and no frame between the
// first and the last is missing from the media.
//
// A headless browser that shares two processors with other browsers shows fewer frames than it
// plays, and tells the page of fewer than it shows. Both are counted by the browser itself, so
// they are allowed for exactly: a frame that was not read must have been shown between two
// readings (presentedFrames) or decoded and thrown away late (droppedVideoFrames). A frame that
// a segment lacks, or that the player cut off where two overlap, is in neither count.
func (w *screening) complete(t *testing.T) {
	t.Helper()
	late := func(s sample) bool { return math.Abs(s.Media-s.Told) > 0.001 }
	all := w.Samples
	for len(all) > 0 && late(all[0]) {
		all = all[1:]
	}
	for len(all) > 0 && late(all[len(all)-1]) {
		all = all[:len(all)-1]
	}
	if 2*len(all) < len(w.Samples) || len(all) < 2 {
		t.Fatalf("%d frames were read, %d of them between two that the page was told of in time", len(w.Samples), len(all))
	}
	for i, s := range all {
		if s.Index < 0 {
			t.Errorf("no index could be read at %.3f s", s.Media)
		} else if i > 0 && s.Index <= all[i-1].Index {
			t.Errorf("frame %d at %.3f s is shown after frame %d at %.3f s", s.Index, s.Media, all[i-1].Index, all[i-1].Media)
		}
	}
	first, last := all[0], all[len(all)-1]
	missing := last.Index - first.Index + 1 - len(all)
	unread := last.Presented - first.Presented + 1 - len(all)
	dropped := last.Dropped - first.Dropped
	t.Logf("frames %d to %d: %d read, %d shown between two readings, %d dropped by the browser", first.Index, last.Index, len(all), unread, dropped)
	if missing > unread+dropped {
		t.Errorf("%d frames between %d and %d are missing from the media: of %d that were not read %d were shown and %d dropped\n%s",
			missing-unread-dropped, first.Index, last.Index, missing, unread, dropped, w.jumps())
	}
}

// even checks that the media's time and the indexes go on together: the timeline is the
// producer's.
func (w *screening) even(t *testing.T) {
	t.Helper()
	for i, s := range w.Samples[1:] {
		before := w.Samples[i]
		if got, want := s.Media-before.Media, float64(s.Index-before.Index)/filmRate; math.Abs(got-want) > 0.002 {
			t.Errorf("from frame %d to %d the media go on by %.4f s, want %.4f", before.Index, s.Index, got, want)
		}
	}
}

// jumps lists where frames were not read.
func (w *screening) jumps() string {
	var b strings.Builder
	for i, s := range w.Samples[1:] {
		if p := w.Samples[i]; s.Index != p.Index+1 {
			fmt.Fprintf(&b, "%d (%.3f s) to %d (%.3f s): %d shown, %d dropped\n", p.Index, p.Media, s.Index, s.Media, s.Presented-p.Presented-1, s.Dropped-p.Dropped)
		}
	}
	return b.String()
}

// sought checks that each seek showed the frame that is there, or the one beside it: players
// begin the timeline with the track that begins first, and sound and picture do not begin at once.
func (w *screening) sought(t *testing.T, first int) {
	t.Helper()
	for _, s := range w.Seeks {
		if want := first + int(s.Asked*filmRate); s.Index < want-1 || s.Index > want+1 {
			t.Errorf("seeking to %.2f s shows frame %d, want %d (media time %.3f, beginning %.3f)", s.Asked, s.Index, want, s.Media, s.Begin)
		}
	}
}

// delays are how long after the producer wrote them frames were shown.
func (w *screening) delays(f *film) (median, longest time.Duration) {
	var all []time.Duration
	for _, s := range w.Samples {
		if at, ok := f.written(s.Index); ok {
			all = append(all, time.UnixMicro(int64(s.At*1000)).Sub(at))
		}
	}
	if len(all) == 0 {
		return math.MaxInt64, math.MaxInt64
	}
	slices.Sort(all)
	return all[len(all)/2], all[len(all)-1]
}
