package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// A limit that is set for a stream holds at once, for that stream, and still after a
// restart, until it is reset.
func TestLimit(t *testing.T) {
	s := serve(t)
	s.create(t, "garden")
	s.create(t, "yard")
	millrace := func(s *server, args ...string) string { return run(t, s.variables(), program(t), args...) }
	describe := func(s *server, stream string) (refused bool) {
		for range 5 {
			err := s.client(t).Admin(t.Context(), "ListUsage", object{"StreamName": stream}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if s.caller(t).call(t, "DescribeStream", object{"StreamName": stream}).Status != http.StatusOK {
				refused = true
			}
		}
		return refused
	}
	const name = "DescribeStream.stream-rate"
	if describe(s, "garden") {
		t.Error("refused without a limit")
	}
	if out := millrace(s, "limit", "set", name, "1/m", "--stream", "garden"); out != name+" is 1/m for the stream garden (profile: none).\n" {
		t.Errorf("%s", out)
	}
	if !describe(s, "garden") || describe(s, "yard") {
		t.Error("the limit does not hold, or for another stream as well")
	}
	s.stop(t)
	next := s.again(t)
	changed := read[limitInForce](t, millrace(next, "limit", "list", "garden", "--changed", "--json"))
	if len(changed) != 1 || changed[0].Name != name || changed[0].From != "stream" || changed[0].Value != "1/m" || !describe(next, "garden") {
		t.Errorf("after a restart: %+v", changed)
	}
	millrace(next, "limit", "reset", "--stream", "garden")
	if describe(next, "garden") {
		t.Error("the limit still holds")
	}
	if _, stderr, err := try(t, next.variables(), nil, program(t), "limit", "set", "DescribeStream.streamrate", "1/m"); err == nil || !strings.Contains(stderr, "did you mean "+name) {
		t.Errorf("%v %s", err, stderr)
	}
	if _, stderr, err := try(t, next.variables(), nil, program(t), "limit", "set", name, "fast"); err == nil || !strings.Contains(stderr, "5/s") {
		t.Errorf("%v %s", err, stderr)
	}
}
