package policy

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// nodeKind is the kind of a JSON value.
type nodeKind uint8

const (
	nullNode nodeKind = iota
	boolNode
	numberNode
	textNode
	listNode
	objectNode
)

// String names the kind in messages.
func (k nodeKind) String() string {
	return [...]string{"null", "a boolean", "a number", "a string", "a list", "an object"}[k]
}

// node is a JSON value that knows where it stands.
type node struct {
	kind       nodeKind
	start, end int    // offsets in bytes, end exclusive
	path       string // Statement[0].Action
	text       string // a string decoded; a number or boolean as written
	members    []member
	items      []node
}

// member is a name in an object with its value.
type member struct {
	name  string
	at    int
	value node
}

// maxDepth is how deep lists and objects may nest: a condition's value is the sixth level.
const maxDepth = 8

// reader reads one JSON text (RFC 8259). encoding/json is not used because it takes the
// last of two members of one name and says nothing of lines.
type reader struct {
	text  string
	at    int
	depth int
}

// read returns the value that the whole text is.
func read(text string) (node, *Error) {
	r := &reader{text: text}
	if at := invalid(text); at < len(text) {
		return node{}, r.refuse(at, "", "the text is not UTF-8")
	}
	n, err := r.value("")
	if err != nil {
		return node{}, err
	}
	r.space()
	if r.at < len(text) {
		return node{}, r.refuse(r.at, "", "%s after the end of the document", r.found())
	}
	return n, nil
}

// invalid returns the offset of the first byte that is not UTF-8, or the length.
func invalid(text string) int {
	for at := 0; at < len(text); {
		c, size := utf8.DecodeRuneInString(text[at:])
		if c == utf8.RuneError && size == 1 {
			return at
		}
		at += size
	}
	return len(text)
}

func (r *reader) refuse(at int, path, format string, args ...any) *Error {
	return refusal(r.text, at, path, format, args...)
}

// found is what stands at the current place, for messages.
func (r *reader) found() string {
	if r.at >= len(r.text) {
		return "the end of the text"
	}
	c, _ := utf8.DecodeRuneInString(r.text[r.at:])
	return strconv.QuoteRune(c)
}

func (r *reader) space() {
	for r.at < len(r.text) && strings.IndexByte(" \t\r\n", r.text[r.at]) >= 0 {
		r.at++
	}
}

// take goes over c if it comes next.
func (r *reader) take(c byte) bool {
	r.space()
	if r.at < len(r.text) && r.text[r.at] == c {
		r.at++
		return true
	}
	return false
}

func (r *reader) value(path string) (node, *Error) {
	r.space()
	n := node{start: r.at, path: path}
	if r.at >= len(r.text) {
		return n, r.refuse(r.at, path, "the text ends where a value should be")
	}
	var err *Error
	switch c := r.text[r.at]; {
	case c == '{':
		n.kind = objectNode
		err = r.object(&n)
	case c == '[':
		n.kind = listNode
		err = r.list(&n)
	case c == '"':
		n.kind = textNode
		n.text, err = r.string(path)
	case c == '-' || '0' <= c && c <= '9':
		n.kind = numberNode
		err = r.number(&n)
	default:
		err = r.word(&n)
	}
	n.end = r.at
	return n, err
}

// word reads true, false and null.
func (r *reader) word(n *node) *Error {
	for text, kind := range map[string]nodeKind{"true": boolNode, "false": boolNode, "null": nullNode} {
		if strings.HasPrefix(r.text[r.at:], text) {
			n.kind, n.text = kind, text
			r.at += len(text)
			return nil
		}
	}
	return r.refuse(r.at, n.path, "%s where a value should be; strings stand in double quotes", r.found())
}

// enter counts the levels of nesting.
func (r *reader) enter(n *node) *Error {
	r.at++
	if r.depth++; r.depth > maxDepth {
		return r.refuse(n.start, n.path, "lists and objects nest deeper than %d levels", maxDepth)
	}
	return nil
}

