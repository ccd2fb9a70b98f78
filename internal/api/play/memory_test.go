package play

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/playback"
)

// Long lists take memory before they are made, and give it back however they end. Short
// ones are served when there is none.
func TestListsTakeMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := api.NewMemory(10 << 20)
		var during int64
		b := newBoothWith(t, nil, func(o *Options) {
			o.Memory = m
			o.Board = watched{o.Board, func() { during, _, _ = m.Use() }}
		})
		long := token(func(s *playback.Session) { s.Max = 5000 })
		dash := token(func(s *playback.Session) { s.Max, s.Kind, s.Discontinuity = 5000, playback.DASH, playback.Never })
		paths := []string{"/hls/v1/getHLSMasterPlaylist.m3u8?SessionToken=" + long, "/hls/v1/getHLSMediaPlaylist.m3u8?TrackNumber=1&SessionToken=" + long,
			"/dash/v1/getDASHManifest.mpd?SessionToken=" + dash, "/dash/v1/getMP4InitFragment.mp4?TrackNumber=1&SessionToken=" + dash}
		check := func(status int) {
			t.Helper()
			for _, path := range paths {
				for _, headers := range [][]string{{"Accept-Encoding", "gzip"}, {"If-None-Match", "*"}, {"Range", "bytes=0-3"}} {
					for _, method := range []string{"GET", "HEAD"} {
						during = 0
						w := b.ask(method, path, headers...)
						if (w.Code == 503) != (status == 503) || w.Code == 503 && w.Header().Get("Retry-After") != "5" || w.Code < 400 && during < 5<<20 {
							t.Errorf("%s %.40s %v: %d %v, %d bytes", method, path, headers, w.Code, w.Header(), during)
						}
					}
				}
			}
		}
		check(200)
		if used, _, _ := m.Use(); used != 0 {
			t.Errorf("%d bytes were not given back", used)
		}
		all, err := m.Take(t.Context(), 10<<20)
		if err != nil {
			t.Fatal(err)
		}
		check(503)
		if w := b.ask("GET", "/hls/v1/getHLSMediaPlaylist.m3u8?TrackNumber=1&SessionToken="+token(nil)); w.Code != 200 {
			t.Errorf("a short list: %d", w.Code)
		}
		m.Give(all)
		check(200)
		b.other = true // an error behind the list
		check(400)
		if used, _, refused := m.Use(); used != 0 || refused != 24 {
			t.Errorf("%d bytes were not given back, %d refused", used, refused)
		}
	})
}

// watched tells when a list is made.
type watched struct {
	Board
	made func()
}

func (w watched) Timeline(ctx context.Context, s kvs.Stream, ses *playback.Session, now kvs.Millis) (*playback.Timeline, error) {
	w.made()
	return w.Board.Timeline(ctx, s, ses, now)
}

// A segment is given back however its answer ends.
func TestSegmentsAreClosed(t *testing.T) {
	open := 0
	b := newBoothWith(t, nil, func(o *Options) { o.Media = counted{o.Media, &open} })
	number := kvs.FragmentNumber{N: 2, Server: now}.String()
	path := "/hls/v1/getMP4MediaFragment.mp4?TrackNumber=1&FragmentNumber=" + number + "&SessionToken=" + token(nil)
	for _, headers := range [][]string{nil, {"Range", "bytes=0-3"}, {"Range", "bytes=900-"}, {"If-None-Match", "*"}} {
		b.ask("GET", path, headers...)
		b.ask("HEAD", path, headers...)
	}
	b.ask("GET", strings.Replace(path, "Track", "Trick", 1))
	if open != 0 {
		t.Errorf("%d segments are open", open)
	}
}

// counted counts the segments that are open.
type counted struct {
	Media
	open *int
}

func (c counted) Segment(ctx context.Context, e *playback.Entry, track uint64, kind playback.Container, start kvs.Millis, viewer uint64) (Segment, error) {
	s, err := c.Media.Segment(ctx, e, track, kind, start, viewer)
	*c.open++
	return closing{s, c.open}, err
}

type closing struct {
	Segment
	open *int
}

func (c closing) Close() { *c.open-- }
