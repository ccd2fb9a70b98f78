package front

import (
	"flag"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/millrace/millrace/internal/relay/stun"
)

var (
	turnFor  = flag.Duration("turn.for", 1500*time.Millisecond, "how long each turn of BenchmarkTurnRelay sends")
	turnPace = flag.Int("turn.pace", 0, "how many packets BenchmarkTurnRelay sends in a second, 0 = as many as it can, which the goal is for")
)

// The goals of the relay.
const (
	turnGoal   = 1.2 // times the processor time of coturn for a packet
	turnWish   = 1.0 // and where it is to end
	setUpGoal  = 5.0 // ms, p99
	memoryGoal = 400 // MB
)

// The load of BenchmarkTurnRelay.
const (
	turnPairs = 5
	turnWarm  = 300 * time.Millisecond
)

// BenchmarkTurnRelay compares the processor time of the server for each packet that it brought
// to the other end with that of coturn. The sender does not wait for anybody, so both always
// have more than they can do; what they do not even read is counted by the system. One
// allocation gets all of it, or 16 get it packet by packet.
func BenchmarkTurnRelay(b *testing.B) {
	servers := launchTurn(b)
	for _, payload := range []int{120, 1200} {
		for _, out := range []bool{true, false} {
			for _, allocations := range []int{1, 16} {
				way := map[bool]string{true: "out", false: "in"}[out]
				b.Run(fmt.Sprintf("%d-%s-%d", payload, way, allocations), func(b *testing.B) {
					var flows [2]flow
					for i, s := range servers {
						flows[i] = s.flow(b, payload, out, allocations)
					}
					for b.Loop() {
						compareRelays(b, servers, flows)
					}
				})
			}
		}
	}
}

// flow makes allocations and what flows through them until the benchmark ends: out from
// clients to peers, or in.
func (s *turnServer) flow(b *testing.B, payload int, out bool, allocations int) (f flow) {
	b.Helper()
	user, password := s.issue(0)
	f.run = max(1, 64/(allocations*allocations))
	f.packet, f.length = make([]byte, payload), payload+stun.ChannelHead
	if out {
		f.packet, f.length = channelData(f.packet), payload
		f.entrance = []netip.AddrPort{s.listening()}
	}
	for i := range allocations {
		c, err := s.dialTurn(i, user, password)
		if err == nil {
			err = c.connect(i)
		}
		if err != nil {
			b.Fatalf("%s: %v", s.name, err)
		}
		client, peer := c.conn.LocalAddr().(*net.UDPAddr).AddrPort(), c.peer.LocalAddr().(*net.UDPAddr).AddrPort()
		inside, outside := detach(b, c.conn), detach(b, c.peer)
		b.Cleanup(func() {
			c.conn, c.peer = attach(b, inside), attach(b, outside)
			c.leave(b)
		})
		if out {
			f.senders, f.receivers, f.exit = append(f.senders, inside), append(f.receivers, outside), append(f.exit, peer)
			continue
		}
		f.senders, f.receivers = append(f.senders, outside), append(f.receivers, inside)
		f.entrance, f.exit = append(f.entrance, c.relayed), append(f.exit, client)
		if err := unix.Connect(outside, &unix.SockaddrInet4{Port: int(c.relayed.Port()), Addr: c.relayed.Addr().As4()}); err != nil {
			b.Fatal(err)
		}
	}
	return f
}

// leave gives the allocation back when what is still on its way has come.
func (c *turnClient) leave(b *testing.B) {
	buffer := make([]byte, 2000)
	for {
		_ = c.conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := c.conn.Read(buffer); err != nil {
			break
		}
	}
	if err := c.release(); err != nil {
		b.Error(err)
	}
	c.close()
}

// compareRelays lets both relays work in turns.
func compareRelays(b *testing.B, servers [2]*turnServer, flows [2]flow) {
	b.Helper()
	var did [2][]carried
	var ratios []float64
	for i := range turnPairs {
		for k := range servers {
			k = (k + i) % 2 // each is first in turn
			did[k] = append(did[k], servers[k].over(b, flows[k], turnWarm, *turnFor))
		}
		ratios = append(ratios, did[0][i].perPacket()/did[1][i].perPacket())
	}
	for k, s := range servers {
		reportRelay(b, s.name, did[k])
	}
	got := median(ratios)
	b.ReportMetric(slices.Min(ratios), "ratio-min")
	b.ReportMetric(slices.Max(ratios), "ratio-max")
	b.ReportMetric(got, "ratio")
	b.Logf("ratio %.2f (%.2f to %.2f), goal %v, then below %v", got, slices.Min(ratios), slices.Max(ratios), turnGoal, turnWish)
	if got > turnGoal && *turnPace == 0 {
		b.Errorf("GOAL MISSED: %.2f times the processor time of coturn for each packet, at most %v are wanted", got, turnGoal)
	}
}

