package quota

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/millrace/millrace/internal/spelling"
	"github.com/millrace/millrace/internal/wire"
)

// Scope is the smallest thing that a limit can be set for. What can be set for one
// stream can also be set for all of an account, and everything for the whole server.
type Scope uint8

// The scopes.
const (
	Server Scope = iota
	Account
	Stream
	Channel // a signaling channel; settable for its account
)

// String names the scope.
func (s Scope) String() string { return [...]string{"server", "account", "stream", "channel"}[s] }

// Limit is one row of the table of limits. Rows are never modified.
type Limit struct {
	Name    string // as operators write it: PutMedia.sessions
	Unit    Unit
	Scope   Scope
	Open    Value  // in the profile open
	AWS     Value  // in the profile aws
	Smaller Value  // in the profile aws outside us-east-1 and us-west-2; 0 = the same
	Hard    bool   // the original service raises it for nobody
	Breach  string // what who goes beyond it gets
	Help    string // what is limited, one sentence without a full stop
	Section string // of the limits sheet; empty for our own

	// Operation is the one whose callers meet the limit; empty for the server's own.
	Operation string
	// Room is the package that enforces it. Until the operation is served nobody does.
	Room string
	// Most is the largest value that can be set, because more could not be served;
	// 0 = any.
	Most Value
	// Least is the smallest value that can be set, because less could only be a slip;
	// 0 = any.
	Least Value

	index int // in the arrays of values
	slot  int // of a rate: in the buckets of an account or a stream
}

// The rows by the type of their values, so that a row can be asked for in no other.
type (
	// Count is a limit on a number.
	Count struct{ *Limit }
	// Bytes is a limit on a size.
	Bytes struct{ *Limit }
	// PerSecond is a limit on how often something happens.
	PerSecond struct{ *Limit }
	// Bandwidth is a limit on bytes a second.
	Bandwidth struct{ *Limit }
	// Span is a limit on a time.
	Span struct{ *Limit }
	// Switch is a rule that holds or does not.
	Switch struct{ *Limit }
)

// table is every row, in the order in which the variables are made. They add themselves.
var table []*Limit

func row(l Limit, u Unit) *Limit {
	l.Unit, l.index = u, len(table)
	table = append(table, &l)
	return &l
}

func count(l Limit) Count         { return Count{row(l, Number)} }
func bytes(l Limit) Bytes         { return Bytes{row(l, Size)} }
func bandwidth(l Limit) Bandwidth { return Bandwidth{row(l, Throughput)} }
func span(l Limit) Span           { return Span{row(l, Time)} }
func rule(l Limit) Switch         { return Switch{row(l, Flag)} }
func often(l Limit) PerSecond     { return PerSecond{row(l, Frequency)} }

// Served reports whether the limit is in force: its operation is served, or it is the
// server's own.
func (l *Limit) Served() bool {
	if l.Operation == "" {
		return true
	}
	op := wire.ByName(l.Operation)
	return op != nil && op.Served || wire.IsSocket(l.Operation) || l.Operation == allocate
}

// Default is the value in a profile for a server of the given region; "" is one of the
// large ones.
func (l *Limit) Default(p Profile, region string) Value {
	switch {
	case p != AWS:
		return l.Open
	case l.Smaller > 0 && region != "" && region != "us-east-1" && region != "us-west-2":
		return l.Smaller
	}
	return l.AWS
}

// Table returns every row: by section of the limits sheet, our own ones last. Callers
// own the slice, not the rows.
func Table() []*Limit {
	all := slices.Clone(table)
	slices.SortStableFunc(all, func(a, b *Limit) int { return cmp.Compare(place(a.Section), place(b.Section)) })
	return all
}

// place is where a section stands on the page.
func place(section string) string {
	switch {
	case section == "":
		return "~"
	case !strings.Contains(section, "."):
		section += ".0"
	}
	if strings.Index(section, ".") == 1 {
		return "0" + section
	}
	return section
}

// names is made when it is first asked for: then every row is there.
var names = sync.OnceValue(func() map[string]*Limit {
	m := map[string]*Limit{}
	for _, l := range table {
		m[l.Name] = l
	}
	return m
})

// Lookup finds a row by its name.
func Lookup(name string) (*Limit, bool) {
	l, ok := names()[name]
	return l, ok
}

// Suggest says what somebody may have meant who gave a name that no limit has.
func Suggest(name string) string {
	near := Nearest(name)
	a, b := strings.ToLower(name), strings.ToLower(near)
	if d := spelling.Distance(a, b); d > max(2, len(name)/3) && (len(name) < 4 || !strings.Contains(b, a)) {
		return "millrace limit list shows them all"
	}
	return "did you mean " + near + "?"
}

// Nearest is the name of the row that is most like the given one: what somebody may have
// meant who mistyped.
func Nearest(name string) string {
	best, least := "", 1<<30
	for _, l := range Table() {
		if d := spelling.Distance(strings.ToLower(name), strings.ToLower(l.Name)); d < least {
			best, least = l.Name, d
		}
	}
	return best
}
