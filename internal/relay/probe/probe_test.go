package probe

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/relay"
)

// both listens on a port of each family.
func both(o *relay.Options) {
	if hasIPv6() {
		o.Addresses = append(o.Addresses, relay.Address{Local: six})
		o.Listeners = append(o.Listeners, relay.Listener{Address: "[::1]:0"})
	}
}

// Every way to the relay works, in figures that hang together.
func TestEveryTransport(t *testing.T) {
	r := start(t, both)
	servers := r.uris("127.0.0.1", r.port("127.0.0.1"))
	if hasIPv6() {
		servers = append(servers, r.uris("::1", r.port("::1"))...)
	}
	o := r.options(servers...)
	o.For, o.Rate = 100*time.Millisecond, 1_000_000
	report := Run(t.Context(), o)
	if len(report.Results) != len(servers) || report.Interrupted {
		t.Fatalf("%d results", len(report.Results))
	}
	for i := range report.Results {
		sound(t, &report.Results[i])
	}
	best, seconds := report.Fastest()
	if working, tried := report.Count(); working != len(servers) || tried != working || best == nil || seconds != best.Trip.P50Seconds {
		t.Errorf("%d of %d, fastest %v in %v", working, tried, best, seconds)
	}
}

// sound checks a result of a URI that works.
func sound(t *testing.T, r *Result) {
	t.Helper()
	if r.State != OK || r.Problem != nil || len(r.Notes) > 0 {
		t.Errorf("%s: %s, %+v, %v", r.URI, r.State, r.Problem, r.Notes)
		return
	}
	if r.Mapped != r.Local || r.NAT || r.Relay == "" || r.Direct != Reached {
		t.Errorf("%s: seen as %s from %s, relay %s %s", r.URI, r.Mapped, r.Local, r.Relay, r.Direct)
	}
	tcp, secured := r.Transport == TCP || r.Transport == TLS, r.Transport == TLS || r.Transport == DTLS
	if r.BindingSeconds <= 0 || r.AllocateSeconds <= 0 || r.ResolveSeconds != 0 || (r.ConnectSeconds > 0) != tcp || (r.HandshakeSeconds > 0) != secured {
		t.Errorf("%s: %+v", r.URI, r)
	}
	if r.Trip.Sent != 20 || r.Trip.Returned != 20 || r.Trip.Arrived != 20 || r.Trip.P50Seconds <= 0 || r.Trip.P99Seconds < r.Trip.P50Seconds {
		t.Errorf("%s: %+v", r.URI, r.Trip)
	}
	if r.Rate == nil || r.Rate.Sent != 12 || r.Rate.Arrived != 12 || r.Rate.GotBits <= 0 {
		t.Errorf("%s: %+v", r.URI, r.Rate)
	}
}

// A name is tried at each of its addresses, and its certificate by the name.
func TestName(t *testing.T) {
	r := start(t)
	o := r.options(r.login("turns:relay.test:" + r.port("127.0.0.1") + "?transport=udp"))
	o.Resolve = func(_ context.Context, host string) ([]netip.Addr, error) {
		return []netip.Addr{four, netip.MustParseAddr("::ffff:127.0.0.1"), netip.MustParseAddr("127.0.0.2")}, nil
	}
	var steps []string
	o.Progress = func(_, step string) { steps = append(steps, step) }
	report := Run(t.Context(), o)
	if len(report.Results) != 2 {
		t.Fatalf("%+v", report.Results)
	}
	if first := &report.Results[0]; first.State != OK || first.ResolveSeconds <= 0 {
		t.Errorf("%+v %v", first, first.Problem)
	}
	if second := &report.Results[1]; second.State != Failed || !strings.HasPrefix(second.Address, "127.0.0.2:") {
		t.Errorf("%+v", second)
	}
	if got := strings.Join(steps, " "); got != "resolve connect binding allocate relay direct connect" {
		t.Error(got)
	}
}

// STUN alone needs no credentials and ends with the Binding.
func TestSTUN(t *testing.T) {
	r := start(t)
	for _, scheme := range []string{"stun:", "stuns:"} {
		got := one(t, r.options(Server{URI: scheme + "127.0.0.1:" + r.port("127.0.0.1")}))
		if got.State != OK || got.Mapped == "" || got.Relay != "" || got.Trip != nil {
			t.Errorf("%+v %v", got, got.Problem)
		}
	}
}

