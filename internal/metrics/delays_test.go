package metrics

import (
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// openMetrics is the page as a server of Prometheus asks for it.
func openMetrics(t *testing.T, s *Set) string {
	t.Helper()
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil)
	r.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	s.Handler().ServeHTTP(w, r)
	if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "application/openmetrics-text") {
		t.Fatal(w.Code, w.Header())
	}
	return w.Body.String()
}

// exemplars are the request ids that the buckets of a label value name.
func exemplars(page, series string) (ids []string) {
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, series) {
			if _, id, ok := strings.Cut(line, `# {request_id="`); ok {
				id, _, _ = strings.Cut(id, `"`)
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// A bucket names the first request of a second that fell into it; the slow ones are in
// buckets of their own, so none of them is lost among the quick ones.
func TestExemplars(t *testing.T) {
	s := New()
	now := time.Unix(1_800_000_000, 0)
	s.AckSeconds.Observe("PERSISTED", 2*time.Millisecond, "quick-1", now)
	s.AckSeconds.Observe("PERSISTED", 2*time.Millisecond, "quick-2", now.Add(time.Second/2))
	s.AckSeconds.Observe("PERSISTED", 3*time.Second, "slow", now.Add(time.Second/2))
	s.AckSeconds.Observe("PERSISTED", time.Hour, "endless", now.Add(time.Second/2))
	s.AckSeconds.Observe("PERSISTED", time.Microsecond, "", now)
	const series = `millrace_ack_seconds_bucket{type="PERSISTED"`
	if ids := strings.Join(exemplars(openMetrics(t, s), series), " "); ids != "quick-1 slow endless" {
		t.Errorf("named are %q", ids)
	}
	s.AckSeconds.Observe("PERSISTED", 2*time.Millisecond, "quick-3", now.Add(time.Second))
	if ids := strings.Join(exemplars(openMetrics(t, s), series), " "); ids != "quick-3 slow endless" {
		t.Errorf("a second later: %q", ids)
	}
	if strings.Contains(served(t, s), "quick") {
		t.Error("the plain text has exemplars, which its readers do not know")
	}
}

// An acknowledgement in the second of another costs no memory.
func TestObservingAllocatesNothing(t *testing.T) {
	s := New()
	now := time.Unix(1_800_000_000, 0)
	observe := func() { s.AckSeconds.Observe("PERSISTED", 2*time.Millisecond, "id", now) }
	observe()
	if n := testing.AllocsPerRun(1000, observe); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestObservingFromManySides(t *testing.T) {
	s := New()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 1000 {
				s.RequestSeconds.Observe("GetMedia", time.Duration(i)*time.Millisecond, "id", time.Unix(int64(i), 0))
			}
		})
	}
	all.Wait()
	if !strings.Contains(served(t, s), `millrace_request_seconds_count{operation="GetMedia"} 8000`) {
		t.Error("not all were counted")
	}
}
