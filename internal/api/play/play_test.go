package play

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/authority"
	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/metrics"
	"github.com/millrace/millrace/internal/playback"
	"github.com/millrace/millrace/internal/quota"
)

var update = flag.Bool("update", false, "write the golden files")

const now = kvs.Millis(1_700_000_000_000)

// booth is a door with three fragments behind it; the token is the session in plain text.
type booth struct {
	t       *testing.T
	handler http.Handler
	log     bytes.Buffer
	stream  kvs.Stream
	gone    bool
	ended   bool
	other   bool // fragments have another track
	locked  error

	forbidden error
	now       kvs.Millis
}

func newBooth(t *testing.T, limits map[string]string) *booth {
	t.Helper()
	return newBoothWith(t, limits, func(*Options) {})
}

// newBoothWith makes a booth with other options.
func newBoothWith(t *testing.T, limits map[string]string, change func(*Options)) *booth {
	t.Helper()
	b := &booth{t: t, now: now, stream: kvs.Stream{ID: 7, Account: "111122223333", Name: "yard", Created: 5, Status: kvs.Active}}
	book, err := quota.NewBook(t.Context(), quota.BookOptions{Settings: limits, Now: func() time.Time { return b.now.Time() }})
	if err != nil {
		t.Fatal(err)
	}
	front := api.New(api.Options{Limits: book, Authorizer: b, Metrics: metrics.New(), Logger: slog.New(slog.NewTextHandler(&b.log, nil))})
	o := Options{
		Board: b, Media: b, Limits: book, Now: func() time.Time { return b.now.Time() },
		Open: func(token string) ([]byte, error) {
			text, good := strings.CutPrefix(token, "Ci")
			if !good {
				return nil, Invalid()
			}
			return []byte(text), nil
		},
		Ready: func(context.Context, kvs.StreamID) error { return b.locked },
		Stream: func(context.Context, kvs.StreamID) (kvs.Stream, error) {
			if b.gone {
				return kvs.Stream{}, kvs.Errorf(kvs.NotFound, "not found")
			}
			return b.stream, nil
		},
	}
	change(&o)
	b.handler = front.Bearer(Actions(o)...)
	return b
}

func entryOf(i int64) playback.Entry {
	e := playback.Entry{Number: i, Start: now + kvs.Millis(2000*i), Begin: 2000 * i, Length: 2000}
	e.Stored.Number = kvs.FragmentNumber{N: i + 1, Server: now}
	e.Stored.Duration, e.Stored.Size = 2000, 100_000
	return e
}

func (b *booth) Timeline(context.Context, kvs.Stream, *playback.Session, kvs.Millis) (*playback.Timeline, error) {
	return &playback.Timeline{Entries: []playback.Entry{entryOf(0), entryOf(1), entryOf(2)}, Target: 2, Ended: b.ended}, nil
}

func (b *booth) Fragment(_ context.Context, _ kvs.Stream, _ *playback.Session, n kvs.FragmentNumber) (playback.Entry, bool, error) {
	if n.N == 99 {
		return playback.Entry{}, false, errors.New("the index is out of reach")
	}
	return entryOf(n.N - 1), n.N >= 1 && n.N <= 3, nil
}

func (b *booth) Find(_ context.Context, _ kvs.Stream, _ *playback.Session, n int64) (playback.Entry, bool, error) {
	return entryOf(n - 1), n >= 1 && n <= 3, nil
}

func (b *booth) FindSet(_ context.Context, _ kvs.Stream, _ *playback.Session, set int64) (playback.Entry, bool, error) {
	return entryOf(0), set == 0, nil
}

// Authorize plays the policy of the listener.
func (b *booth) Authorize(context.Context, *authority.Ask) error { return b.forbidden }

func (b *booth) Codecs(context.Context, *playback.Entry) ([]codec.Track, error) {
	return []codec.Track{{Number: 1, ID: "V_MPEG4/ISO/AVC", Kind: codec.H264, Width: 640, Height: 360, FrameRate: 25, String: "avc1.4D401F", Fingerprint: 77},
		{Number: 2, ID: "A_AAC", Kind: codec.AAC, SampleRate: 48000, Channels: 2, String: "mp4a.40.2", Fingerprint: 78}}, nil
}

func (b *booth) Check(context.Context, *playback.Entry, *playback.Session) error {
	if b.other {
		return codec.UnsupportedMedia("(track 1: V_VP8)")
	}
	return nil
}

func (b *booth) Init(_ context.Context, _ *playback.Entry, track uint64) ([]byte, error) {
	return fmt.Appendf(nil, "init of track %d", track), nil
}

// content is a segment for tests.
type content string

