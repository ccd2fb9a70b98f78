package probe

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// direct sends packets from this machine to a relay address, as a peer would that is not
// behind the relay. Between two relay addresses of one server a packet may never leave it, so
// that only this finds relay ports that are closed and an advertised address that is wrong.
func (v *visit) direct(ctx context.Context) error {
	v.begin(StepDirect, v.a)
	mapped, err := netip.ParseAddrPort(v.result.Mapped)
	if err != nil || mapped.Addr().Unmap().Is4() != v.a.relay.Addr().Is4() {
		v.result.Direct = OtherFamily
		return nil
	}
	mapped = netip.AddrPortFrom(mapped.Addr().Unmap(), mapped.Port())
	if err := v.a.within(ctx, v.o.Timeout, func() error { return v.permit(mapped) }); err != nil {
		refused, _, _ := v.a.seen.snapshot()
		if refused.code != codeForbidden {
			return err
		}
		v.result.Direct = Denied
		return nil
	}
	patience := v.o.Timeout
	neighbour := mapped.Addr() == v.a.relay.Addr() // this is the relay's own machine
	if neighbour {
		patience = min(patience, time.Second)
	}
	v.result.Direct = v.knockDirectly(ctx, patience)
	if neighbour && v.result.Direct != Reached {
		v.result.Direct = Denied // ours lets in the relay addresses of its machine, and nobody else there
	}
	if ctx.Err() != nil {
		return errLate
	}
	return v.judgeDirect()
}

// permit asks the relay to let this machine in. A nonce may be too old once.
func (v *visit) permit(a netip.AddrPort) (err error) {
	for range 2 {
		if err = v.a.client.CreatePermission(udpAddr(a)); err == nil {
			break
		}
	}
	return err
}

// knockDirectly sends until an answer comes, or for so long.
func (v *visit) knockDirectly(ctx context.Context, patience time.Duration) Direct {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	m, arrived := newMark(), atomic.Bool{}
	v.a.hears(func(data []byte, from net.Addr) {
		if _, _, _, ok := m.read(data); ok {
			arrived.Store(true)
			if a, ok := from.(*net.UDPAddr); ok {
				_ = v.a.send(data, a.AddrPort()) // a loss is seen at the other end
			}
		}
	})
	var d net.Dialer
	conn, err := d.DialContext(ctx, "udp", v.a.relay.String())
	if err != nil {
		return Silent
	}
	defer conn.Close()
	switch d := converse(ctx, conn, m); {
	case d == Silent && arrived.Load():
		return OneWay
	default:
		return d
	}
}

// converse sends packets over a socket until one comes back, or this machine was told
// several times that nobody is there, or that it may not send.
func converse(ctx context.Context, conn net.Conn, m mark) Direct {
	out, in := make([]byte, MinSize), make([]byte, MaxSize)
	m.put(out, hello, 0, 0)
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })()
	result := Silent
	const enough = 5
	for told := 0; ctx.Err() == nil && told < enough; {
		next := time.Now().Add(helloGap)
		_, err := conn.Write(out)
		for err == nil {
			_ = conn.SetReadDeadline(next)
			var n int
			if n, err = conn.Read(in); err == nil {
				if _, _, _, ok := m.read(in[:n]); ok {
					return Reached
				}
			}
		}
		switch {
		case isRefused(err):
			result = Refused
			told++
		case isForbidden(err):
			result = Blocked
			told++
		}
		await(ctx, nil, time.Until(next))
	}
	return result
}

// judgeDirect says what is wrong. Over TCP and TLS it is no failure: where UDP is blocked
// they are what is left, and a relay address cannot be tried from there.
func (v *visit) judgeDirect() error {
	p := &Problem{Step: StepDirect, Advice: "open the relay's ports for UDP in the server's firewall (relay_ports); behind a NAT its advertised address must be the public one (advertise); " +
		"where a firewall on this side lets UDP go to the listener only, --no-direct leaves this out"}
	switch v.result.Direct {
	case Silent:
		p.Text = fmt.Sprintf("nothing that this machine sends to a relay address at %s arrives: peers that are not behind the relay cannot reach it", v.a.relay.Addr())
	case Refused:
		p.Text = fmt.Sprintf("nobody is at a relay address of %s, as this machine is told that sends to it: peers cannot reach it", v.a.relay.Addr())
	case OneWay:
		p.Text = fmt.Sprintf("what this machine sends to a relay address at %s arrives, but not what the relay sends back", v.a.relay.Addr())
		p.Advice = "let the server send UDP to any port in its firewall"
	case Blocked:
		v.result.note("this machine's own firewall lets nothing out to a relay address at %s, so that was not tried", v.a.relay.Addr())
		return nil
	default:
		return nil
	}
	if v.target.Transport.network() == "tcp" {
		v.result.note("%s (this URI does without UDP, so it may be blocked on this side)", p.Text)
		return nil
	}
	return p
}
