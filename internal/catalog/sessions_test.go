package catalog

import (
	"testing"

	"github.com/millrace/millrace/internal/kvs"
)

// A revocation is seen by whoever has the stream open, survives a restart, and is not
// taken back by a clock that goes back.
func TestRevokedSessionsStayRevoked(t *testing.T) {
	r := newRoom(t)
	s := r.create("cam")
	e := r.entry(s.ID)
	if s.SessionsFrom != 0 || e.Stream().SessionsFrom != 0 {
		t.Errorf("a new stream: %+v", s)
	}
	from, err := r.RevokeSessions(t.Context(), s.ID)
	ok(t, err)
	if want := r.clock.now + 1; from != want || e.Stream().SessionsFrom != want || r.byName("cam").SessionsFrom != want {
		t.Errorf("from %d, want %d; session %+v, by name %+v", from, want, e.Stream(), r.byName("cam"))
	}
	if r.byName("cam").Version != s.Version {
		t.Error("the stream has another version")
	}
	r.clock.now -= 1000
	again, err := r.RevokeSessions(t.Context(), s.ID)
	ok(t, err)
	if again != from {
		t.Errorf("a clock that went back: from %d, want %d", again, from)
	}
	ok(t, r.db.Close())
	r.open()
	if got := r.byName("cam").SessionsFrom; got != from {
		t.Errorf("after a restart: %d", got)
	}
	_, err = r.RevokeSessions(t.Context(), kvs.StreamID(99))
	wantKind(t, err, kvs.NotFound, "")
}
