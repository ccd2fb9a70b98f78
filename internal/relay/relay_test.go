package relay

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/relay/credential"
	"github.com/millrace/millrace/internal/relay/datagram"
	"github.com/millrace/millrace/internal/relay/stun"
)

func TestBinding(t *testing.T) {
	c := start(t).dial(t)
	m, code := c.ask(stun.Binding, nil)
	if a, ok := m.Address(stun.XORMappedAddress); code != 0 || !ok || a != addrPort(c.conn.LocalAddr()) {
		t.Error(a, ok, code)
	}
}

// A call: both ways, with permissions and with channels.
func TestCarrying(t *testing.T) {
	r := start(t)
	c, p := r.dial(t), newPeer(t, loopback)
	relayed := c.allocate(overIPv4)
	c.must(stun.CreatePermission, toPeer(p.addr()))
	c.send(indicationTo(p.addr(), "hello"))
	if data, from := p.read(); data != "hello" || from != relayed {
		t.Errorf("%q from %s, relay is %s", data, from, relayed)
	}
	p.send(relayed, "welcome")
	m, err := stun.Parse(c.read())
	data, _ := m.Get(stun.DataValue)
	if from, _ := m.Address(stun.XORPeerAddress); err != nil || string(data) != "welcome" || from != p.addr() {
		t.Error(err, string(data), from)
	}
	c.must(stun.ChannelBind, channelTo(0x4001, p.addr()))
	c.send(channelData(0x4001, "hello"))
	p.read()
	p.send(relayed, "welcome")
	if got := string(c.read()); got != string(channelData(0x4001, "welcome")) {
		t.Errorf("%q", got)
	}
	until(t, "everything is counted", func() bool { // a packet is sent first
		rows := r.Top()
		return len(rows) == 1 && rows[0].BytesOut == 10 && rows[0].PacketsIn == 2
	})
	if rows := r.Top(); len(rows) != 1 || rows[0].BytesOut != 10 || rows[0].PacketsIn != 2 || rows[0].Relay != relayed || rows[0].Client != "anna" || rows[0].Peers != 1 {
		t.Errorf("%+v", rows)
	}
	c.must(stun.Refresh, func(b *stun.Builder) { b.AddNumber(stun.Lifetime, 0) })
	r.logged(t, "reason=released", "account="+account, "channel=7", "bytes_out=10", "packets_in=2", "client=anna")
	if n := r.Totals(); n.BytesIn != 14 || n.Ends[Released] != 1 || len(n.Live) != 0 || r.Usage(Query{}, 0)[0].Minutes != 1 {
		t.Errorf("%+v", n)
	}
}

// Data never passes without a permission, whoever sends.
func TestNothingPassesWithoutPermission(t *testing.T) {
	r := start(t)
	c, p := r.dial(t), newPeer(t, loopback)
	relayed := c.allocate(overIPv4)
	c.send(indicationTo(p.addr(), "no"))
	c.send(channelData(0x4001, "no"))
	p.send(relayed, "no")
	until(t, "three packets are dropped", func() bool { return r.Totals().Dropped["no permission"] == 3 })
	c.must(stun.CreatePermission, toPeer(p.addr()))
	r.clock.move(permissionLife + time.Second)
	c.send(indicationTo(p.addr(), "late"))
	p.send(relayed, "late")
	until(t, "five are", func() bool { return r.Totals().Dropped["no permission"] == 5 })
}

// The C client repeats Allocate every 50 ms with a new transaction id until it hears.
func TestRepeatedAllocate(t *testing.T) {
	r := start(t)
	c, p := r.dial(t), newPeer(t, loopback)
	c.challenge()
	const n = 20
	for range n {
		c.send(c.request(stun.Allocate, overIPv4))
	}
	seen := map[netip.AddrPort]int{}
	for range n {
		m, code := c.answer()
		if code != 0 {
			t.Fatal("a repetition is refused with", code)
		}
		a, _ := m.Address(stun.XORRelayedAddress)
		seen[a]++
	}
	if len(seen) != 1 || len(r.Top()) != 1 {
		t.Error("several addresses:", seen)
	}
	c.must(stun.CreatePermission, toPeer(p.addr()))
	if _, code := c.ask(stun.Allocate, overIPv4); code != mismatch {
		t.Error("Allocate in a call:", code)
	}
	c.send(indicationTo(p.addr(), "still there"))
	p.read()
}

