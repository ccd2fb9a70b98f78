package policy

import (
	"strings"
	"unicode/utf8"
)

// pieceKind is the kind of one piece of a pattern.
type pieceKind uint8

const (
	literal  pieceKind = iota // text as it stands
	anyRun                    // *: any characters, or none
	anyOne                    // ?: one character
	variable                  // ${key}: the value of a key of the request
)

// piece is a part of a pattern. Text is what a literal says, or the key of a variable in
// lower case.
type piece struct {
	kind        pieceKind
	text        string
	fallback    string // of a variable: the default
	hasFallback bool
}

// pattern is a text with wildcards and variables, cut into pieces once.
type pattern struct {
	pieces    []piece
	variables bool
}

// grammar says what a text may have that is not itself.
type grammar struct{ wildcards, variables bool }

// parsePattern cuts a text into pieces. The reason is what is wrong with it, or "".
func parsePattern(text string, g grammar) (p pattern, reason string) {
	for text != "" {
		var one piece
		switch {
		case g.variables && strings.HasPrefix(text, "${"):
			inside, rest, closed := strings.Cut(text[2:], "}")
			if !closed {
				return p, "the variable has no closing brace; write ${key} or ${key, 'default'}"
			}
			if one, reason = parseVariable(inside); reason != "" {
				return p, reason
			}
			p.variables = p.variables || one.kind == variable
			text = rest
		case g.wildcards && text[0] == '*':
			one, text = piece{kind: anyRun}, text[1:]
		case g.wildcards && text[0] == '?':
			one, text = piece{kind: anyOne}, text[1:]
		default:
			end := literalEnd(text, g)
			one, text = piece{text: text[:end]}, text[end:]
		}
		p.add(one)
	}
	return p, ""
}

// literalEnd returns how much of a text, at least one byte, is itself.
func literalEnd(text string, g grammar) int {
	for i := 1; i < len(text); i++ {
		if g.wildcards && (text[i] == '*' || text[i] == '?') || g.variables && strings.HasPrefix(text[i:], "${") {
			return i
		}
	}
	return len(text)
}

// add appends a piece, joined to the one before where that means the same.
func (p *pattern) add(one piece) {
	if n := len(p.pieces); n > 0 {
		last := &p.pieces[n-1]
		switch {
		case one.kind == literal && last.kind == literal:
			last.text += one.text
			return
		case one.kind == anyRun && last.kind == anyRun:
			return
		}
	}
	p.pieces = append(p.pieces, one)
}

// parseVariable reads what stands between ${ and }.
func parseVariable(inside string) (piece, string) {
	if inside == "*" || inside == "?" || inside == "$" {
		return piece{text: inside}, ""
	}
	key, fallback, hasFallback := strings.Cut(inside, ",")
	key, fallback = strings.TrimSpace(key), strings.TrimSpace(fallback)
	if reason := keyReason(key); reason != "" {
		return piece{}, reason
	}
	if hasFallback {
		quotes := len(fallback) >= 2 && fallback[0] == '\'' && fallback[len(fallback)-1] == '\''
		if !quotes || strings.Contains(fallback[1:len(fallback)-1], "'") {
			return piece{}, "the default of a variable stands in single quotes: ${key, 'default'}"
		}
		fallback = fallback[1 : len(fallback)-1]
	}
	return piece{kind: variable, text: strings.ToLower(key), fallback: fallback, hasFallback: hasFallback}, ""
}

// keyReason says what is wrong with the name of a key, or "".
func keyReason(key string) string {
	service, name, ok := strings.Cut(key, ":")
	if !ok || service == "" || name == "" || strings.ContainsAny(service, " *?${}'\"") || strings.ContainsAny(name, "*?${}'\"") {
		return quoted(key) + " is not the name of a key; write SERVICE:NAME, such as aws:username"
	}
	return ""
}

// lone says whether the pattern is * and nothing else.
func (p *pattern) lone() bool { return len(p.pieces) == 1 && p.pieces[0].kind == anyRun }

// resolve puts the values of the request in place of the variables, as literals: a value
// never acts as a wildcard. It reports false when one has no value. The pieces are good
// until the next call.
func (e *evaluation) resolve(p *pattern) ([]piece, bool) {
	if !p.variables {
		return p.pieces, true
	}
	e.scratch = e.scratch[:0]
	for i := range p.pieces {
		one := &p.pieces[i]
		if one.kind != variable {
			e.scratch = append(e.scratch, *one)
			continue
		}
		value, ok := e.variable(one)
		if !ok {
			return nil, false
		}
		e.scratch = append(e.scratch, piece{text: value})
	}
	return e.scratch, true
}

// variable returns the value of a variable. A key of several values has none: which of
// them is meant cannot be said, and the default is for keys that are absent.
func (e *evaluation) variable(v *piece) (string, bool) {
	switch values := e.lookup(v.text); len(values) {
	case 0:
		return v.fallback, v.hasFallback
	case 1:
		return values[0], true
	}
	return "", false
}

// matches says whether a text is what the pieces describe. On a mismatch it goes back to
// the last * only, so the time is at most the product of both lengths, and their sum
// where no ? stands behind a *.
func matches(pieces []piece, text string) bool {
	// Most patterns are a text, a *, or a text and a *.
	switch {
	case len(pieces) == 1 && pieces[0].kind == literal:
		return text == pieces[0].text
	case len(pieces) == 2 && pieces[0].kind == literal && pieces[1].kind == anyRun:
		return strings.HasPrefix(text, pieces[0].text)
	}
	return search(pieces, text)
}

func search(pieces []piece, text string) bool {
	i, at := 0, 0
	star, mark := -1, 0 // the piece behind the last *, and where in the text it is tried
	for {
		if i < len(pieces) && pieces[i].kind == anyRun {
			if i++; i == len(pieces) {
				return true
			}
			star, mark = i, ahead(pieces[i], text, at)
			at = mark
		} else if i == len(pieces) && at == len(text) {
			return true
		} else if width, ok := step(pieces, i, text[at:]); ok {
			i, at = i+1, at+width
		} else if star < 0 || mark >= len(text) {
			return false
		} else {
			_, width := utf8.DecodeRuneInString(text[mark:])
			i, mark = star, ahead(pieces[star], text, mark+width)
			at = mark
		}
		if at < 0 {
			return false
		}
	}
}

// step matches the next piece, which is not *, at the start of a text.
func step(pieces []piece, i int, text string) (width int, ok bool) {
	if i == len(pieces) {
		return 0, false
	}
	one := &pieces[i]
	if one.kind == anyOne {
		_, width = utf8.DecodeRuneInString(text)
		return width, width > 0
	}
	return len(one.text), strings.HasPrefix(text, one.text)
}

// ahead returns the first place from at on where a literal stands, -1 when there is none.
func ahead(one piece, text string, at int) int {
	if one.kind != literal {
		return at
	}
	next := strings.Index(text[at:], one.text)
	if next < 0 {
		return -1
	}
	return at + next
}
