package policy_test

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/policy"
	"github.com/millrace/millrace/internal/policy/policytest"
)

// operatorValues are all operators with a value that each takes.
var operatorValues = map[string]string{
	"StringEquals": "a", "StringNotEquals": "a", "StringEqualsIgnoreCase": "a", "StringNotEqualsIgnoreCase": "a",
	"StringLike": "*", "StringNotLike": "*",
	"NumericEquals": "1", "NumericNotEquals": "1", "NumericLessThan": "1", "NumericLessThanEquals": "1",
	"NumericGreaterThan": "1", "NumericGreaterThanEquals": "1",
	"DateEquals": "2026", "DateNotEquals": "2026", "DateLessThan": "2026", "DateLessThanEquals": "2026",
	"DateGreaterThan": "2026", "DateGreaterThanEquals": "2026",
	"Bool": "true", "BinaryEquals": "YQ==", "IpAddress": "0.0.0.0/0", "NotIpAddress": "0.0.0.0/0",
	"ArnEquals": "*", "ArnLike": "*", "ArnNotEquals": "*", "ArnNotLike": "*",
}

// TestUnknownKeys: a condition on a key that the request does not have is true where its
// operator is negated, ends in IfExists or begins with ForAllValues:, but for ForAnyValue:
// with a negated operator, and Null true; else it is false. So an Allow is granted through
// an unknown key by these only, and a Deny is avoided through it by the others only.
func TestUnknownKeys(t *testing.T) {
	check := func(operator, value string, holds bool) {
		t.Helper()
		condition := `"Action":"*","Resource":"*","Condition":{"` + operator + `":{"k:unknown":"` + value + `"}}`
		allow := policytest.Policies{Identity: []string{`{"Version":"2012-10-17","Statement":{"Effect":"Allow",` + condition + `}}`}}
		deny := policytest.Policies{Root: true, Identity: []string{`{"Version":"2012-10-17","Statement":{"Effect":"Deny",` + condition + `}}`}}
		q := policytest.Question{Action: "s:A", Resource: "*", Keys: map[string][]string{"k:known": {"a"}, "k:unknown": {}}}
		if agree(t, q, allow) != holds || agree(t, q, deny) == holds {
			t.Errorf("%s on an unknown key must be %v", operator, holds)
		}
	}
	for name, value := range operatorValues {
		negated := strings.Contains(name, "Not")
		check(name, value, negated)
		check("ForAllValues:"+name, value, true)
		check("ForAnyValue:"+name, value, false)
		for _, prefix := range []string{"", "ForAllValues:", "ForAnyValue:"} {
			check(prefix+name+"IfExists", value, true)
		}
	}
	for _, prefix := range []string{"", "ForAllValues:", "ForAnyValue:"} {
		check(prefix+"Null", "true", true)
		check(prefix+"Null", "false", false)
	}
}

// TestAnUnknownKeyNeverGrants: an Allow that is given one more condition, of those that
// are false for an unknown key, is as good as not there.
func TestAnUnknownKeyNeverGrants(t *testing.T) {
	positive := []string{"StringEquals", "StringLike", "NumericLessThan", "DateGreaterThan", "Bool", "IpAddress", "ArnLike", "BinaryEquals", "NumericEquals"}
	changed := 0
	randoms(1000, func(s *policytest.Source) {
		p, q := s.Policies(), s.Question()
		with := decided(t, q, p)
		for i, text := range p.Identity {
			document, statements := decode(t, text)
			for _, one := range statements {
				m := one.(map[string]any)
				if m["Effect"] != "Allow" {
					continue
				}
				c, ok := m["Condition"].(map[string]any)
				if !ok {
					c = map[string]any{}
					m["Condition"] = c
				}
				operator := positive[s.IntN(len(positive))]
				keys, ok := c[operator].(map[string]any)
				if !ok {
					keys = map[string]any{}
					c[operator] = keys
				}
				keys["k:unknown"] = operatorValues[operator]
			}
			document["Statement"] = statements
			p.Identity[i] = shown(t, document)
		}
		d := policy.Decide(request(q), set(t, p))
		if d.Allowed && !p.Root && d.Because.Layer == policy.IdentityLayer {
			t.Fatalf("granted through an unknown key\n%s\n%s", shown(t, q), shown(t, p))
		}
		if with != d.Allowed {
			changed++
		}
	})
	if changed < 50 {
		t.Errorf("only %d conditions had an effect", changed)
	}
}
