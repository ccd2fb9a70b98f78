package policytest

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
)

// Source makes random policies and questions about the same few names, so that statements
// often match and often nearly match. Same seed, same texts.
type Source struct {
	*rand.Rand
	kind    string // of the document that is being made
	version string
}

// NewSource returns the source of a seed.
func NewSource(seed uint64) *Source { return &Source{Rand: rand.New(rand.NewPCG(seed, 6))} }

func pick[T any](s *Source, from ...T) T { return from[s.IntN(len(from))] }

// some picks one to three.
func (s *Source) some(make func() any) any {
	n := pick(s, 0, 0, 1, 2, 3)
	if n == 0 {
		return make()
	}
	all := []any{}
	for range n {
		all = append(all, make())
	}
	return all
}

const anna, bob = "arn:aws:iam::111122223333:user/anna", "arn:aws:iam::444455556666:user/bob"

// Question is a random request.
func (s *Source) Question() Question {
	q := Question{Account: "111122223333", ARN: anna, ID: "AIDAAAAAAAAAAAAAAAAA"}
	switch s.IntN(8) {
	case 0:
		q = Question{Account: "444455556666", ARN: bob, ID: "AIDABBBBBBBBBBBBBBBB"}
	case 1:
		q = Question{Account: "111122223333", ARN: "arn:aws:sts::111122223333:assumed-role/viewer/s", ID: "AROAAAAAAAAAAAAAAAAA", RoleARN: "arn:aws:iam::111122223333:role/viewer"}
	case 2:
		q = Question{Service: "credentials.iot.amazonaws.com"}
	case 3:
		q = Question{Anonymous: true}
	case 4:
		q = Question{Federated: "login.example"}
	}
	q.Action = pick(s, "kinesisvideo:GetMedia", "kinesisvideo:PutMedia", "sts:AssumeRole")
	q.Resource = pick(s, "*", "arn:aws:kinesisvideo:us-east-1:111122223333:stream/garden/1", "arn:aws:kinesisvideo:eu-west-3:111122223333:stream/anna/22",
		"arn:aws:kinesisvideo:us-east-1:444455556666:channel/gärden/1", "arn:aws:iam::111122223333:role/viewer", "garden")
	q.Keys = map[string][]string{}
	for range s.IntN(9) {
		q.Keys[strings.ToLower(s.key())] = pick(s, nil, []string{s.Value()}, []string{s.Value()}, []string{s.Value(), s.Value()})
	}
	return q
}

func (s *Source) key() string {
	return pick(s, "k:a", "K:B", "k:c", "aws:username", "aws:PrincipalTag/Team")
}

// Value is a random value of a request's key.
func (s *Source) Value() string {
	return pick(s, "anna", "Anna", "garden", "a*", "us-east-1", "1", "2", "2.5", "-1", "true", "FALSE", "2026-05-17T08:30:00Z",
		"1779006600", "2026", "10.1.2.3", "::ffff:10.1.2.3", "2001:db8::1", "YQ==", anna, "arn:aws:s3:::x", "", "111122223333", "a:b")
}

// Policies are random sets.
func (s *Source) Policies() Policies {
	p := Policies{Root: s.IntN(10) == 0}
	for range s.IntN(3) {
		p.Identity = append(p.Identity, s.Document("identity"))
	}
	if s.IntN(6) == 0 {
		p.Session = append(p.Session, s.Document("identity"), s.Document("identity"))
	}
	for _, one := range []struct {
		text *string
		kind string
		odds int
	}{{&p.Boundary, "identity", 5}, {&p.Account, "identity", 6}, {&p.Listener, "listener", 4}, {&p.Trust, "trust", 4}} {
		if s.IntN(one.odds) == 0 {
			*one.text = s.Document(one.kind)
		}
	}
	return p
}

// Document is a random text of a kind: identity, trust or listener.
func (s *Source) Document(kind string) string {
	s.kind, s.version = kind, pick(s, "2012-10-17", "2012-10-17", "2012-10-17", "2008-10-17", "")
	d := map[string]any{"Statement": s.some(func() any { return s.Statement() })}
	if s.version != "" {
		d["Version"] = s.version
	}
	text, err := json.Marshal(d)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// Statement is a random statement of the kind that was made last.
func (s *Source) Statement() map[string]any {
	m := map[string]any{"Effect": pick(s, "Allow", "Allow", "Allow", "Deny")}
	if s.kind == "trust" || s.kind == "listener" && s.IntN(2) == 0 {
		name := "Principal"
		if m["Effect"] == "Deny" && s.IntN(2) == 0 {
			name = "NotPrincipal"
		}
		m[name] = s.principal()
	}
	if s.kind != "trust" && (s.kind != "listener" || s.IntN(2) == 0) {
		m[pick(s, "Resource", "Resource", "Resource", "NotResource")] = s.some(func() any { return s.resource() })
	}
	m[pick(s, "Action", "Action", "Action", "Action", "NotAction")] = s.some(func() any { return s.action() })
	if s.IntN(2) == 0 {
		m["Condition"] = s.condition()
	}
	return m
}

func (s *Source) principal() any {
	return pick[any](s, "*",
		map[string]any{"AWS": s.some(func() any {
			return pick(s, "*", "111122223333", "arn:aws:iam::111122223333:root", "444455556666", anna, bob, "AIDAAAAAAAAAAAAAAAAA",
				"AROAAAAAAAAAAAAAAAAA", "arn:aws:iam::111122223333:role/viewer", "arn:aws:sts::111122223333:assumed-role/viewer/s")
		})},
		map[string]any{"Service": "credentials.iot.amazonaws.com", "Federated": pick(s, "login.example", "other.example")})
}

func (s *Source) action() string {
	if s.kind == "trust" {
		return pick(s, "sts:AssumeRole", "sts:*", "sts:Assume????", "sts:GetSessionToken")
	}
	return pick(s, "*", "*:*", "kinesisvideo:*", "kinesisvideo:Get*", "KinesisVideo:getmedia", "kinesisvideo:???Media", "kinesis*:*Me*a", "sts:*", "iam:*")
}

func (s *Source) resource() string {
	if s.IntN(3) == 0 {
		return "*"
	}
	return "arn:" + pick(s, "aws", "*", "a?s") + ":" + pick(s, "kinesisvideo", "*", "k*v*") + ":" +
		pick(s, "*", "us-east-1", "us-*", "", "${k:c}") + ":" + pick(s, "*", "111122223333", "${k:a}", "4*") + ":" +
		pick(s, "*", "stream/garden/*", "stream/${aws:username}/*", "*/g?rden/1", "stream/${K:B, 'garden'}/?", "*/*/*", "channel/*", "${*}", "*:*")
}
