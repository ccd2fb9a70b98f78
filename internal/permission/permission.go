// Package permission is the table of what needs which permission: every operation, what
// travels over websockets, and the GETs behind session URLs, with the action that policies
// name, the kind of resource it is about, and the condition keys that are filled besides the
// global ones (docs/design/identity.md, section 2).
//
// docs/ref/permissions.md is written from it. Whoever serves an operation adds its row; tests
// hold the table against the operations that there are.
package permission

import (
	"iter"

	"github.com/millrace/millrace/internal/kvs"
)

//go:generate go test -run ^TestPage$ -update .

// Resource is the kind of thing that a permission is about.
type Resource string

// The kinds of resource, as the page shows them.
const (
	Any       Resource = "`*`" // lists, and what is not there yet
	Stream    Resource = "stream"
	Channel   Resource = "channel"
	Either    Resource = "stream or channel"
	Optional  Resource = "stream, or `*` without one"
	Visitable Resource = "channel, or `*` without one"
	User      Resource = "user"
	Group     Resource = "group"
	Role      Resource = "role"
	Policy    Resource = "managed policy"
	Principal Resource = "user, group or role" // whose policies are simulated
)

// Holder says who may have a permission besides what policies say.
type Holder uint8

// The holders.
const (
	// Everybody: policies decide.
	Everybody Holder = iota
	// Guardians: further keys of the home account itself do not have it. It is about
	// evidence, or about who has which rights.
	Guardians
	// Installation: likewise, and only principals of the home account can.
	Installation
	// Household: only principals of the home account can, its further keys as well. It is
	// about all accounts together.
	Household
	// Nobody needs it: the call is about the caller, or another permission covers it.
	Nobody
)

// Permission is one row of the table.
type Permission struct {
	Operation string
	Action    kvs.Action // "" = covered by another permission
	Resource  Resource
	Keys      []string // condition keys beyond the global ones
	Holder    Holder
	Note      string // for the page
}

// Section is a part of the table.
type Section struct {
	Title       string
	Text        string // in front of its table
	Permissions []Permission
}

// Sections is the whole table.
func Sections() []Section {
	return []Section{video, media, archived, signaling, storage, websocket, playback, own, iam, sts}
}

// All yields every row.
func All() iter.Seq[Permission] {
	return func(yield func(Permission) bool) {
		for _, s := range Sections() {
			for _, p := range s.Permissions {
				if !yield(p) {
					return
				}
			}
		}
	}
}

var byAction = func() map[kvs.Action]Permission {
	m := map[kvs.Action]Permission{}
	for p := range All() {
		if p.Action != "" {
			m[p.Action] = p
		}
	}
	return m
}()

// Of returns the row of an action.
func Of(a kvs.Action) (Permission, bool) {
	p, ok := byAction[a]
	return p, ok
}

// rows makes rows of operations whose action has the name of the operation, which is the
// rule (identity sheet, section 4).
func rows(service string, r Resource, operations ...string) (all []Permission) {
	for _, o := range operations {
		all = append(all, Permission{Operation: o, Action: kvs.Action(service + ":" + o), Resource: r})
	}
	return all
}

// with gives rows condition keys.
func with(keys []string, p []Permission) []Permission {
	for i := range p {
		p[i].Keys = keys
	}
	return p
}

// held gives rows a holder.
func held(h Holder, p []Permission) []Permission {
	for i := range p {
		p[i].Holder = h
	}
	return p
}