func (r *reader) object(n *node) *Error {
	if err := r.enter(n); err != nil {
		return err
	}
	defer func() { r.depth-- }()
	if r.take('}') {
		return nil
	}
	seen := map[string]bool{}
	for {
		m, err := r.member(n.path, seen)
		if err != nil {
			return err
		}
		n.members = append(n.members, m)
		if r.take('}') {
			return nil
		}
		if !r.take(',') {
			return r.refuse(r.at, n.path, "%s where a comma or } should be", r.found())
		}
	}
}

func (r *reader) member(path string, seen map[string]bool) (member, *Error) {
	r.space()
	m := member{at: r.at}
	if r.at >= len(r.text) || r.text[r.at] != '"' {
		return m, r.refuse(r.at, path, "%s where a name in double quotes should be", r.found())
	}
	var err *Error
	if m.name, err = r.string(path); err != nil {
		return m, err
	}
	inner := memberPath(path, m.name)
	if seen[m.name] {
		return m, r.refuse(m.at, inner, "%s stands twice in the same object", quoted(m.name))
	}
	seen[m.name] = true
	if !r.take(':') {
		return m, r.refuse(r.at, inner, "%s where a colon should be", r.found())
	}
	m.value, err = r.value(inner)
	return m, err
}

func (r *reader) list(n *node) *Error {
	if err := r.enter(n); err != nil {
		return err
	}
	defer func() { r.depth-- }()
	if r.take(']') {
		return nil
	}
	for {
		item, err := r.value(elementPath(n.path, len(n.items)))
		if err != nil {
			return err
		}
		n.items = append(n.items, item)
		if r.take(']') {
			return nil
		}
		if !r.take(',') {
			return r.refuse(r.at, n.path, "%s where a comma or ] should be", r.found())
		}
	}
}

// number takes -?int frac? exp? as RFC 8259 writes it.
func (r *reader) number(n *node) *Error {
	rest := r.text[r.at:]
	long := strings.IndexFunc(rest, func(c rune) bool { return !strings.ContainsRune("+-.eE0123456789", c) })
	if long < 0 {
		long = len(rest)
	}
	n.text = rest[:long]
	digits := strings.TrimPrefix(n.text, "-")
	leadingZero := len(digits) > 1 && digits[0] == '0' && '0' <= digits[1] && digits[1] <= '9'
	if _, ok := parseNumber(n.text); !ok || leadingZero {
		return r.refuse(n.start, n.path, "%s is not a number", quoted(n.text))
	}
	r.at += long
	return nil
}

// string reads a string and decodes its escapes.
func (r *reader) string(path string) (string, *Error) {
	start := r.at
	r.at++
	var out strings.Builder
	for r.at < len(r.text) {
		switch c := r.text[r.at]; {
		case c == '"':
			r.at++
			return out.String(), nil
		case c < ' ':
			return "", r.refuse(r.at, path, "a control character in a string; write \\n or \\u00XX")
		case c == '\\':
			decoded, err := r.escape(path)
			if err != nil {
				return "", err
			}
			out.WriteRune(decoded)
		default:
			out.WriteByte(c)
			r.at++
		}
	}
	return "", r.refuse(start, path, "the string has no closing double quote")
}

var escapes = map[byte]rune{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

func (r *reader) escape(path string) (rune, *Error) {
	start := r.at
	if r.at+1 < len(r.text) {
		if c, ok := escapes[r.text[r.at+1]]; ok {
			r.at += 2
			return c, nil
		}
	}
	c, ok := r.unit()
	if ok && utf16.IsSurrogate(c) {
		var low rune
		low, ok = r.unit()
		c = utf16.DecodeRune(c, low)
		ok = ok && c != utf8.RuneError
	}
	if !ok {
		return 0, r.refuse(start, path, "an escape that JSON does not have; a backslash is written \\\\")
	}
	return c, nil
}

// unit reads one \uXXXX.
func (r *reader) unit() (rune, bool) {
	if r.at+6 > len(r.text) || r.text[r.at] != '\\' || r.text[r.at+1] != 'u' {
		return 0, false
	}
	c, err := strconv.ParseUint(r.text[r.at+2:r.at+6], 16, 16)
	if err != nil {
		return 0, false
	}
	r.at += 6
	return rune(c), true
}