func (c content) Reader() io.ReadSeeker { return strings.NewReader(string(c)) }
func (c content) ETag() string          { return `"` + fmt.Sprint(len(c)) + `"` }
func (c content) Close()                {}

func (b *booth) Segment(_ context.Context, e *playback.Entry, track uint64, kind playback.Container, start kvs.Millis, viewer uint64) (Segment, error) {
	return content(fmt.Sprintf("fragment %d, track %d, container %d, from %d", e.Stored.Number.N, track, kind, start)), nil
}

// token is that of a session that change may alter.
func token(change func(*playback.Session)) string {
	s := playback.Session{Stream: 7, StreamCreated: 5, Max: 5, Created: now, Expires: now + 300_000,
		Tracks: []playback.SessionTrack{{Number: 1, Kind: codec.H264}, {Number: 2, Kind: codec.AAC}}}
	if change != nil {
		change(&s)
	}
	return "Ci" + url.QueryEscape(string(s.AppendBinary(nil)))
}

func (b *booth) ask(method, target string, headers ...string) *httptest.ResponseRecorder {
	b.t.Helper()
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	return w
}

// TestAnswers compares whole answers with those on file.
func TestAnswers(t *testing.T) {
	b := newBooth(t, nil)
	hls, dash := token(nil), token(func(s *playback.Session) { s.Kind, s.Discontinuity = playback.DASH, playback.Never })
	ts := token(func(s *playback.Session) { s.Container = playback.TS })
	number := kvs.FragmentNumber{N: 2, Server: now}.String()
	var out strings.Builder
	for _, c := range []struct{ method, path, headers string }{
		{"GET", "/hls/v1/getHLSMasterPlaylist.m3u8?SessionToken=" + hls, ""},
		{"GET", "/hls/v1/getHLSMasterPlaylist.m3u8?LivePause=BREAK&SessionToken=" + hls, ""},
		{"GET", "/hls/v1/getHLSMediaPlaylist.m3u8?SessionToken=" + hls + "&TrackNumber=2", ""},
		{"HEAD", "/hls/v1/getHLSMediaPlaylist.m3u8?SessionToken=" + hls + "&TrackNumber=2", ""},
		{"GET", "/hls/v1/getHLSMediaPlaylist.m3u8?SessionToken=" + ts, ""},
		{"GET", "/hls/v1/getMP4InitFragment.mp4?SequenceNumber=0&TrackNumber=1&SessionToken=" + hls, ""},
		{"GET", "/hls/v1/getMP4MediaFragment.mp4?TrackNumber=1&FragmentNumber=" + number + "&SessionToken=" + hls, ""},
		{"GET", "/hls/v1/getMP4MediaFragment.mp4?TrackNumber=1&FragmentNumber=" + number + "&SessionToken=" + hls, "Range: bytes=0-7"},
		{"GET", "/hls/v1/getTSFragment.ts?FragmentNumber=" + number + "&SessionToken=" + ts, ""},
		{"GET", "/dash/v1/getDASHManifest.mpd?SessionToken=" + dash, ""},
		{"GET", "/dash/v1/getMP4InitFragment.mp4?TrackNumber=1&SessionToken=" + dash, ""},
		{"GET", "/dash/v1/getMP4MediaFragment.mp4?TrackNumber=2&SequenceNumber=3&SessionToken=" + dash, ""},
		{"GET", "/dash/v1/getMP4MediaFragment.mp4?TrackNumber=2&SequenceNumber=4&SessionToken=" + dash, ""},
		{"GET", "/dash/v1/getDASHManifest.mpd", ""},
		{"GET", "/dash/v1/getDASHManifest.mpd?SessionToken=AAAA", ""},
		{"GET", "/dash/v1/getDASHManifest.mpd?SessionToken=CiAAAA", ""},
		{"GET", "/dash/v1/getDASHManifest.mpd?SessionToken=" + hls, ""},
		{"PUT", "/dash/v1/getDASHManifest.mpd?SessionToken=" + dash, ""},
	} {
		var headers []string
		if name, value, ok := strings.Cut(c.headers, ": "); ok {
			headers = []string{name, value}
		}
		w := b.ask(c.method, c.path, headers...)
		fmt.Fprintf(&out, "> %s %s %s\n< %d\n", c.method, c.path, c.headers, w.Code)
		var names []string
		for name := range w.Header() {
			if !strings.HasPrefix(strings.ToLower(name), "x-amz") && !strings.HasPrefix(name, "Access-Control-") {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		for _, name := range names {
			fmt.Fprintf(&out, "< %s: %s\n", name, w.Header().Get(name))
		}
		fmt.Fprintf(&out, "%s\n\n", w.Body)
	}
	got := out.String()
	for text, name := range map[string]string{hls: "HLS", dash: "DASH", ts: "TS"} {
		plain, _ := url.QueryUnescape(text)
		got = strings.NewReplacer(text, "Ci"+name+"~", plain, "Ci"+name+"~").Replace(got)
	}
	const file = "testdata/answers.txt"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Error(d)
	}
}

func TestWhoMayNotWatch(t *testing.T) {
	const list = "/hls/v1/getHLSMediaPlaylist.m3u8?TrackNumber=1&SessionToken="
	for name, c := range map[string]struct {
		token  string
		change func(*booth)
		status int
		says   string
	}{
		"another stream of that name": {token(func(s *playback.Session) { s.StreamCreated = 6 }), nil, 403, "token is invalid"},
		"the last millisecond":        {token(nil), func(b *booth) { b.now += 299_999 }, 200, ""},
		"expired":                     {token(nil), func(b *booth) { b.now += 300_000 }, 403, "token is expired"},
		"revoked":                     {token(nil), func(b *booth) { b.stream.SessionsFrom = now + 1 }, 403, "token is revoked"},
		"begun behind a revocation":   {token(nil), func(b *booth) { b.stream.SessionsFrom = now }, 200, ""},
		"deleted":                     {token(nil), func(b *booth) { b.gone = true }, 404, "was deleted"},
	} {
		b := newBooth(t, nil)
		if c.change != nil {
			c.change(b)
		}
		if w := b.ask("GET", list+c.token); w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

// While the key of a stream cannot be used nothing of it is given, whoever has it in memory.
func TestNothingIsGivenWithoutTheKey(t *testing.T) {
	hls, ts, dash := token(nil), token(func(s *playback.Session) { s.Container = playback.TS }), token(func(s *playback.Session) { s.Kind = playback.DASH })
	number := "&FragmentNumber=" + kvs.FragmentNumber{N: 2, Server: now}.String()
	for kind, status := range map[kvs.Kind]int{kvs.Denied: 403, kvs.Unavailable: 503} {
		b := newBooth(t, nil)
		for _, path := range []string{
			"/hls/v1/getHLSMasterPlaylist.m3u8?SessionToken=" + hls,
			"/hls/v1/getHLSMediaPlaylist.m3u8?TrackNumber=1&SessionToken=" + hls,
			"/hls/v1/getMP4InitFragment.mp4?SequenceNumber=0&TrackNumber=1&SessionToken=" + hls,
			"/hls/v1/getMP4MediaFragment.mp4?TrackNumber=1&SessionToken=" + hls + number,
			"/hls/v1/getTSFragment.ts?SessionToken=" + ts + number,
			"/dash/v1/getDASHManifest.mpd?SessionToken=" + dash,
			"/dash/v1/getMP4InitFragment.mp4?TrackNumber=1&SessionToken=" + dash,
			"/dash/v1/getMP4MediaFragment.mp4?TrackNumber=1&SequenceNumber=2&SessionToken=" + dash,
		} {
			b.locked = nil
			if w := b.ask("GET", path); w.Code != 200 {
				t.Errorf("%s: %d %s", path, w.Code, w.Body)
			}
			b.locked = kvs.Errorf(kind, "The stream cannot be read: the key.")
			if w := b.ask("GET", path); w.Code != status || !strings.Contains(w.Body.String(), "The stream cannot be read") {
				t.Errorf("%s: %d %s", path, w.Code, w.Body)
			}
		}
	}
}

// A deleted stream's live list is given once more, with its end, to who had it.
func TestTheLastList(t *testing.T) {
	b := newBooth(t, nil)
	hls, dash := token(nil), token(func(s *playback.Session) { s.Kind = playback.DASH })
	list, manifest := "/hls/v1/getHLSMediaPlaylist.m3u8?TrackNumber=1&SessionToken="+hls, "/dash/v1/getDASHManifest.mpd?SessionToken="+dash
	before := b.ask("GET", list).Body.String()
	if w := b.ask("GET", manifest); w.Code != 200 || !strings.Contains(w.Body.String(), `type="dynamic"`) {
		t.Errorf("%s", w.Body)
	}
	b.gone, b.now = true, now+59_999
	if w := b.ask("GET", list); w.Code != 200 || w.Body.String() != before+"#EXT-X-ENDLIST\n" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := b.ask("GET", manifest); w.Code != 200 || !strings.Contains(w.Body.String(), `type="static"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := b.ask("GET", "/hls/v1/getHLSMediaPlaylist.m3u8?TrackNumber=2&SessionToken="+hls); w.Code != 404 {
		t.Errorf("a list that nobody had: %d", w.Code)
	}
	b.now = now + 60_000
	if w := b.ask("GET", list); w.Code != 404 {
		t.Errorf("a minute later: %d", w.Code)
	}
}

func TestFaultsOfTheRooms(t *testing.T) {
	b := newBooth(t, nil)
	lost := kvs.FragmentNumber{N: 99, Server: now}.String()
	if w := b.ask("GET", "/hls/v1/getMP4MediaFragment.mp4?TrackNumber=1&FragmentNumber="+lost+"&SessionToken="+token(nil)); w.Code != 500 || strings.Contains(w.Body.String(), "index") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	b.other = true
	good := kvs.FragmentNumber{N: 1, Server: now}.String()
	if w := b.ask("GET", "/hls/v1/getMP4MediaFragment.mp4?TrackNumber=1&FragmentNumber="+good+"&SessionToken="+token(nil)); w.Code != 400 || !strings.Contains(w.Body.String(), "V_VP8") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if log := b.log.String(); strings.Contains(log, "SessionToken") || !strings.Contains(log, "out of reach") {
		t.Errorf("log: %s", log)
	}
}

// A manifest ends in front of the first fragment that the session does not have: with other tracks, or
// another resolution. Loaded nevertheless that is refused, and so is a list that begins with it.
func TestAManifestEndsWhereTracksChange(t *testing.T) {
	var changed, unread int64
	b := newBoothWith(t, nil, func(o *Options) {
		o.Board = numbered{o.Board}
		o.Media = changing{o.Media, &changed, &unread}
	})
	manifest := "/dash/v1/getDASHManifest.mpd?SessionToken=" + token(func(s *playback.Session) { s.Kind = playback.DASH })
	first := "/dash/v1/getMP4InitFragment.mp4" + manifest[strings.Index(manifest, "?"):] + "&TrackNumber=1"
	for _, c := range []struct {
		changed, unread int64 // set of the first fragment with other tracks, and of one whose header cannot be read
		status          int
		segments        int // of each track
		static          bool
	}{
		{9, 9, 200, 3, false}, {2, 9, 200, 2, true}, {1, 9, 200, 1, true}, {0, 9, 400, 0, false},
		{9, 0, 200, 3, false}, {2, 0, 200, 2, true}, {1, 0, 400, 0, false},
	} {
		changed, unread = c.changed, c.unread
		w := b.ask("GET", manifest)
		body := w.Body.String()
		if w.Code != c.status || strings.Count(body, "<S ") != 2*c.segments || strings.Contains(body, `type="static"`) != c.static {
			t.Errorf("%+v: %d %s", c, w.Code, body)
		}
		if c.static && !strings.Contains(body, fmt.Sprintf(`mediaPresentationDuration="PT%dS"`, 2*c.segments)) {
			t.Errorf("%+v: %s", c, body)
		}
		if w := b.ask("GET", first); w.Code != c.status {
			t.Errorf("%+v: the header: %d %s", c, w.Code, w.Body)
		}
	}
}

// numbered gives each fragment a codec set of its own.
type numbered struct{ Board }

func (n numbered) Timeline(ctx context.Context, s kvs.Stream, ses *playback.Session, now kvs.Millis) (*playback.Timeline, error) {
	t, err := n.Board.Timeline(ctx, s, ses, now)
	for i := range t.Entries {
		t.Entries[i].Set = int64(i)
	}
	return t, err
}

// changing has other tracks from a set on.
type changing struct {
	Media
	changed, unread *int64
}

func (c changing) Check(_ context.Context, e *playback.Entry, _ *playback.Session) error {
	switch {
	case e.Set == *c.unread:
		return errors.New("damaged")
	case e.Set >= *c.changed:
		return codec.UnsupportedMedia("(track 1: V_MPEG4/ISO/AVC, with other private data than the session has)")
	}
	return nil
}

// Sessions have their rates each for itself.
func TestRatesOfSessions(t *testing.T) {
	b := newBooth(t, map[string]string{"GetHLSMediaPlaylist.session-rate": "2/s"})
	const list = "/hls/v1/getHLSMediaPlaylist.m3u8?TrackNumber=1&SessionToken="
	one, two := token(nil), token(func(s *playback.Session) { s.Max = 6 })
	for i, want := range []int{200, 200, 429} {
		if w := b.ask("GET", list+one); w.Code != want {
			t.Errorf("request %d: %d", i, w.Code)
		}
	}
	if w := b.ask("GET", list+two); w.Code != 200 {
		t.Errorf("another session: %d", w.Code)
	}
	b.now += 1000
	if w := b.ask("GET", list+one); w.Code != 200 {
		t.Errorf("a second later: %d", w.Code)
	}
}
