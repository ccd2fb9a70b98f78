package directory

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// TestRevokedSessions are refused, later ones are not.
func TestRevokedSessions(t *testing.T) {
	h := newHouse(t)
	r, u := h.role("viewer"), h.user("anna")
	for _, o := range []Owner{r.Owner(), u.Owner()} {
		issue := func() kvs.Principal {
			p := r.session(kvs.MillisOf(h.clock.time()))
			if o.Kind == UserOwner {
				p.Kind, p.ID = kvs.UserPrincipal, u.ID
			}
			return p
		}
		old := issue()
		ok(t, h.Valid(h.ctx, old))
		h.clock.move(time.Second)
		same := issue()
		from, err := h.RevokeSessions(h.ctx, home, o)
		ok(t, err)
		fails(t, h.Valid(h.ctx, old), kvs.NotFound, "revoked")
		fails(t, h.Valid(h.ctx, same), kvs.NotFound, "revoked")
		h.clock.move(time.Millisecond)
		if later := issue(); later.Issued != from {
			t.Errorf("issued %d, taken from %d", later.Issued, from)
		}
		ok(t, h.Valid(h.ctx, issue()))
	}
	ok(t, h.Valid(h.ctx, u.principal())) // its access keys are not temporary
	_, err := h.RevokeSessions(h.ctx, home, h.group("ops").Owner())
	fails(t, err, kvs.InvalidArgument, "Only users and roles")
	got, err := h.Role(h.ctx, home, "viewer")
	if err != nil || got.NotBefore == 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestEndedSessions are refused at once; other sessions of the role go on.
func TestEndedSessions(t *testing.T) {
	h := newHouse(t)
	s := h.role("viewer").session(kvs.MillisOf(h.clock.time()))
	other := s
	other.AccessKey = "ASIAEXAMPLE000000001"
	ok(t, h.Valid(h.ctx, s))
	ok(t, h.EndSession(h.ctx, s.AccessKey, s.Expires))
	ok(t, h.EndSession(h.ctx, s.AccessKey, s.Expires))
	for range 2 {
		fails(t, h.Valid(h.ctx, s), kvs.NotFound, "ended")
		ok(t, h.Valid(h.ctx, other))
	}
	ok(t, h.keys.DisableAccount(h.ctx, guest))
	fails(t, h.Valid(h.ctx, kvs.Principal{Account: guest, Kind: kvs.RootPrincipal}), kvs.NotFound, "disabled")
	fails(t, h.Valid(h.ctx, kvs.Principal{Account: "999999999999", Kind: kvs.RootPrincipal}), kvs.NotFound, "account")
}

// TestSessionPoliciesAreKept for as long as a token may need them, once for all who use them.
func TestSessionPoliciesAreKept(t *testing.T) {
	h := newHouse(t)
	r := h.role("viewer")
	hash, err := h.KeepSessionPolicy(h.ctx, allow(get))
	ok(t, err)
	use := func() error {
		p := r.session(0)
		p.SessionPolicies = []string{hash}
		_, err := h.Rights(h.ctx, p)
		return err
	}
	for range 3 { // each time it is issued with 36 hours to live
		h.clock.move(3*time.Hour + time.Minute)
		again, err := h.KeepSessionPolicy(h.ctx, allow(get))
		if err != nil || again != hash {
			t.Errorf("%s, %v", again, err)
		}
	}
	h.clock.move(mostLife)
	ok(t, h.clean(h.ctx))
	ok(t, use())
	h.clock.move(5 * time.Hour)
	ok(t, h.clean(h.ctx))
	fails(t, use(), kvs.NotFound, "session policy")
	_, err = h.KeepSessionPolicy(h.ctx, strings.Repeat("x", 2049))
	fails(t, err, kvs.TooLarge, "2048")
	_, err = h.KeepSessionPolicy(h.ctx, "{}")
	fails(t, err, kvs.MalformedPolicy, "")
}

// TestCleaningUp removes everything that is over, however much it is, and nothing else.
func TestCleaningUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.log = slog.New(slog.DiscardHandler)
		start := kvs.MillisOf(h.clock.time())
		for i := range 2*cleanAtOnce + 1 {
			ok(t, h.EndSession(h.ctx, fmt.Sprint("ASIA", i), start))
		}
		ok(t, h.EndSession(h.ctx, "ASIAX", start.Add(24*time.Hour)))
		h.clock.move(2 * time.Hour)
		ctx, cancel := context.WithCancel(h.ctx)
		done := make(chan error)
		go func() { done <- h.Run(ctx) }()
		left := func() int64 {
			n, err := count(h.read(h.ctx), "SELECT COUNT(*) FROM ended_session")
			ok(t, err)
			return n
		}
		synctest.Wait()
		if n := left(); n != 1 {
			t.Errorf("%d are left after the start", n)
		}
		h.clock.move(48 * time.Hour)
		time.Sleep(cleanEvery)
		synctest.Wait()
		if n := left(); n != 0 {
			t.Errorf("%d are left later", n)
		}
		cancel()
		ok(t, <-done)
		ok(t, h.db.Close())
	})
}
