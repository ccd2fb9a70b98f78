package policy_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/policy"
	"github.com/millrace/millrace/internal/policy/policytest"
)

// randoms calls f with sources of many seeds.
func randoms(rounds uint64, f func(s *policytest.Source)) {
	for seed := range rounds {
		f(policytest.NewSource(1_000_000 + seed))
	}
}

func decided(t *testing.T, q policytest.Question, p policytest.Policies) bool {
	t.Helper()
	return policy.Decide(request(q), set(t, p)).Allowed
}

// texts returns pointers to all documents.
func texts(p *policytest.Policies) (all []*string) {
	for _, one := range []*string{&p.Boundary, &p.Account, &p.Listener, &p.Trust} {
		if *one != "" {
			all = append(all, one)
		}
	}
	for i := range p.Identity {
		all = append(all, &p.Identity[i])
	}
	for i := range p.Session {
		all = append(all, &p.Session[i])
	}
	return all
}

// decode reads a document for changing it.
func decode(t *testing.T, text string) (document map[string]any, statements []any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&document); err != nil {
		t.Fatal(err)
	}
	statements, ok := document["Statement"].([]any)
	if !ok {
		statements = []any{document["Statement"]}
	}
	return document, statements
}

// TestAddingADenyNeverGrants: whichever document it is added to, and as one of its own.
func TestAddingADenyNeverGrants(t *testing.T) {
	denied := 0
	randoms(2000, func(s *policytest.Source) {
		p, q := s.Policies(), s.Question()
		before := decided(t, q, p)
		if all := texts(&p); len(all) > 0 && s.IntN(3) > 0 {
			text := all[s.IntN(len(all))]
			kind := map[*string]string{&p.Listener: "listener", &p.Trust: "trust"}[text]
			document, statements := decode(t, *text)
			document["Statement"] = append(statements, denial(t, s, kind))
			*text = shown(t, document)
		} else {
			p.Identity = append(p.Identity, `{"Statement":`+shown(t, denial(t, s, ""))+`}`)
		}
		after := decided(t, q, p)
		if after && !before {
			t.Fatalf("a Deny granted\n%s\n%s", shown(t, q), shown(t, p))
		}
		if before && !after {
			denied++
		}
	})
	if denied < 50 {
		t.Errorf("only %d Denies had an effect", denied)
	}
}

// denial is a random Deny of a kind of document, without variables, which other versions
// of the language do not have.
func denial(t *testing.T, s *policytest.Source, kind string) any {
	t.Helper()
	for {
		if kind == "" {
			kind = "identity"
		}
		_, statements := decode(t, s.Document(kind))
		m := statements[0].(map[string]any)
		m["Effect"] = "Deny"
		if !strings.Contains(shown(t, m), "${") {
			return m
		}
	}
}

// TestOrderNeverMatters: of policies, statements, values in lists, and values of keys.
func TestOrderNeverMatters(t *testing.T) {
	randoms(1000, func(s *policytest.Source) {
		p, q := s.Policies(), s.Question()
		before := decided(t, q, p)
		for _, list := range [][]string{p.Identity, p.Session} {
			s.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		}
		for _, text := range texts(&p) {
			document, _ := decode(t, *text)
			shuffled(s, document)
			*text = shown(t, document)
		}
		for _, values := range q.Keys {
			s.Shuffle(len(values), func(i, j int) { values[i], values[j] = values[j], values[i] })
		}
		if after := decided(t, q, p); after != before {
			t.Fatalf("order makes it %v instead of %v\n%s\n%s", after, before, shown(t, q), shown(t, p))
		}
	})
}

// shuffled changes the order of all lists in a value.
func shuffled(s *policytest.Source, v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, inner := range v {
			shuffled(s, inner)
		}
	case []any:
		for _, inner := range v {
			shuffled(s, inner)
		}
		s.Shuffle(len(v), func(i, j int) { v[i], v[j] = v[j], v[i] })
	}
}

// TestWideningAPatternNeverRevokes: in an Allow, an Action, a Resource, or a value of a
// condition that is not negated may be made wider, and who was let in still is.
func TestWideningAPatternNeverRevokes(t *testing.T) {
	granted := 0
	randoms(2500, func(s *policytest.Source) {
		p, q := s.Policies(), s.Question()
		before := decided(t, q, p)
		all := texts(&p)
		if len(all) == 0 {
			return
		}
		text := all[s.IntN(len(all))]
		document, statements := decode(t, *text)
		m := statements[s.IntN(len(statements))].(map[string]any)
		if m["Effect"] != "Allow" {
			return
		}
		m["Action"] = widened(s, m["Action"], func(a string) string {
			service, _, _ := strings.Cut(a, ":")
			return service + ":*"
		})
		m["Resource"] = widened(s, m["Resource"], widerARN(s))
		if c, ok := m["Condition"].(map[string]any); ok {
			for operator, keys := range c {
				for key, values := range keys.(map[string]any) {
					if strings.Contains(operator, "StringLike") {
						keys.(map[string]any)[key] = widened(s, values, func(string) string { return "*" })
					}
				}
			}
		}
		for _, name := range []string{"Action", "Resource"} {
			if m[name] == nil {
				delete(m, name)
			}
		}
		document["Statement"] = statements
		*text = shown(t, document)
		after := decided(t, q, p)
		if before && !after {
			t.Fatalf("a wider pattern revoked\n%s\n%s", shown(t, q), shown(t, p))
		}
		if after && !before {
			granted++
		}
	})
	if granted < 50 {
		t.Errorf("only %d patterns had an effect", granted)
	}
}

// widened makes one of the texts wider.
func widened(s *policytest.Source, v any, wider func(string) string) any {
	switch v := v.(type) {
	case string:
		return wider(v)
	case []any:
		i := s.IntN(len(v))
		if text, ok := v[i].(string); ok {
			v[i] = wider(text)
		}
	}
	return v
}

// widerARN puts a * for one part of an ARN, or for everything.
func widerARN(s *policytest.Source) func(string) string {
	return func(text string) string {
		parts := strings.SplitN(text, ":", 6)
		if len(parts) < 6 || strings.Contains(text, "${") || s.IntN(4) == 0 {
			return "*"
		}
		parts[1+s.IntN(5)] = "*"
		return strings.Join(parts, ":")
	}
}
