package relay

import (
	"log/slog"

	"github.com/millrace/millrace/internal/relay/credential"
	"github.com/millrace/millrace/internal/relay/logbook"
	"github.com/millrace/millrace/internal/relay/stun"
)

// authenticate checks who sent a request on a path (section 3), and answers it if that
// does not come out. The allocation is nil if the path has none. Expiry is not looked at:
// the life of an allocation is its own.
func (p *path) authenticate(m stun.Message) (a *allocation, key []byte, ok bool) {
	user, key, code, why := p.proof(m)
	if code != 0 {
		p.challenge(m, code, why, credential.Holder{})
		return nil, nil, false
	}
	a = p.allocation.Load()
	if a == nil || a.user == user {
		return a, key, true
	}
	code = wrongUser
	if m.Method() == stun.Allocate { // perhaps of somebody else, whom a NAT gave the port of the first
		code = mismatch
	}
	p.fail(m, key, code)
	return nil, nil, false
}

// Unauthorized is why a request was answered with 401: what the log and the metric call it.
type Unauthorized string

// The reasons. Who had the right password is known in the last two alone.
const (
	NoCredentials Unauthorized = "no credentials" // each call begins so
	UnknownUser   Unauthorized = "unknown user"   // a name that we do not make, or of another realm
	WrongPassword Unauthorized = "wrong password"
	OutOfDate     Unauthorized = "expired"
	Withdrawn     Unauthorized = "revoked" // with their channel
)

// proof returns the user who signed a request and the key, or the code of the refusal, with
// the reason if it is 401.
func (p *path) proof(m stun.Message) (user string, key []byte, code int, why Unauthorized) {
	if _, ok := m.Get(stun.MessageIntegrity); !ok {
		return "", nil, unauthorized, NoCredentials
	}
	name, named := m.Get(stun.Username)
	realm, inRealm := m.Get(stun.Realm)
	nonce, once := m.Get(stun.Nonce)
	switch {
	case !named || !inRealm || !once:
		return "", nil, badRequest, ""
	case !p.fresh(nonce):
		return "", nil, stale, ""
	case string(realm) != p.server.o.Realm || len(name) > credential.MaxUser:
		return "", nil, unauthorized, UnknownUser
	}
	// The path's own user is the common case; its key is known.
	if a := p.allocation.Load(); a != nil && a.user == string(name) {
		if m.Signed(a.key) {
			return a.user, a.key, 0, ""
		}
		return "", nil, unauthorized, WrongPassword
	}
	for _, s := range p.server.o.Secrets {
		key := stun.Key(string(name), p.server.o.Realm, s.Password(string(name)))
		if m.Signed(key) {
			return string(name), key, 0, ""
		}
	}
	if _, err := credential.Parse(string(name)); err != nil {
		return "", nil, unauthorized, UnknownUser
	}
	return "", nil, unauthorized, WrongPassword
}

func (p *path) fresh(nonce []byte) bool {
	now := p.server.o.Now()
	for _, s := range p.server.o.Secrets {
		if s.Fresh(now, p.from.Addr(), nonce) {
			return true
		}
	}
	return false
}

// challenge refuses somebody who is not authenticated and says with what to try again,
// unless the source had its share of answers. The holder is known if the password was right.
func (p *path) challenge(m stun.Message, code int, why Unauthorized, holder credential.Holder) {
	if !p.mayAnswer() {
		return
	}
	b := p.begin(m, stun.Failure).AddError(code)
	if code != badRequest {
		nonce := p.server.o.Secrets[0].Nonce(p.server.o.Now(), p.from.Addr())
		b.Add(stun.Realm, []byte(p.server.o.Realm)).Add(stun.Nonce, []byte(nonce))
	}
	p.server.counts.refused(code)
	if code == unauthorized {
		p.server.counts.unauthorized(why)
		p.logRefusal(string(why), holder)
	}
	p.answer(m, b, nil)
}

// Lines about refusals: so many a second and at once. A client that cannot call tries on.
const lineRate, linesAtOnce = 1, 10

// logRefusal says who got no relay address and why. Of whom is not known who it is, the source
// alone is told, to those who look closely: anybody can make such lines.
func (p *path) logRefusal(why string, holder credential.Holder) {
	s, now := p.server, p.server.since(p.server.o.Now())
	if holder.Account != "" {
		if s.lines.Take(now, 1, lineRate, linesAtOnce) {
			s.logbook.Write(logbook.Line{Text: "relay refused", Account: holder.Account, Channel: holder.Channel,
				More: []any{"client", holder.Client, "reason", why, "transport", p.transport, "source", p.from}})
		}
		return
	}
	if why != string(NoCredentials) && s.strangerLines.Take(now, 1, lineRate, linesAtOnce) {
		s.logbook.Write(logbook.Line{Level: slog.LevelDebug, Text: "relay refused", More: []any{"reason", why, "transport", p.transport, "source", p.from}})
	}
}
