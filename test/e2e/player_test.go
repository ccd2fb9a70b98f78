package e2e

import (
	"bytes"
	"context"
	"encoding/json"
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
	Rate     int       `json:"rate"`     // frames a second
	Frames   int       `json:"frames"`   // how many to show
	Seeks    []float64 `json:"seeks"`    // where to seek then, in seconds from the beginning
	End      bool      `json:"end"`      // whether to play on to the end after that
	Sync     int       `json:"sync"`     // hls.js: liveSyncDurationCount, and what starting cost is caught up; 0 for its default
	Patience int       `json:"patience"` // milliseconds for each step
	Origin   string    `json:"origin"`
	Browser  string    `json:"browser"`
	Home     string    `json:"home"` // its NSS database has the CA
}

// screening is what a viewer saw.
type screening struct {
	Samples   []sample
	Looked    []sample // pictures that were looked up after the play
	Past      int      // how many could not be looked up, as they had left the live list
	Seeks     []sample
	Errors    []string       // of the player
	Fatal     string         // what ended the play
	Final     int            // with End: the last frame that was read
	Said      []string       // the console's
	Refused   []string       // answers with 4xx and 5xx
	Protocols map[string]int // answers by protocol
}

// sample is a frame that was read from the picture.
type sample struct {
	Index int     // of the frame, -1 unreadable
	Media float64 // its time in the media, seconds
	At    float64 // when it was shown, in milliseconds since 1970
	Asked float64 // which frame, or second after the beginning, was to be shown
	Begin float64 // where the beginning was
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
	v.Home, v.Rate, v.Patience = t.TempDir(), filmRate, int(patience/2/time.Millisecond)
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
// first and the last is missing from what the player put together.
//
// A headless browser that shares two processors with others shows fewer frames than it plays,
// and the page reads fewer than are shown. Those are looked up afterwards, paused, each at its
// time: they must be there. One that a segment lacks, or that the player cut off, is not.
func (w *screening) complete(t *testing.T) {
	t.Helper()
	if len(w.Samples) < 2 {
		t.Fatalf("%d frames were read", len(w.Samples))
	}
	missing := 0
	for i, s := range w.Samples {
		switch {
		case s.Index < 0:
			t.Errorf("no index could be read at %.3f s", s.Media)
		case i == 0:
		case s.Index <= w.Samples[i-1].Index:
			t.Errorf("frame %d at %.3f s is shown after frame %d at %.3f s", s.Index, s.Media, w.Samples[i-1].Index, w.Samples[i-1].Media)
		default:
			missing += s.Index - w.Samples[i-1].Index - 1
		}
	}
	for _, s := range w.Looked {
		if s.Index != int(s.Asked) {
			t.Errorf("frame %.0f is missing: at its time is frame %d, of %.3f s", s.Asked, s.Index, s.Media)
		}
	}
	t.Logf("frames %d to %d: %d read while they played, %d looked up", w.Samples[0].Index, w.Samples[len(w.Samples)-1].Index, len(w.Samples), len(w.Looked))
	if missing > len(w.Looked)+w.Past {
		t.Errorf("%d frames were neither read nor looked up", missing-len(w.Looked)-w.Past)
	}
}

// smooth checks that no answer was a refusal and that the player complained of nothing but what
// is explained: hls.js goes to where the first picture is, in MPEG-TS some frames behind 0.
func (w *screening) smooth(t *testing.T) {
	t.Helper()
	for _, said := range w.Errors {
		if !strings.Contains(said, "bufferSeekOverHole fragment loaded with buffer holes, seeking from 0 to 0.") {
			t.Errorf("the player said %q", said)
		}
	}
	if len(w.Refused) > 0 {
		t.Errorf("refused: %v", w.Refused)
	}
}

// even checks that the media's time and the indexes go on together: the timeline is the
// producer's. Players that place segments by the list's durations are off by how far a
// fragment's sound reaches over its end, which is less than half a frame.
func (w *screening) even(t *testing.T) {
	t.Helper()
	for i, s := range w.Samples[1:] {
		before := w.Samples[i]
		if got, want := s.Media-before.Media, float64(s.Index-before.Index)/filmRate; math.Abs(got-want) > 0.5/filmRate {
			t.Errorf("from frame %d to %d the media go on by %.4f s, want %.4f", before.Index, s.Index, got, want)
		}
	}
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

// delays are how long after the producer wrote them the last so many frames were shown.
func (w *screening) delays(f *film, last int) (median, longest time.Duration) {
	var all []time.Duration
	for _, s := range w.Samples[max(0, len(w.Samples)-last):] {
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
