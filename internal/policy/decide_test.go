package policy

import (
	"strings"
	"testing"
)

// parsed reads a document of a test.
func parsed(t testing.TB, kind Kind, text string) *Document {
	t.Helper()
	d, err := Parse(kind, []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return d
}

// allowing and denying are documents of one statement.
func allowing(t testing.TB, action string) *Source {
	t.Helper()
	return &Source{"allows " + action, parsed(t, Identity, `{"Statement":{"Effect":"Allow","Action":"`+action+`","Resource":"*"}}`)}
}

func denying(t testing.TB, action string) *Source {
	t.Helper()
	return &Source{"denies " + action, parsed(t, Identity, `{"Statement":{"Sid":"no","Effect":"Deny","Action":"`+action+`","Resource":"*"}}`)}
}

func TestOrderOfLayers(t *testing.T) {
	yes, no, other := allowing(t, "s:A"), denying(t, "s:A"), allowing(t, "s:B")
	list := func(s *Source) []Source { return []Source{*s} }
	for _, c := range []struct {
		name, reason string
		set          *Set
	}{
		{"no policies", "because no identity-based policy allows the s:A action", nil},
		{"identity", "", &Set{Identity: list(yes)}},
		{"second of two", "", &Set{Identity: []Source{*other, *yes}}},
		{"another action", "because no identity-based policy allows the s:A action", &Set{Identity: list(other)}},
		{"deny", "with an explicit deny in an identity-based policy", &Set{Identity: []Source{*yes, *no}}},
		{"deny first", "with an explicit deny in an identity-based policy", &Set{Identity: []Source{*no, *yes}}},
		{"boundary", "because no permissions boundary allows the s:A action", &Set{Identity: list(yes), Boundary: other}},
		{"boundary grants nothing", "because no identity-based policy allows the s:A action", &Set{Boundary: yes}},
		{"boundary denies", "with an explicit deny in a permissions boundary", &Set{Identity: list(yes), Boundary: no}},
		{"boundary without its document", "because no permissions boundary allows the s:A action", &Set{Identity: list(yes), Boundary: &Source{}}},
		{"session", "because no session policy allows the s:A action", &Set{Identity: list(yes), Session: list(other)}},
		{"two session policies", "", &Set{Identity: list(yes), Session: []Source{*other, *yes}}},
		{"session grants nothing", "because no identity-based policy allows the s:A action", &Set{Session: list(yes)}},
		{"account", "because no service control policy allows the s:A action", &Set{Identity: list(yes), Account: other}},
		{"listener", "because no VPC endpoint policy allows the s:A action", &Set{Identity: list(yes), Listener: other}},
		{"listener before account", "because no VPC endpoint policy allows the s:A action", &Set{Listener: other, Account: other}},
		{"deny before listener", "with an explicit deny in an identity-based policy", &Set{Listener: other, Identity: list(no)}},
		{"everything", "", &Set{Identity: list(yes), Boundary: yes, Session: list(yes), Account: yes, Listener: yes}},
		{"root", "", &Set{Root: true}},
		{"root under the account's boundary", "because no service control policy allows the s:A action", &Set{Root: true, Account: other}},
		{"root under the listener's policy", "because no VPC endpoint policy allows the s:A action", &Set{Root: true, Listener: other}},
		{"root needs no boundary", "", &Set{Root: true, Boundary: other, Session: list(other)}},
		{"root and a deny", "with an explicit deny in a service control policy", &Set{Root: true, Account: no}},
	} {
		d := Decide(&Request{Action: "s:A", Resource: "*"}, c.set)
		if d.Allowed != (c.reason == "") || d.Reason("s:A") != c.reason {
			t.Errorf("%s: %+v %q, want %q", c.name, d, d.Reason("s:A"), c.reason)
		}
	}
}

func TestDecisionNamesItsStatement(t *testing.T) {
	d := Decide(&Request{Action: "s:A", Resource: "*"}, &Set{Identity: []Source{*allowing(t, "s:*"), *denying(t, "*")}})
	if d.Allowed || d.Source != "denies *" || d.Sid != "no" || d.Because != (Because{ExplicitDeny, IdentityLayer}) {
		t.Errorf("%+v", d)
	}
	d = Decide(&Request{Action: "s:A", Resource: "*"}, &Set{Identity: []Source{*allowing(t, "s:B"), *allowing(t, "s:*")}})
	if !d.Allowed || d.Source != "allows s:*" || d.Because != (Because{Granted, IdentityLayer}) {
		t.Errorf("%+v", d)
	}
}

func TestTrust(t *testing.T) {
	const role, anna = "arn:aws:iam::111122223333:role/viewer", "arn:aws:iam::111122223333:user/anna"
	trust := func(principal string) *Source {
		return &Source{"trust", parsed(t, Trust, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":`+principal+`,"Action":"sts:AssumeRole"}}`)}
	}
	same := Who{Account: "111122223333", ARN: anna, ID: "AIDAAAAAAAAAAAAAAAAA"}
	other := Who{Account: "444455556666", ARN: "arn:aws:iam::444455556666:user/bob", ID: "AIDABBBBBBBBBBBBBBBB"}
	yes := []Source{*allowing(t, "sts:AssumeRole")}
	for _, c := range []struct {
		name, principal, reason string
		who                     Who
		identity                []Source
	}{
		{"named user of the account", `{"AWS":"` + anna + `"}`, "", same, nil},
		{"named by id", `{"AWS":"AIDAAAAAAAAAAAAAAAAA"}`, "", same, nil},
		{"account alone", `{"AWS":"111122223333"}`, "because no identity-based policy", same, nil},
		{"account and own policy", `{"AWS":"arn:aws:iam::111122223333:root"}`, "", same, yes},
		{"account and by name", `{"AWS":["111122223333","` + anna + `"]}`, "", same, nil},
		{"everybody", `"*"`, "because no identity-based policy", same, nil},
		{"named user of another account", `{"AWS":"` + other.ARN + `"}`, "because no identity-based policy", other, nil},
		{"the same with own policy", `{"AWS":"` + other.ARN + `"}`, "", other, yes},
		{"other account", `{"AWS":"444455556666"}`, "", other, yes},
		{"not trusted", `{"AWS":"444455556666"}`, "because no role trust policy", same, yes},
		{"service", `{"Service":"credentials.iot.amazonaws.com"}`, "", Who{Service: "credentials.iot.amazonaws.com"}, nil},
		{"other service", `{"Service":"credentials.iot.amazonaws.com"}`, "because no ident", Who{Service: "ec2.amazonaws.com"}, nil},
		{"anonymous", `{"AWS":"111122223333"}`, "because no role trust policy", Who{Account: "111122223333", Anonymous: true}, yes},
	} {
		d := Decide(&Request{Principal: c.who, Action: "sts:AssumeRole", Resource: role}, &Set{Identity: c.identity, Trust: trust(c.principal)})
		if reason := d.Reason("sts:AssumeRole"); d.Allowed != (c.reason == "") || !strings.HasPrefix(reason, c.reason) {
			t.Errorf("%s: %+v %q, want %q", c.name, d, reason, c.reason)
		}
	}
}
