// Package probe tries STUN and TURN servers from the place of a client: it resolves the name
// of each URI, connects, verifies the certificate, asks how it is seen from outside, takes two
// relay addresses, sends packets from one to the other and back, and to one of them directly.
// What fails is told in words that say what to do.
//
// It sees what a client sees and nothing else, so it works with the servers of others, too.
// TURN is spoken by the client of pion/turn, which many callers have: who tries our own server
// with it tries both. [Run] tries one URI after the other, so that they do not disturb each
// other's figures.
package probe

import (
	"context"
	"crypto/x509"
	"net"
	"net/netip"
	"slices"
	"time"
)

// Server is a URI and what to log in with.
type Server struct{ URI, Username, Password string }

// Options say what is tried, and how hard. Only Servers are needed.
type Options struct {
	Servers []Server
	Roots   *x509.CertPool // nil = the system's
	Timeout time.Duration  // of each step, such as a handshake; 0 = 5 s

	Packets int           // through the relay and back; 0 = 100, at most MaxPackets
	Size    int           // bytes of each, MinSize to MaxSize; 0 = 1,000
	Gap     time.Duration // between two of them; 0 = 10 ms

	For  time.Duration // how long to send at Rate from one relay address to the other; 0 = not at all
	Rate int64         // payload bits a second; 0 = 2,000,000

	// NoDirect leaves out the packets that go to a relay address from this machine: a
	// firewall here may let UDP pass to the listener only.
	NoDirect bool

	// Resolve returns the addresses of a name; nil = as the system does.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	// Progress is called when a step begins, by the goroutine of Run; nil = nobody looks.
	Progress func(uri, step string)
}

// Bounds of what can be asked for. A packet is no longer than what passes everywhere, and long
// enough for what it must tell; clients over TCP hold back the shortest ones.
const (
	MaxPackets = 10_000
	MinSize    = 64
	MaxSize    = 1400
	MaxRate    = 100_000_000
)

// maxAddresses is how many addresses of one name are tried.
const maxAddresses = 4

// complete fills in what was left open.
func (o *Options) complete() {
	defaults := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	defaults(&o.Timeout, 5*time.Second)
	defaults(&o.Gap, 10*time.Millisecond)
	if o.Packets <= 0 {
		o.Packets = 100
	}
	if o.Size <= 0 {
		o.Size = 1000
	}
	if o.Rate <= 0 {
		o.Rate = 2_000_000
	}
	o.Packets, o.Size, o.Rate = min(o.Packets, MaxPackets), max(MinSize, min(o.Size, MaxSize)), min(o.Rate, MaxRate)
	if o.Resolve == nil {
		o.Resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if o.Progress == nil {
		o.Progress = func(string, string) {}
	}
}

// limit is how long one address may take in all: no step is longer than it may be, but there
// are many of them.
func (o *Options) limit() time.Duration {
	return 6*o.Timeout + time.Duration(o.Packets)*o.Gap + o.For + 3*settle
}

// Run tries all servers. It ends early with what it has when the context does.
func Run(ctx context.Context, o Options) *Report {
	o.complete()
	r := &Report{}
	for _, s := range o.Servers {
		if ctx.Err() != nil {
			break
		}
		r.Results = append(r.Results, o.try(ctx, s)...)
	}
	r.Interrupted = ctx.Err() != nil
	return r
}

// try tries all addresses of one server.
func (o *Options) try(ctx context.Context, s Server) (all []Result) {
	first := Result{URI: s.URI}
	t, err := Parse(s.URI)
	if err != nil {
		first.fail(&Problem{Step: StepURI, Text: err.Error()})
		return []Result{first}
	}
	first.Transport = t.Transport
	o.Progress(s.URI, StepResolve)
	began := time.Now()
	addresses, err := o.resolve(ctx, t.Host)
	if err != nil {
		first.fail(o.unresolved(&t, err))
		return []Result{first}
	}
	if len(addresses) > 1 || addresses[0].String() != t.Host {
		first.ResolveSeconds = time.Since(began).Seconds()
	}
	for _, a := range addresses {
		if ctx.Err() != nil {
			break
		}
		all = append(all, o.address(ctx, s, &t, a, first))
	}
	excuse(all)
	return all
}

// resolve returns the addresses of a host, some of each family.
func (o *Options) resolve(ctx context.Context, host string) (all []netip.Addr, err error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	found, err := o.Resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	families := map[bool]int{}
	for _, a := range found {
		if a = a.Unmap(); !slices.Contains(all, a) && families[a.Is4()] < maxAddresses/2 {
			families[a.Is4()]++
			all = append(all, a)
		}
	}
	if len(all) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return all, nil
}

// excuse takes back that addresses of a name fail of whose family this machine has none, if the
// name has others: clients pass over them, too.
func excuse(all []Result) {
	for i := range all {
		if all[i].unroutable && slices.ContainsFunc(all, func(r Result) bool { return !r.unroutable }) {
			all[i].State = Skipped
		}
	}
}

// address tries one address of a server.
func (o *Options) address(ctx context.Context, s Server, t *Target, a netip.Addr, r Result) Result {
	ctx, cancel := context.WithTimeout(ctx, o.limit())
	defer cancel()
	at := netip.AddrPortFrom(a, t.Port)
	r.Address, r.State = at.String(), OK
	v := &visit{o: o, server: s, target: t, at: at, result: &r}
	defer v.leave()
	for _, step := range v.steps() {
		if err := step(ctx); err != nil {
			r.fail(v.diagnose(ctx, err))
			break
		}
	}
	return r
}
