package e2e

import (
	"testing"
	"time"

	"github.com/millrace/millrace/internal/client"
)

// set changes a limit of the stream "garden" by the command.
func (s *server) set(t *testing.T, name, value string) {
	t.Helper()
	run(t, s.variables(), program(t), "limit", "set", name, value, "--stream", "garden")
}

// Limits change under open sessions, without a restart: what a fragment may be, how long
// a session may last, how many there may be, and how fast they are.
func TestLimitsChangeUnderOpenSessions(t *testing.T) {
	s := serve(t, "--profile", "aws")
	s.create(t, "garden")
	producer := s.open(t, "garden")
	producer.send(t, head(), cluster(0, 10, 1000, 1), cluster(1000, 10, 1000, 2))
	producer.await(t, client.Persisted)

	s.set(t, "fragment.bytes", "5KB")
	producer.send(t, cluster(2000, 10, 1000, 3), cluster(3000, 10, 100, 4))
	if a := producer.await(t, client.Failed); a.ErrorID != 4001 {
		t.Errorf("got %s, want 4001", a.Raw)
	}
	s.set(t, "fragment.bytes", "50MB")

	// What is sent at once takes its time, until the limit is raised.
	s.set(t, "PutMedia.bandwidth", "1KB/s")
	producer.send(t, cluster(4000, 10, 10_000, 5))
	start := time.Now()
	producer.send(t, cluster(5000, 10, 10_000, 6), cluster(6000, 10, 100, 7))
	pause(3 * time.Second)
	s.set(t, "PutMedia.bandwidth", "none")
	for a := producer.await(t, client.Persisted); a.Timecode != 5000; {
		a = producer.await(t, client.Persisted)
	}
	if took := time.Since(start); took < 3*time.Second || took > time.Minute {
		t.Errorf("200 KB took %v; at 1 KB/s throughout it is minutes", took)
	}

	// Two sessions are one too many, until two are allowed.
	s.set(t, "PutMedia.sessions", "2")
	second := s.open(t, "garden")
	second.send(t, head(), cluster(10_000, 10, 100, 8), cluster(11_000, 10, 100, 9))
	second.await(t, client.Persisted)
	producer.send(t, cluster(7000, 10, 100, 10), cluster(8000, 10, 100, 11))
	for a := producer.await(t, client.Persisted); a.Timecode != 7000; {
		a = producer.await(t, client.Persisted)
	}
	s.set(t, "PutMedia.session-age", "1s")
	for _, open := range []*session{producer, second} {
		if a := open.await(t, client.Failed); a.ErrorID != 4003 {
			t.Errorf("got %s, want 4003", a.Raw)
		}
	}
}
