// Package policytest has a second evaluator of policies and a source of random ones, for
// tests of internal/policy only.
//
// The evaluator is written against docs/design/identity.md and shares nothing with the
// first: it decodes the JSON texts anew for each question, matches by plain recursion, and
// takes no care of time or memory. That both agree on random policies is worth something
// because they have nothing in common but the rules.
package policytest

import (
	"encoding/json"
	"slices"
	"strings"
)

// Question is a request in plain words. Keys has names in lower case.
type Question struct {
	Account, ARN, ID, RoleARN, Service, Federated string
	Anonymous                                     bool
	Action, Resource                              string
	Keys                                          map[string][]string
}

// Policies are the texts that stand for a caller. An empty text or list is a set that is
// not there.
type Policies struct {
	Root                               bool
	Identity, Session                  []string
	Boundary, Account, Listener, Trust string
}

// Allowed decides. The texts must be right as documents.
func Allowed(q Question, p Policies) bool {
	one := func(text string) []string {
		if text == "" {
			return nil
		}
		return []string{text}
	}
	all := [][]string{one(p.Listener), one(p.Account), one(p.Boundary), p.Session, p.Identity, one(p.Trust)}
	for _, texts := range all {
		if says(q, texts, "Deny", anyone) {
			return false
		}
	}
	for _, texts := range all[:2] {
		if len(texts) > 0 && !says(q, texts, "Allow", anyone) {
			return false
		}
	}
	if p.Trust != "" && !says(q, one(p.Trust), "Allow", anyone) {
		return false
	}
	if p.Root {
		return true
	}
	for _, texts := range all[2:4] {
		if len(texts) > 0 && !says(q, texts, "Allow", anyone) {
			return false
		}
	}
	stranger := q.Service == "" && q.Federated == "" && strings.Split(q.Resource+":::::", ":")[4] != q.Account
	if p.Trust != "" && !stranger && says(q, one(p.Trust), "Allow", itself) {
		return true
	}
	return says(q, p.Identity, "Allow", anyone)
}

// Whom a statement must name to count: anyone who is the caller, or the caller itself.
const (
	anyone = false
	itself = true
)

// says reports whether a statement of this effect matches in one of the texts.
func says(q Question, texts []string, effect string, named bool) bool {
	for _, text := range texts {
		var d map[string]any
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		if err := decoder.Decode(&d); err != nil {
			panic(err)
		}
		for _, s := range list(d["Statement"]) {
			s := statement{s.(map[string]any), d["Version"] == "2012-10-17", q}
			if s.member["Effect"] == effect && s.matches(named) {
				return true
			}
		}
	}
	return false
}

// list makes a list of what may be one thing or a list.
func list(v any) []any {
	if l, ok := v.([]any); ok {
		return l
	}
	return []any{v}
}

type statement struct {
	member    map[string]any
	variables bool
	q         Question
}

func (s statement) matches(named bool) bool {
	return s.principal(named) && s.action() && s.resource() && s.conditions()
}

func (s statement) principal(named bool) bool {
	if v, ok := s.member["NotPrincipal"]; ok {
		return !s.names(v, anyone)
	}
	v, ok := s.member["Principal"]
	return !ok || s.names(v, named)
}

// names says whether a principal element names the caller, or itself by name.
func (s statement) names(v any, named bool) bool {
	q := s.q
	if v == "*" {
		return !named
	}
	person := q.Service == "" && q.Federated == "" && !q.Anonymous
	for kind, values := range v.(map[string]any) {
		for _, one := range list(values) {
			account := one == q.Account || strings.HasPrefix(one.(string), "arn:") && strings.HasSuffix(one.(string), "::"+q.Account+":root")
			switch {
			case kind == "Service" && q.Service != "" && one == q.Service,
				kind == "Federated" && q.Federated != "" && one == q.Federated,
				kind == "AWS" && person && !strings.HasSuffix(one.(string), ":root") && slices.Contains([]any{q.ID, q.ARN, q.RoleARN}, one),
				kind == "AWS" && !named && one == "*",
				kind == "AWS" && !named && person && account:
				return true
			}
		}
	}
	return false
}

func (s statement) action() bool {
	v, not := s.member["NotAction"]
	if !not {
		v = s.member["Action"]
	}
	found := false
	for _, one := range list(v) {
		found = found || wild(signs(strings.ToLower(one.(string)), true), []rune(strings.ToLower(s.q.Action)))
	}
	return found != not
}

func (s statement) resource() bool {
	if v, ok := s.member["NotResource"]; ok {
		for _, one := range list(v) {
			p, known := s.fill(one.(string), true)
			if !known && s.member["Effect"] == "Allow" || known && arnLike(p, s.q.Resource) {
				return false
			}
		}
		return true
	}
	v, ok := s.member["Resource"]
	if !ok {
		return true
	}
	for _, one := range list(v) {
		if p, known := s.fill(one.(string), true); known && arnLike(p, s.q.Resource) {
			return true
		}
	}
	return false
}
