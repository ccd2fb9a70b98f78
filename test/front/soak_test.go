package front

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

var (
	soakFor  = flag.Duration("soak.for", 30*time.Minute, "how long members come and go in BenchmarkSignalingSoak")
	soakWarm = flag.Duration("soak.warm", 2*time.Minute, "how long they do before the first figures")
)

// The load of BenchmarkSignalingSoak.
const (
	soakMembers  = 200
	soakChannels = 20
	soakSettle   = 150 * time.Second // the runtime collects garbage after two minutes at the latest
)

// soaked are the figures that must come back to what they were.
type soaked struct{ goroutines, descriptors, heap float64 }

// BenchmarkSignalingSoak lets 200 members come and go on 20 channels, in good form and in
// bad, and compares what the server holds when all are gone with what it held after a
// warm-up.
func BenchmarkSignalingSoak(b *testing.B) {
	const goal = 0.02
	for b.Loop() {
		data := b.TempDir()
		p, metrics := launchMeasured(b, data)
		s := p.newSignaler(b, data+"/data", soakChannels)
		s.churn(b, *soakWarm)
		before := settled(b, metrics)
		start := time.Now()
		connections := s.churn(b, *soakFor)
		took := time.Since(start)
		after := settled(b, metrics)
		b.Logf("before %+v, after %+v", before, after)
		b.ReportMetric(float64(connections), "connections")
		b.ReportMetric(took.Minutes(), "minutes")
		for _, f := range []struct {
			name          string
			before, after float64
		}{{"goroutines", before.goroutines, after.goroutines}, {"descriptors", before.descriptors, after.descriptors}, {"heap", before.heap, after.heap}} {
			b.ReportMetric((f.after/f.before-1)*100, f.name+"-%")
			if f.after > f.before*(1+goal) {
				b.Errorf("GOAL MISSED: %s grew from %v to %v", f.name, f.before, f.after)
			}
		}
	}
}

// settled are the figures of a server that has nothing to do, when the garbage is gone.
func settled(b *testing.B, metrics string) soaked {
	b.Helper()
	time.Sleep(soakSettle)
	if n := figure(b, metrics, `millrace_signaling_connections\{role="\w+"\}`); n != 0 {
		b.Errorf("%v connections are left", n)
	}
	if n := figure(b, metrics, `millrace_signaling_waiting_messages`); n != 0 {
		b.Errorf("%v messages are left", n)
	}
	return soaked{goroutines: figure(b, metrics, "go_goroutines"), descriptors: figure(b, metrics, "process_open_fds"), heap: figure(b, metrics, "go_gc_heap_live_bytes")}
}

// churn lets members come and go for a time, and returns how many connections there were.
func (s *signaler) churn(b *testing.B, span time.Duration) int64 {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), span)
	defer cancel()
	var n atomic.Int64
	var wg sync.WaitGroup
	for i := range soakMembers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for ctx.Err() == nil {
				if err := s.visit(ctx, r, i); err != nil && ctx.Err() == nil {
					b.Errorf("member %d: %v", i, err)
					return
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	return n.Load()
}

// visit is one connection of a member: it stays for some seconds, sends now and then, and
// leaves in one of several ways. Those of the same name take over from each other.
func (s *signaler) visit(ctx context.Context, r *rand.Rand, i int) error {
	channel, id, to := i%soakChannels, "", fmt.Sprintf("viewer-%d", r.IntN(soakMembers/soakChannels))
	if i >= soakChannels {
		id = fmt.Sprintf("viewer-%d", (i-r.IntN(2))/soakChannels)
	}
	c, err := s.dial(ctx, channel, id)
	if err != nil {
		return err
	}
	defer func() { _ = c.CloseNow() }()
	reads := r.IntN(10) > 0
	if reads {
		go drain(c)
	}
	for range r.IntN(30) {
		if c.Write(ctx, websocket.MessageText, soakMessage(r, to)) != nil {
			return nil // somebody took over, or it was dropped
		}
		select {
		case <-time.After(time.Duration(r.IntN(500)) * time.Millisecond):
		case <-ctx.Done():
		}
	}
	if reads && r.IntN(2) == 0 {
		_ = c.Close(websocket.StatusNormalClosure, "")
	}
	return nil
}

func drain(c *websocket.Conn) {
	for {
		if _, _, err := c.Read(context.Background()); err != nil {
			return
		}
	}
}

// soakMessage is a message of any kind, some of them bad.
func soakMessage(r *rand.Rand, to string) []byte {
	kind := []string{"SDP_OFFER", "SDP_ANSWER", "ICE_CANDIDATE", "ICE_CANDIDATE", "NONSENSE"}[r.IntN(5)]
	return fmt.Appendf(nil, `{"action":%q,"messagePayload":%q,"recipientClientId":%q,"correlationId":"1"}`, kind, candidate[:4*(1+r.IntN(499))], to)
}
