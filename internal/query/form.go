// Package query speaks the Query protocol of IAM and STS, in which a call
// is a form with the parameters Action and Version and its answer is XML.
//
// Lists and structures are flattened into names of parameters: the key of the second tag is
// Tags.member.2.Key. A [Form] undoes that. [Answer] and [Refusal] write what goes back. The
// package holds values only; all of it may be used from any number of goroutines.
package query

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/millrace/millrace/internal/kvs"
)

// maxParameters is how many parameters a form may have: more than any call needs.
const maxParameters = 2_000

// Form is the parameters of a call. Get returns one, "" if it is absent.
type Form struct{ url.Values }

// Parse reads the body of a call. Errors have the kind Validation: a parameter that was
// given twice is one, because nobody knows which was meant.
func Parse(body []byte) (Form, error) {
	if strings.Count(string(body), "&") >= maxParameters {
		return Form{}, kvs.Errorf(kvs.Validation, "The form has more than %d parameters.", maxParameters)
	}
	v, err := url.ParseQuery(string(body))
	if err != nil {
		return Form{}, kvs.Errorf(kvs.Validation, "The body is no form (application/x-www-form-urlencoded).")
	}
	for name, values := range v {
		if len(values) > 1 {
			return Form{}, kvs.Errorf(kvs.Validation, "The parameter '%.64s' is given %d times.", name, len(values))
		}
		if !utf8.ValidString(name) || !utf8.ValidString(values[0]) {
			return Form{}, kvs.Errorf(kvs.Validation, "The form is not in UTF-8.")
		}
	}
	return Form{v}, nil
}

// Given reports whether a parameter was given, be it empty.
func (f Form) Given(name string) bool { return f.Has(name) }

// Only is the parameters that a call knows, with lists and structures by their names. What
// nobody looks at cannot be mistaken for what was asked.
func (f Form) Only(names []string) Form {
	only := Form{url.Values{}}
	for key, values := range f.Values {
		name, _, _ := strings.Cut(key, ".")
		if slices.Contains(names, name) {
			only.Values[key] = values
		}
	}
	return only
}

// Texts is a list of texts, in the order of their numbers; empty when there is none.
func (f Form) Texts(name string) (all []string) {
	for _, m := range f.Members(name) {
		all = append(all, m.Get(""))
	}
	return all
}

// Members is a list of structures, each a form of its own whose names have no prefix, in
// the order of their numbers. A text in the list has the name "".
func (f Form) Members(name string) []Form {
	prefix := name + ".member."
	found := map[int]Form{}
	for key, values := range f.Values {
		rest, ok := strings.CutPrefix(key, prefix)
		if !ok {
			continue
		}
		digits, member, _ := strings.Cut(rest, ".")
		n, ok := number(digits)
		if !ok {
			continue
		}
		if found[n].Values == nil {
			found[n] = Form{url.Values{}}
		}
		found[n].Values[member] = values
	}
	return inOrder(found)
}

// number is a position in a list, which counts from 1.
func number(digits string) (n int, ok bool) {
	n, err := strconv.Atoi(digits)
	return n, err == nil && n >= 1 && strconv.Itoa(n) == digits
}

func inOrder(found map[int]Form) []Form {
	all := make([]Form, 0, len(found))
	for _, n := range slices.Sorted(maps.Keys(found)) {
		all = append(all, found[n])
	}
	return all
}

// Tag is a key and a value.
type Tag struct{ Key, Value string }

// Tags is a list of tags, as it came.
func (f Form) Tags(name string) (all []Tag) {
	for _, m := range f.Members(name) {
		all = append(all, Tag{m.Get("Key"), m.Get("Value")})
	}
	return all
}
