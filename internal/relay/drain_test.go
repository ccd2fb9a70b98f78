package relay

import (
	"context"
	"testing"

	"github.com/millrace/millrace/internal/relay/stun"
)

// A server that stops lets those go on who are there, and nobody begin.
func TestDraining(t *testing.T) {
	r, p := start(t), newPeer(t, loopback)
	c, late := r.dial(t), r.dial(t)
	c.allocate(overIPv4)
	c.must(stun.CreatePermission, toPeer(p.addr()))
	late.challenge()
	ctx, cancel := context.WithCancel(t.Context())
	drained := make(chan struct{})
	go func() {
		r.Drain(ctx)
		close(drained)
	}()
	until(t, "nobody may begin", func() bool {
		r.book.mu.Lock()
		defer r.book.mu.Unlock()
		return r.book.closed
	})
	if _, code := late.ask(stun.Allocate, overIPv4); code != noCapacity {
		t.Error("Allocate:", code)
	}
	c.send(indicationTo(p.addr(), "still there"))
	p.read()
	c.must(stun.Refresh, func(b *stun.Builder) { b.AddNumber(stun.Lifetime, 0) })
	<-drained
	cancel()
	r.logged(t, "reason=released")
}

// It does not wait for ever.
func TestDrainingEnds(t *testing.T) {
	r := start(t)
	r.dial(t).allocate(overIPv4)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r.Drain(ctx)
	if len(r.Top()) != 1 {
		t.Error("an allocation ended")
	}
}
