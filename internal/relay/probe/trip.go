package probe

import (
	"context"
	"fmt"
	"net"
	"time"
)

// settle is how long packets are waited for that have not come when all are sent.
const settle = 2 * time.Second

// helloGap is the time between two packets that ask whether a way is open.
const helloGap = 50 * time.Millisecond

// trip sends packets from one relay address to the other, where they are sent back.
func (v *visit) trip(ctx context.Context) error {
	v.begin(StepRelay, v.a)
	defer context.AfterFunc(ctx, v.a.end)() // a write may hang
	t := newTour(v.o.Packets)
	v.b.hears(func(data []byte, _ net.Addr) {
		if t.arrived(data) {
			_ = v.b.send(data, v.a.relay) // a loss is seen at the other end
		}
	})
	v.a.hears(func(data []byte, _ net.Addr) { t.returned(data) })
	if err := v.greet(ctx, t); err != nil {
		return err
	}
	b := make([]byte, v.o.Size)
	sent, err := pace(ctx, v.o.Gap, v.o.Packets, func(i int) error {
		t.put(b, ping, i, time.Since(t.began))
		return v.a.send(b, v.b.relay)
	})
	await(ctx, t.all, settle)
	v.result.Trip = t.result(sent)
	if err != nil {
		return err
	}
	return v.judge(v.result.Trip)
}

// judge says whether so many packets came back as a call needs.
func (v *visit) judge(r *Trip) error {
	lost := r.Sent - r.Returned
	text := fmt.Sprintf("%d of %d packets did not come back from the other relay address; %d did not arrive there", lost, r.Sent, r.Sent-r.Arrived)
	switch {
	case lost*2 > r.Sent:
		return &Problem{Step: StepRelay, Text: text, Advice: "the way to the server loses packets, or relay.bandwidth of the channel is below what was sent"}
	case lost*100 > r.Sent:
		v.result.note("%s", text)
	}
	return nil
}

// greet opens the way: both sides let each other in, and a packet goes there and back.
func (v *visit) greet(ctx context.Context, t *tour) error {
	b := make([]byte, MinSize)
	for _, side := range []struct {
		from, to *session
		kind     byte
	}{{v.b, v.a, knock}, {v.a, v.b, hello}} {
		v.asked = side.from
		t.put(b, side.kind, 0, 0)
		if err := side.from.within(ctx, v.o.Timeout, func() error { return side.from.send(b, side.to.relay) }); err != nil {
			return err
		}
	}
	again := time.NewTicker(helloGap)
	defer again.Stop()
	late := time.NewTimer(v.o.Timeout)
	defer late.Stop()
	for {
		select {
		case <-t.open:
			return nil
		case <-late.C:
			return v.shut(t)
		case <-ctx.Done():
			return errLate
		case <-again.C:
			if err := v.a.send(b, v.b.relay); err != nil {
				return err
			}
		}
	}
}

// shut is the problem of relay addresses between which nothing passes.
func (v *visit) shut(t *tour) *Problem {
	p := &Problem{Step: StepRelay, Text: fmt.Sprintf("nothing that is sent from one relay address at %s to another arrives", v.a.relay.Addr()),
		Advice: "the relay must reach its own addresses: look at its firewall (UDP, relay_ports), and behind a NAT at the address that it advertises"}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.heard {
		p.Text = fmt.Sprintf("what is sent from one relay address at %s to another arrives, but nothing comes back", v.a.relay.Addr())
	}
	return p
}

// await waits until all has come, or for so long.
func await(ctx context.Context, all <-chan struct{}, d time.Duration) {
	late := time.NewTimer(d)
	defer late.Stop()
	select {
	case <-all:
	case <-late.C:
	case <-ctx.Done():
	}
}

// pace sends n packets with so much time between them. Who was held up catches up.
func pace(ctx context.Context, gap time.Duration, n int, send func(i int) error) (sent int, err error) {
	began, next := time.Now(), time.NewTimer(0)
	defer next.Stop()
	for sent < n {
		select {
		case <-next.C:
		case <-ctx.Done():
			return sent, errLate
		}
		for due := min(n, int(time.Since(began)/gap)+1); sent < due; sent++ {
			if err := send(sent); err != nil {
				return sent, err
			}
		}
		next.Reset(max(time.Millisecond, time.Until(began.Add(time.Duration(sent)*gap))))
	}
	return sent, nil
}
