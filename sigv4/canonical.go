package sigv4

import (
	"slices"
	"strings"
)

const hexDigits = "0123456789ABCDEF"

// unreserved reports whether c stands for itself in a canonical URI (RFC 3986
// section 2.3).
func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

// escapePath escapes an escaped path once more. Every service but S3 signs paths so:
// "/a%20b" becomes "/a%2520b".
func escapePath(path string) string {
	if path == "" {
		return "/"
	}
	plain := func(c byte) bool { return unreserved(c) || c == '/' }
	return escape(path, plain)
}

// escape writes every byte for which plain is false as %XX.
func escape(s string, plain func(byte) bool) string {
	n := 0
	for i := range len(s) {
		if !plain(s[i]) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	b := make([]byte, 0, len(s)+2*n)
	for i := range len(s) {
		if c := s[i]; plain(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return string(b)
}

// joinSlashes removes empty segments as botocore and the JavaScript SDK do before they
// escape; aws-sdk-go-v2 and the C producers sign the path as it is. The former remove
// dot segments too, and slashes at the end. We do not, because then two targets that
// differ in one bit would sign alike: "/a/./b" like "/a///b", "/a//" like "/a/?". No
// path we serve has any of these.
func joinSlashes(path string) string {
	if !strings.Contains(path, "//") || strings.Contains(path, "/.") || strings.HasSuffix(path, "//") {
		return path
	}
	b := make([]byte, 0, len(path))
	for i := range len(path) {
		if c := path[i]; c != '/' || i == 0 || path[i-1] != '/' {
			b = append(b, c)
		}
	}
	return string(b)
}

// paths are the canonical URIs a signer may have used for an escaped path.
func paths(path string) variants {
	v := only(escapePath(path))
	v.add(escapePath(joinSlashes(path)))
	return v
}

// param is one name=value of a query, both escaped as received.
type param struct{ name, value string }

// splitQuery splits a raw query. Nothing is unescaped: names and values are signed in
// the spelling they travel in, so that no byte can change unnoticed.
func splitQuery(raw string) []param {
	if raw == "" {
		return nil
	}
	params := make([]param, 0, 1+strings.Count(raw, "&"))
	for s := range strings.SplitSeq(raw, "&") {
		if s == "" {
			continue
		}
		name, value, _ := strings.Cut(s, "=")
		params = append(params, param{name, value})
	}
	return params
}

// queryText sorts params by name and value and joins them.
func queryText(params []param) string {
	if len(params) == 0 {
		return ""
	}
	slices.SortFunc(params, func(x, y param) int {
		if c := strings.Compare(x.name, y.name); c != 0 {
			return c
		}
		return strings.Compare(x.value, y.value)
	})
	n := 0
	for _, p := range params {
		n += len(p.name) + len(p.value) + 2
	}
	b := make([]byte, 0, n)
	for _, p := range params {
		b = append(append(b, p.name...), '=')
		b = append(append(b, p.value...), '&')
	}
	return string(b[:len(b)-1])
}

// escapeParams escapes what a client left unescaped in params, as signers that decode
// and encode do. A plus sign is a space, for them and for the handlers of net/http.
// Escapes that are there stay as they are spelled.
func escapeParams(params []param) []param {
	out := make([]param, len(params))
	for i, p := range params {
		out[i] = param{escapeRest(p.name), escapeRest(p.value)}
	}
	return out
}

func escapeRest(s string) string {
	plain := func(c byte) bool { return unreserved(c) || c == '%' }
	return escape(strings.ReplaceAll(s, "+", " "), plain)
}

// appendHeader appends one line of the canonical headers: values joined by commas,
// trimmed, inner white space folded to one space.
func appendHeader(b []byte, name string, values ...string) []byte {
	b = append(append(b, name...), ':')
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendFolded(b, v)
	}
	return append(b, '\n')
}

func appendFolded(b []byte, v string) []byte {
	gap, start := false, len(b)
	for i := range len(v) {
		switch c := v[i]; {
		case c == ' ' || c == '\t':
			gap = true
		default:
			if gap && len(b) > start {
				b = append(b, ' ')
			}
			gap = false
			b = append(b, c)
		}
	}
	return b
}

// form is one way to write a request down for signing.
type form struct{ path, query, host, payload string }

// appendCanonical appends the canonical request of m.
func (m *message) appendCanonical(b []byte, f form, signed []string) []byte {
	b = append(append(b, m.method...), '\n')
	b = append(append(b, f.path...), '\n')
	b = append(append(b, f.query...), '\n')
	for _, name := range signed {
		if name == "host" {
			b = appendHeader(b, name, f.host)
		} else {
			b = appendHeader(b, name, m.values(name)...)
		}
	}
	for i, name := range signed {
		b = append(b, "\n;"[min(i, 1)])
		b = append(b, name...)
	}
	return append(append(b, '\n'), f.payload...)
}
