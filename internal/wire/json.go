package wire

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// The functions of this file walk over bytes that [json.Valid] has accepted, so they
// need no errors of syntax of their own and never recurse.

// space returns the index of the first byte from i on that is not white space.
func space(raw []byte, i int) int {
	for i < len(raw) && (raw[i] == ' ' || raw[i] == '\t' || raw[i] == '\n' || raw[i] == '\r') {
		i++
	}
	return i
}

// end returns the index after the JSON value that begins at i.
func end(raw []byte, i int) int {
	for depth := 0; i < len(raw); {
		switch raw[i] {
		case '"':
			i = endString(raw, i)
		case '{', '[':
			depth++
			i++
			continue
		case '}', ']':
			depth--
			i++
		case ',', ':', ' ', '\t', '\n', '\r':
			i++
			continue
		default:
			i = endWord(raw, i)
		}
		if depth == 0 {
			return i
		}
	}
	return i
}

func endString(raw []byte, i int) int {
	for i++; raw[i] != '"'; i++ {
		if raw[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// endWord returns the index after a number, true, false or null.
func endWord(raw []byte, i int) int {
	for i < len(raw) {
		switch raw[i] {
		case ',', ':', '}', ']', ' ', '\t', '\n', '\r':
			return i
		}
		i++
	}
	return i
}

// members calls f for every member of the object raw until one fails.
func members(raw []byte, f func(name string, value []byte) *CheckError) *CheckError {
	for i := space(raw, 1); raw[i] != '}'; {
		nameEnd := endString(raw, i)
		name := unquote(raw[i:nameEnd])
		i = space(raw, space(raw, nameEnd)+1) // past the colon
		valueEnd := end(raw, i)
		if e := f(name, raw[i:valueEnd]); e != nil {
			return e
		}
		i = next(raw, valueEnd)
	}
	return nil
}

// elements calls f for every element of the array raw until one fails.
func elements(raw []byte, f func(value []byte) *CheckError) *CheckError {
	if raw[0] != '[' {
		return broken(quoted(kindOf(raw)), "Member must be a list")
	}
	n := 0
	for i := space(raw, 1); raw[i] != ']'; n++ {
		valueEnd := end(raw, i)
		if e := f(raw[i:valueEnd]); e != nil {
			return e.in(index(n))
		}
		i = next(raw, valueEnd)
	}
	return nil
}

// next returns the index of the next member or element, or of the closing bracket.
func next(raw []byte, i int) int {
	i = space(raw, i)
	if raw[i] == ',' {
		i = space(raw, i+1)
	}
	return i
}

func unquote(raw []byte) string {
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return string(raw)
	}
	return s
}

func isNull(raw []byte) bool   { return raw[0] == 'n' }
func isNumber(raw []byte) bool { return raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9' }

// kindOf is what errors show of a value of the wrong type: scalars as they are, the
// others by their brackets, since they may hold something sensitive.
func kindOf(raw []byte) string {
	switch raw[0] {
	case '{':
		return "{...}"
	case '[':
		return "[...]"
	case '"':
		return "..."
	}
	return string(raw)
}

// appendString writes s as a JSON string. It escapes only what JSON requires: some
// producers copy strings raw and would take "\/" or "\u003c" for part of a URL.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += n
			continue
		}
		b = appendASCII(b, c)
		i++
	}
	return append(b, '"')
}

func appendASCII(b []byte, c byte) []byte {
	switch {
	case c == '"' || c == '\\':
		return append(b, '\\', c)
	case c == '\n':
		return append(b, '\\', 'n')
	case c == '\r':
		return append(b, '\\', 'r')
	case c == '\t':
		return append(b, '\\', 't')
	case c < ' ':
		return fmt.Appendf(b, `\u%04x`, c)
	}
	return append(b, c)
}
