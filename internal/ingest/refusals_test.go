package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/rejection"
)

// However many fragments are refused, the log gets no line for each of them, and the
// summary says which codes there were and why the first one was sent.
func TestRefusalsAreSummedUp(t *testing.T) {
	s := newStudio(t, quota.Open)
	var log bytes.Buffer
	s.o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	s.shelf.failure = func(n int) error { return errors.New("no space left on device") }
	steps := []any{headOf(otherApp, 0, videoTrack, audioTrack)}
	for i := range 500 {
		steps = append(steps, unknown(uint64(i*100), at(0)))
	}
	steps = append(steps, unknown(0, at(0)), unknown(60_000, at(0), frame(2, 0, 1)))
	c := s.put(s.stream(24), steps...)
	if c.Refused != "4004:1 4011:500 5001:1" || c.First != "track 2 is declared but has no frame in the fragment" || c.Failed != 502 {
		t.Errorf("%+v", c.Summary)
	}
	if log.Len() > 0 {
		t.Errorf("logged %.500s", log.String())
	}
	if c := s.put(s.stream(24), []byte("nonsense")); c.Refused != "4006:1" || c.First == "" {
		t.Errorf("%+v", c.Summary)
	}
	if c := s.put(s.stream(0), head(otherApp), aSecond(0)); c.Refused != "" || c.First != "" {
		t.Errorf("%+v", c.Summary)
	}
}

// fullDisk is a stream of which nothing can be stored.
type fullDisk struct{ *catalog.Entry }

func (fullDisk) BeginSession(context.Context) error {
	return &kvs.Error{Kind: kvs.Unavailable, Message: "try again", Cause: errors.New("write catalog.db: no space left on device")}
}

// When the disk is full before a stream's first fragment the log says so: as an error,
// with the cause, and once for many producers.
func TestADiskFullBeforeTheFirstFragmentIsLogged(t *testing.T) {
	s := newStudio(t, quota.Open)
	var log bytes.Buffer
	now := time.Unix(1_735_442_939, 0)
	s.o.Logger, s.o.Now = slog.New(slog.NewTextHandler(&log, nil)), func() time.Time { return now }
	e := s.stream(24)
	try := func(times int) {
		for range times {
			c := s.putCtx(t.Context(), Request{Stream: fullDisk{e}}, newScript(head(otherApp), aSecond(0)), &ledger{t: t})
			if got := c.text(); got != "e:5001" {
				t.Errorf("acknowledged %s", got)
			}
		}
	}
	try(5)
	now = now.Add(complainEvery)
	try(1)
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("got %d lines:\n%s", len(lines), log.String())
	}
	for i, want := range []string{"sessions=1 ", "sessions=5 "} {
		for _, part := range []string{"level=ERROR", "stream=" + e.Stream().Name, want, "no space left on device"} {
			if !strings.Contains(lines[i], part) {
				t.Errorf("line %d lacks %s: %s", i, part, lines[i])
			}
		}
	}
}

// Every refusal is reported with its place, and says what to do.
func TestRefusalsAreReported(t *testing.T) {
	s := newStudio(t, quota.Open)
	var got []rejection.Refusal
	var of kvs.Stream
	s.o.Reject = func(stream kvs.Stream, r rejection.Refusal) { of, got = stream, append(got, r) }
	s.shelf.failure = func(n int) error {
		if n == 2 {
			return errors.New("no space left on device")
		}
		return nil
	}
	h := headOf(otherApp, 0, videoTrack, audioTrack)
	first, second, third := unknown(40, at(0), frame(2, 0, 10)), unknown(1000, at(0), frame(2, 0, 10), frame(7, 40, 10)), unknown(2000, at(0))
	e := s.stream(24)
	s.putCtx(t.Context(), Request{Stream: e, ID: "req-1", Client: "192.0.2.7:99"},
		newScript(h, first, second, third, unknown(1500, at(0)), unknown(3000, at(0), frame(2, 0, 1)), []byte{0}), &ledger{t: t})
	clusters := []int64{int64(len(h) + len(first)), int64(len(h) + len(first) + len(second))}
	last := clusters[1] + int64(len(third)+len(unknown(1500, at(0)))+len(unknown(3000, at(0), frame(2, 0, 1))))
	want := []struct {
		code     Code
		cause    string
		scope    rejection.Scope
		timecode int64
		began    int64
		offset   int64
		track    uint64
		frame    int
	}{
		{TrackMismatch, "undeclared-track", rejection.Fragment, 1000, clusters[0], clusters[1] - int64(len(frame(7, 40, 10))), 7, 3},
		{FramesMissing, "track-without-frame", rejection.Fragment, 2000, clusters[1], clusters[1], 2, 1},
		{TimecodeNotGreater, "timecode-not-greater", rejection.Fragment, 1500, clusters[1] + int64(len(third)), 0, 0, 0},
		{InvalidMKV, "broken-element", rejection.Fragment, 3000, last - int64(len(unknown(3000, at(0), frame(2, 0, 1)))), last, 0, 2},
	}
	if len(got) != len(want) {
		t.Fatalf("reported %+v", got)
	}
	for i, w := range want {
		r := got[i]
		if r.Code != int(w.code) || r.Error != w.code.String() || r.Case != w.cause || r.Scope != w.scope || !r.Told ||
			r.Timecode != w.timecode || r.Producer.UnixMilli() != w.timecode || r.Began != w.began || w.offset > 0 && r.Offset != w.offset || r.Track != w.track || r.Frame != w.frame {
			t.Errorf("%d: reported %+v, want %+v", i, r, w)
		}
		if of.ID != e.Stream().ID || r.Request != "req-1" || r.Client != "192.0.2.7:99" || len(r.Number) != 47 || r.Why == "" || r.Fix == "" || r.Time.IsZero() {
			t.Errorf("%d: reported %+v", i, r)
		}
	}

	// A disk that is full, a body that is none, a connection that breaks.
	got = nil
	s.put(s.stream(24), head(otherApp), aSecond(0))
	s.put(s.stream(24), []byte("nonsense"))
	s.put(s.stream(24), head(otherApp), sized(0, at(0)), errors.New("connection reset"))
	var short []string
	for _, r := range got {
		short = append(short, fmt.Sprint(r.Scope, " ", r.Case, " ", r.Offset, " ", r.Timecode))
	}
	if got, want := strings.Join(short, ", "), fmt.Sprintf("FRAGMENT not-stored %d 0, SESSION not-matroska 0 -1", len(head(otherApp))); got != want {
		t.Errorf("reported %s, want %s", got, want)
	}
}

