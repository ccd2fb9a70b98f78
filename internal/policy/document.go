// Package policy decides whether a request is allowed by policies, with the rules of AWS
// IAM as docs/design/identity.md lists them.
//
// Parse reads a document once, refuses what is malformed with its place, and compiles the
// rest. Decide asks all sets of policies that stand for a caller, Explain says statement
// by statement why. Nothing here keeps state or does I/O; a Document and a Set never
// change and may be shared by any number of goroutines.
package policy

import (
	"encoding/json"
	"slices"
)

// Kind is the use of a document, which decides on the elements it may have.
type Kind uint8

// The kinds of document. Permission boundaries, session policies and the boundaries of
// accounts are written as Identity.
const (
	Identity Kind = iota // what its holder may do: Resource, no Principal
	Trust                // who may assume a role: Principal, no Resource
	Listener             // what a listener lets through: Resource and Principal, both optional
)

// The limits of a text in characters without white space (see Size), by whose it is.
const (
	MaxManaged  = 6144  // a managed policy, the boundary of an account
	MaxUser     = 2048  // all inline policies of a user together
	MaxGroup    = 5120  // all inline policies of a group together
	MaxRole     = 10240 // all inline policies of a role together
	MaxTrust    = 4096  // the trust policy of a role
	MaxSession  = 2048  // a session policy
	MaxListener = 20480 // the policy of a listener
)

// MaxText is the longest text in bytes that Parse looks at.
const MaxText = 131072

// Document is a policy that was read. It never changes.
type Document struct {
	kind       Kind
	text       string
	id         string
	statements []statement
	named      []span // names in Principal elements
	suspects   []suspect
}

// span is a name in the text of a document, of a type of principal.
type span struct {
	start, end int
	kind       string
	text       string
}

// statement is one rule.
type statement struct {
	sid           string
	start, end    int // offsets in the text
	deny          bool
	principals    *principals // nil: not asked
	notPrincipal  bool
	actions       []pattern // in lower case
	notAction     bool
	resources     []arnPattern // nil: not asked
	notResource   bool
	conditions    []condition
	actionTexts   []string
	resourceTexts []string
}

// Text returns the document as it was written.
func (d *Document) Text() string { return d.text }

// Kind returns what the document was read as.
func (d *Document) Kind() Kind { return d.kind }

// ID returns the document's own Id element, mostly "".
func (d *Document) ID() string { return d.id }

// Statements returns how many statements the document has, at least one.
func (d *Document) Statements() int { return len(d.statements) }

// Keys returns the names of all keys that the conditions and variables of the document
// ask for, in lower case, sorted.
func (d *Document) Keys() (keys []string) {
	add := func(patterns []pattern) {
		for _, p := range patterns {
			for _, one := range p.pieces {
				if one.kind == variable {
					keys = append(keys, one.text)
				}
			}
		}
	}
	for _, s := range d.statements {
		for _, r := range s.resources {
			add(r.parts[:])
		}
		for _, c := range s.conditions {
			keys = append(keys, c.key)
			for _, t := range c.tests {
				add(patternsOf(t))
			}
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// Named lists what the Principal elements name under AWS other than "*": accounts, ARNs
// and unique ids, as written.
func (d *Document) Named() (names []string) {
	for _, s := range d.named {
		if s.kind == "AWS" && s.text != "*" {
			names = append(names, s.text)
		}
	}
	return names
}

// Rename returns a document in which other names stand in place of those that Named lists,
// and nothing else is changed. With it a role's trust policy is stored under the unique
// ids of users and roles, and shown with their ARNs. A name for which the function reports
// false stays.
func (d *Document) Rename(to func(name string) (string, bool)) (*Document, error) {
	text, from := "", 0
	for _, s := range d.named {
		name, ok := to(s.text)
		if s.kind != "AWS" || s.text == "*" || !ok {
			continue
		}
		quoted, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		text += d.text[from:s.start] + string(quoted)
		from = s.end
	}
	return Parse(d.kind, []byte(text+d.text[from:]))
}

// spacious is how many times longer a text may be than what limits count of it. A policy that
// is laid out for people is up to four times longer.
const spacious = 8

// Size counts the characters of a text that limits count: all but white space, which counts
// as well where it is nearly everything, as what is stored must be bounded.
func Size(text []byte) (n int) {
	for _, c := range string(text) {
		if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			n++
		}
	}
	return max(n, len(text)/spacious)
}
