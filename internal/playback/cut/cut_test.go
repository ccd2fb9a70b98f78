package cut

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/mediatest"
	"github.com/millrace/millrace/internal/playback"
	"github.com/millrace/millrace/internal/remux/remuxtest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// contents reads a segment.
func contents(t testing.TB, s *Segment) []byte {
	t.Helper()
	b, err := io.ReadAll(s.Reader())
	if err != nil || int64(len(b)) != s.Size() {
		t.Fatalf("%d bytes of %d: %v", len(b), s.Size(), err)
	}
	return b
}

// numbers lists a clip's tracks.
func numbers(c mediatest.Clip) (all []uint64) {
	for _, n := range []uint64{c.VideoTrack, c.AudioTrack} {
		if n > 0 {
			all = append(all, n)
		}
	}
	return all
}

// TestSegmentsStayTheSame: what was cut once is what every other server cuts, today and
// tomorrow: bytes and tags, of fragments with and without a table of frames.
func TestSegmentsStayTheSame(t *testing.T) {
	var out strings.Builder
	for _, c := range mediatest.Clips() {
		s, other := newStudio(t), newStudio(t)
		other.bare = true
		old := other.clip(c.Name)
		for i, k := range s.clip(c.Name) {
			bare := old[i]
			// As it were, another process; and one with old records.
			one, two := New(Options{Source: s}), New(Options{Source: s, Cache: -1})
			for _, n := range numbers(c) {
				line(t, &out, fmt.Sprintf("%s %d track %d", c.Name, i, n), n, FMP4, k, bare, one, two, New(Options{Source: other}))
			}
			if c.Video != mediatest.HEVC {
				line(t, &out, fmt.Sprintf("%s %d ts", c.Name, i), 0, TS, k, bare, one, two, New(Options{Source: other}))
			}
		}
	}
	const path = "testdata/segments.golden"
	if *update {
		if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("%s is not what is cut now:\n%s", path, out.String())
	}
}

// line cuts a segment in several ways and writes it down.
func line(t *testing.T, out io.Writer, what string, track uint64, kind Container, k, bare shot, cutters ...*Cutter) {
	t.Helper()
	var first *Segment
	for i, c := range cutters {
		stored := k.Stored
		if i == 2 {
			stored = bare.Stored
		}
		got, err := c.Segment(t.Context(), stored, track, kind, k.Producer)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if first == nil {
			first = got
		}
		if !bytes.Equal(contents(t, got), contents(t, first)) || got.ETag() != first.ETag() {
			t.Errorf("%s: cutter %d makes another segment", what, i)
		}
	}
	_, _ = fmt.Fprintf(out, "%s: %d bytes %s %x\n", what, first.Size(), first.ETag(), sha256.Sum256(contents(t, first)))
}

func TestFiveHundredAskAndOneIsCut(t *testing.T) {
	s := newStudio(t)
	k := s.clip("ffmpeg-h264-aac")[0]
	c := New(Options{Source: s})
	entered, leave := make(chan struct{}), make(chan struct{})
	s.hook = sync.OnceFunc(func() { close(entered); <-leave })
	var all sync.WaitGroup
	var tags sync.Map
	ask := func() {
		got, err := c.Segment(t.Context(), k.Stored, 1, FMP4, k.Producer)
		if err != nil {
			t.Error(err)
			return
		}
		tags.Store(got.ETag(), true)
	}
	all.Go(ask)
	<-entered
	for range 499 {
		all.Go(ask)
	}
	// Who gives up meanwhile disturbs nobody.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Segment(ctx, k.Stored, 1, FMP4, k.Producer); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(leave)
	all.Wait()
	if n := s.opened.Load(); n != 1 {
		t.Errorf("%d records were opened", n)
	}
	n := 0
	tags.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d different segments", n)
	}
}

// The first who asks may go: the others get what he began.
func TestTheFirstMayGo(t *testing.T) {
	s := newStudio(t)
	k := s.clip("ffmpeg-h264")[0]
	c := New(Options{Source: s})
	ctx, cancel := context.WithCancel(t.Context())
	s.hook = cancel
	if _, err := c.Segment(ctx, k.Stored, 1, FMP4, k.Producer); err != nil {
		t.Error(err)
	}
}

func TestOnlyTheDecodeTimeDiffersBetweenSessions(t *testing.T) {
	s := newStudio(t)
	k := s.clip("ffmpeg-h264-bframes")[1]
	c := New(Options{Source: s})
	one, err := c.Segment(t.Context(), k.Stored, 1, FMP4, 0)
	if err != nil {
		t.Fatal(err)
	}
	two, err := c.Segment(t.Context(), k.Stored, 1, FMP4, 12_345)
	if err != nil {
		t.Fatal(err)
	}
	a, b := contents(t, one), contents(t, two)
	differ := 0
	for i := range a {
		if a[i] != b[i] {
			differ++
		}
	}
	if len(a) != len(b) || differ == 0 || differ > 8 || one.ETag() == two.ETag() {
		t.Errorf("%d of %d bytes differ, tags %s and %s", differ, len(a), one.ETag(), two.ETag())
	}
	if n := s.opened.Load(); n != 1 {
		t.Errorf("%d records were opened", n)
	}
}

