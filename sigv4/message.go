package sigv4

import (
	"net/http"
	"strconv"
	"strings"
)

// message is a request as it stands on the wire, which net/http does not quite keep:
// it moves Host, Transfer-Encoding and sometimes Content-Length out of the header map
// and decodes the request target.
type message struct {
	method   string
	path     string // escaped, as received
	query    string // raw, as received
	host     string
	absolute bool // the target was a whole URL; net/http then drops the Host header
	header   http.Header
	coding   []string // Transfer-Encoding
	length   int64
}

// received takes a request that net/http read.
func received(r *http.Request) message {
	m := outgoing(r)
	if r.RequestURI != "" {
		m.setTarget(r.RequestURI)
	}
	return m
}

// outgoing takes a request that was built to be sent.
func outgoing(r *http.Request) message {
	m := message{method: r.Method, path: r.URL.EscapedPath(), query: r.URL.RawQuery, host: r.Host,
		header: r.Header, coding: r.TransferEncoding, length: r.ContentLength}
	if r.URL.Opaque != "" {
		m.path = opaquePath(r.URL.Opaque)
	}
	if m.host == "" {
		m.host = r.URL.Host
	}
	return m
}

// opaquePath is the path of "//host/path", the form of url.URL.Opaque that net/http
// sends as it is.
func opaquePath(opaque string) string {
	rest := strings.TrimPrefix(opaque, "//")
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		return rest[i:]
	}
	return ""
}

// setTarget splits a request target in origin or absolute form (RFC 9112 section 3.2).
// r.URL is no substitute: EscapedPath writes some characters differently than received.
func (m *message) setTarget(target string) {
	target, m.query, _ = strings.Cut(target, "?")
	if !strings.HasPrefix(target, "/") {
		if _, rest, ok := strings.Cut(target, "://"); ok {
			m.absolute = true
			target = ""
			if i := strings.IndexByte(rest, '/'); i >= 0 {
				target = rest[i:]
			}
		}
	}
	m.path = target
}

// hosts are the values the signer may have used for Host: the one received, never one
// rebuilt from the listener. In absolute form only the URL's authority is left, which
// holds a default port that signers leave out of the header.
func (m *message) hosts() variants {
	v := only(m.host)
	if m.absolute {
		for _, port := range []string{":443", ":80"} {
			if h, ok := strings.CutSuffix(m.host, port); ok {
				v.add(h)
			}
		}
	}
	return v
}

// values returns the values of a header by its lower-case name. Host is left to the
// caller, who knows which of its forms is meant.
func (m *message) values(name string) []string {
	var buf [64]byte
	if v := m.header[string(canonicalName(buf[:0], name))]; len(v) > 0 {
		return v
	}
	switch name {
	case "transfer-encoding":
		return m.coding
	case "content-length":
		if m.length > 0 {
			return []string{strconv.FormatInt(m.length, 10)}
		}
	}
	return nil
}

// canonicalName appends name in the spelling of the keys of http.Header. Unlike
// textproto.CanonicalMIMEHeaderKey it costs no allocation for names net/http does not
// know, and a name that is no token simply finds nothing.
func canonicalName(b []byte, name string) []byte {
	up := true
	for i := range len(name) {
		c := name[i]
		if up && 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		b = append(b, c)
		up = c == '-'
	}
	return b
}

// one returns the only value of a header, "" if there is none. Two values for one of
// the signature's own headers are refused: nobody could say which was meant.
func (m *message) one(name string) (string, error) {
	v := m.values(name)
	switch len(v) {
	case 0:
		return "", nil
	case 1:
		return v[0], nil
	}
	return "", refuse(IncompleteSignature, "The request has %d %s headers; it must have one.", len(v), name)
}

// variants are the forms one part of a canonical request may have, likeliest first.
type variants struct {
	text [4]string
	n    int
}

func only(s string) variants { return variants{text: [4]string{s}, n: 1} }

// add adds a form unless it is there already.
func (v *variants) add(s string) {
	for _, t := range v.all() {
		if t == s {
			return
		}
	}
	v.text[v.n] = s
	v.n++
}

func (v *variants) all() []string { return v.text[:v.n] }
