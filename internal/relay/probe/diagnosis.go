package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/relay/stun"
)

// Codes that more is known about than their text.
const (
	codeElsewhere    = 300
	codeUnauthorized = 401
	codeForbidden    = 403
	codeMismatch     = 437
	codeFamily       = 440
	codePeerFamily   = 443
	codeQuota        = 486
	codeCapacity     = 508
)

// network is where the ports are written that must be open.
const network = "docs/guide/network.md has the ports to open"

// unresolved is the problem of a name without an address.
func (o *Options) unresolved(t *Target, err error) *Problem {
	p := &Problem{Step: StepResolve, Text: fmt.Sprintf("the name %s cannot be resolved: %v", t.Host, err), Advice: "is there a name server that this machine reaches?"}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		p.Text, p.Advice = "the name "+t.Host+" has no address", "is it in the DNS? With signaling.domain the names *. of it must lead to the server"
	}
	return p
}

// diagnose makes an error of a step a problem.
func (v *visit) diagnose(ctx context.Context, err error) *Problem {
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled) {
		return &Problem{Step: v.step, Text: "it was interrupted"}
	}
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	p := &Problem{Step: v.step}
	if f, ok := errors.AsType[*failure](err); ok {
		p.Step = f.step
		v.unconnected(p, f)
		return p
	}
	if v.asked == nil {
		p.Text = err.Error()
		return p
	}
	v.unanswered(p, err)
	return p
}

// unconnected is about what goes wrong before the first question.
func (v *visit) unconnected(p *Problem, f *failure) {
	var nobody bool
	var first []byte
	if f.tap != nil {
		first, nobody = f.tap.came()
	}
	t := v.target.Transport
	switch {
	case isUnroutable(f.err):
		v.result.unroutable = true
		p.Text = fmt.Sprintf("this machine has no way to %s", v.at.Addr())
		p.Advice = "has it an address of that family, and a route?"
	case nobody || isRefused(f.err):
		v.nobody(p)
	case isForbidden(f.err):
		v.forbidden(p)
	case late(f.err) && len(first) == 0:
		v.silent(p)
	case t == DTLS && len(first) > 0 && (first[0] < 20 || first[0] > 63): // RFC 7983
		p.Text, p.Advice = fmt.Sprintf("what answers does not speak DTLS: it begins with %q", begin(first)), "the port is that of something else"
	case late(f.err):
		p.Text, p.Advice = "the handshake began and did not end", "packets are lost, or long ones do not pass"
	case t == TLS && plainText(f.err):
		p.Text, p.Advice = "the server does not speak TLS at this port", "the URI should be turn:, or its port is that of something else"
	case isClosed(f.err):
		p.Text, p.Advice = "the server ended the connection during the handshake", "has it a certificate? Its log may say more"
	case f.step == StepConnect:
		p.Text = fmt.Sprintf("this machine cannot connect: %v", f.err)
	default:
		p.Text, p.Advice = fmt.Sprintf("the handshake failed: %v", f.err), "the server's log may say more; it takes "+strings.ToUpper(string(t))+" from version 1.2 on"
	}
}

// late says whether an error is that time ran out.
func late(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errLate) {
		return true
	}
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// plainText says whether the other end answered a handshake with something else.
func plainText(err error) bool {
	_, ok := errors.AsType[tls.RecordHeaderError](err)
	return ok
}

func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || isReset(err)
}

// nobody is the problem of a port where nobody listens.
func (v *visit) nobody(p *Problem) {
	name := strings.ToUpper(v.target.Transport.network())
	p.Text = fmt.Sprintf("nobody listens on %s port %d of %s", name, v.at.Port(), v.at.Addr())
	p.Advice = "does the server run, with this port in turn.listen? A firewall may refuse it, too"
}

// forbidden is the problem of a machine that may not send.
func (v *visit) forbidden(p *Problem) {
	p.Text = fmt.Sprintf("this machine may not send to %s port %d of %s", strings.ToUpper(v.target.Transport.network()), v.at.Port(), v.at.Addr())
	p.Advice = "its own firewall forbids it"
}

