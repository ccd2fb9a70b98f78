package policy

import (
	"bytes"
	"encoding/base64"
	"net/netip"
	"strings"
)

// test compares one value of a request with one value of a condition.
type test interface {
	holds(e *evaluation, value string) outcome
}

// operator is what the name of a condition's operator stands for.
type operator struct {
	negated bool // none of the values may match
	null    bool // asks whether the key is there
	parse   func(text string, variables bool) (test, string)
}

// operators are the names without ForAllValues:, ForAnyValue: and IfExists.
var operators = map[string]operator{
	"StringEquals":              {parse: parseText},
	"StringNotEquals":           {parse: parseText, negated: true},
	"StringEqualsIgnoreCase":    {parse: parseFold},
	"StringNotEqualsIgnoreCase": {parse: parseFold, negated: true},
	"StringLike":                {parse: parseLike},
	"StringNotLike":             {parse: parseLike, negated: true},
	"NumericEquals":             {parse: numeric(equal)},
	"NumericNotEquals":          {parse: numeric(equal), negated: true},
	"NumericLessThan":           {parse: numeric(less)},
	"NumericLessThanEquals":     {parse: numeric(lessOrEqual)},
	"NumericGreaterThan":        {parse: numeric(greater)},
	"NumericGreaterThanEquals":  {parse: numeric(greaterOrEqual)},
	"DateEquals":                {parse: dated(equal)},
	"DateNotEquals":             {parse: dated(equal), negated: true},
	"DateLessThan":              {parse: dated(less)},
	"DateLessThanEquals":        {parse: dated(lessOrEqual)},
	"DateGreaterThan":           {parse: dated(greater)},
	"DateGreaterThanEquals":     {parse: dated(greaterOrEqual)},
	"Bool":                      {parse: parseBool},
	"BinaryEquals":              {parse: parseBinary},
	"IpAddress":                 {parse: parseAddress},
	"NotIpAddress":              {parse: parseAddress, negated: true},
	"ArnEquals":                 {parse: parseARNTest},
	"ArnLike":                   {parse: parseARNTest},
	"ArnNotEquals":              {parse: parseARNTest, negated: true},
	"ArnNotLike":                {parse: parseARNTest, negated: true},
	"Null":                      {parse: parseNull, null: true},
}

// patternsOf returns the patterns of a test, which may have variables.
func patternsOf(t test) []pattern {
	switch t := t.(type) {
	case textTest:
		return []pattern{t.pattern}
	case foldTest:
		return []pattern{t.pattern}
	case boolTest:
		return []pattern{t.pattern}
	case *arnTest:
		return t.parts[:]
	}
	return nil
}

// textTest compares byte by byte, with wildcards where the pattern has them.
type textTest struct{ pattern }

func (t textTest) holds(e *evaluation, value string) outcome {
	pieces, ok := e.resolve(&t.pattern)
	if !ok {
		return unsaid
	}
	return outcomeOf(matches(pieces, value))
}

func parseText(text string, variables bool) (test, string) {
	p, reason := parsePattern(text, grammar{variables: variables})
	return textTest{p}, reason
}

func parseLike(text string, variables bool) (test, string) {
	p, reason := parsePattern(text, grammar{wildcards: true, variables: variables})
	return textTest{p}, reason
}

// foldTest compares without case. Its pattern has no wildcards.
type foldTest struct{ pattern }

func (t foldTest) holds(e *evaluation, value string) outcome {
	pieces, ok := e.resolve(&t.pattern)
	if !ok {
		return unsaid
	}
	if len(pieces) == 1 {
		return outcomeOf(strings.EqualFold(pieces[0].text, value))
	}
	e.fold = e.fold[:0]
	for _, p := range pieces {
		e.fold = append(e.fold, p.text...)
	}
	wanted := len(e.fold)
	e.fold = append(e.fold, value...)
	return outcomeOf(bytes.EqualFold(e.fold[:wanted], e.fold[wanted:]))
}

func parseFold(text string, variables bool) (test, string) {
	p, reason := parsePattern(text, grammar{variables: variables})
	return foldTest{p}, reason
}

