package e2e

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/client"
)

// session is an open PutMedia call of our own client: what is written is sent, what is
// acknowledged is kept.
type session struct {
	*io.PipeWriter
	up   *client.Upload
	acks []client.Ack
}

// began is when the recordings of these tests begin: fragments then have the same times
// in every run.
var began = time.Date(2026, 3, 4, 5, 6, 7, 89e6, time.UTC)

// open begins a session with relative timecodes.
func (s *server) open(t testing.TB, stream string) *session {
	t.Helper()
	return s.openAt(t, stream, began)
}

// openAt begins a session whose recording began at a time.
func (s *server) openAt(t testing.TB, stream string, start time.Time) *session {
	t.Helper()
	r, w := io.Pipe()
	up, err := s.client(t).PutMedia(t.Context(), client.PutMediaRequest{StreamName: stream, TimecodeType: client.Relative,
		ProducerStart: start, Body: r})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.CloseWithError(io.ErrClosedPipe); _ = up.Close() })
	return &session{PipeWriter: w, up: up}
}

// send writes bytes of the body.
func (s *session) send(t testing.TB, b ...[]byte) {
	t.Helper()
	for _, b := range b {
		if _, err := s.Write(b); err != nil {
			t.Fatal(err)
		}
	}
}

// await waits for the next acknowledgement of one of the types and returns it.
func (s *session) await(t testing.TB, types ...string) client.Ack {
	t.Helper()
	for {
		a, err := s.up.Next()
		if err != nil {
			t.Fatalf("waiting for %v after %d acknowledgements: %v", types, len(s.acks), err)
		}
		s.acks = append(s.acks, a)
		if slices.Contains(types, a.Type) {
			return a
		}
		if a.Type == client.Failed {
			t.Fatalf("waiting for %v: %s", types, a.Raw)
		}
	}
}

// end ends the body and reads acknowledgements to the last one.
func (s *session) end(t testing.TB) []client.Ack {
	t.Helper()
	_ = s.Close()
	return s.rest(t)
}

// rest reads acknowledgements to the last one, while somebody else writes the body.
func (s *session) rest(t testing.TB) []client.Ack {
	t.Helper()
	for {
		a, err := s.up.Next()
		if errors.Is(err, io.EOF) {
			return s.acks
		}
		if err != nil {
			t.Fatal(err)
		}
		s.acks = append(s.acks, a)
	}
}

// persisted are the numbers of fragments acknowledged as durable.
func persisted(acks []client.Ack) []string {
	var numbers []string
	for _, a := range acks {
		if a.Type == client.Persisted {
			numbers = append(numbers, a.Number)
		}
	}
	return numbers
}

// put sends clusters in one session and returns the numbers of the fragments. All must be
// durable.
func (s *server) put(t testing.TB, stream string, clusters ...[]byte) []string {
	t.Helper()
	session := s.open(t, stream)
	go func() {
		_, err := io.Copy(session, bytes.NewReader(append(head(), bytes.Join(clusters, nil)...)))
		_ = session.CloseWithError(err)
	}()
	acks := session.rest(t)
	numbers := persisted(acks)
	if len(numbers) != len(clusters) {
		t.Fatalf("%d of %d fragments are durable; the acknowledgements were\n%s", len(numbers), len(clusters), lines(acks))
	}
	return numbers
}

func lines(acks []client.Ack) []byte {
	var b []byte
	for _, a := range acks {
		b = append(append(b, a.Raw...), '\n')
	}
	return b
}

// create makes a stream with a day of retention.
func (s *server) create(t testing.TB, name string) {
	t.Helper()
	s.caller(t).must(t, "CreateStream", object{"StreamName": name, "DataRetentionInHours": 24}, nil)
}

// seconds are clusters of one second each, one after another.
func seconds(n, first int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		at := first + i
		all[i] = cluster(int64(at)*1000, 10, 400+at, uint64(at))
	}
	return all
}
