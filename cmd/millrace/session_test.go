package main

import (
	"strings"
	"testing"
)

func TestSessionRevoke(t *testing.T) {
	p := &teller{answers: map[string][]string{"RevokeSessions": {`{"RevokedBefore":"2026-01-02T15:04:05.001Z"}`}}}
	code, out, errs := command(t, p, nil, "session", "revoke", "garden")
	if want := "All playback sessions of garden that began before 2026-01-02T15:04:05.001Z are over.\n"; code != exitOK || out != want {
		t.Errorf("code %d, %q, %q", code, out, errs)
	}
	if want := `RevokeSessions{"StreamName":"garden"}`; strings.Join(p.asked, " ") != want {
		t.Errorf("asked %s", p.asked)
	}
	if code, _, errs := command(t, &teller{}, nil, "session", "revoke", "garden"); code != exitFailed || errs == "" {
		t.Errorf("a stream that is not there: code %d, %q", code, errs)
	}
}
