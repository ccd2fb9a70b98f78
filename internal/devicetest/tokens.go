package devicetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxTokens is how many tokens of JSON the C SDK has room for.
const maxTokens = 100

// kind is what a token is.
type kind uint8

const (
	object kind = iota
	array
	text
	primitive
)

// token is an element of a JSON text, in the order in which it is written: names of members are
// tokens as their values are.
type token struct {
	kind kind
	raw  string // of texts and primitives: as written, without quotes and with all escapes
	size int    // of arrays: elements
}

// tokens splits a JSON text.
func tokens(b []byte) ([]token, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var all []token
	var open []int // indexes of arrays and objects around
	for at := int64(0); ; {
		v, err := d.Token()
		if err == io.EOF && len(open) == 0 {
			return all, tokensFit(all)
		}
		if err != nil {
			return nil, err
		}
		raw := strings.TrimLeft(string(b[at:d.InputOffset()]), " \t\r\n,:")
		at = d.InputOffset()
		if v == json.Delim('}') || v == json.Delim(']') {
			open = open[:len(open)-1]
			continue
		}
		if len(open) > 0 {
			all[open[len(open)-1]].size++
		}
		all = append(all, newToken(v, raw))
		if _, deep := v.(json.Delim); deep {
			open = append(open, len(all)-1)
		}
	}
}

func newToken(v json.Token, raw string) token {
	switch v := v.(type) {
	case json.Delim:
		if v == '[' {
			return token{kind: array}
		}
		return token{kind: object}
	case string:
		return token{kind: text, raw: strings.TrimSuffix(strings.TrimPrefix(raw, `"`), `"`)}
	}
	return token{kind: primitive, raw: raw}
}

func tokensFit(all []token) error {
	switch {
	case len(all) < 2 || all[0].kind != object:
		return errors.New("not a JSON object with something in it")
	case len(all) > maxTokens:
		return fmt.Errorf("%d tokens of JSON; the C SDK has room for %d", len(all), maxTokens)
	}
	return nil
}

// members finds the names of all members, at every depth, in the order in which they are written.
func members(b []byte) ([]string, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	var names []string
	var walk func() error
	walk = func() error {
		v, err := d.Token()
		delim, deep := v.(json.Delim)
		for err == nil && deep && d.More() {
			if delim == '{' {
				name, _ := d.Token()
				names = append(names, fmt.Sprint(name))
			}
			err = walk()
		}
		if err == nil && deep {
			_, err = d.Token()
		}
		return err
	}
	return names, walk()
}