// Each code that can be sent has a case, and each case its advice under a name of its own.
func TestEveryCodeHasAdvice(t *testing.T) {
	names, codes := map[string]bool{}, map[Code]bool{}
	for i, c := range Cases() {
		if c.Name == "" || names[c.Name] || len(c.When) < 20 || len(c.Fix) < 40 || c.Code.String() == "" {
			t.Errorf("case %d: %+v", i, c)
		}
		if i > 0 && c.Code < Cases()[i-1].Code {
			t.Errorf("%s is out of order", c.Name)
		}
		names[c.Name], codes[c.Code] = true, true
	}
	for code := range codeNames {
		if !codes[code] {
			t.Errorf("%d %s has no case", int(code), code)
		}
	}
}

// Sessions that end without an ERROR are reported, too, with what they cost.
func TestSilentEndsAreReported(t *testing.T) {
	for name, test := range map[string]struct {
		body []any
		want string
	}{
		"silence between fragments": {[]any{aSecond(0), endTag}, "SESSION no-data told false"},
		"silence in a fragment":     {[]any{aSecond(0)}, "FRAGMENT no-data told true"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, quota.AWS, func(s *studio) {
				s.limit("fragment.min-duration", "none")
				var got []string
				s.o.Reject = func(_ kvs.Stream, r rejection.Refusal) {
					got = append(got, fmt.Sprint(r.Scope, " ", r.Case, " told ", r.Told))
				}
				s.put(s.stream(24), append([]any{head(otherApp)}, append(test.body, open{})...)...)
				if text := strings.Join(got, ", "); text != test.want {
					t.Errorf("reported %s, want %s", text, test.want)
				}
			})
		})
	}
	t.Run("a newer session", func(t *testing.T) {
		bubble(t, quota.AWS, func(s *studio) {
			var mu sync.Mutex
			var got []string
			s.o.Reject = func(_ kvs.Stream, r rejection.Refusal) {
				mu.Lock()
				defer mu.Unlock()
				got = append(got, fmt.Sprint(r.Scope, " ", r.Case, " ", r.Limit, " told ", r.Told))
			}
			e := s.stream(24)
			old := s.start(e, head(otherApp), aSecond(0), endTag, open{})
			<-time.After(500 * time.Millisecond)
			young := s.start(e, head(otherApp), aSecond(0))
			old()
			young()
			if text := strings.Join(got, ", "); text != "SESSION displaced PutMedia.sessions told false" {
				t.Errorf("reported %s", text)
			}
		})
	})
}

// The good path of a session costs nothing for the report.
func TestNothingIsReportedOfWhatIsTaken(t *testing.T) {
	s := newStudio(t, quota.Open)
	s.o.Reject = func(_ kvs.Stream, r rejection.Refusal) { t.Errorf("reported %+v", r) }
	s.put(s.stream(24), head(otherApp), aSecond(0), aSecond(1000)).want("b1@0 r1@0 p1@0 b2@1000 r2@1000 p2@1000", 0)
	s.put(s.stream(24))
	e := s.stream(24)
	s.put(e, head(otherApp), func() { s.delete(e) }, aSecond(0))
}