// comparison turns the order of two values into an answer.
type comparison func(order int) bool

func equal(order int) bool          { return order == 0 }
func less(order int) bool           { return order < 0 }
func lessOrEqual(order int) bool    { return order <= 0 }
func greater(order int) bool        { return order > 0 }
func greaterOrEqual(order int) bool { return order >= 0 }

type numberTest struct {
	compare comparison
	limit   float64
}

func (t numberTest) holds(_ *evaluation, value string) outcome {
	n, ok := parseNumber(value)
	order := 0
	if n != t.limit {
		order = sign(n < t.limit)
	}
	return outcomeOf(ok && t.compare(order))
}

func numeric(c comparison) func(string, bool) (test, string) {
	return func(text string, _ bool) (test, string) {
		n, ok := parseNumber(text)
		if !ok {
			return nil, quoted(text) + " is no number; write digits such as 300 or -1.5"
		}
		return numberTest{c, n}, ""
	}
}

type dateTest struct {
	compare comparison
	limit   moment
}

func (t dateTest) holds(_ *evaluation, value string) outcome {
	m, ok := parseMoment(value)
	return outcomeOf(ok && t.compare(m.compare(t.limit)))
}

func dated(c comparison) func(string, bool) (test, string) {
	return func(text string, _ bool) (test, string) {
		m, ok := parseMoment(text)
		if !ok {
			return nil, quoted(text) + " is no date; write 2026-05-17T08:30:00Z or seconds since 1970"
		}
		return dateTest{c, m}, ""
	}
}

// boolTest compares with true or false, which may come from a variable.
type boolTest struct{ pattern }

func (t boolTest) holds(e *evaluation, value string) outcome {
	switch o := foldTest(t).holds(e, value); {
	case o == unsaid:
		return unsaid
	case strings.EqualFold(value, "true"), strings.EqualFold(value, "false"):
		return o
	}
	return no
}

func parseBool(text string, variables bool) (test, string) {
	p, reason := parsePattern(text, grammar{variables: variables})
	if reason == "" && !p.variables && !strings.EqualFold(text, "true") && !strings.EqualFold(text, "false") {
		reason = quoted(text) + " is not true or false"
	}
	return boolTest{p}, reason
}

// binaryTest compares base64 in its canonical form, so neither side is decoded later.
type binaryTest string

func (t binaryTest) holds(_ *evaluation, value string) outcome { return outcomeOf(value == string(t)) }

func parseBinary(text string, _ bool) (test, string) {
	decoded, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, quoted(text) + " is not base64"
	}
	return binaryTest(base64.StdEncoding.EncodeToString(decoded)), ""
}

type addressTest struct{ netip.Prefix }

func (t addressTest) holds(_ *evaluation, value string) outcome {
	a, err := netip.ParseAddr(value)
	return outcomeOf(err == nil && t.Contains(a.Unmap().WithZone("")))
}

func parseAddress(text string, _ bool) (test, string) {
	a, err := netip.ParseAddr(text)
	if err == nil && a.Zone() == "" {
		a = a.Unmap()
		return addressTest{netip.PrefixFrom(a, a.BitLen())}, ""
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return nil, quoted(text) + " is no address; write 203.0.113.7, 203.0.113.0/24 or 2001:db8::/32"
	}
	return addressTest{p.Masked()}, ""
}

type arnTest struct{ arnPattern }

func (t *arnTest) holds(e *evaluation, value string) outcome {
	a := splitARN(value)
	return e.matchARN(&t.arnPattern, &a)
}

func parseARNTest(text string, variables bool) (test, string) {
	p, reason := parseARNPattern(text, grammar{wildcards: true, variables: variables})
	return &arnTest{p}, reason
}

// nullTest says whether the key must be absent.
type nullTest bool

func (t nullTest) holds(_ *evaluation, _ string) outcome { return outcomeOf(bool(t)) }

func parseNull(text string, _ bool) (test, string) {
	if !strings.EqualFold(text, "true") && !strings.EqualFold(text, "false") {
		return nil, quoted(text) + " is not true (the key is absent) or false (it is there)"
	}
	return nullTest(strings.EqualFold(text, "true")), ""
}
