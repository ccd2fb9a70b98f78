package dash

import (
	"bytes"
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Eyevinn/dash-mpd/mpd"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/playback"
	"github.com/millrace/millrace/internal/segment"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("%s differs; with -update it becomes\n%s", path, got)
	}
}

const token = "CiBzZXNzaW9u~"

// noon is when the first fragment of the tests begins.
var noon = kvs.MillisOf(time.Date(2026, 5, 17, 12, 0, 0, 0, time.UTC))

// fragments make a list of durations, received while they were filmed.
func fragments(durations ...int64) *playback.Timeline {
	t := &playback.Timeline{Target: 2}
	begin := int64(0)
	for i, d := range durations {
		at := noon + kvs.Millis(begin)
		t.Entries = append(t.Entries, playback.Entry{
			Stored: archive.Stored{
				Fragment: kvs.Fragment{Number: kvs.FragmentNumber{N: int64(i + 1), Server: at, Random: 7}, Producer: at, Duration: d, Size: d * 120},
				Facts: segment.Facts{LiveSeq: int64(i + 1), Tracks: []segment.Track{
					{Number: 1, Frames: uint32(d / 40), Bytes: d * 100}, {Number: 2, Frames: uint32(d / 23), Bytes: d * 12}}},
			},
			Number: int64(i), Start: at, Begin: begin, Length: d,
		})
		begin += d
	}
	return t
}

var (
	picture = codec.Track{Number: 1, Kind: codec.H264, Width: 1920, Height: 1080, FrameRate: 29.97, String: "avc1.4d4032"}
	sound   = codec.Track{Number: 2, Kind: codec.AAC, SampleRate: 44100, Channels: 2, String: "mp4a.40.2"}
	phone   = codec.Track{Number: 2, Kind: codec.ULaw, SampleRate: 8000, Channels: 1}
)

// session is one that began when the list was as long as this.
func session(mode playback.Mode, listed int64) *playback.Session {
	return &playback.Session{Kind: playback.DASH, Mode: mode, Created: noon + kvs.Millis(listed) + 300,
		Base: playback.Base{Listed: listed}}
}

func TestManifests(t *testing.T) {
	second := sound
	second.Number = 3
	for _, c := range []struct {
		name   string
		tracks []codec.Track
		make   func() (*playback.Session, *playback.Timeline)
	}{
		{"static", []codec.Track{picture, sound}, func() (*playback.Session, *playback.Timeline) {
			l := fragments(2000, 1960, 40)
			l.Static, l.Ended = true, true
			s := session(playback.OnDemand, 4000)
			s.ShowNumbers, s.ShowTimes = true, true
			return s, l
		}},
		{"live", []codec.Track{picture, phone}, func() (*playback.Session, *playback.Timeline) {
			l := fragments(2000, 2000, 2000)
			l.First = 0
			return session(playback.Live, 6000), l
		}},
		{"live-three-tracks", []codec.Track{picture, sound, second}, func() (*playback.Session, *playback.Timeline) {
			l := fragments(2000, 2000, 2000, 2000, 2000)
			l.Entries, l.First = l.Entries[2:], 2
			return session(playback.Live, 6000), l
		}},
		{"replay-ended", []codec.Track{sound}, func() (*playback.Session, *playback.Timeline) {
			l := fragments(1000, 1000, 1000)
			l.Entries, l.First, l.Ended = l.Entries[1:], 1, true
			return session(playback.LiveReplay, 1000), l
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, l := c.make()
			got := AppendManifest(nil, s, l, c.tracks, token, noon+10_300)
			golden(t, c.name+".mpd", got)
			wellFormed(t, got)
			sameThere(t, got, l, c.tracks)
		})
	}
}

