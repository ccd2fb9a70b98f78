package e2e

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// The id in an answer, in the log, and in an exemplar are the same; that of an
// acknowledgement is the PutMedia call's.
func TestExemplars(t *testing.T) {
	s, watch := watched(t)
	s.create(t, "garden")
	producer := s.open(t, "garden")
	producer.send(t, head(), seconds(1, 0)[0])
	producer.end(t)
	status, page := fetch(t, watch+"/metrics", "Accept: application/openmetrics-text; version=1.0.0")
	if status != http.StatusOK || !strings.HasSuffix(page, "# EOF\n") {
		t.Fatalf("%d %.300s", status, page)
	}
	find := func(series string) string {
		t.Helper()
		m := regexp.MustCompile(`(?m)^` + series + `[^#\n]*# \{request_id="([^"]+)"\}`).FindStringSubmatch(page)
		if m == nil {
			t.Fatalf("no exemplar of %s:\n%s", series, page)
		}
		return m[1]
	}
	put := find(`millrace_ack_seconds_bucket\{type="PERSISTED"`)
	if again := find(`millrace_ack_seconds_bucket\{type="RECEIVED"`); again != put || put != producer.up.RequestID {
		t.Errorf("exemplars %s and %s, the answer had %s", put, again, producer.up.RequestID)
	}
	s.out.wait(t, "id="+put+" operation=PutMedia")
	s.out.wait(t, "id="+find(`millrace_request_seconds_bucket\{[^}]*operation="CreateStream"`)+" operation=CreateStream")
	if _, plain := fetch(t, watch+"/metrics", ""); strings.Contains(plain, "request_id") {
		t.Error("the plain text has exemplars")
	}
}
