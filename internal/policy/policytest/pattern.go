package policytest

import "strings"

// sign is one character of a pattern. Inner ones come from a variable.
type sign struct {
	char  rune
	wild  bool // * or ? as a wildcard
	inner bool
}

func signs(text string, wildcards bool) (out []sign) {
	for _, c := range text {
		out = append(out, sign{char: c, wild: wildcards && (c == '*' || c == '?')})
	}
	return out
}

// fill puts values in place of variables. It reports false when one has none.
func (s statement) fill(text string, wildcards bool) (out []sign, known bool) {
	known = true
	for s.variables {
		before, after, found := strings.Cut(text, "${")
		if !found {
			break
		}
		name, rest, _ := strings.Cut(after, "}")
		out = append(out, signs(before, wildcards)...)
		value, ok := s.value(name)
		for _, c := range value {
			out = append(out, sign{char: c, inner: true})
		}
		known = known && ok
		text = rest
	}
	return append(out, signs(text, wildcards)...), known
}

func (s statement) value(name string) (string, bool) {
	if len(name) == 1 {
		return name, true
	}
	key, fallback, has := strings.Cut(name, ",")
	values := s.q.Keys[strings.ToLower(strings.TrimSpace(key))]
	if len(values) == 1 {
		return values[0], true
	}
	return strings.Trim(strings.TrimSpace(fallback), "'"), has && len(values) == 0
}

// wild matches by trying everything.
func wild(p []sign, text []rune) bool {
	switch {
	case len(p) == 0:
		return len(text) == 0
	case p[0].wild && p[0].char == '*':
		return wild(p[1:], text) || len(text) > 0 && wild(p, text[1:])
	case len(text) == 0:
		return false
	case p[0].wild || p[0].char == text[0]:
		return wild(p[1:], text[1:])
	}
	return false
}

// arnLike matches the six parts of an ARN one by one; * alone is everything.
func arnLike(p []sign, text string) bool {
	all := len(p) > 0
	for _, c := range p {
		all = all && c.wild && c.char == '*'
	}
	if all {
		return true
	}
	parts := strings.SplitN(text, ":", 6)
	if len(parts) < 6 {
		return false
	}
	for i := 0; i < 5; i++ {
		colon := 0
		for p[colon].char != ':' || p[colon].inner {
			colon++
		}
		if !wild(p[:colon], []rune(parts[i])) {
			return false
		}
		p = p[colon+1:]
	}
	return wild(p, []rune(parts[5]))
}

func plain(p []sign) string {
	var b strings.Builder
	for _, c := range p {
		b.WriteRune(c.char)
	}
	return b.String()
}