// reportRelay says what one server did: the medians of its turns.
func reportRelay(b *testing.B, name string, turns []carried) {
	b.Helper()
	of := func(value func(carried) float64) float64 {
		var all []float64
		for _, t := range turns {
			all = append(all, value(t))
		}
		return median(all)
	}
	part := func(n func(carried) int64) float64 {
		return of(func(c carried) float64 { return 100 * float64(n(c)) / float64(max(c.sent, 1)) })
	}
	perPacket, kpps, loss := of(carried.perPacket), of(carried.kpps), part(func(c carried) int64 { return c.sent - c.got })
	b.Logf("%-8s %5.0f ns/packet delivered, %5.0f ns/packet read, %4.0f kpps delivered of %4.0f sent, lost %.0f %%: before it was read %.0f %%, behind the relay %.0f %%, in it %.0f %%; processors: server %.2f, sender %.2f, receiver %.2f",
		name, perPacket, of(func(c carried) float64 { return float64(c.server.Nanoseconds()) / float64(max(c.sent-c.unread, 1)) }),
		kpps, of(func(c carried) float64 { return float64(c.sent) / 1000 / c.span.Seconds() }), loss,
		part(func(c carried) int64 { return c.unread }), part(func(c carried) int64 { return c.missed }), part(func(c carried) int64 { return c.sent - c.got - c.unread - c.missed }),
		of(func(c carried) float64 { return c.share(c.server) }), of(func(c carried) float64 { return c.share(c.sending) }), of(func(c carried) float64 { return c.share(c.gettings) }))
	b.ReportMetric(perPacket, name+"-ns/packet")
	b.ReportMetric(kpps, name+"-kpps")
	b.ReportMetric(loss, name+"-loss-%")
}

// BenchmarkTurnSetUp measures how long a client waits for a relay address and the permission
// to reach a peer, which takes three exchanges, while 1,000 allocations stand.
func BenchmarkTurnSetUp(b *testing.B) {
	const standing, turns, each = 1000, 5, 200
	servers := launchTurn(b)
	for _, s := range servers {
		s.stand(b, 0, standing)
	}
	for b.Loop() {
		var took [2][]float64
		for i := range turns {
			for k, s := range servers {
				took[k] = append(took[k], s.setUps(b, standing+i*each, each)...)
			}
		}
		for k, s := range servers {
			b.Logf("%-8s p50 %.2f ms, p99 %.2f ms, most %.2f ms", s.name, percentile(took[k], 0.5), percentile(took[k], 0.99), slices.Max(took[k]))
			b.ReportMetric(percentile(took[k], 0.5), s.name+"-p50-ms")
			b.ReportMetric(percentile(took[k], 0.99), s.name+"-p99-ms")
		}
		if got := percentile(took[0], 0.99); got > setUpGoal {
			b.Errorf("GOAL MISSED: setting up takes %.2f ms at p99, at most %v are wanted", got, setUpGoal)
		}
	}
}

// stand makes allocations that have carried something and stay when their clients do nothing.
func (s *turnServer) stand(b *testing.B, first, n int) {
	b.Helper()
	users := make([][2]string, n/perUser+1)
	for i := range users {
		users[i][0], users[i][1] = s.issue(first/perUser + i)
	}
	together(b, n, func(i int) error {
		c, err := s.dialTurn(first+i, users[i/perUser][0], users[i/perUser][1])
		if err != nil {
			return err
		}
		defer c.close()
		return c.connect(first + i)
	})
}

// setUps lets clients come one after the other, and returns how many milliseconds each waited.
func (s *turnServer) setUps(b *testing.B, first, n int) (took []float64) {
	b.Helper()
	user, password := s.issue(first / perUser)
	peer := net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr("127.2.0.1"), 9)).AddrPort()
	for i := range n {
		c, err := s.dialTurn(first+i, user, password)
		if err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		err = c.setUp(peer)
		took = append(took, ms(time.Since(start)))
		if err == nil {
			err = c.release()
		}
		if err != nil {
			b.Fatalf("%s: %v", s.name, err)
		}
		c.close()
	}
	return took
}

// BenchmarkTurnMemory measures what 10,000 allocations take, each of which has carried
// a packet both ways.
func BenchmarkTurnMemory(b *testing.B) {
	const allocations = 10_000
	for b.Loop() {
		for _, s := range launchTurn(b) {
			s.stand(b, allocations, 1) // what is needed once
			before, files := s.resident(b), s.descriptors(b)
			start := time.Now()
			s.stand(b, 0, allocations)
			took := time.Since(start)
			holding := s.resident(b)
			b.Logf("%-8s %.1f MB, %.1f MB before: %.1f KiB an allocation; %d descriptors, %d before; %.1f s", s.name, holding, before,
				(holding-before)*1e6/1024/allocations, s.descriptors(b), files, took.Seconds())
			b.ReportMetric(holding, s.name+"-MB")
			b.ReportMetric((holding-before)*1e6/1024/allocations, s.name+"-KiB/allocation")
			if s.metrics == "" {
				continue
			}
			b.ReportMetric(figure(b, s.metrics, "go_goroutines"), "goroutines")
			if n := figure(b, s.metrics, `millrace_turn_allocations\{transport="udp"\}`); n != allocations+1 {
				b.Errorf("%v allocations", n)
			}
			if holding > memoryGoal {
				b.Errorf("GOAL MISSED: %.1f MB with %d allocations, at most %d are wanted", holding, allocations, memoryGoal)
			}
		}
	}
}
