package ingest

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"

	"github.com/millrace/millrace/internal/quota"
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