// A client in a network that the relay does not deal with still meets others behind it, and so
// does one on the relay's own machine.
func TestPrivateClient(t *testing.T) {
	for _, local := range []netip.Addr{netip.MustParseAddr("127.0.0.2"), four} {
		r := start(t, func(o *relay.Options) { o.Allow, o.Addresses = nil, []relay.Address{{Local: local}} })
		got := one(t, r.options(r.uris("127.0.0.1", r.port("127.0.0.1"))[0]))
		if got.State != OK || got.Direct != Denied || got.Trip.Returned != 20 {
			t.Errorf("%+v %v", got, got.Problem)
		}
	}
}

// A relay address of the other family is taken where there is none of the connection's.
func TestOtherFamily(t *testing.T) {
	if !hasIPv6() {
		return
	}
	r := start(t, func(o *relay.Options) { o.Listeners = []relay.Listener{{Address: "[::1]:0"}} })
	for _, s := range r.uris("::1", r.port("::1")) {
		got := one(t, r.options(s))
		if got.State != OK || got.Direct != OtherFamily || !strings.HasPrefix(got.Relay, "127.0.0.1:") || len(got.Notes) != 1 {
			t.Errorf("%+v %v", got, got.Problem)
		}
	}
}

// What is above the bandwidth is missing, and that is said.
func TestBandwidth(t *testing.T) {
	r := start(t, func(o *relay.Options) {
		o.Limits = func(kvs.AccountID, kvs.ChannelID) relay.Limits { return relay.Limits{Bandwidth: 40_000} }
	})
	o := r.options(r.uris("127.0.0.1", r.port("127.0.0.1"))[0])
	o.For, o.Rate = 200*time.Millisecond, 8_000_000
	got := one(t, o)
	if got.State != OK || got.Rate.Arrived == 0 || got.Rate.Arrived >= got.Rate.Sent/2 || len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "relay.bandwidth") {
		t.Errorf("%+v %+v %v %v", got, got.Rate, got.Notes, got.Problem)
	}
}

// Who interrupts gets what there is, at once.
func TestInterrupt(t *testing.T) {
	at := answering(t, func([]byte) []byte { return nil })
	ctx, cancel := context.WithCancel(t.Context())
	o := Options{Servers: []Server{{URI: "stun:" + at}, {URI: "stun:" + at}}, Timeout: time.Hour, Progress: func(_, step string) {
		if step == StepBinding {
			cancel()
		}
	}}
	r := Run(ctx, o)
	if !r.Interrupted || len(r.Results) != 1 || r.Results[0].Problem == nil || r.Results[0].Problem.Text != "it was interrupted" {
		t.Errorf("%+v", r)
	}
}

// A family that this machine has not is no failure of a name that has another.
func TestExcuse(t *testing.T) {
	all := []Result{{State: OK}, {State: Failed, unroutable: true}}
	excuse(all)
	alone := []Result{{State: Failed, unroutable: true}}
	excuse(alone)
	report := Report{Results: append(all, alone...)}
	if working, tried := report.Count(); all[1].State != Skipped || alone[0].State != Failed || working != 1 || tried != 2 {
		t.Errorf("%v, %v, %d of %d", all, alone, working, tried)
	}
}

// Packets that are lost are counted, and told if they are many.
func TestLoss(t *testing.T) {
	tour := newTour(100)
	b := make([]byte, MinSize)
	for i := range 100 {
		tour.put(b, ping, i, 0)
		if i%2 == 0 && tour.arrived(b) && i%4 == 0 {
			tour.returned(b)
			tour.returned(b) // a copy is none that was missing
		}
	}
	v := &visit{result: &Result{}}
	r := tour.result(100)
	if err := v.judge(r); r.Arrived != 50 || r.Returned != 25 || err == nil || !strings.Contains(err.Error(), "75 of 100 packets did not come back") {
		t.Errorf("%+v %v", r, err)
	}
	if err := v.judge(&Trip{Sent: 100, Arrived: 99, Returned: 97}); err != nil || len(v.result.Notes) != 1 {
		t.Error(err, v.result.Notes)
	}
	newMark().put(b, ping, 0, 0)
	if tour.arrived(b) || tour.arrived(b[:3]) {
		t.Error("a packet of somebody else is taken")
	}
}
