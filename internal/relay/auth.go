package relay

import (
	"github.com/millrace/millrace/internal/relay/credential"
	"github.com/millrace/millrace/internal/relay/stun"
)

// authenticate checks who sent a request on a path (section 3), and answers it if that
// does not come out. The allocation is nil if the path has none. Expiry is not looked at:
// the life of an allocation is its own.
func (p *path) authenticate(m stun.Message) (a *allocation, key []byte, ok bool) {
	user, key, code := p.proof(m)
	if code != 0 {
		p.challenge(m, code)
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

// proof returns the user who signed a request and the key, or the code of the refusal.
func (p *path) proof(m stun.Message) (user string, key []byte, code int) {
	if _, ok := m.Get(stun.MessageIntegrity); !ok {
		return "", nil, unauthorized
	}
	name, named := m.Get(stun.Username)
	realm, inRealm := m.Get(stun.Realm)
	nonce, once := m.Get(stun.Nonce)
	switch {
	case !named || !inRealm || !once:
		return "", nil, badRequest
	case !p.fresh(nonce):
		return "", nil, stale
	case string(realm) != p.server.o.Realm || len(name) > credential.MaxUser:
		return "", nil, unauthorized
	}
	// The path's own user is the common case; its key is known.
	if a := p.allocation.Load(); a != nil && a.user == string(name) {
		if m.Signed(a.key) {
			return a.user, a.key, 0
		}
		return "", nil, unauthorized
	}
	for _, s := range p.server.o.Secrets {
		key := stun.Key(string(name), p.server.o.Realm, s.Password(string(name)))
		if m.Signed(key) {
			return string(name), key, 0
		}
	}
	return "", nil, unauthorized
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
// unless the source had its share of answers.
func (p *path) challenge(m stun.Message, code int) {
	if !p.mayAnswer() {
		return
	}
	b := p.begin(m, stun.Failure).AddError(code)
	if code != badRequest {
		nonce := p.server.o.Secrets[0].Nonce(p.server.o.Now(), p.from.Addr())
		b.Add(stun.Realm, []byte(p.server.o.Realm)).Add(stun.Nonce, []byte(nonce))
	}
	p.server.counts.refused(code)
	p.answer(m, b, nil)
}