// Credentials expire; what began with them does not (decided.md).
func TestExpiredCredentials(t *testing.T) {
	r := start(t)
	c, p, late := r.dial(t), newPeer(t, loopback), r.dial(t)
	c.allocate(overIPv4)
	late.challenge()
	r.clock.move(6 * time.Minute)
	if _, code := late.ask(stun.Allocate, overIPv4); code != unauthorized {
		t.Error("expired credentials:", code)
	}
	c.must(stun.Refresh, nil)
	c.must(stun.CreatePermission, toPeer(p.addr()))
	c.must(stun.ChannelBind, channelTo(0x4000, p.addr()))
	r.clock.move(50 * time.Minute)
	c.must(stun.Refresh, nil)
}

func TestStaleNonces(t *testing.T) {
	r := start(t)
	c := r.dial(t)
	c.allocate(overIPv4)
	r.clock.move(2 * time.Hour)
	m, code := c.ask(stun.Refresh, nil)
	if code != stale {
		t.Fatal("an old nonce:", code)
	}
	c.learn(m)
	c.must(stun.Refresh, nil)
	// A nonce outlives the server that made it.
	again := start(t).dial(t)
	again.realm, again.nonce = c.realm, []byte(testSecret(t).Nonce(time.Unix(1_800_000_000, 0), loopback))
	if _, code := again.ask(stun.Refresh, nil); code != mismatch {
		t.Error("after a restart:", code, "want 437: there is no allocation, but the nonce is good")
	}
}

func TestWrongCredentials(t *testing.T) {
	r := start(t)
	good, bad := r.dial(t), r.dial(t)
	good.allocate(overIPv4)
	bad.challenge()
	password := bad.password
	for name, c := range map[string]struct {
		change func()
		code   int
		why    Unauthorized
	}{
		"wrong password": {func() { bad.password = "wrong" }, unauthorized, WrongPassword},
		"foreign user":   {func() { bad.user = "1800000300:anna" }, unauthorized, UnknownUser},
		"other realm":    {func() { bad.realm = []byte("elsewhere") }, unauthorized, UnknownUser},
		"later expiry":   {func() { bad.user = strings.Replace(bad.user, "18", "19", 1) }, unauthorized, WrongPassword},
		"forged nonce":   {func() { bad.nonce = []byte("AAAAAAAAAAAAAAAA") }, stale, ""},
	} {
		user, realm, nonce := bad.user, bad.realm, bad.nonce
		c.change()
		before := r.Totals().Denied[c.why]
		if m, code := bad.ask(stun.Allocate, overIPv4); code != c.code {
			t.Error(name, code)
		} else if _, ok := m.Get(stun.Nonce); !ok {
			t.Error(name, "is not told what to do")
		}
		if n := r.Totals().Denied[c.why] - before; c.why != "" && n != 1 {
			t.Errorf("%s: %d are counted", name, n)
		}
		bad.user, bad.password, bad.realm, bad.nonce = user, password, realm, nonce
	}
	good.user, good.password, _ = r.Issue(account, front, "other")
	if _, code := good.ask(stun.Refresh, nil); code != wrongUser {
		t.Error("another user on an allocation:", code)
	}
	bad.send(stun.NewBuilder(nil, stun.Allocate, stun.Request, transaction()).Sign(bad.key()).Bytes())
	if _, code := bad.answer(); code != badRequest {
		t.Error("no user name:", code)
	}
	n := r.Totals()
	if n.Refusals["401"] < 5 || n.Refusals["441"] != 1 || n.Denied[NoCredentials] != 2 {
		t.Errorf("%+v", n)
	}
	if text := r.log.String(); strings.Contains(text, "relay refused") {
		t.Error("strangers have lines in the log:", text)
	}
}

