package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/mediatest"
	"github.com/millrace/millrace/internal/wire"
)

// Who finds the memory taken is told to come again, and is served then.
func TestConsumersThatFindNoMemory(t *testing.T) {
	p := newPlant(t, func(c *config.Config) { c.Playback.Memory = 40 << 20 })
	p.show("yard", mediatest.Bytes("gstreamer-h264-aac"))
	p.create("gate", 24)
	p.film("gate", premiere, mediatest.Bytes("gstreamer-h264-aac"))
	master := p.hls("gate", yesterday)
	list := uris(t, master, p.play(master))[0]
	segment := uris(t, list, p.play(list))[1]

	var taken []int64
	for _, m := range []*api.Memory{p.players, p.clips} {
		n, err := m.Take(t.Context(), 1<<40)
		if err != nil || n != 20<<20 {
			t.Fatal(n, err)
		}
		taken = append(taken, n)
	}
	var g sync.WaitGroup
	g.Go(func() {
		got := p.load("GET", segment)
		if got.status != 503 || got.header.Get("Retry-After") != "5" || got.header.Get("Cache-Control") != "no-store" || !strings.Contains(got.body, "try again later") {
			t.Errorf("a segment: %d %v %s", got.status, got.header, got.body)
		}
	})
	g.Go(func() {
		_, _, err := p.cut(everyFrame("yard"), unchanged)
		if err == nil || !strings.Contains(err.Error(), "try again later") {
			t.Errorf("a clip: %v", err)
		}
	})
	g.Wait()
	p.players.Give(taken[0])
	p.clips.Give(taken[1])
	p.play(segment)
	if _, b, err := p.cut(everyFrame("yard"), unchanged); err != nil || len(b) == 0 {
		t.Error(err)
	}
	for name, m := range map[string]*api.Memory{"players": p.players, "clips": p.clips} {
		if _, _, refused := m.Use(); refused == 0 {
			t.Errorf("%s: no refusal was counted", name)
		}
	}
}

// However an answer ends, what it held is given back.
func TestConsumersGiveMemoryBack(t *testing.T) {
	p := newPlant(t, nil)
	p.show("yard", mediatest.Bytes("gstreamer-h264-aac"))
	p.create("gate", 24)
	p.film("gate", premiere, mediatest.Bytes("gstreamer-h264-aac"))
	master := p.hls("gate", yesterday+`,"MaxMediaPlaylistFragmentResults":5000`)
	list := uris(t, master, p.play(master))[0]
	parts := uris(t, list, p.play(list))
	for _, one := range []string{master, list, parts[0], parts[1], parts[1] + "&TrackNumber=99", strings.Replace(parts[1], "FragmentNumber=", "FragmentNumber=1", 1)} {
		tag := p.load("GET", one).header.Get("ETag")
		for _, headers := range [][]string{nil, {"Range", "bytes=0-9"}, {"Range", "bytes=0-3,5-9"}, {"Range", "bytes=999999999-"}, {"If-None-Match", tag}, {"Accept-Encoding", "gzip"}} {
			p.load("GET", one, headers...)
			p.load("HEAD", one, headers...)
		}
		p.abandon(http.MethodGet, one)
	}
	for _, header := range []string{"", "bytes=0-9", "bytes=-5", "bytes=999999999-"} {
		_, _, err := p.cut(everyFrame("yard"), func(r *http.Request) { r.Header.Set("Range", header) })
		if err != nil && !strings.Contains(header, "9999") {
			t.Error(err)
		}
	}
	if _, _, err := p.cut(clipOf("yard", wire.ClipFragmentSelectorTypeProducerTimestamp, filmed+3600_000, filmed+7200_000), unchanged); err == nil {
		t.Error("a clip of nothing")
	}
	resp, err := p.StreamWith(t.Context(), wire.GetClip, everyFrame("yard"), unchanged)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close() // unread
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	for name, m := range map[string]*api.Memory{"players": p.players, "clips": p.clips} {
		if used, _, refused := m.Use(); used != 0 || refused != 0 {
			t.Errorf("%s: %d bytes were not given back, %d refused", name, used, refused)
		}
	}
	if n := p.cutter.Stats().Lent; n != 0 {
		t.Errorf("%d segments are lent", n)
	}
}

// abandon reads a byte of an answer and goes.
func (p *plant) abandon(method, address string) {
	p.t.Helper()
	ctx, cancel := context.WithCancel(p.t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := p.HTTP.Do(r)
	if err != nil {
		p.t.Fatal(fmt.Errorf("%s: %w", masked(address), err))
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 1)
	cancel()
	_ = resp.Body.Close()
}

func unchanged(*http.Request) {}
