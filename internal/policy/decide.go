package policy

import "strings"

// Keys are what is known of a request, its conditions' keys. Lookup gets the name in
// lower case, the part behind the slash of a tag's key (aws:resourcetag/KEY) as well. No
// values means the same as not found. A decision asks for each of the first sixteen keys once.
type Keys interface {
	Lookup(key string) (values []string, found bool)
}

// MapKeys are keys in a map, by their names in lower case.
type MapKeys map[string][]string

// Lookup returns the values of a key.
func (m MapKeys) Lookup(key string) ([]string, bool) {
	values, ok := m[key]
	return values, ok
}

// Add appends values to a key, whose name may be written in any case.
func (m MapKeys) Add(key string, values ...string) {
	key = strings.ToLower(key)
	m[key] = append(m[key], values...)
}

// Source is a document with the name under which messages speak of it: "user/anna inline
// camera", or the ARN of a managed policy.
type Source struct {
	Name     string
	Document *Document // nil has no statements
}

// Set is all policies that stand for a caller. It is shared and never changes.
type Set struct {
	Root     bool     // the root of an account, which needs no policies of its own
	Identity []Source // inline and managed, of the user and its groups, or of the role
	Boundary *Source  // permission boundary; nil: none
	Session  []Source // session policies of temporary credentials; nil: none
	Account  *Source  // boundary of the account; nil: none
	Listener *Source  // of the listener that took the call; nil: none
	Trust    *Source  // of the role that is to be assumed; nil but for sts:AssumeRole
}

// Request is what is asked: may this principal do this to that.
type Request struct {
	Principal Who
	Action    string // kinesisvideo:GetMedia
	Resource  string // an ARN, or * where an action has no resource
	Keys      Keys   // nil: none
}

// evaluation is the state of one decision.
type evaluation struct {
	request  *Request
	action   string // in lower case
	resource arn
	scratch  []piece
	fold     []byte
	room     [12]piece
	known    [16]fact // the first keys that were asked for
	facts    int
}

// fact is a key with its values, which a Keys may have to make for each question.
type fact struct {
	key    string
	values []string
}

func newEvaluation(r *Request) *evaluation {
	e := &evaluation{request: r, action: strings.ToLower(r.Action), resource: splitARN(r.Resource)}
	e.scratch = e.room[:0]
	return e
}

func (e *evaluation) lookup(key string) []string {
	if e.request.Keys == nil {
		return nil
	}
	for i := range e.facts {
		if e.known[i].key == key {
			return e.known[i].values
		}
	}
	values, _ := e.request.Keys.Lookup(key)
	if e.facts < len(e.known) {
		e.known[e.facts] = fact{key, values}
		e.facts++
	}
	return values
}

// finding is what one layer of policies says.
type finding struct {
	answer answer
	by     reach // how an Allow named the principal; the strongest of all
	source string
	index  int
	sid    string
}

// answer is what one layer says.
type answer uint8

const (
	silent answer = iota
	allows
	denies
)

// Decide says whether the policies allow the request. It is a pure function of both; what
// it allocates does not grow with the policies.
func Decide(r *Request, s *Set) Decision {
	if s == nil {
		s = &Set{}
	}
	return newEvaluation(r).decide(s)
}

// decide goes through the layers twice: a Deny anywhere comes before everything else, then
// each layer that counts must allow.
func (e *evaluation) decide(s *Set) Decision {
	var found [layers]finding
	for l := range Layer(layers) {
		found[l] = e.layer(s, l)
		if found[l].answer == denies {
			return found[l].decision(false, Because{ExplicitDeny, l})
		}
	}
	for l := range Layer(layers) {
		if e.counts(s, l, &found) && found[l].answer != allows {
			return Decision{Because: Because{ImplicitDeny, l}}
		}
	}
	if found[IdentityLayer].answer != allows && s.Trust != nil {
		return found[TrustLayer].decision(true, Because{Granted, TrustLayer})
	}
	if s.Root {
		return Decision{Allowed: true, Because: Because{Granted, RootLayer}}
	}
	return found[IdentityLayer].decision(true, Because{Granted, IdentityLayer})
}

