package e2e

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/mkv"
)

// cut is a recording fragment by fragment: the Matroska in front of them, each one's, and
// what ffmpeg makes of each.
type cut struct {
	head     []byte
	clusters []*chunk
	frames   []hashed
}

// recordCut records pictures of a hue and a tone.
func recordCut(t *testing.T, hue int) (c cut) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "recording.mkv")
	want, b := recordInto(t, file, x264+" -bf 2 -c:a aac", coded, pictureSize, hue)
	c.clusters = all(t, bytes.NewReader(b))
	c.head = headOf(t, b, func(*mkv.Track) {})
	for _, k := range c.clusters {
		count := map[uint64]int{}
		for _, f := range frames(t, bytes.NewReader(append(slices.Clone(c.head), k.cluster...))) {
			count[f.track]++
		}
		c.frames = append(c.frames, hashed{pictures: want.pictures[:count[1]], sound: want.sound[:count[2]]})
		want.pictures, want.sound = want.pictures[count[1]:], want.sound[count[2]:]
	}
	if len(c.clusters) != recorded || len(want.pictures)+len(want.sound) > 0 {
		t.Fatalf("%d fragments, %d pictures and %d packets of sound in none", len(c.clusters), len(want.pictures), len(want.sound))
	}
	return c
}

// end is a producer's end in place of a fragment: its last one is whole.
const end = -1

// arrivals are ways in which two producers' fragments come: each names a producer and one
// of its fragments. A fragment has its number when it begins and is stored when the
// producer's next one begins. What comes out is in the order of the numbers.
var arrivals = []struct {
	name         string
	second       time.Duration // what the second producer takes for the beginning, after the first one's
	sent, played [][2]int
}{
	{"two at once", 5 * time.Second,
		[][2]int{{0, 0}, {1, 0}, {0, 1}, {1, 1}, {0, 2}, {1, 2}, {0, 3}, {1, 3}, {0, end}, {1, end}},
		[][2]int{{0, 0}, {1, 0}, {0, 1}, {1, 1}, {0, 2}, {1, 2}, {0, 3}, {1, 3}}},
	{"two at the same times", 0, // of fragments with one time the last counts
		[][2]int{{0, 0}, {1, 0}, {1, 1}, {1, end}, {0, 1}, {0, 2}, {0, 3}, {0, end}},
		[][2]int{{1, 0}, {0, 1}, {0, 2}, {0, 3}}},
	{"a clock set back", -5 * time.Second,
		[][2]int{{0, 0}, {0, 1}, {0, 2}, {0, 3}, {0, end}, {1, 0}, {1, 1}, {1, 2}, {1, 3}, {1, end}},
		[][2]int{{0, 0}, {0, 1}, {0, 2}, {0, 3}, {1, 0}, {1, 1}, {1, 2}, {1, 3}}},
	{"a clock set far back", -20 * time.Second, // the oldest collection is played
		[][2]int{{0, 0}, {0, 1}, {0, 2}, {0, 3}, {0, end}, {1, 0}, {1, 1}, {1, 2}, {1, 3}, {1, end}},
		[][2]int{{0, 0}, {0, 1}, {0, 2}, {0, 3}}},
	{"a part sent again", 0,
		[][2]int{{0, 0}, {0, 1}, {0, 2}, {0, 3}, {0, end}, {1, 1}, {1, 2}, {1, end}},
		[][2]int{{0, 0}, {0, 3}, {1, 1}, {1, 2}}},
	{"one that ends late", 5 * time.Second, // and belongs to lists that are made in two minutes
		[][2]int{{0, 0}, {0, 1}, {1, 0}, {1, 1}, {1, 2}, {1, end}, {0, end}},
		[][2]int{{0, 0}, {1, 0}, {1, 1}, {1, 2}}},
}

// Whatever order fragments come in, ffmpeg decodes what is listed to the frames that went in.
func TestFrameMD5OfArrivals(t *testing.T) {
	s := serve(t)
	cuts := [2]cut{recordCut(t, 0), recordCut(t, 100)}
	for _, a := range arrivals {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			stream, starts := strings.ReplaceAll(a.name, " ", "-"), [2]time.Duration{0, a.second}
			s.create(t, stream)
			var producers [2]*session
			for i := range producers {
				producers[i] = s.openAt(t, stream, began.Add(starts[i]))
				producers[i].send(t, cuts[i].head)
			}
			begun := [2]int{}
			for _, one := range a.sent {
				p := producers[one[0]]
				if one[1] == end {
					p.end(t)
					continue
				}
				p.send(t, cuts[one[0]].clusters[one[1]].cluster)
				p.await(t, client.Buffering)
				if begun[one[0]]++; begun[one[0]] > 1 {
					p.await(t, client.Persisted)
				}
			}
			var want hashed
			for _, one := range a.played {
				want = want.plus(cuts[one[0]].frames[one[1]], starts[one[0]].Seconds())
			}
			s.compareArrivals(t, stream, want)
		})
	}
}

// compareArrivals compares frames in all forms. In HLS alone, where times are the producer's, so are the times.
func (s *server) compareArrivals(t *testing.T, stream string, want hashed) {
	t.Helper()
	s.compareSegments(t, stream, coded, want, false)
	url := s.session(t, "GetDASHStreamingSessionURL", object{"StreamName": stream, "PlaybackMode": "ON_DEMAND", "DASHFragmentSelector": everything()})
	same(t, "DASH", hashes(t, url, coded), want)
	same(t, "clip", hashes(t, s.clip(t, stream), coded), want)
}
