package hls

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Eyevinn/hls-m3u8/m3u8"

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

// fragments make a list: of each its duration, from half past two on.
func fragments(durations ...int64) *playback.Timeline {
	at := kvs.MillisOf(time.Date(2026, 5, 17, 14, 30, 0, 994e6, time.UTC))
	t := &playback.Timeline{Target: 4}
	begin := int64(0)
	for i, d := range durations {
		number := kvs.FragmentNumber{N: int64(i + 1), Server: at + 80, Random: 7}
		t.Entries = append(t.Entries, playback.Entry{
			Stored: archive.Stored{
				Fragment: kvs.Fragment{Number: number, Producer: at, Duration: d, Size: d * 120},
				Facts: segment.Facts{LiveSeq: int64(i + 1), Tracks: []segment.Track{
					{Number: 1, Frames: uint32(d / 40), Bytes: d * 100}, {Number: 2, Frames: uint32(d / 23), Bytes: d * 12}}},
			},
			Number: int64(i), Start: at, Begin: begin, Length: d,
		})
		begin += d
		at += kvs.Millis(d)
	}
	return t
}

var (
	picture = codec.Track{Number: 1, Kind: codec.H264, Width: 2592, Height: 1944, FrameRate: 15.0195, String: "avc1.4d4032"}
	hevc    = codec.Track{Number: 1, Kind: codec.H265, Width: 1920, Height: 1080, FrameRate: 25, String: "hvc1.1.6.L93.B0"}
	sound   = codec.Track{Number: 2, Kind: codec.AAC, SampleRate: 48000, Channels: 2, String: "mp4a.40.2"}
)

func TestMasterPlaylists(t *testing.T) {
	second, third := picture, sound
	second.Number, third.Number = 3, 3
	for _, c := range []struct {
		name      string
		container playback.Container
		tracks    []codec.Track
		variants  int
	}{
		{"master-video", playback.FMP4, []codec.Track{picture}, 1},
		{"master-both", playback.FMP4, []codec.Track{picture, sound}, 1},
		{"master-hevc", playback.FMP4, []codec.Track{hevc, sound}, 1},
		{"master-audio", playback.FMP4, []codec.Track{sound}, 1},
		{"master-audio-first", playback.FMP4, []codec.Track{sound, second}, 1},
		{"master-two-languages", playback.FMP4, []codec.Track{picture, sound, third}, 1},
		{"master-two-cameras", playback.FMP4, []codec.Track{picture, sound, second}, 1},
		{"master-ts", playback.TS, []codec.Track{picture, sound}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &playback.Session{Container: c.container}
			got := AppendMaster(nil, s, fragments(2000, 2000, 1500), c.tracks, token)
			golden(t, c.name+".m3u8", got)
			p := &m3u8.MasterPlaylist{}
			if err := p.DecodeFrom(bytes.NewReader(got), true); err != nil || len(p.Variants) != c.variants {
				t.Fatalf("another reader: %v, %d variants", err, len(p.Variants))
			}
			v := p.Variants[0]
			if v.Bandwidth < 8*100*1000 || v.Bandwidth > 9*112*1000 || v.AverageBandwidth > v.Bandwidth {
				t.Errorf("bandwidth %d, average %d; the media have 896,000", v.Bandwidth, v.AverageBandwidth)
			}
		})
	}
}

// shape makes a session of a mode and what the lists of its kind have.
func shape(mode playback.Mode, d playback.Discontinuity, l *playback.Timeline) (*playback.Session, *playback.Timeline) {
	l.Static = mode == playback.OnDemand
	l.Ended = l.Static
	for i := range l.Entries {
		if i > 0 && d == playback.Always {
			l.Entries[i].Breaks = 1
		}
	}
	return &playback.Session{Mode: mode, Discontinuity: d}, l
}

// change gives the fragments from i on another header.
func change(l *playback.Timeline, i int, breaks int) {
	for j := i; j < len(l.Entries); j++ {
		l.Entries[j].Set++
	}
	l.Entries[i].Breaks = breaks
}

// overlap lets each fragment but the first begin so many milliseconds behind the one before.
func overlap(l *playback.Timeline, step int64) {
	for i := range l.Entries[1:] {
		l.Entries[i].Length = step
		l.Entries[i+1].Begin = l.Entries[i].Begin + step
		l.Entries[i+1].Start = l.Entries[i].Start + kvs.Millis(step)
	}
}

