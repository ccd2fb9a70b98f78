package probe

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/pion/turn/v5"
)

// visit is one address being tried.
type visit struct {
	o      *Options
	server Server
	target *Target
	at     netip.AddrPort
	result *Result

	step   string   // that is being taken
	asked  *session // the one that the step asks; nil = there is none
	a, b   *session // two clients, each with a relay address
	family turn.RequestedAddressFamily
}

// steps are taken until one fails.
func (v *visit) steps() []func(context.Context) error {
	all := []func(context.Context) error{v.connect, v.binding}
	if !v.target.Relay {
		return all
	}
	all = append(all, v.allocate, v.trip)
	if !v.o.NoDirect {
		all = append(all, v.direct)
	}
	if v.o.For > 0 {
		all = append(all, v.rate)
	}
	return all
}

func (v *visit) begin(step string, asked *session) {
	v.step, v.asked = step, asked
	v.o.Progress(v.result.URI, step)
}

// leave gives back what the visit took.
func (v *visit) leave() {
	v.a.leave()
	v.b.leave()
}

// connect opens the first client.
func (v *visit) connect(ctx context.Context) (err error) {
	v.begin(StepConnect, nil)
	v.family = turn.RequestedAddressFamilyIPv4
	if v.at.Addr().Is6() {
		v.family = turn.RequestedAddressFamilyIPv6
	}
	if v.a, err = v.o.open(ctx, v.server, v.target, v.at, v.family); err != nil {
		v.a = nil
		return err
	}
	r := v.result
	r.ConnectSeconds, r.HandshakeSeconds = v.a.link.connect.Seconds(), v.a.link.handshake.Seconds()
	r.Local = v.a.link.below.LocalAddr().String()
	return nil
}

// bindings is how often a Binding is asked for: the first may wait for an ARP or a radio.
const bindings = 3

// binding asks how this machine is seen.
func (v *visit) binding(ctx context.Context) error {
	v.begin(StepBinding, v.a)
	r := v.result
	for range bindings {
		began := time.Now()
		err := v.a.within(ctx, v.o.Timeout, func() error {
			mapped, err := v.a.client.SendBindingRequest()
			if err == nil {
				r.Mapped = mapped.String()
			}
			return err
		})
		if err != nil {
			return err
		}
		if took := time.Since(began).Seconds(); r.BindingSeconds == 0 || took < r.BindingSeconds {
			r.BindingSeconds = took
		}
	}
	local, errLocal := netip.ParseAddrPort(r.Local)
	mapped, errMapped := netip.ParseAddrPort(r.Mapped)
	r.NAT = errLocal == nil && errMapped == nil && local.Addr().Unmap().WithZone("") != mapped.Addr().Unmap()
	r.Software = v.a.seen.is()
	return nil
}

// allocate gets two relay addresses, the second one over a connection of its own.
func (v *visit) allocate(ctx context.Context) (err error) {
	v.begin(StepAllocate, v.a)
	if v.server.Username == "" {
		return &Problem{Step: StepAllocate, Text: "a relay wants a user name and a password", Advice: "--username and --password-file give them; a channel has its own"}
	}
	began := time.Now()
	if err = v.a.allocate(ctx, v.o.Timeout); err != nil && v.otherFamily(ctx) {
		began = time.Now()
		err = v.a.allocate(ctx, v.o.Timeout)
	}
	if err != nil {
		return err
	}
	v.result.AllocateSeconds, v.result.Relay = time.Since(began).Seconds(), v.a.relay.String()
	if v.b, err = v.o.open(ctx, v.server, v.target, v.at, v.family); err != nil {
		v.b = nil
		return err
	}
	v.asked = v.b
	return v.b.allocate(ctx, v.o.Timeout)
}

// otherFamily begins anew for a relay address of the other family, if that of the connection
// is refused for there being none.
func (v *visit) otherFamily(ctx context.Context) bool {
	refused, _, _ := v.a.seen.snapshot()
	if refused.code != codeFamily {
		return false
	}
	other := turn.RequestedAddressFamilyIPv4
	if v.family == other {
		other = turn.RequestedAddressFamilyIPv6
	}
	c, err := v.o.open(ctx, v.server, v.target, v.at, other)
	if err != nil {
		return false
	}
	v.a.leave()
	v.a, v.asked, v.family = c, c, other
	v.result.note("there is no relay address of this family; that of the other one was tried")
	return true
}

// udpAddr is the address in the form of the library.
func udpAddr(a netip.AddrPort) net.Addr { return net.UDPAddrFromAddrPort(a) }
