package policy_test

import (
	"encoding/json"
	"testing"

	"github.com/millrace/millrace/internal/policy"
	"github.com/millrace/millrace/internal/policy/policytest"
)

// set reads the texts of policies.
func set(t testing.TB, p policytest.Policies) *policy.Set {
	t.Helper()
	read := func(kind policy.Kind, text string) *policy.Source {
		if text == "" {
			return nil
		}
		d, err := policy.Parse(kind, []byte(text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		return &policy.Source{Name: text, Document: d}
	}
	s := &policy.Set{Root: p.Root, Boundary: read(policy.Identity, p.Boundary), Account: read(policy.Identity, p.Account),
		Listener: read(policy.Listener, p.Listener), Trust: read(policy.Trust, p.Trust)}
	for _, text := range p.Identity {
		s.Identity = append(s.Identity, *read(policy.Identity, text))
	}
	for _, text := range p.Session {
		s.Session = append(s.Session, *read(policy.Identity, text))
	}
	return s
}

func request(q policytest.Question) *policy.Request {
	return &policy.Request{Action: q.Action, Resource: q.Resource, Keys: policy.MapKeys(q.Keys),
		Principal: policy.Who{Account: q.Account, ARN: q.ARN, ID: q.ID, RoleARN: q.RoleARN, Service: q.Service, Federated: q.Federated, Anonymous: q.Anonymous}}
}

func shown(t testing.TB, v any) string {
	t.Helper()
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// agree asks both evaluators and reports the answer.
func agree(t testing.TB, q policytest.Question, p policytest.Policies) bool {
	t.Helper()
	s := set(t, p)
	d, want := policy.Decide(request(q), s), policytest.Allowed(q, p)
	if d.Allowed != want {
		t.Fatalf("Decide says %v, the naive evaluator %v\n%s\n%s\n%s", d.Allowed, want, shown(t, q), shown(t, p), policy.Explain(request(q), s))
	}
	if x := policy.Explain(request(q), s); x.Decision != d {
		t.Fatalf("Explain decides %+v, Decide %+v\n%s\n%s", x.Decision, d, shown(t, q), shown(t, p))
	}
	return want
}

// TestBothEvaluatorsAgree on random policies and requests, of which enough are allowed
// and enough are not to mean something.
func TestBothEvaluatorsAgree(t *testing.T) {
	const rounds = 2000
	allowed := 0
	for seed := range uint64(rounds) {
		s := policytest.NewSource(seed)
		p := s.Policies()
		for range 3 {
			if agree(t, s.Question(), p) {
				allowed++
			}
		}
	}
	if allowed < rounds/10 || allowed > rounds*2 {
		t.Errorf("%d of %d requests are allowed", allowed, 3*rounds)
	}
}

// FuzzAgree looks for seeds on which the evaluators differ.
func FuzzAgree(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) {
		s := policytest.NewSource(seed)
		agree(t, s.Question(), s.Policies())
	})
}