func TestMediaPlaylists(t *testing.T) {
	for name, make := range map[string]func() (*playback.Session, *playback.Timeline){
		"live": func() (*playback.Session, *playback.Timeline) {
			s, l := shape(playback.Live, playback.Always, fragments(1857, 1010, 2680, 2000, 3999))
			l.First, l.Breaks = 17, 17
			return s, l
		},
		"demand": func() (*playback.Session, *playback.Timeline) {
			s, l := shape(playback.OnDemand, playback.Always, fragments(2663, 4000))
			s.ShowTimes = true
			return s, l
		},
		"demand-overlaps": func() (*playback.Session, *playback.Timeline) {
			s, l := shape(playback.OnDemand, playback.Never, fragments(2040, 2040, 2040))
			overlap(l, 2002)
			return s, l
		},
		"live-overlaps": func() (*playback.Session, *playback.Timeline) {
			s, l := shape(playback.Live, playback.Never, fragments(2040, 2040, 2040))
			overlap(l, 2002)
			return s, l
		},
		"demand-producer": func() (*playback.Session, *playback.Timeline) {
			s, l := shape(playback.OnDemand, playback.Never, fragments(2000, 2000, 120))
			s.ShowTimes = true
			return s, l
		},
		"replay-ended": func() (*playback.Session, *playback.Timeline) {
			s, l := shape(playback.LiveReplay, playback.OnDiscontinuity, fragments(2000, 2000, 2000))
			l.First, l.Breaks, l.Ended = 40, 3, true
			l.Entries[1].Breaks = 1
			return s, l
		},
		"changes": func() (*playback.Session, *playback.Timeline) {
			s, l := shape(playback.Live, playback.OnDiscontinuity, fragments(2000, 2000, 2000, 2000))
			change(l, 1, 2) // there is a gap, too
			change(l, 3, 1)
			return s, l
		},
		"ts": func() (*playback.Session, *playback.Timeline) {
			s, l := shape(playback.Live, playback.OnDiscontinuity, fragments(2000, 2000))
			change(l, 1, 1)
			s.Container = playback.TS
			return s, l
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, l := make()
			got := AppendMedia(nil, s, l, token, 2)
			golden(t, name+".m3u8", got)
			sameThere(t, got, s, l)
		})
	}
}

// sameThere lets another program read a playlist and compares what it understands.
func sameThere(t *testing.T, text []byte, s *playback.Session, l *playback.Timeline) {
	t.Helper()
	p, err := m3u8.NewMediaPlaylist(uint(len(l.Entries)), uint(len(l.Entries)))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.DecodeFrom(bytes.NewReader(text), true); err != nil {
		t.Fatal(err)
	}
	if p.SeqNo != uint64(l.First) || p.DiscontinuitySeq != uint64(l.Breaks) || int64(p.TargetDuration) != l.Target || p.Closed != l.Ended || p.Count() != uint(len(l.Entries)) {
		t.Errorf("it reads sequence %d, discontinuities %d, target %v, closed %v, %d segments", p.SeqNo, p.DiscontinuitySeq, p.TargetDuration, p.Closed, p.Count())
	}
	for i := range l.Entries {
		e, got := &l.Entries[i], p.Segments[i]
		if int64(got.Duration*1000+0.5) != l.Lasts(i) || !strings.Contains(got.URI, "FragmentNumber="+e.Stored.Number.String()+"&") {
			t.Errorf("segment %d: %v s, %s", i, got.Duration, got.URI)
		}
		if got.Discontinuity != (e.Breaks > 0 || i == 0 && s.Discontinuity == playback.Always) {
			t.Errorf("segment %d: discontinuity %v", i, got.Discontinuity)
		}
		if s.ShowTimes && !got.ProgramDateTime.Equal(e.Start.Time()) {
			t.Errorf("segment %d: %v, not %v", i, got.ProgramDateTime, e.Start.Time())
		}
	}
}

// Whatever part of an ALWAYS list is shown, a segment has one discontinuity sequence
// number (RFC 8216 section 6.2.2).
func TestAWindowMovesOverDiscontinuities(t *testing.T) {
	s, all := shape(playback.Live, playback.Always, fragments(1000, 1000, 1000, 1000, 1000, 1000))
	seen := map[string]int{}
	for first := range 4 {
		l := *all
		l.Entries = append([]playback.Entry(nil), all.Entries[first:first+3]...)
		l.Entries[0].Breaks, l.First, l.Breaks = 0, int64(first), int64(first)
		n := -1
		for line := range strings.Lines(string(AppendMedia(nil, s, &l, token, 1))) {
			switch {
			case strings.HasPrefix(line, "#EXT-X-DISCONTINUITY-SEQUENCE:"):
				if _, err := fmt.Sscanf(line, "#EXT-X-DISCONTINUITY-SEQUENCE:%d", &n); err != nil {
					t.Fatal(err)
				}
			case strings.HasPrefix(line, "#EXT-X-DISCONTINUITY"):
				n++
			case !strings.HasPrefix(line, "#"):
				if before, ok := seen[line]; ok && before != n {
					t.Errorf("window %d: %s has %d, had %d", first, line, n, before)
				}
				seen[line] = n
			}
		}
	}
	if len(seen) != 6 {
		t.Errorf("%d segments were seen", len(seen))
	}
}

func TestSecondsHaveAtMostThreeDecimals(t *testing.T) {
	for ms, want := range map[int64]string{0: "0", 1: "0.001", 10: "0.01", 999: "0.999", 1000: "1", 1010: "1.01", 2680: "2.68", 61234: "61.234"} {
		if got := string(appendSeconds(nil, ms)); got != want {
			t.Errorf("%d ms: %s, not %s", ms, got, want)
		}
	}
}

// Room for a playlist is made once.
func TestMediaAllocations(t *testing.T) {
	s, l := shape(playback.OnDemand, playback.Always, fragments(make([]int64, 1000)...))
	s.ShowTimes = true
	long := strings.Repeat("x", 200)
	if n := testing.AllocsPerRun(10, func() { AppendMedia(nil, s, l, long, 1) }); n > 3 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkMedia(b *testing.B) {
	long := "Ci" + strings.Repeat("x", 197) + "~"
	for _, n := range []int{5, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			durations := make([]int64, n)
			for i := range durations {
				durations[i] = 2000
			}
			s, l := shape(playback.Live, playback.Always, fragments(durations...))
			s.ShowTimes = true
			var buf []byte
			for b.Loop() {
				buf = AppendMedia(buf[:0], s, l, long, 1)
			}
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
		})
	}
}
