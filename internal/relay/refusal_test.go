package relay

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/relay/stun"
)

// Who had the right password is told why it was not enough.
func TestRefusalsAreLogged(t *testing.T) {
	r := start(t, func(o *Options) {
		o.Limits = func(kvs.AccountID, kvs.ChannelID) Limits { return Limits{Allocations: 1} }
	})
	late, gone, one := r.dial(t), r.dial(t), r.dial(t)
	one.allocate(overIPv4)
	full := r.dial(t)
	full.challenge()
	if _, code := full.ask(stun.Allocate, overIPv4); code != quota {
		t.Error("one more:", code)
	}
	r.logged(t, "relay refused", "channel=7", "client=anna", `reason="too many allocations"`)
	gone.user, gone.password, _ = r.Issue(account, 8, "")
	gone.challenge()
	r.Revoke(8)
	if _, code := gone.ask(stun.Allocate, overIPv4); code != unauthorized {
		t.Error("revoked:", code)
	}
	r.logged(t, "relay refused", "channel=8", "reason=revoked")
	late.challenge()
	r.clock.move(6 * time.Minute)
	for range 3 * linesAtOnce {
		if _, code := late.ask(stun.Allocate, overIPv4); code != unauthorized {
			t.Fatal("expired:", code)
		}
	}
	r.logged(t, "relay refused", "channel=7", "client=anna", "reason=expired", "transport=udp", "source=127.0.0.1:")
	r.Close() // lines are written behind the answers: when it is closed all are there
	if n := strings.Count(r.log.String(), "reason=expired"); n != linesAtOnce {
		t.Errorf("%d lines, want %d", n, linesAtOnce)
	}
	if n := r.Totals().Denied; n[OutOfDate] != 3*linesAtOnce || n[Withdrawn] != 1 {
		t.Error(n)
	}
}

// Strangers are told of to those who look closely, without the names that they claim.
func TestRefusalsOfStrangersAreLogged(t *testing.T) {
	var text lines
	r := start(t, func(o *Options) {
		o.Logger = slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	c := r.dial(t)
	c.challenge()
	c.password = "wrong"
	for range 3 * linesAtOnce {
		c.ask(stun.Allocate, overIPv4)
	}
	r.Close()
	got := text.String()
	if n := strings.Count(got, `reason="wrong password"`); n != linesAtOnce || strings.Contains(got, "anna") || strings.Contains(got, "no credentials") {
		t.Errorf("%d lines, want %d: %s", n, linesAtOnce, got)
	}
}
