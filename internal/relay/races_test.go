package relay

import (
	"context"
	"net/netip"
	"testing"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/relay/credential"
	"github.com/millrace/millrace/internal/relay/stun"
)

// watched is a way that notes whether another allocation could have begun on the path before
// it was told of the end of the last.
type watched struct {
	way
	path *path
	late bool
}

func (w *watched) keep(yes bool) {
	w.late = w.late || !yes && w.path.allocation.Load() == nil
	w.way.keep(yes)
}

// What ends an allocation takes nothing from the one that the client begins at that moment.
func TestEndBesideABeginning(t *testing.T) {
	r := start(t)
	p, _ := r.from(loopback)
	w := &watched{way: p.way, path: p}
	p.way = w
	for range 2 {
		a, code := r.create(p, wish{address: Address{Local: loopback, Advertised: loopback}, life: allocationLife})
		if code != 0 {
			t.Fatal(code)
		}
		a.stop(Expired)
	}
	if w.late {
		t.Error("the path was forgotten after it was free for the next allocation")
	}
}

// An allocation that ends before it is in the book never comes into it.
func TestShortestLife(t *testing.T) {
	b := newBook(Ports{First: 50000, Last: 50001})
	a := &allocation{holder: credential.Holder{Channel: front}, relayed: netip.MustParseAddrPort("127.0.0.1:50000")}
	if code := b.begin(front, 1); code != 0 {
		t.Fatal(code)
	}
	b.remove(a)
	if b.add(a) != Expired || b.at(a.relayed) != nil || b.pending != 0 || b.begin(front, 1) != 0 {
		t.Errorf("%+v", b)
	}
}

// What a channel's deletion or the end of the server comes before counts as begun and ended,
// for the right reason.
func TestEndedAtOnce(t *testing.T) {
	r := start(t)
	p, _ := r.from(loopback)
	gone := wish{holder: credential.Holder{Channel: front}, address: Address{Local: loopback, Advertised: loopback}, life: allocationLife}
	r.Revoke(front)
	if _, code := r.create(p, gone); code != noCapacity {
		t.Error(code)
	}
	if n := r.Totals(); n.Begun[UDP] != 1 || n.Ends[Revoked] != 1 || len(n.Live) != 0 {
		t.Errorf("%+v", n)
	}
}

// The names of channels are for the log alone, and nobody waits for them.
func TestNamesThatTakeLong(t *testing.T) {
	asked := make(chan bool, 8)
	ctx, goOn := context.WithCancel(t.Context())
	defer goOn()
	r := start(t, func(o *Options) {
		o.Sockets = 1
		o.Limits = func(kvs.AccountID, kvs.ChannelID) Limits { return Limits{Allocations: 1} }
		o.Name = func(kvs.ChannelID) (string, error) {
			asked <- true
			<-ctx.Done()
			return "door", nil
		}
	})
	c, second := r.dial(t), r.dial(t)
	c.allocate(overIPv4)
	if _, code := second.withNonce().ask(stun.Allocate, overIPv4); code != quota {
		t.Error(code)
	}
	c.must(stun.Refresh, func(b *stun.Builder) { b.AddNumber(stun.Lifetime, 0) })
	<-asked // once for both lines
	second.must(stun.Binding, nil)
	goOn()
	r.logged(t, "relay ended", "relay refused", "channel=door")
}