// counts says whether a layer must allow, by the order of docs/design/identity.md section 2.
func (e *evaluation) counts(s *Set, l Layer, found *[layers]finding) bool {
	switch l {
	case ListenerLayer:
		return s.Listener != nil
	case AccountLayer:
		return s.Account != nil
	case BoundaryLayer:
		return !s.Root && s.Boundary != nil
	case SessionLayer:
		return !s.Root && s.Session != nil
	case IdentityLayer:
		return !s.Root && !(s.Trust != nil && e.trusted(found[TrustLayer]))
	}
	return s.Trust != nil
}

// trusted says whether a role's trust policy alone is enough: it names a user or role of
// its own account, or a service or identity provider, which have no policies.
func (e *evaluation) trusted(trust finding) bool {
	w := &e.request.Principal
	if trust.answer != allows || trust.by != byName {
		return false
	}
	return w.Service != "" || w.Federated != "" || w.Account == e.resource.parts[4]
}

// single is the policy of a layer that has one at most, nil for none and for the layers
// of several.
func (s *Set) single(l Layer) *Source {
	switch l {
	case ListenerLayer:
		return s.Listener
	case AccountLayer:
		return s.Account
	case BoundaryLayer:
		return s.Boundary
	case TrustLayer:
		return s.Trust
	}
	return nil
}

// several are the policies of a layer that may have more than one.
func (s *Set) several(l Layer) []Source {
	switch l {
	case IdentityLayer:
		return s.Identity
	case SessionLayer:
		return s.Session
	}
	return nil
}

// layer asks all policies of one layer.
func (e *evaluation) layer(s *Set, l Layer) (f finding) {
	if one := s.single(l); one != nil {
		e.ask(one, &f)
		return f
	}
	sources := s.several(l)
	for i := range sources {
		if e.ask(&sources[i], &f); f.answer == denies {
			break
		}
	}
	return f
}

// ask adds to a finding what one document says. The first Allow is the one that is told
// of, but one by name is stronger.
func (e *evaluation) ask(source *Source, f *finding) {
	if source.Document == nil {
		return
	}
	for i := range source.Document.statements {
		s := &source.Document.statements[i]
		if !s.deny && f.answer == allows && (s.principals == nil || f.by == byName) {
			continue
		}
		if e.mismatch(s).element != noElement {
			continue
		}
		by := inGeneral
		if s.principals != nil && !s.notPrincipal {
			by = s.principals.reach(&e.request.Principal)
		}
		if s.deny {
			*f = finding{denies, by, source.Name, i, s.sid}
			return
		}
		if f.answer == silent || by > f.by {
			*f = finding{allows, by, source.Name, i, s.sid}
		}
	}
}

// element is a part of a statement that a request may fail.
type element uint8

const (
	noElement element = iota
	principalElement
	actionElement
	resourceElement
	conditionElement
)

// mismatch is the first element of a statement that does not fit, noElement when all do.
type mismatch struct {
	element   element
	condition int // which one
}

func (e *evaluation) mismatch(s *statement) mismatch {
	if s.principals != nil && (s.principals.reach(&e.request.Principal) == unreached) != s.notPrincipal {
		return mismatch{element: principalElement}
	}
	if e.matchesAction(s) == s.notAction {
		return mismatch{element: actionElement}
	}
	if s.resources != nil && !e.matchesResource(s) {
		return mismatch{element: resourceElement}
	}
	for i := range s.conditions {
		if !s.conditions[i].holds(e, s.deny) {
			return mismatch{conditionElement, i}
		}
	}
	return mismatch{}
}

func (e *evaluation) matchesAction(s *statement) bool {
	for i := range s.actions {
		if matches(s.actions[i].pieces, e.action) {
			return true
		}
	}
	return false
}

// matchesResource says whether Resource or NotResource fits. A NotResource whose variable
// has no value does not fit under Allow, since what cannot be said must not grant.
func (e *evaluation) matchesResource(s *statement) bool {
	matched, unknown := false, false
	for i := range s.resources {
		switch e.matchARN(&s.resources[i], &e.resource) {
		case yes:
			matched = true
		case unsaid:
			unknown = true
		}
	}
	if s.notResource {
		return !matched && (s.deny || !unknown)
	}
	return matched
}