func TestReaderSeeks(t *testing.T) {
	s := &Segment{head: []byte("head"), body: []byte("and body")}
	r := s.Reader()
	for _, c := range []struct {
		offset int64
		whence int
		want   string
	}{{2, io.SeekStart, "adand body"}, {-4, io.SeekEnd, "body"}, {-5, io.SeekCurrent, " body"}, {99, io.SeekStart, ""}} {
		if _, err := r.Seek(c.offset, c.whence); err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(struct{ io.Reader }{r}); err != nil || string(b) != c.want {
			t.Errorf("%d from %d: %q, %v", c.offset, c.whence, b, err)
		}
	}
	if _, err := r.Seek(-1, io.SeekStart); err == nil {
		t.Error("a place before the beginning")
	}
	_, _ = r.Seek(1, io.SeekStart)
	var b bytes.Buffer
	if n, err := r.(io.WriterTo).WriteTo(&b); n != 11 || err != nil || b.String() != "eadand body" {
		t.Error(n, err, b.String())
	}
}

func TestWhatCannotBeCut(t *testing.T) {
	s := newStudio(t)
	k := s.clip("ffmpeg-h265")[0]
	c := New(Options{Source: s})
	wantKind := func(err error, want kvs.Kind) {
		t.Helper()
		if err == nil || kvs.KindOf(err) != want {
			t.Errorf("%v, want kind %d", err, want)
		}
	}
	_, err := c.Segment(t.Context(), k.Stored, 5, FMP4, 0)
	wantKind(err, kvs.UnsupportedMedia)
	_, err = c.Segment(t.Context(), k.Stored, 0, TS, 0)
	wantKind(err, kvs.UnsupportedMedia)
	_, err = c.Init(t.Context(), k.Stored, 5)
	wantKind(err, kvs.UnsupportedMedia)
	gone := k.Stored
	gone.Number.N += 50
	_, err = New(Options{Source: s}).Segment(t.Context(), gone, 1, FMP4, 0)
	wantKind(err, kvs.NotFound)
	_, err = New(Options{Source: s}).Codecs(t.Context(), gone)
	wantKind(err, kvs.NotFound)
	bad := remuxtest.Cut(t, mediatest.Bytes("ffmpeg-h264"))[0]
	at := bytes.Index(bad.Body, bad.Frames[3].Data)
	bad.Body[at] = 9 // a NAL unit that ends far away
	_, err = c.Segment(t.Context(), s.store(&bad, begin).Stored, 1, FMP4, 0)
	wantKind(err, kvs.InvalidFrame)
}

func TestSessionsKeepTheirTracks(t *testing.T) {
	s := newStudio(t)
	both, alone := s.clip("ffmpeg-h264-aac")[0], s.clip("ffmpeg-h264")[0]
	c := New(Options{Source: s})
	tracks, err := c.Codecs(t.Context(), both.Stored)
	if err != nil {
		t.Fatal(err)
	}
	ses := &playback.Session{}
	for _, d := range tracks {
		ses.Tracks = append(ses.Tracks, playback.SessionTrack{Number: d.Number, Kind: d.Kind, Fingerprint: d.Fingerprint})
	}
	if err := c.Check(t.Context(), both.Stored, ses); err != nil {
		t.Error(err)
	}
	if err := c.Check(t.Context(), alone.Stored, ses); kvs.KindOf(err) != kvs.UnsupportedMedia {
		t.Errorf("a fragment without sound: %v", err)
	}
	ses.Tracks[0].Fingerprint++
	if err := c.Check(t.Context(), both.Stored, ses); err != nil {
		t.Errorf("other private data in HLS: %v", err)
	}
	ses.Kind = playback.DASH
	if err := c.Check(t.Context(), both.Stored, ses); kvs.KindOf(err) != kvs.UnsupportedMedia {
		t.Errorf("other private data in DASH: %v", err)
	}
	ses.Tracks[0].Kind = codec.H265
	if err := c.Check(t.Context(), both.Stored, ses); kvs.KindOf(err) != kvs.UnsupportedMedia {
		t.Errorf("another codec: %v", err)
	}
	before := s.opened.Load()
	if _, err := c.Init(t.Context(), both.Stored, 1); err != nil || s.opened.Load() != before {
		t.Errorf("the header was read again: %v", err)
	}
}
