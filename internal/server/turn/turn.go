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
	"sync/atomic"
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
	TLS      func() *tls.Config // with the certificate that clients are shown
	Limits   *quota.Book
	Channel  func(kvs.ChannelID) (string, error) // its name, or that there is none
	Now      func() time.Time
	Logger   *slog.Logger
}

// Turn is the relay of a server.
type Turn struct {
	o       Options // of the start
	relay   *relay.Server
	entries atomic.Pointer[[][]string] // URIs of each address that clients are told
}

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
	t := &Turn{o: o, relay: r}
	t.tell(o.Settings.Host)
	for _, a := range r.Addresses() {
		o.Logger.Info("relay address", "local", a.Local, "advertised", a.Advertised, "ports", o.Settings.RelayPorts)
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
	if r.Allow, err = o.allowed(s); err != nil {
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
	r.Secrets, r.TLS, r.Now, r.Logger, r.Limits, r.Name = []credential.Secret{secret}, o.TLS, o.Now, o.Logger, o.limits, o.Channel
	r.Limited = func() { o.Limits.Breached(quota.RelayAllocations) }
	return r, nil
}

// allowed are the networks that are relayed to although they are special.
func (o *Options) allowed(s *config.Turn) (all []netip.Prefix, err error) {
	if all, err = s.Peers(); err != nil || !o.Dev {
		return all, err
	}
	return append(all, own()...), nil
}

// Reload puts turn.host and turn.allow_peers into force; the other settings wait for a restart.
func (t *Turn) Reload(s *config.Turn) error {
	if t == nil {
		return nil
	}
	all, err := t.o.allowed(s)
	if err != nil {
		return err
	}
	t.relay.Allow(all)
	t.tell(s.Host)
	return nil
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

// Servers are what GetIceServerConfig says of the relay to a client, "" = the master.
func (t *Turn) Servers(ch kvs.Channel, client string) (all []wire.IceServer) {
	if t == nil {
		return nil
	}
	for _, uris := range *t.entries.Load() {
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