// silent is the problem of a server from which nothing comes.
func (v *visit) silent(p *Problem) {
	name := strings.ToUpper(v.target.Transport.network())
	p.Text = fmt.Sprintf("no answer over %s from port %d of %s", name, v.at.Port(), v.at.Addr())
	p.Advice = "a firewall on the way drops it, or the address is wrong; " + network
	if name == "UDP" {
		p.Advice += "; where UDP is blocked calls need a URI with transport=tcp"
	}
}

// unanswered is about what goes wrong with a question.
func (v *visit) unanswered(p *Problem, err error) {
	refused, success, ended := v.asked.seen.snapshot()
	_, closed := v.asked.link.below.came()
	first, _ := v.asked.link.above.came()
	begins, foreign := v.asked.link.above.foreign()
	switch {
	case closed:
		v.nobody(p)
	case isForbidden(err):
		v.forbidden(p)
	case foreign:
		p.Text = fmt.Sprintf("what answers does not speak STUN: it begins with %q", begins)
		p.Advice = "the port is that of something else"
	case late(err) && len(first) == 0:
		v.silent(p)
	case late(err):
		p.Text = fmt.Sprintf("no answer to %s, although there were answers before", question(p.Step))
		p.Advice = "packets are lost, or the server withholds answers from a source that asks too often; try again in a minute"
	case refused.code != 0:
		v.refused(p, refused)
	case ended != nil && v.target.Transport.network() == "tcp":
		p.Text = fmt.Sprintf("the server ended the connection instead of answering %s", question(p.Step))
		p.Advice = "its log may say why; one of ours has a bound on the connections of one source"
	case success == stun.Allocate:
		p.Text = "the relay gives addresses without asking who wants one"
		p.Advice = "anybody may use it; have it ask for a user name and a password"
	default:
		p.Text = fmt.Sprintf("the answer to %s cannot be read: %v", question(p.Step), err)
		p.Advice = "is it a server of STUN and TURN (RFC 8489, RFC 8656)?"
	}
}

// question is what is asked in a step.
func question(step string) string {
	switch step {
	case StepBinding:
		return "a Binding"
	case StepAllocate:
		return "an Allocate"
	}
	return "a CreatePermission"
}

// refused explains a code.
func (v *visit) refused(p *Problem, r refusal) {
	p.Code = r.code
	p.Text = fmt.Sprintf("the server refuses the %s with %d %s", r.method, r.code, r.reason)
	p.Text = strings.TrimSpace(p.Text)
	switch {
	case r.code == codeUnauthorized:
		v.unauthorized(p)
	case r.code == codeForbidden && p.Step == StepRelay:
		p.Text = fmt.Sprintf("the relay does not send to its own relay address %s (403)", v.a.relay)
		p.Advice = "two peers that are both behind it cannot meet; of another's server: its list of denied peers"
	case r.code == codeForbidden:
		p.Advice = "the server does not serve this machine's address"
	case r.code == codeQuota:
		p.Text = "there are as many allocations as there may be (486)"
		p.Advice = "others must end first, or relay.allocations of the channel must be more; each URI is tried with two"
	case r.code == codeCapacity:
		p.Text = "the relay has no address left, or is about to stop (508)"
		p.Advice = "try again; relay_ports may be too few"
	case r.code == codeFamily || r.code == codePeerFamily:
		p.Advice = "the relay has no address of that family (advertise)"
	case r.code == codeMismatch:
		p.Advice = "another program of this machine had the same port a moment ago; try again"
	case r.code == codeElsewhere:
		p.Advice = "it sends its clients to another server; try that one"
	}
}

// unauthorized looks whether the user name says by itself that it is over: those of this
// server begin with the time of their end, as do those of others with a shared secret.
func (v *visit) unauthorized(p *Problem) {
	stamp, _, _ := strings.Cut(v.server.Username, ":")
	if n, err := strconv.ParseInt(stamp, 10, 64); err == nil && n > 1e9 && time.Now().Unix() >= n {
		p.Text = fmt.Sprintf("the credentials ended at %s (401)", time.Unix(n, 0).UTC().Format(time.RFC3339))
		p.Advice = "they begin allocations for five minutes: get new ones. If they are new, a clock is wrong, here or there"
		return
	}
	p.Text = "the server does not take the user name and the password (401)"
	p.Advice = "they are wrong, or of another server, or their channel was deleted; of a server that shares a secret with ours the secret may be another one, or its clock wrong"
}
