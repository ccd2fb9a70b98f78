package metrics

import (
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// used returns a set in which every measurement has a value.
func used() *Set {
	s := New()
	s.Func("millrace_test", "A gauge that is read.", func() float64 { return 7 })
	s.Requests.WithLabelValues("GetMedia", "200").Inc()
	s.RequestSeconds.Observe("GetMedia", time.Second, "", time.Unix(3, 0))
	s.GetSessions.WithLabelValues("GetMedia").Inc()
	s.GetBytes.WithLabelValues("GetMedia").Add(10)
	s.Acks.WithLabelValues("PERSISTED").Inc()
	s.AckErrors.WithLabelValues("4006").Inc()
	s.Evicted.WithLabelValues("age").Inc()
	s.EvictedBytes.WithLabelValues("age").Add(1)
	s.AckSeconds.Observe("PERSISTED", 2*time.Second, "", time.Unix(3, 0))
	s.LimitBreaches.WithLabelValues("PutMedia.sessions").Inc()
	s.LimitWaits.WithLabelValues("PutMedia.bandwidth").Inc()
	s.FragmentsConsumed.WithLabelValues("media").Inc()
	s.ExpiredFragments.WithLabelValues("expired").Inc()
	s.ExpiredBytes.WithLabelValues("limit").Inc()
	s.KeyErrors.WithLabelValues("disabled").Inc()
	s.SignalingConnections.WithLabelValues("viewer").Inc()
	s.SignalingMessages.WithLabelValues("SDP_OFFER", "delivered").Inc()
	s.SignalingEndings.WithLabelValues("master", "left").Inc()
	s.PlaybackBytes.WithLabelValues("GetTSFragment").Add(1)
	return s
}

func served(t *testing.T, s *Set) string {
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
		t.Fatal(w.Code, w.Header())
	}
	return w.Body.String()
}

// TestMetricsAreDescribedAndServed: names follow the conventions of Prometheus, and the
// list and the page served agree.
func TestMetricsAreDescribedAndServed(t *testing.T) {
	s := used()
	text := served(t, s)
	form := regexp.MustCompile(`^millrace(_[a-z]+)+$`)
	names := map[string]bool{}
	for _, m := range s.List() {
		if !form.MatchString(m.Name) || names[m.Name] {
			t.Errorf("%s is no name for a metric, or there twice", m.Name)
		}
		names[m.Name] = true
		if !regexp.MustCompile(`^[A-Z].*[^.]\.$`).MatchString(m.Help) {
			t.Errorf("%s: the help text is no sentence: %q", m.Name, m.Help)
		}
		if total := strings.HasSuffix(m.Name, "_total"); total != (m.Type == Counter) {
			t.Errorf("%s is a %s", m.Name, m.Type)
		}
		if head := "# HELP " + m.Name + " " + m.Help + "\n# TYPE " + m.Name + " " + string(m.Type) + "\n"; !strings.Contains(text, head) {
			t.Errorf("%s is not served as the list has it", m.Name)
		}
	}
	for _, line := range strings.Split(text, "\n") {
		if name, ok := strings.CutPrefix(line, "# TYPE millrace"); ok && !names["millrace"+strings.Fields(name)[0]] {
			t.Errorf("served but not listed: %s", line)
		}
	}
}

func TestLabelsAndValues(t *testing.T) {
	s := used()
	text := served(t, s)
	for _, line := range []string{
		"millrace_test 7",
		`millrace_requests_total{operation="GetMedia",status="200"} 1`,
		`millrace_get_bytes_total{operation="GetMedia"} 10`,
		`millrace_ack_seconds_sum{type="PERSISTED"} 2`,
		"millrace_put_sessions 0",
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("not served: %s", line)
		}
	}
	for _, m := range s.List() {
		if m.Name == "millrace_requests_total" && !slices.Equal(m.Labels, []string{"operation", "status"}) {
			t.Errorf("labels %q", m.Labels)
		}
	}
	if !strings.Contains(text, "\ngo_goroutines ") {
		t.Error("the Go runtime's measurements are missing")
	}
}

func TestANameIsGivenOnce(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("the same name was registered twice")
		}
	}()
	New().Func("millrace_put_sessions", "A second one.", nil)
}
