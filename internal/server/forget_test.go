package server

import (
	"testing"
	"time"

	"github.com/millrace/millrace/internal/mediatest"
	"github.com/millrace/millrace/internal/wire"
)

// What is erased, and what was of a deleted stream, does not stay in memory as segments.
func TestErasedMediaLeaveMemory(t *testing.T) {
	p := newPlant(t, nil)
	watch := func(name string) {
		t.Helper()
		p.create(name, 24)
		p.film(name, premiere, mediatest.Bytes("gstreamer-h264"))
		master := p.hls(name, yesterday)
		list := uris(t, master, p.play(master))[0]
		for _, one := range uris(t, list, p.play(list)) {
			p.play(one)
		}
	}
	kept := func(want int64) {
		t.Helper()
		if got := p.cutter.Stats(); got.Kept != want || want == 0 && got.Bytes != 0 {
			t.Errorf("%d segments are kept (%d bytes), want %d", got.Kept, got.Bytes, want)
		}
	}
	watch("yard")
	watch("barn")
	kept(8)
	from, to := premiere, premiere.Add(time.Second)
	p.do("EraseFragments", during("yard", &from, &to), nil)
	kept(4)
	p.ask("DeleteStream", &wire.DeleteStreamInput{StreamARN: new(p.arn("barn"))}, nil)
	kept(0)
}
