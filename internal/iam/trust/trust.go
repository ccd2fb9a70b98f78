// Package trust exchanges principals in the text of a trust policy and leaves every other byte as its author wrote it.
package trust

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strings"
)

// Rewrite returns the text with each AWS principal replaced by what exchange makes of it:
// the strings of the member AWS of Principal and NotPrincipal of all statements. The text
// must be a policy that parses. The first error of exchange ends it.
func Rewrite(text string, exchange func(principal string) (string, error)) (string, error) {
	found, err := principals(text)
	if err != nil {
		return "", err
	}
	for _, p := range slices.Backward(found) { // from the end: what stands before keeps its place
		other, err := exchange(p.value)
		if err != nil {
			return "", err
		}
		if other == p.value {
			continue
		}
		quoted, err := json.Marshal(other)
		if err != nil {
			return "", err
		}
		text = text[:p.from] + string(quoted) + text[p.to:]
	}
	return text, nil
}

// place is a string in a text, with its quotation marks.
type place struct {
	from, to int
	value    string
}

// level is an object or a list that is not closed yet.
type level struct {
	object bool
	key    string // of an object: the member whose value is next or open
	atKey  bool   // of an object: the next token is a key
}

// principals finds the strings that name AWS principals.
func principals(text string) (found []place, err error) {
	d := json.NewDecoder(strings.NewReader(text))
	var open []level
	for {
		before := int(d.InputOffset())
		token, err := d.Token()
		if err == io.EOF {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		top := len(open) - 1
		switch t := token.(type) {
		case json.Delim:
			if t == '}' || t == ']' {
				open = open[:top]
				done(open)
				continue
			}
			open = append(open, level{object: t == '{', atKey: t == '{'})
			continue
		case string:
			if top >= 0 && open[top].atKey {
				open[top].key, open[top].atKey = t, false
				continue
			}
			if isPrincipal(open) {
				start := before + bytes.IndexByte([]byte(text[before:]), '"')
				found = append(found, place{start, int(d.InputOffset()), t})
			}
		}
		done(open)
	}
}

// done notes that a value ended: in an object a key is next.
func done(open []level) {
	if n := len(open); n > 0 && open[n-1].object {
		open[n-1].atKey = true
	}
}

// isPrincipal reports whether a string in these levels is an AWS principal:
// Statement, perhaps a list, Principal or NotPrincipal, AWS, perhaps a list.
func isPrincipal(open []level) bool {
	var keys []string
	for _, l := range open {
		if l.object {
			keys = append(keys, l.key)
		}
	}
	return len(keys) == 3 && keys[0] == "Statement" && (keys[1] == "Principal" || keys[1] == "NotPrincipal") && keys[2] == "AWS"
}
