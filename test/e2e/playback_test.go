package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// everything is the selector of all that these tests send.
func everything() object {
	return object{"FragmentSelectorType": "PRODUCER_TIMESTAMP",
		"TimestampRange": object{"StartTimestamp": date(began.Add(-time.Minute)), "EndTimestamp": date(began.Add(time.Hour))}}
}

// session returns the URL of a new session, at the plain listener: ffmpeg does not know the CA.
func (s *server) session(t testing.TB, operation string, input object) string {
	t.Helper()
	return strings.Replace(s.sessionTLS(t, operation, input), s.https, s.http, 1)
}

// sessionTLS returns the URL of a new session as the service answers it.
func (s *server) sessionTLS(t testing.TB, operation string, input object) string {
	t.Helper()
	var out struct{ HLSStreamingSessionURL, DASHStreamingSessionURL string }
	s.caller(t).must(t, operation, input, &out)
	return out.HLSStreamingSessionURL + out.DASHStreamingSessionURL
}

// awaitLive waits until a stream has as many fragments as live lists show.
func (s *server) awaitLive(t testing.TB, stream string) {
	t.Helper()
	all := object{"FragmentSelectorType": "SERVER_TIMESTAMP",
		"TimestampRange": object{"StartTimestamp": date(time.Unix(0, 0)), "EndTimestamp": date(time.Now().Add(time.Hour))}}
	eventually(t, "no live film", func() error {
		a := s.caller(t).call(t, "ListFragments", object{"StreamName": stream, "FragmentSelector": all})
		if a.Error != nil {
			return a.Error
		}
		var list struct{ Fragments []fragmentInfo }
		if err := json.Unmarshal(a.Output, &list); err != nil || len(list.Fragments) < 5 {
			return fmt.Errorf("%d fragments, %v", len(list.Fragments), err)
		}
		return nil
	})
}
