package ingest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/mediatest"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/rejection"
)

// checkStory fails unless each fragment has its acknowledgements in order: BUFFERING,
// then RECEIVED or ERROR, and after RECEIVED of a stream with retention exactly one of
// PERSISTED and ERROR. The session has at most one ERROR of its own.
func checkStory(short []string, retention int) error {
	state := map[string]byte{}
	sessions := 0
	for i, a := range short {
		if strings.HasPrefix(a, "e:") {
			sessions++
			continue
		}
		name, _, _ := strings.Cut(a[1:], "@")
		was := state[name]
		allowed := map[byte]string{'b': "\x00", 'r': "b", 'p': "r", 'e': "br"}[a[0]]
		if !strings.ContainsRune(allowed, rune(was)) || retention == 0 && was == 'r' {
			return fmt.Errorf("acknowledgement %d, %s, may not follow %q", i+1, a, was)
		}
		state[name] = a[0]
	}
	for name, s := range state {
		if s == 'b' || s == 'r' && retention > 0 {
			return fmt.Errorf("the last word about fragment %s is %q", name, s)
		}
	}
	if sessions > 1 {
		return fmt.Errorf("%d errors of the session", sessions)
	}
	return nil
}

// FuzzSession sends anything as a body: a session ends, its memory is bounded and given
// back, and each fragment has a complete story.
func FuzzSession(f *testing.F) {
	for _, c := range mediatest.Clips() {
		b := c.Bytes()
		f.Add(b[:min(len(b), 40_000)], uint16(0), uint8(0))
	}
	f.Add(slices.Concat(sdkHead(videoTrack, audioTrack), meta("a", "b"), sdkCluster(5, at(0), frame(2, 1, 10)), endTag, meta("c", "d"), sdkCluster(9, at(0), groupAt(2, 3, 4))), uint16(3), uint8(1))
	f.Add(slices.Concat(head(embeddedApp), sized(0, at(0)), sized(1, at(0), frame(7, 0, 1)), sized(1, at(0)), []byte("?")), uint16(1), uint8(2))
	f.Add(slices.Concat(headOf(otherApp, 1<<40, videoTrack), unknown(1, at(-5), groupAt(1, 30000, 1<<40)), endTag, endTag), uint16(0), uint8(3))

	const memory = 16 << 20 // the head of a session takes up to 3 MiB, and half is kept back (seed 003e030caea1865e)
	s := newStudioOf(f, quota.Open, memory)
	s.stream(24)
	s.stream(0, "millrace:lenient-tracks", "1")
	f.Fuzz(func(t *testing.T, b []byte, piece uint16, mode uint8) {
		s.t = t
		s.limit("fragment.bytes", "1MiB")
		if mode&1 != 0 {
			s.limit("fragment.bytes", "1MiB", "fragment.overlap", "off", "fragment.min-duration", "1ms")
		}
		s.shelf.records, s.shelf.failure = nil, nil
		if mode&2 != 0 {
			s.shelf.failure = func(n int) error { return map[bool]error{true: errors.New("the disk is full")}[n%2 == 0] }
		}
		e, err := s.catalog.Open(t.Context(), 1+kvs.StreamID(mode>>2&1))
		if err != nil {
			t.Fatal(err)
		}
		body := newScript(b)
		body.piece = int(piece)
		told := 0
		s.o.Reject = func(_ kvs.Stream, r rejection.Refusal) {
			if r.Told {
				told++
			}
			if r.Offset < 0 || r.Offset > int64(len(b)) || r.Began > int64(len(b)) || r.Why == "" || r.Fix == "" || r.Error == "" {
				t.Errorf("refused %+v", r)
			}
		}
		c := s.putCtx(t.Context(), Request{Stream: e, Relative: mode&8 != 0, Start: 1000}, body, &ledger{t: t})
		if err := checkStory(c.short, e.Stream().Retention); err != nil {
			t.Errorf("%s: %v", c.text(), err)
		}
		if told != c.Failed {
			t.Errorf("%d refusals for %d errors", told, c.Failed)
		}
		if c.Bytes > int64(len(b)) {
			t.Errorf("%d bytes read of %d", c.Bytes, len(b))
		}
		var archived int64
		for _, r := range s.shelf.all() {
			archived += int64(len(r.body))
			if r.Fragment.Duration < 0 || r.Fragment.Producer < 0 || r.Fragment.Size != int64(len(r.body)) {
				t.Errorf("archived %+v with %d bytes", r.Fragment, len(r.body))
			}
		}
		if archived > int64(len(b)) {
			t.Errorf("%d bytes archived of %d", archived, len(b))
		}
		s.wantEmpty()
		if _, peak, _, _ := s.budget.Use(); peak > memory {
			t.Errorf("%d bytes of memory taken, %d allowed", peak, memory)
		}
	})
}

func TestStoriesAreTold(t *testing.T) {
	for text, fine := range map[string]bool{
		"b1@0 r1@0 p1@0": true, "b1@0 e1@0:4000": true, "b1@0 b2@1 r1@0 r2@1 p2@1 e1@0:5001": true, "e:4006": true, "b1@0 r1@0 e:4006 p1@0": true,
		"b1@0": false, "b1@0 r1@0": false, "r1@0 p1@0": false, "b1@0 p1@0": false, "b1@0 r1@0 p1@0 p1@0": false, "b1@0 e1@0:1 e1@0:1": false, "e:1 e:1": false,
	} {
		if err := checkStory(strings.Fields(text), 24); (err == nil) != fine {
			t.Errorf("%s: %v", text, err)
		}
	}
	if checkStory([]string{"b1@0", "r1@0"}, 0) != nil || checkStory([]string{"b1@0", "r1@0", "p1@0"}, 0) == nil {
		t.Error("without retention RECEIVED is the last word")
	}
}
