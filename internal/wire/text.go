package wire

import (
	"encoding/json"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"
)

// textRule are the constraints of a string. The zero value allows everything.
type textRule struct {
	min, max  int // characters; max 0 = unbounded
	pattern   func() *regexp.Regexp
	source    string   // of the pattern, as the model writes it
	values    []string // when not nil, the only ones allowed
	sensitive bool     // errors must not repeat the value
}

// compiled compiles a pattern of the models when it is first used. They are written
// for Java's matches, so they must cover the whole text whether or not they say so.
func compiled(source string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`\A(?:` + source + `)\z`)
	})
}

// show is a value as errors may repeat it.
func (r *textRule) show(s string) string {
	if r.sensitive {
		return "'***'"
	}
	return quoted(s)
}

// check tests one string. Lengths are in characters, as in the SDKs.
func (r *textRule) check(s string) *CheckError {
	n := utf8.RuneCountInString(s)
	switch {
	case n < r.min:
		return broken(r.show(s), "Member must have length greater than or equal to %d", r.min)
	case r.max > 0 && n > r.max:
		return broken(r.show(s), "Member must have length less than or equal to %d", r.max)
	case r.pattern != nil && !r.pattern().MatchString(s):
		return broken(r.show(s), "Member must satisfy regular expression pattern: %s", r.source)
	case r.values != nil && !contains(r.values, s):
		return broken(r.show(s), "Member must satisfy enum value set: [%s]", strings.Join(r.values, ", "))
	}
	return nil
}

func contains(values []string, s string) bool {
	for _, v := range values {
		if v == s {
			return true
		}
	}
	return false
}

// decode reads a JSON string.
func (r *textRule) decode(raw []byte) (string, *CheckError) {
	if raw[0] != '"' {
		return "", broken(r.show(kindOf(raw)), "Member must be a string")
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", broken(r.show(string(raw)), "Member must be a string")
	}
	return s, nil
}

// text is a string member.
type text struct {
	p    **string
	rule *textRule
}

func (t text) present() bool      { return *t.p != nil }
func (t text) check() *CheckError { return t.rule.check(**t.p) }

func (t text) decode(raw []byte) *CheckError {
	s, e := t.rule.decode(raw)
	if e == nil {
		*t.p = &s
	}
	return e
}

func (t text) append(b []byte, _ bool) []byte { return appendString(b, **t.p) }
