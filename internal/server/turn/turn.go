// Package turn makes the server's relay from its settings: which addresses it has, what
// clients are told of it, what it counts. What the relay itself does is in docs/design/relay.md.
//
// All methods may be called on nil, which is a server without a relay.
package turn

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/relay"
	"github.com/millrace/millrace/internal/relay/credential"
	"github.com/millrace/millrace/internal/wire"
)

// Options say what to make.
type Options struct {
	Settings config.Turn
	Domain   string             // signaling.domain, "" = none
	Dev      bool               // relay to this machine's own addresses
	Secret   []byte             // 32 bytes that stay the same
	TLS      func() *tls.Config // nil = neither TLS nor DTLS
	Limits   *quota.Book
	Channel  func(kvs.ChannelID) string // its name, "" = there is none
	Now      func() time.Time
	Logger   *slog.Logger
}

// Turn is the relay of a server.
type Turn struct {
	relay   *relay.Server
	entries [][]string // URIs of each address that clients are told
}

// maxEntries is how many addresses clients are told of: some look at the first alone.
const maxEntries = 2

// Open opens the listeners, or returns nil if the settings want no relay.
func Open(o Options) (*Turn, error) {
	if len(o.Settings.Listen) == 0 {
		return nil, nil
	}
	options, err := o.relay()
	if err != nil {
		return nil, err
	}
	r, err := relay.New(options)
	if err != nil {
		return nil, fmt.Errorf("turn.listen: %w", err)
	}
	t := &Turn{relay: r}
	for _, l := range r.Listening() {
		if l.Network == "tcp" && len(t.entries) < maxEntries { // each address has one of these
			t.entries = append(t.entries, o.uris(l.Address, r.Addresses()))
		}
	}
	for _, a := range r.Addresses() {
		o.Logger.Info("relaying", "local", a.Local, "advertised", a.Advertised, "uris", strings.Join(slices.Concat(t.entries...), " "))
	}
	return t, nil
}

// relay are the options of the room below.
func (o *Options) relay() (r relay.Options, err error) {
	s := &o.Settings
	addresses, err := s.Addresses()
	if err != nil {
		return r, err
	}
	if r.Allow, err = s.Peers(); err != nil {
		return r, err
	}
	if r.Ports.First, r.Ports.Last, err = s.Ports(); err != nil {
		return r, err
	}
	secret, err := credential.NewSecret(o.Secret)
	if err != nil {
		return r, err
	}
	for _, a := range addresses {
		r.Addresses = append(r.Addresses, relay.Address{Local: a.Local, Advertised: a.Public})
	}
	for _, addr := range s.Listen {
		r.Listeners = append(r.Listeners, relay.Listener{Address: addr})
	}
	r.Discovery = bool(s.Discovery)
	if o.Dev {
		r.Allow = append(r.Allow, own()...)
	}
	r.Secrets, r.TLS, r.Now, r.Logger, r.Limits, r.Name = []credential.Secret{secret}, o.TLS, o.Now, o.Logger, o.limits, o.Channel
	r.Limited = func() { o.Limits.Breached(quota.RelayAllocations) }
	return r, nil
}

// own are the addresses of this machine, where clients of a development server are.
func own() (all []netip.Prefix) {
	found, _ := net.InterfaceAddrs()
	for _, a := range found {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				all = append(all, netip.PrefixFrom(ip.Unmap(), ip.Unmap().BitLen()))
			}
		}
	}
	return all
}

func (o *Options) limits(a kvs.AccountID, channel kvs.ChannelID) relay.Limits {
	v := o.Limits.View(a, kvs.StreamID(channel))
	return relay.Limits{Allocations: v.Int(quota.RelayAllocations), Bandwidth: int64(v.Bandwidth(quota.RelayBandwidth)), Age: v.Duration(quota.RelayCredential)}
}

// uris are what clients are told of a listener, with port and transport: some clients
// know no others (wire-webrtc section 5.1).
func (o *Options) uris(listener string, relays []relay.Address) []string {
	host, port, _ := net.SplitHostPort(listener)
	at := net.JoinHostPort(o.host(host, relays), port)
	if o.TLS == nil {
		return []string{"turn:" + at + "?transport=udp", "turn:" + at + "?transport=tcp"}
	}
	return []string{"turn:" + at + "?transport=udp", "turns:" + at + "?transport=udp", "turns:" + at + "?transport=tcp"}
}

