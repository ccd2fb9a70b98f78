package relay

import (
	"bytes"
	"context"
	"crypto/rand"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/relay/credential"
	"github.com/millrace/millrace/internal/relay/stun"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	account = "123456789012"
	front   = 7 // the channel of most tests
)

// clock is a time that stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// lines is what was logged.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func testSecret(t testing.TB) credential.Secret {
	t.Helper()
	s, err := credential.NewSecret(bytes.Repeat([]byte("s"), 32))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// running is a relay on the loopback addresses with what a test looks at.
type running struct {
	*Server
	log   *lines
	clock *clock
}

var (
	six          = netip.IPv6Loopback()
	allLoopback  = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	hasIPv6      = sync.OnceValue(func() bool { c, err := net.ListenPacket("udp6", "[::1]:0"); return err == nil && c.Close() == nil })
	udpListening = Listener{Network: "udp", Address: "127.0.0.1:0"}
)

// start runs a relay that allows loopback peers until the test ends.
func start(t testing.TB, change ...func(*Options)) *running {
	t.Helper()
	r := &running{log: &lines{}, clock: &clock{now: time.Unix(1_800_000_000, 0)}}
	o := Options{
		Listeners: []Listener{udpListening}, Addresses: []Address{{Local: loopback}}, Secrets: []credential.Secret{testSecret(t)},
		Allow: allLoopback, Now: r.clock.Now, Logger: slog.New(slog.NewTextHandler(r.log, nil)),
	}
	for _, c := range change {
		c(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.Server = s
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return r
}

// Top returns all allocations.
func (r *running) Top() []Allocation {
	rows, _ := r.Server.Top(Query{})
	return rows
}

// at returns the address of the first listener of a network.
func (r *running) listensAt(network string) string {
	for _, l := range r.Listening() {
		if l.Network == network {
			return l.Address
		}
	}
	return ""
}

// client speaks STUN by hand, to say what no library would.
type client struct {
	t              testing.TB
	conn           net.Conn
	user, password string
	realm, nonce   []byte
}

// dial connects a client that has credentials of the channel front.
func (r *running) dial(t testing.TB) *client {
	t.Helper()
	conn, err := net.Dial("udp", r.listensAt("udp"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &client{t: t, conn: conn}
	c.user, c.password, _ = r.Issue(account, front, "anna")
	return c
}

func (c *client) key() []byte { return stun.Key(c.user, string(c.realm), c.password) }

func (c *client) send(b []byte) {
	c.t.Helper()
	if _, err := c.conn.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// read returns the next packet.
func (c *client) read() []byte {
	c.t.Helper()
	b := make([]byte, 8000)
	_ = c.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, err := c.conn.Read(b)
	if err != nil {
		c.t.Fatal(err)
	}
	return b[:n]
}

// answer reads a message.
func (c *client) answer() (m stun.Message, code int) {
	c.t.Helper()
	m, err := stun.Parse(c.read())
	if err != nil {
		c.t.Fatal(err)
	}
	if v, ok := m.Get(stun.ErrorCode); ok {
		code = int(v[2])*100 + int(v[3])
	}
	return m, code
}

func transaction() []byte {
	b := make([]byte, 12)
	rand.Read(b)
	return b
}

// request builds a request that is signed as far as the client can.
func (c *client) request(method stun.Method, fill func(*stun.Builder)) []byte {
	b := stun.NewBuilder(nil, method, stun.Request, transaction())
	if fill != nil {
		fill(b)
	}
	if c.nonce == nil {
		return b.Bytes()
	}
	b.Add(stun.Username, []byte(c.user)).Add(stun.Realm, c.realm).Add(stun.Nonce, c.nonce)
	return b.Sign(c.key()).Fingerprint().Bytes()
}

// ask sends a request once and returns the answer.
func (c *client) ask(method stun.Method, fill func(*stun.Builder)) (stun.Message, int) {
	c.t.Helper()
	c.send(c.request(method, fill))
	return c.answer()
}

// challenge gets a nonce.
func (c *client) challenge() {
	c.t.Helper()
	c.nonce = nil
	m, code := c.ask(stun.Allocate, overIPv4)
	if code != unauthorized && code != stale {
		c.t.Fatal("challenged with", code)
	}
	c.learn(m)
}

func (c *client) learn(m stun.Message) {
	c.realm, _ = m.Get(stun.Realm)
	c.nonce, _ = m.Get(stun.Nonce)
}

func overIPv4(b *stun.Builder) { b.AddNumber(stun.RequestedTransport, overUDP<<24) }

func overIPv6(b *stun.Builder) {
	overIPv4(b)
	b.AddNumber(stun.RequestedAddressFamily, v6<<24)
}

// allocate gets a relay address.
func (c *client) allocate(fill func(*stun.Builder)) netip.AddrPort {
	c.t.Helper()
	c.challenge()
	m, code := c.ask(stun.Allocate, fill)
	if code != 0 || !m.Signed(c.key()) {
		c.t.Fatal("allocate:", code)
	}
	a, _ := m.Address(stun.XORRelayedAddress)
	return a
}

func toPeer(peers ...netip.AddrPort) func(*stun.Builder) {
	return func(b *stun.Builder) {
		for _, p := range peers {
			b.AddAddress(stun.XORPeerAddress, p)
		}
	}
}

func channelTo(number uint16, peer netip.AddrPort) func(*stun.Builder) {
	return func(b *stun.Builder) {
		b.AddNumber(stun.ChannelNumber, uint32(number)<<16)
		toPeer(peer)(b)
	}
}

func (c *client) must(method stun.Method, fill func(*stun.Builder)) {
	c.t.Helper()
	if _, code := c.ask(method, fill); code != 0 {
		c.t.Fatal(method, "is refused with", code)
	}
}

func indicationTo(peer netip.AddrPort, data string) []byte {
	return stun.NewBuilder(nil, stun.Send, stun.Indication, transaction()).AddAddress(stun.XORPeerAddress, peer).Add(stun.DataValue, []byte(data)).Bytes()
}

func channelData(number uint16, data string) []byte {
	b := make([]byte, 4, 4+len(data))
	stun.PutChannel(b, number, len(data))
	return append(b, data...)
}

// peer is a socket that the relay carries to.
type peer struct {
	t    testing.TB
	conn *net.UDPConn
}

func newPeer(t testing.TB, at netip.Addr) *peer {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(at, 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &peer{t: t, conn: conn}
}

func (p *peer) addr() netip.AddrPort { return addrPort(p.conn.LocalAddr()) }

func (p *peer) read() (data string, from netip.AddrPort) {
	p.t.Helper()
	b := make([]byte, 8000)
	_ = p.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, from, err := p.conn.ReadFromUDPAddrPort(b)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b[:n]), plain(from)
}

func (p *peer) send(to netip.AddrPort, data string) {
	p.t.Helper()
	if _, err := p.conn.WriteToUDPAddrPort([]byte(data), to); err != nil {
		p.t.Fatal(err)
	}
}

// echo sends everything back until the test ends.
func (p *peer) echo() {
	go func() {
		b := make([]byte, 8000)
		for {
			n, from, err := p.conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			_, _ = p.conn.WriteToUDPAddrPort(b[:n], from)
		}
	}()
}

// until waits for a condition that something in the background brings about.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it never came that", what)
		}
	}
}

func (r *running) logged(t testing.TB, parts ...string) {
	t.Helper()
	until(t, "logged is "+strings.Join(parts, ", "), func() bool {
		for _, p := range parts {
			if !strings.Contains(r.log.String(), p) {
				return false
			}
		}
		return true
	})
}