func TestRequestsThatCannotBe(t *testing.T) {
	r := start(t)
	c := r.dial(t)
	c.challenge()
	for name, want := range map[string]struct {
		fill func(*stun.Builder)
		code int
	}{
		"no transport":   {nil, badRequest},
		"TCP":            {func(b *stun.Builder) { b.AddNumber(stun.RequestedTransport, 6<<24) }, noTransport},
		"dont fragment":  {func(b *stun.Builder) { overIPv4(b); b.Add(0x001A, nil) }, unknown},
		"family without": {overIPv6, wrongFamily},
		"no family":      {func(b *stun.Builder) { overIPv4(b); b.AddNumber(stun.RequestedAddressFamily, 3<<24) }, wrongFamily},
		"token and even": {func(b *stun.Builder) {
			overIPv4(b)
			b.Add(stun.EvenPort, []byte{0}).Add(stun.ReservationToken, make([]byte, 8))
		}, badRequest},
		"a token of nobody":     {func(b *stun.Builder) { overIPv4(b); b.Add(stun.ReservationToken, make([]byte, 8)) }, noCapacity},
		"both families and one": {func(b *stun.Builder) { overIPv6(b); b.AddNumber(stun.AdditionalFamily, v6<<24) }, badRequest},
		"IPv4 besides":          {func(b *stun.Builder) { overIPv4(b); b.AddNumber(stun.AdditionalFamily, v4<<24) }, badRequest},
		"a family in a byte":    {func(b *stun.Builder) { overIPv4(b); b.Add(stun.AdditionalFamily, []byte{v6}) }, badRequest},
		"both and the next port": {func(b *stun.Builder) {
			overIPv4(b)
			b.AddNumber(stun.AdditionalFamily, v6<<24).Add(stun.EvenPort, []byte{0x80})
		}, badRequest},
		"both and a token": {func(b *stun.Builder) {
			overIPv4(b)
			b.AddNumber(stun.AdditionalFamily, v6<<24).Add(stun.ReservationToken, make([]byte, 8))
		}, badRequest},
	} {
		if _, code := c.ask(stun.Allocate, want.fill); code != want.code {
			t.Error(name, code)
		}
	}
	for _, method := range []stun.Method{stun.Refresh, stun.CreatePermission, stun.ChannelBind} {
		if _, code := c.ask(method, nil); code != mismatch {
			t.Error(method, "without allocation:", code)
		}
	}
	if len(r.Top()) != 0 {
		t.Error("there are allocations")
	}
}

func TestEvenPorts(t *testing.T) {
	r := start(t)
	c := r.dial(t)
	c.challenge()
	m, code := c.ask(stun.Allocate, func(b *stun.Builder) { overIPv4(b); b.Add(stun.EvenPort, []byte{0x80}) })
	first, _ := m.Address(stun.XORRelayedAddress)
	token, ok := m.Get(stun.ReservationToken)
	if code != 0 || first.Port()%2 != 0 || !ok {
		t.Fatal(code, first, ok)
	}
	next := r.dial(t)
	next.challenge()
	m, code = next.ask(stun.Allocate, func(b *stun.Builder) { overIPv4(b); b.Add(stun.ReservationToken, token) })
	if second, _ := m.Address(stun.XORRelayedAddress); code != 0 || second.Port() != first.Port()+1 {
		t.Error(code, second)
	}
	if _, code := r.dial(t).withNonce().ask(stun.Allocate, func(b *stun.Builder) { overIPv4(b); b.Add(stun.ReservationToken, token) }); code != noCapacity {
		t.Error("a token is good twice:", code)
	}
}

func (c *client) withNonce() *client {
	c.challenge()
	return c
}

func TestRevoke(t *testing.T) {
	r := start(t)
	c, other := r.dial(t), r.dial(t)
	other.user, other.password, _ = r.Issue(account, 8, "")
	c.allocate(overIPv4)
	other.allocate(overIPv4)
	r.Revoke(front)
	r.logged(t, "reason=revoked")
	if rows := r.Top(); len(rows) != 1 || rows[0].Channel != 8 {
		t.Errorf("%+v", rows)
	}
	if _, code := c.ask(stun.Refresh, nil); code != mismatch {
		t.Error("refresh:", code)
	}
	if _, code := c.ask(stun.Allocate, overIPv4); code != unauthorized {
		t.Error("allocate:", code)
	}
}

func TestAllocationsOfAChannel(t *testing.T) {
	r := start(t, func(o *Options) {
		o.Limits = func(_ kvs.AccountID, c kvs.ChannelID) Limits { return Limits{Allocations: int(c) - 5} }
	})
	first, second, third := r.dial(t), r.dial(t), r.dial(t)
	first.allocate(overIPv4)
	second.allocate(overIPv4)
	third.challenge()
	if _, code := third.ask(stun.Allocate, overIPv4); code != quota {
		t.Error("the third of two:", code)
	}
	third.user, third.password, _ = r.Issue(account, 8, "")
	third.allocate(overIPv4)
	second.must(stun.Refresh, func(b *stun.Builder) { b.AddNumber(stun.Lifetime, 0) })
	until(t, "one has ended", func() bool { return r.Totals().Ends[Released] == 1 })
	second.must(stun.Allocate, overIPv4)
}

