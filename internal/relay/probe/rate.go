package probe

import (
	"context"
	"net"
	"sync"
	"time"
)

// flow is what arrives of a steady stream of packets.
type flow struct {
	mark
	mu          sync.Mutex
	want, came  int
	bytes       int64
	first, last time.Time
	all         chan struct{} // closed when everything has come
}

// arrived counts a packet.
func (f *flow) arrived(b []byte) {
	kind, number, _, ok := f.read(b)
	if !ok || kind != burden || number >= f.want {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last = time.Now(); f.came == 0 {
		f.first = f.last
	}
	f.bytes += int64(len(b))
	if f.came++; f.came == f.want {
		close(f.all)
	}
}

// rate sends for some time at a rate from one relay address to the other.
func (v *visit) rate(ctx context.Context) error {
	v.begin(StepRate, v.a)
	defer context.AfterFunc(ctx, v.a.end)() // a write may hang
	bits := int64(v.o.Size) * 8
	gap := max(time.Duration(bits*int64(time.Second)/v.o.Rate), time.Microsecond)
	f := &flow{mark: newMark(), want: max(1, int(v.o.For/gap)), all: make(chan struct{})}
	v.b.hears(func(data []byte, _ net.Addr) { f.arrived(data) })
	b, began := make([]byte, v.o.Size), time.Now()
	sent, err := pace(ctx, gap, f.want, func(i int) error {
		f.put(b, burden, i, 0)
		return v.a.send(b, v.b.relay)
	})
	took := time.Since(began)
	await(ctx, f.all, settle)
	f.mu.Lock()
	defer f.mu.Unlock()
	// A queue on the way lets packets come later than they were sent.
	took = max(took, f.last.Sub(f.first), gap)
	r := &Rate{Seconds: took.Seconds(), Sent: sent, Arrived: f.came, AskedBits: float64(v.o.Rate), GotBits: float64(f.bytes*8) / took.Seconds()}
	v.result.Rate = r
	if lost := sent - f.came; err == nil && lost*50 > sent {
		v.result.note("of %.1f Mbit/s %.1f came through: the way, or relay.bandwidth of the channel, gives no more", r.AskedBits/1e6, r.GotBits/1e6)
	}
	return err
}
