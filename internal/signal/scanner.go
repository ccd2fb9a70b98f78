package signal

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner goes once over a JSON text (RFC 8259) and keeps nothing but places in it.
type scanner struct {
	text []byte
	at   int
	deep bool // it gave up because of the depth
}

func (p *scanner) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

// take goes over c if it is next.
func (p *scanner) take(c byte) bool {
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

// object reads the text from here to its end as an object, and its members into m.
func (p *scanner) object(m *members) bool {
	ok := p.members(1, func(name []byte) bool {
		start := p.at
		if !p.value(2) {
			return false
		}
		v := value{raw: p.text[start:p.at]}
		if v.raw[0] == '"' {
			v = value{raw: v.raw[1 : len(v.raw)-1], text: true}
		}
		// A null is as if the member were not there.
		if to := m.member(name); to != nil && (v.text || string(v.raw) != "null") {
			*to = &v
		}
		return true
	})
	p.space()
	return ok && p.at == len(p.text)
}

// members reads an object, and each value by calling read at its first byte.
func (p *scanner) members(depth int, read func(name []byte) bool) bool {
	return p.list(depth, '{', '}', func() bool {
		start := p.at
		if !p.string() {
			return false
		}
		name := p.name(start)
		p.space()
		if !p.take(':') {
			return false
		}
		p.space()
		return read(name)
	})
}

// name returns the text of the string that began at start, nothing if it is longer than
// any name that we know.
func (p *scanner) name(start int) []byte {
	const longest = 6 * len("recipientClientId")
	if p.at-start-2 > longest {
		return nil
	}
	return unescape(p.text[start+1 : p.at-1])
}

// list reads what is between two brackets with commas in it.
func (p *scanner) list(depth int, from, to byte, each func() bool) bool {
	if depth > MaxDepth {
		p.deep = true
		return false
	}
	if !p.take(from) {
		return false
	}
	p.space()
	if p.take(to) {
		return true
	}
	for {
		if !each() {
			return false
		}
		p.space()
		if p.take(to) {
			return true
		}
		if !p.take(',') {
			return false
		}
		p.space()
	}
}

// value goes over any value that is at the given depth.
func (p *scanner) value(depth int) bool {
	if p.at == len(p.text) {
		return false
	}
	switch p.text[p.at] {
	case '"':
		return p.string()
	case '{':
		return p.members(depth, func([]byte) bool { return p.value(depth + 1) })
	case '[':
		return p.list(depth, '[', ']', func() bool { return p.value(depth + 1) })
	case 't':
		return p.word("true")
	case 'f':
		return p.word("false")
	case 'n':
		return p.word("null")
	}
	return p.number()
}

func (p *scanner) word(w string) bool {
	if !bytes.HasPrefix(p.text[p.at:], []byte(w)) {
		return false
	}
	p.at += len(w)
	return true
}

func (p *scanner) number() bool {
	p.take('-')
	if !p.take('0') && !p.digits() {
		return false
	}
	if p.take('.') && !p.digits() {
		return false
	}
	if p.take('e') || p.take('E') {
		if !p.take('+') {
			p.take('-')
		}
		return p.digits()
	}
	return true
}

func (p *scanner) digits() bool {
	start := p.at
	for p.at < len(p.text) && '0' <= p.text[p.at] && p.text[p.at] <= '9' {
		p.at++
	}
	return p.at > start
}

// string goes over a string, so that unescape has nothing left to check.
func (p *scanner) string() bool {
	if !p.take('"') {
		return false
	}
	for p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		switch {
		case c == '"':
			return true
		case c < ' ':
			return false
		case c == '\\' && !p.escape():
			return false
		}
	}
	return false
}

func (p *scanner) escape() bool {
	if p.at == len(p.text) {
		return false
	}
	c := p.text[p.at]
	p.at++
	if c != 'u' {
		return escaped(c) != 0
	}
	if p.at+4 > len(p.text) {
		return false
	}
	_, ok := hex4(p.text[p.at:])
	p.at += 4
	return ok
}

// escaped is what stands for a backslash and c, 0 if nothing does.
func escaped(c byte) byte {
	switch c {
	case '"', '\\', '/':
		return c
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return 0
}

func hex4(s []byte) (rune, bool) {
	var r rune
	for _, c := range s[:4] {
		switch c = lower(c); {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// unescape returns the text of a string that the scanner went over. Half a pair of
// surrogates becomes the replacement character.
func unescape(raw []byte) []byte {
	i := bytes.IndexByte(raw, '\\')
	if i < 0 {
		return raw
	}
	out := append(make([]byte, 0, len(raw)), raw[:i]...)
	for i < len(raw) {
		c := raw[i]
		switch {
		case c != '\\':
			out = append(out, c)
			i++
		case raw[i+1] != 'u':
			out = append(out, escaped(raw[i+1]))
			i += 2
		default:
			r, n := unicodeEscape(raw[i:])
			out = utf8.AppendRune(out, r)
			i += n
		}
	}
	return out
}

// unicodeEscape reads one escape, or the two of a pair of surrogates.
func unicodeEscape(s []byte) (rune, int) {
	r, _ := hex4(s[2:])
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if len(s) >= 12 && s[6] == '\\' && s[7] == 'u' {
		low, _ := hex4(s[8:])
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return utf8.RuneError, 6
}