// What is above the bandwidth is dropped; a second later there is room again.
func TestBandwidth(t *testing.T) {
	r := start(t, func(o *Options) {
		o.Limits = func(kvs.AccountID, kvs.ChannelID) Limits { return Limits{Bandwidth: 1000} }
	})
	c, p := r.dial(t), newPeer(t, loopback)
	relayed := c.allocate(overIPv4)
	c.must(stun.ChannelBind, channelTo(0x4000, p.addr()))
	hundred := strings.Repeat("x", 100)
	for range 15 {
		c.send(channelData(0x4000, hundred))
		p.send(relayed, hundred)
	}
	until(t, "ten of fifteen each way", func() bool {
		n := r.Totals()
		return n.PacketsOut == 10 && n.PacketsIn == 10 && n.Dropped["bandwidth"] == 10
	})
	r.clock.move(100 * time.Millisecond)
	for range 2 {
		c.send(channelData(0x4000, hundred))
	}
	until(t, "one of two more", func() bool { n := r.Totals(); return n.PacketsOut == 11 && n.Dropped["bandwidth"] == 11 })
}

// Both sides are behind the relay, which is behind a NAT: packets stay inside.
func TestBothSidesRelayed(t *testing.T) {
	advertised := netip.MustParseAddr("198.51.100.7")
	r := start(t, func(o *Options) {
		o.Addresses, o.Allow = []Address{{Local: loopback, Advertised: advertised}}, nil
	})
	a, b := r.dial(t), r.dial(t)
	at, bt := a.allocate(overIPv4), b.allocate(overIPv4)
	if at.Addr() != advertised {
		t.Fatal(at)
	}
	a.must(stun.CreatePermission, toPeer(bt))
	b.must(stun.ChannelBind, channelTo(0x4005, at))
	a.send(indicationTo(bt, "from a"))
	if got := string(b.read()); got != string(channelData(0x4005, "from a")) {
		t.Errorf("%q", got)
	}
	b.send(channelData(0x4005, "from b"))
	m, _ := stun.Parse(a.read())
	data, _ := m.Get(stun.DataValue)
	if from, _ := m.Address(stun.XORPeerAddress); string(data) != "from b" || from != bt {
		t.Error(string(data), from)
	}
	// Another port of the address is not reached, whatever listens there.
	a.send(indicationTo(netip.AddrPortFrom(advertised, 22), "no"))
	until(t, "it is dropped", func() bool { return r.Totals().Dropped["no permission"] == 1 })
}

func TestFamilies(t *testing.T) {
	if !hasIPv6() {
		t.Log("this machine has no IPv6: only IPv4 was tried")
		return
	}
	r := start(t, func(o *Options) { o.Addresses = []Address{{Local: loopback}, {Local: six}} })
	c, p := r.dial(t), newPeer(t, six)
	relayed := c.allocate(overIPv6)
	if relayed.Addr() != six {
		t.Fatal(relayed)
	}
	if _, code := c.ask(stun.CreatePermission, toPeer(netip.MustParseAddrPort("127.0.0.1:9"))); code != wrongPeer {
		t.Error("an IPv4 peer:", code)
	}
	if _, code := c.ask(stun.Refresh, func(b *stun.Builder) { b.AddNumber(stun.RequestedAddressFamily, v4<<24) }); code != wrongPeer {
		t.Error("refreshed as IPv4:", code)
	}
	c.must(stun.CreatePermission, toPeer(p.addr()))
	c.send(indicationTo(p.addr(), "six"))
	if _, from := p.read(); from != relayed {
		t.Error(from)
	}
	p.send(relayed, "seven")
	m, err := stun.Parse(c.read())
	if from, _ := m.Address(stun.XORPeerAddress); err != nil || from != p.addr() {
		t.Error(err, from)
	}
	if a := r.dial(t).allocate(overIPv4); a.Addr() != loopback {
		t.Error("without a family:", a)
	}
}