// host is the name by which a listener is reached.
func (o *Options) host(listener string, relays []relay.Address) string {
	if o.Settings.Host != "" {
		return o.Settings.Host
	}
	if ip, err := netip.ParseAddr(listener); err == nil && !ip.IsUnspecified() {
		relays = slices.Concat([]relay.Address{{Local: ip, Advertised: advertised(ip, relays)}}, relays)
	}
	a := relays[0].Advertised
	if name := Label(a, o.Domain); name != "" {
		return name
	}
	return a.String()
}

// advertised is what clients are told of an address of this machine.
func advertised(local netip.Addr, relays []relay.Address) netip.Addr {
	for _, a := range relays {
		if a.Local == local {
			return a.Advertised
		}
	}
	return local
}

// Label is the name of an address below a domain: 192-0-2-7.kvs.example, "" without a
// domain. Some clients read the address from it and ask no DNS (wire-webrtc section 5.2).
func Label(a netip.Addr, domain string) string {
	if domain == "" || !a.Is4() {
		return ""
	}
	return strings.ReplaceAll(a.String(), ".", "-") + "." + domain
}

// Names are those that clients of the relay want to see in its certificate.
func Names(c *config.Turn, domain string) (names []string) {
	if len(c.Listen) == 0 {
		return nil
	}
	if c.Host != "" {
		names = append(names, c.Host)
	}
	for _, a := range told(c) {
		names = append(names, a.String())
		if l := Label(a, domain); l != "" {
			names = append(names, l)
		}
	}
	return names
}

// told are the addresses that clients may be told: advertised ones, those of the listeners,
// and if neither says more, all of this machine.
func told(c *config.Turn) (addrs []netip.Addr) {
	all, _ := c.Addresses() // checked before
	for _, a := range all {
		addrs = append(addrs, a.Public)
	}
	wide := false
	for _, l := range c.Listen {
		host, _, _ := net.SplitHostPort(l)
		ip, err := netip.ParseAddr(host)
		switch {
		case err != nil || ip.IsUnspecified():
			wide = true
		case !slices.Contains(addrs, ip):
			addrs = append(addrs, ip)
		}
	}
	if !wide || len(all) > 0 {
		return addrs
	}
	for _, p := range own() {
		if ip := p.Addr(); ip.IsGlobalUnicast() && !slices.Contains(addrs, ip) {
			addrs = append(addrs, ip)
		}
	}
	return addrs
}

// Servers are what GetIceServerConfig says of the relay to a client, "" = the master.
func (t *Turn) Servers(ch kvs.Channel, client string) (all []wire.IceServer) {
	if t == nil {
		return nil
	}
	for _, uris := range t.entries {
		user, password, ttl := t.relay.Issue(ch.Account, ch.ID, client)
		// Fewer than 30 seconds the operation cannot say.
		all = append(all, wire.IceServer{Uris: uris, Username: &user, Password: &password, Ttl: new(max(30, int64(ttl/time.Second)))})
	}
	return all
}

// Revoke ends what a channel that was deleted has.
func (t *Turn) Revoke(channel kvs.ChannelID) {
	if t != nil {
		t.relay.Revoke(channel)
	}
}

// Run serves until the context ends.
func (t *Turn) Run(ctx context.Context) error {
	if t == nil {
		<-ctx.Done()
		return nil
	}
	return t.relay.Run(ctx)
}

// Drain lets nothing begin any more and waits until what is relayed has ended, or ctx has.
func (t *Turn) Drain(ctx context.Context) {
	if t != nil {
		t.relay.Drain(ctx)
	}
}

// Close ends a relay that is not run.
func (t *Turn) Close() {
	if t != nil {
		t.relay.Close()
	}
}

// Top returns allocations, the fastest first, and how many more there are.
func (t *Turn) Top(q relay.Query) (rows []relay.Allocation, more int) {
	if t == nil {
		return nil, 0
	}
	return t.relay.Top(q)
}

// Usage returns what was carried for channels behind one, in the order of their numbers.
func (t *Turn) Usage(q relay.Query, after kvs.ChannelID) []relay.Use {
	if t == nil {
		return nil
	}
	return t.relay.Usage(q, after)
}

// totals are zero without a relay.
func (t *Turn) totals() relay.Totals {
	if t == nil {
		return relay.Totals{}
	}
	return t.relay.Totals()
}
