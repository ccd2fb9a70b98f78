package relay

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/relay/stun"
)

// Who has credentials of a channel that was deleted before the server was started begins, and
// loses what began when that is noticed.
func TestChannelsThatAreGone(t *testing.T) {
	r := start(t, func(o *Options) {
		o.Name = func(id kvs.ChannelID) (string, error) {
			if id == front {
				return "door", nil
			}
			return "", kvs.Errorf(kvs.NotFound, "there is no such channel")
		}
	})
	c, gone := r.dial(t), r.dial(t)
	c.allocate(overIPv4)
	gone.user, gone.password, _ = r.Issue(account, 8, "ben")
	gone.allocate(overIPv4)
	r.logged(t, "relay ended", "channel=8 client=ben reason=revoked")
	if _, code := gone.ask(stun.Refresh, nil); code != mismatch {
		t.Error("refresh:", code)
	}
	if _, code := gone.ask(stun.Allocate, overIPv4); code != unauthorized {
		t.Error("allocate:", code)
	}
	if n := r.Totals(); n.Denied[Withdrawn] != 1 || n.Ends[Revoked] != 1 {
		t.Errorf("%+v", n)
	}
	c.must(stun.Refresh, nil)
}

// A database that does not answer ends nothing.
func TestChannelsOfWhichNothingIsKnown(t *testing.T) {
	var asked atomic.Int64
	r := start(t, func(o *Options) {
		o.Name = func(kvs.ChannelID) (string, error) { asked.Add(1); return "", errors.New("the database is away") }
	})
	c, other := r.dial(t), r.dial(t)
	c.allocate(overIPv4)
	other.allocate(overIPv4)
	other.must(stun.Refresh, func(b *stun.Builder) { b.AddNumber(stun.Lifetime, 0) })
	r.logged(t, "channel=7 client=anna reason=released") // behind what was to be checked before it
	if asked.Load() == 0 {
		t.Error("nobody asked")
	}
	c.must(stun.Refresh, nil)
	if rows := r.Top(); len(rows) != 1 {
		t.Errorf("%+v", rows)
	}
}