func wellFormed(t *testing.T, b []byte) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(b))
	for {
		if _, err := d.Token(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// sameThere lets another program read a manifest and compares what it understands.
func sameThere(t *testing.T, text []byte, l *playback.Timeline, tracks []codec.Track) {
	t.Helper()
	m, err := mpd.ReadFromString(string(text))
	if err != nil {
		t.Fatal(err)
	}
	sets := m.Periods[0].AdaptationSets
	if len(sets) != len(tracks) {
		t.Fatalf("it reads %d tracks", len(sets))
	}
	for i, set := range sets {
		template := set.SegmentTemplate
		if *template.StartNumber != uint32(l.First)+1 || len(template.SegmentTimeline.S) != len(l.Entries) {
			t.Fatalf("it reads %d segments from %d", len(template.SegmentTimeline.S), *template.StartNumber)
		}
		for j, s := range template.SegmentTimeline.S {
			if e := &l.Entries[j]; *s.T != uint64(e.MediaBegin()) || s.D != uint64(e.Length) {
				t.Errorf("segment %d: %d for %d", j, *s.T, s.D)
			}
		}
		want := fmt.Sprintf("getMP4MediaFragment.mp4?SessionToken=%s&TrackNumber=%d&SequenceNumber=$Number$", token, tracks[i].Number)
		if template.Media != want {
			t.Errorf("media at %s, not %s", template.Media, want)
		}
		if r := set.Representations[0]; r.Codecs == "" || r.Bandwidth == 0 {
			t.Errorf("representation of track %d: codecs %q, bandwidth %d", tracks[i].Number, r.Codecs, r.Bandwidth)
		}
	}
}

// clocks are what a player works with.
type clocks struct{ origin, depth int64 }

func readClocks(t *testing.T, text []byte) clocks {
	t.Helper()
	m, err := mpd.ReadFromString(string(text))
	if err != nil {
		t.Fatal(err)
	}
	origin, err := time.Parse(time.RFC3339Nano, string(m.AvailabilityStartTime))
	if err != nil {
		t.Fatal(err)
	}
	return clocks{origin.UnixMilli(), time.Duration(*m.TimeShiftBufferDepth).Milliseconds()}
}

// In a session of twenty minutes players find what is listed available at any moment, and little
// else: fragments overlap, producers pause, lists are read late, replays run their course.
func TestWhatIsListedIsAvailable(t *testing.T) {
	for name, c := range map[string]struct {
		mode    playback.Mode
		step    int64 // milliseconds from a fragment to the next
		pause   int64 // after each 100th fragment
		far     int64 // how far the end may be behind what players believe, in milliseconds
		origins int   // how many there may be
	}{
		"steady":           {mode: playback.Live, step: 2000, far: 12_000, origins: 1},
		"fragments unite":  {mode: playback.Live, step: 1800, far: 12_000, origins: 65},
		"gaps":             {mode: playback.Live, step: 2300, far: 12_000, origins: 95},
		"pauses":           {mode: playback.Live, step: 2000, pause: 600_000, far: 612_000, origins: 40},
		"replay":           {mode: playback.LiveReplay, step: 2000, far: 12_000, origins: 1},
		"replay of gaps":   {mode: playback.LiveReplay, step: 9000, far: 12_000, origins: 1},
		"replay of a rush": {mode: playback.LiveReplay, step: 10, far: 12_000, origins: 1},
	} {
		t.Run(name, func(t *testing.T) {
			const length, listed = 2000, 5
			all := fragments(make([]int64, 600)...)
			at := noon
			for i := range all.Entries {
				e := &all.Entries[i]
				e.Duration, e.Length, e.Begin, e.Stored.Number.Server = length, length, int64(i)*length, at
				at += kvs.Millis(c.step)
				if c.pause > 0 && i%100 == 99 {
					at += kvs.Millis(c.pause)
				}
			}
			s := &playback.Session{Kind: playback.DASH, Mode: c.mode}
			replay := noon + kvs.Millis(24*time.Hour/time.Millisecond)
			come := func(i int) kvs.Millis { // when a fragment is listed
				if c.mode == playback.LiveReplay {
					return replay + kvs.Millis(all.Entries[i].Begin)
				}
				return all.Entries[i].Stored.Number.Server + length + 15
			}
			first := listed - 1
			if c.mode == playback.LiveReplay {
				first = 0
			}
			s.Created = come(first) + 700
			if c.mode == playback.LiveReplay {
				s.Created = replay
			}
			s.Base.Listed = int64(first+1) * length
			origins := map[int64]bool{}
			for i := first; i < len(all.Entries)-1; i++ {
				for _, now := range []kvs.Millis{max(come(i), s.Created), come(i+1) - 1} {
					if now < s.Created {
						continue
					}
					from := max(0, i+1-listed)
					l := &playback.Timeline{Entries: all.Entries[from : i+1], First: int64(from), Target: 2}
					k := readClocks(t, AppendManifest(nil, s, l, []codec.Track{picture}, token, now))
					origins[k.origin] = true
					end := all.Entries[i].Begin + length
					believed := int64(now) - k.origin
					if believed < end || believed > end+c.far {
						t.Fatalf("fragment %d: the end is at %d, players believe %d", i, end, believed)
					}
					if oldest := believed - k.depth; oldest > all.Entries[from].Begin {
						t.Fatalf("fragment %d: the list begins at %d, players drop what is before %d", i, all.Entries[from].Begin, oldest)
					}
				}
			}
			if len(origins) > c.origins {
				t.Errorf("the origin had %d values", len(origins))
			}
		})
	}
}

func TestRatesAreFractions(t *testing.T) {
	for rate, want := range map[float64]string{25: "25", 29.97: "30000/1001", 23.976: "24000/1001", 59.94: "60000/1001", 15.02: "15020/1000", 12.5: "12500/1000"} {
		if got := string(appendRate(nil, rate)); got != want {
			t.Errorf("%v: %s, not %s", rate, got, want)
		}
	}
}

func BenchmarkManifest(b *testing.B) {
	long := "Ci" + strings.Repeat("x", 197) + "~"
	for _, n := range []int{5, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l := fragments(make([]int64, n)...)
			s := session(playback.Live, 10_000)
			s.ShowNumbers, s.ShowTimes = true, true
			var buf []byte
			for b.Loop() {
				buf = AppendManifest(buf[:0], s, l, []codec.Track{picture, sound}, long, noon)
			}
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
		})
	}
}
