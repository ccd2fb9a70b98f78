package turn

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/turn/v5"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/metrics"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/relay"
)

var channel = kvs.Channel{ID: 7, Account: "123456789012", Name: "door"}

func options(t *testing.T) Options {
	t.Helper()
	book, err := quota.NewBook(t.Context(), quota.BookOptions{Profile: quota.AWS})
	if err != nil {
		t.Fatal(err)
	}
	c := config.Default()
	c.ForDev()
	return Options{Settings: c.Turn, Dev: true, Secret: []byte(strings.Repeat("s", 32)), TLS: func() *tls.Config { return &tls.Config{} },
		Limits: book, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}
}

// A client uses what it is told, and loses it when the channel is deleted.
func TestServers(t *testing.T) {
	s, err := Open(options(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	m := metrics.New()
	s.Measure(m)
	all := s.Servers(channel, "anna")
	if len(all) != 1 || len(all[0].Uris) != 3 || *all[0].Ttl != 300 || len(*all[0].Username) > 256 {
		t.Fatalf("%+v", all)
	}
	at := strings.TrimSuffix(strings.TrimPrefix(all[0].Uris[0], "turn:"), "?transport=udp")
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c, err := turn.NewClient(&turn.ClientConfig{TURNServerAddr: at, Conn: conn, Username: *all[0].Username, Password: *all[0].Password})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Listen(); err != nil {
		t.Fatal(err)
	}
	relayed, err := c.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	defer relayed.Close()
	if top, more := s.Top(relay.Query{Channel: channel.ID}); more != 0 || len(top) != 1 || top[0].Client != "anna" || top[0].Relay.String() != relayed.LocalAddr().String() {
		t.Errorf("%+v", top)
	}
	s.Revoke(channel.ID)
	if top, _ := s.Top(relay.Query{}); len(top) != 0 {
		t.Errorf("%+v", top)
	}
	if n := s.totals(); n.Ends[relay.Revoked] != 1 || n.Begun[relay.UDP] != 1 {
		t.Errorf("%+v", n)
	}
}

func TestWithoutRelay(t *testing.T) {
	o := options(t)
	o.Settings.Listen = nil
	s, err := Open(o)
	if s != nil || err != nil {
		t.Fatal(s, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.Measure(metrics.New())
	s.Revoke(7)
	if err := s.Run(ctx); err != nil || s.Servers(channel, "") != nil {
		t.Error(err)
	}
	if rows, more := s.Top(relay.Query{}); rows != nil || more != 0 || s.Usage(relay.Query{}, 0) != nil {
		t.Error(rows, more)
	}
	s.Close()
}

// What clients are told has port and transport, and a host that they reach.
func TestURIs(t *testing.T) {
	public := relay.Address{Local: netip.MustParseAddr("10.0.0.5"), Advertised: netip.MustParseAddr("203.0.113.7")}
	six := relay.Address{Local: netip.MustParseAddr("2001:db8::7"), Advertised: netip.MustParseAddr("2001:db8::7")}
	for _, c := range []struct {
		listen, host, domain, want string
	}{
		{"0.0.0.0:3478", "", "", "turn:203.0.113.7:3478?transport=udp turns:203.0.113.7:3478?transport=udp turns:203.0.113.7:3478?transport=tcp"},
		{"[::]:443", "turn.example.com", "", "turn:turn.example.com:443?transport=udp turns:turn.example.com:443?transport=udp turns:turn.example.com:443?transport=tcp"},
		{"10.0.0.5:443", "", "kvs.example", "turn:203-0-113-7.kvs.example:443?transport=udp turns:203-0-113-7.kvs.example:443?transport=udp turns:203-0-113-7.kvs.example:443?transport=tcp"},
		{"[2001:db8::1]:3478", "", "", "turn:[2001:db8::1]:3478?transport=udp turns:[2001:db8::1]:3478?transport=udp turns:[2001:db8::1]:3478?transport=tcp"},
		{"[2001:db8::1]:443", "", "kvs.example", "turn:2001-0db8-0000-0000-0000-0000-0000-0001.kvs.example:443?transport=udp turns:2001-0db8-0000-0000-0000-0000-0000-0001.kvs.example:443?transport=udp turns:2001-0db8-0000-0000-0000-0000-0000-0001.kvs.example:443?transport=tcp"},
	} {
		o := Options{Settings: config.Turn{Host: c.host}, Domain: c.domain}
		if got := strings.Join(o.uris(c.listen, []relay.Address{six, public}), " "); got != c.want {
			t.Errorf("%s: got  %s\nwant %s", c.listen, got, c.want)
		}
	}
	names := Names(&config.Turn{Listen: []string{":1"}, Host: "turn.example.com", Advertise: []string{"203.0.113.7"}}, "kvs.example")
	if !slices.Equal(names, []string{"turn.example.com", "203.0.113.7", "203-0-113-7.kvs.example"}) {
		t.Error(names)
	}
	names = Names(&config.Turn{Listen: []string{"192.0.2.7:1"}}, "kvs.example") // clients are told the listener's label
	if !slices.Equal(names, []string{"192.0.2.7", "192-0-2-7.kvs.example"}) {
		t.Error(names)
	}
}

// Somebody hears of a certificate that is not good for what clients are told.
func TestUncovered(t *testing.T) {
	for _, c := range []struct {
		settings     config.Turn
		domain, good string
		want         string // in what is said, "" = nothing is
	}{
		{config.Turn{Listen: []string{":1"}, Host: "turn.example.com"}, "", "turn.example.com", ""},
		{config.Turn{Listen: []string{":1"}, Host: "turn.example.com"}, "", "www.example.com", "turns:turn.example.com"},
		{config.Turn{Listen: []string{":1"}, Advertise: []string{"203.0.113.7"}}, "", "turn.example.com", "turns:203.0.113.7"},
		{config.Turn{Listen: []string{":1"}, Advertise: []string{"203.0.113.7"}}, "kvs.example", "203-0-113-7.kvs.example", ""},
		{config.Turn{Host: "turn.example.com"}, "", "", ""},
	} {
		got := Uncovered(&c.settings, c.domain, func(host string) bool { return host == c.good })
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%+v: %q, want %q", c.settings, got, c.want)
		}
	}
}

// Two listeners of one name and port are one to clients.
func TestListenersOfOneName(t *testing.T) {
	var all [][]string
	for _, host := range []string{"a", "b", "a"} {
		o := Options{Settings: config.Turn{Host: host}}
		all = distinct(all, o.uris("10.0.0.1:3478", nil))
	}
	if len(all) != 2 || !strings.Contains(all[1][0], "b") {
		t.Error(all)
	}
}