// A socket at all addresses answers from the one that was asked.
func TestAnswersComeFromWhereTheQuestionWent(t *testing.T) {
	if !datagram.CanShare {
		t.Log("this system does not say where packets went")
		return
	}
	r := start(t, func(o *Options) { o.Listeners = []Listener{{Network: "udp", Address: ":0"}} })
	_, port, _ := net.SplitHostPort(r.listensAt("udp"))
	for _, host := range []string{"127.0.0.1", "127.0.0.2", "::1"} {
		if host == "::1" && !hasIPv6() {
			continue
		}
		conn, err := net.Dial("udp", net.JoinHostPort(host, port)) // hears only from there
		if err != nil {
			t.Fatal(err)
		}
		c := &client{t: t, conn: conn}
		c.user, c.password, _ = r.Issue(account, front, host)
		c.allocate(overIPv4)
		c.must(stun.Refresh, nil)
		conn.Close()
	}
}

func TestLifetimes(t *testing.T) {
	r := start(t, func(o *Options) { o.Now = time.Now })
	c := r.dial(t)
	c.challenge()
	m, code := c.ask(stun.Allocate, func(b *stun.Builder) { overIPv4(b); b.AddNumber(stun.Lifetime, 86400) })
	if n, _ := m.Number(stun.Lifetime); code != 0 || n != 3600 {
		t.Error(n, code)
	}
	c.must(stun.Refresh, func(b *stun.Builder) { b.AddNumber(stun.Lifetime, 1) })
	r.logged(t, "reason=expired")
	if _, code := c.ask(stun.Refresh, nil); code != mismatch {
		t.Error(code)
	}
}

// A client cannot have the server remember any number of peers.
func TestPeersOfAnAllocation(t *testing.T) {
	r := start(t)
	c := r.dial(t)
	c.allocate(overIPv4)
	at := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 1, byte(i)}), 9)
	}
	for i := range maxPeers {
		c.must(stun.CreatePermission, toPeer(at(i)))
		c.must(stun.ChannelBind, channelTo(stun.FirstChannel+uint16(i), at(i)))
	}
	c.must(stun.CreatePermission, toPeer(at(0)))
	if _, code := c.ask(stun.CreatePermission, toPeer(at(maxPeers))); code != noCapacity {
		t.Error("permission", code)
	}
	if _, code := c.ask(stun.ChannelBind, channelTo(stun.LastChannel, at(maxPeers))); code != noCapacity {
		t.Error("channel", code)
	}
	for name, fill := range map[string]func(*stun.Builder){
		"another peer for a number": channelTo(stun.FirstChannel, at(1)), "another number for a peer": channelTo(stun.LastChannel, at(1)),
		"no number": channelTo(0x3FFF, at(1)), "beyond": channelTo(0x8000, at(1)), "no port": channelTo(stun.FirstChannel, netip.AddrPortFrom(loopback, 0)),
	} {
		if _, code := c.ask(stun.ChannelBind, fill); code != badRequest {
			t.Error(name, code)
		}
	}
	r.clock.move(channelLife + time.Second)
	c.must(stun.CreatePermission, toPeer(at(maxPeers)))
	c.must(stun.ChannelBind, channelTo(stun.LastChannel, at(maxPeers)))
	c.must(stun.ChannelBind, channelTo(stun.FirstChannel, at(1)))
}

// Secrets are replaced: the old one is taken until it is taken away.
func TestTwoSecrets(t *testing.T) {
	newer, err := credential.NewSecret([]byte(strings.Repeat("n", 32)))
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, func(o *Options) { o.Secrets = []credential.Secret{newer, o.Secrets[0]} })
	c := r.dial(t)
	c.user, c.password = testSecret(t).Issue(r.clock.Now(), credential.Holder{Account: account, Channel: front}, time.Minute)
	c.allocate(overIPv4)
}

func TestOptions(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"no listeners":    func(o *Options) { o.Listeners = nil },
		"no secret":       func(o *Options) { o.Secrets = nil },
		"no network":      func(o *Options) { o.Listeners[0].Network = "sctp" },
		"no port":         func(o *Options) { o.Listeners[0].Address = "127.0.0.1" },
		"ports backwards": func(o *Options) { o.Ports = Ports{First: 2, Last: 1} },
		"two families":    func(o *Options) { o.Addresses = []Address{{Local: loopback, Advertised: six}} },
		"twice a family":  func(o *Options) { o.Addresses = []Address{{Local: loopback}, {Local: loopback}} },
	} {
		o := Options{Listeners: []Listener{udpListening}, Secrets: []credential.Secret{testSecret(t)}, Addresses: []Address{{Local: loopback}}}
		change(&o)
		if s, err := New(o); err == nil {
			s.Close()
			t.Error(name, "is taken")
		}
	}
}
