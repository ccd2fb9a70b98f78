package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/mediatest"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/wire"
)

// clipOf asks for everything that a stream has, or for a range on a clock.
func clipOf(stream string, clock string, start, end kvs.Millis) *wire.GetClipInput {
	return &wire.GetClipInput{StreamName: &stream, ClipFragmentSelector: &wire.ClipFragmentSelector{
		FragmentSelectorType: &clock, TimestampRange: &wire.ClipTimestampRange{StartTimestamp: &start, EndTimestamp: &end}}}
}

// filmed is when test films begin by their own clock.
const filmed = kvs.Millis(0)

// show stores a film.
func (p *plant) show(stream string, film []byte) {
	p.t.Helper()
	p.create(stream, 24)
	for _, a := range p.send(stream, film) {
		if a.Type == client.Failed {
			p.t.Fatalf("%+v", a)
		}
	}
}

// everyFrame is a clip of all that a test film has, whose timecodes begin with 0.
func everyFrame(stream string) *wire.GetClipInput {
	return clipOf(stream, wire.ClipFragmentSelectorTypeProducerTimestamp, filmed, filmed+3600_000)
}

// cut calls GetClip and returns the answer with its body.
func (p *plant) cut(in *wire.GetClipInput, edit func(*http.Request)) (*http.Response, []byte, error) {
	p.t.Helper()
	resp, err := p.StreamWith(p.t.Context(), wire.GetClip, in, edit)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp, b, nil
}

// A clip is one file with the moov in front. Any part of it can be asked for.
func TestGetClip(t *testing.T) {
	p := newPlant(t, nil)
	p.show("yard", mediatest.Bytes("gstreamer-h264-aac"))
	none := func(*http.Request) {}
	resp, file, err := p.cut(everyFrame("yard"), none)
	if err != nil {
		t.Fatal(err)
	}
	h := resp.Header
	if resp.StatusCode != 200 || h.Get("Content-Type") != "video/mp4" || h.Get("Accept-Ranges") != "bytes" || resp.ContentLength != int64(len(file)) || h.Get("ETag") == "" {
		t.Errorf("%d %v", resp.StatusCode, h)
	}
	f, err := mp4.DecodeFile(bytes.NewReader(file))
	if err != nil || len(f.Moov.Traks) != 2 || f.Moov.Traks[0].Mdia.Minf.Stbl.Stsz.SampleNumber != 100 {
		t.Fatalf("%v %v", f, err)
	}
	part := func(ask, held string) (int, string, []byte) {
		resp, b, err := p.cut(everyFrame("yard"), func(r *http.Request) {
			r.Header.Set("Range", ask)
			r.Header.Set("If-Range", held)
		})
		if e, ok := errors.AsType[*client.Error](err); ok {
			return e.Status, "", nil
		}
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, resp.Header.Get("Content-Range"), b
	}
	n := len(file)
	if status, said, b := part("bytes=1000-20999", h.Get("ETag")); status != 206 || said != fmt.Sprintf("bytes 1000-20999/%d", n) || !bytes.Equal(b, file[1000:21000]) {
		t.Errorf("%d %s, %d bytes", status, said, len(b))
	}
	if status, _, b := part("bytes=1000-20999", `"of another film"`); status != 200 || !bytes.Equal(b, file) {
		t.Errorf("%d, %d bytes", status, len(b))
	}
	if status, _, _ := part(fmt.Sprintf("bytes=%d-", n), ""); status != 416 {
		t.Errorf("behind the end: %d", status)
	}
}

// With ExactStart a clip begins where it was asked to, within a fragment.
func TestExactStart(t *testing.T) {
	p := newPlant(t, nil)
	p.show("yard", mediatest.Bytes("gstreamer-h264-aac"))
	in := clipOf("yard", wire.ClipFragmentSelectorTypeProducerTimestamp, filmed+1500, filmed+3600_000)
	lasts := func(query string) uint64 {
		_, file, err := p.cut(in, func(r *http.Request) { r.URL.RawQuery = query })
		if err != nil {
			t.Fatal(err)
		}
		f, err := mp4.DecodeFile(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		return f.Moov.Mvhd.Duration / 90
	}
	exact, whole := lasts(url.Values{"ExactStart": {"true"}}.Encode()), lasts("")
	if exact < 2450 || exact > 2600 || whole > 2100 {
		t.Errorf("%d ms from 1.5 s on, %d ms of whole fragments", exact, whole)
	}
	if _, _, err := p.cut(in, func(r *http.Request) { r.URL.RawQuery = "ExactStart=maybe" }); err == nil || !strings.Contains(err.Error(), "ExactStart is true or false") {
		t.Error(err)
	}
}

// What cannot be a clip is refused in the words of the model.
func TestClipsThatCannotBe(t *testing.T) {
	p := newPlant(t, nil)
	p.show("yard", mediatest.Bytes("ffmpeg-h264"))
	p.show("sound", mediatest.Bytes("ffmpeg-aac"))
	p.create("live", 0)
	p.create("raw", 24)
	p.send("raw", documentOf(), clusterOf(0), endOfFragment)
	const producer, server = wire.ClipFragmentSelectorTypeProducerTimestamp, wire.ClipFragmentSelectorTypeServerTimestamp
	now := kvs.MillisOf(time.Now())
	for name, c := range map[string]struct {
		in   *wire.GetClipInput
		want string
	}{
		"nothing there":    {clipOf("yard", producer, 50_000, 60_000), "404 ResourceNotFoundException: No fragments found"},
		"no stream":        {everyFrame("nobody"), "404 ResourceNotFoundException"},
		"no retention":     {everyFrame("live"), "400 NoDataRetentionException: Stream live has a data retention of 0 hours"},
		"no private data":  {clipOf("raw", producer, epoch, epoch+1000), "400 MissingCodecPrivateDataException: Missing codec private data in fragment for track 1."},
		"end before start": {clipOf("yard", producer, 1000, 1000), "400 InvalidArgumentException: EndTimestamp 1970-01-01T00:00:01.000Z must be later than StartTimestamp 1970-01-01T00:00:01.000Z."},
		"in the future":    {clipOf("yard", server, now-1000, now+3600_000), "400 InvalidArgumentException: EndTimestamp must be in the past"},
	} {
		_, _, err := p.cut(c.in, func(*http.Request) {})
		e, ok := errors.AsType[*client.Error](err)
		if got := fmt.Sprintf("%d %s: %s", e.Status, e.Exception, e.Message); !ok || !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	if _, _, err := p.cut(everyFrame("sound"), func(*http.Request) {}); err != nil {
		t.Errorf("sound alone: %v", err)
	}
}

func shortClip(h *hall, l *quota.Limit) {
	s := h.own(24)
	h.send(s.Name, mediatest.Bytes("ffmpeg-h264"))
	size := func() (int, int) {
		_, file, err := h.in(h.test).cut(everyFrame(s.Name), func(*http.Request) {})
		if err != nil {
			h.test.Fatal(err)
		}
		f, err := mp4.DecodeFile(bytes.NewReader(file))
		if err != nil {
			h.test.Fatal(err)
		}
		return len(file), int(f.Moov.Trak.Mdia.Minf.Stbl.Stsz.SampleNumber)
	}
	all, frames := size()
	value := "2"
	if l == quota.ClipBytes.Limit {
		value = fmt.Sprint(all * 2 / 3)
	}
	h.set(s, l.Name, value)
	if part, fewer := size(); frames != 100 || part >= all || fewer != 50 {
		h.test.Errorf("%d of %d bytes, %d of %d frames", part, all, fewer, frames)
	}
}
