package policy

import (
	"slices"
	"strconv"
	"strings"
)

// Explanation is a decision with what every statement said to it.
type Explanation struct {
	Decision Decision
	Action   string
	Resource string
	Layers   []LayerExplanation // those that have policies, in the order in which they are asked
	Missing  []string           // keys that the documents ask for and the request does not have
}

// LayerExplanation is what one layer says: "allows", "denies" or "does not allow".
type LayerExplanation struct {
	Layer   Layer
	Says    string
	Needed  bool // without an Allow of this layer the request is denied
	Sources []SourceExplanation
}

// SourceExplanation is what one document says.
type SourceExplanation struct {
	Name       string
	Statements []StatementExplanation
}

// StatementExplanation is whether one statement matched; if it did not, Element is the
// first of its elements that did not fit (Principal, Action, Resource, Condition ...) and
// Why says what it wanted and what there was.
type StatementExplanation struct {
	Index      int // from 0
	Sid        string
	Deny       bool
	Matched    bool
	Element    string
	Why        string
	Start, End Position
}

// Explain decides as Decide does and says why, statement by statement. It is for people:
// it takes longer, and goes on where Decide stops.
func Explain(r *Request, s *Set) Explanation {
	if s == nil {
		s = &Set{}
	}
	e := newEvaluation(r)
	x := Explanation{Decision: e.decide(s), Action: r.Action, Resource: r.Resource}
	var found [layers]finding
	for l := range Layer(layers) {
		found[l] = e.layer(s, l)
	}
	asked := map[string]bool{}
	for l := range Layer(layers) {
		sources := s.sources(l)
		needed := e.counts(s, l, &found)
		if len(sources) == 0 && !needed {
			continue
		}
		layer := LayerExplanation{Layer: l, Says: found[l].answer.String(), Needed: needed}
		for _, source := range sources {
			layer.Sources = append(layer.Sources, e.explain(source, asked))
		}
		x.Layers = append(x.Layers, layer)
	}
	for key := range asked {
		if len(e.lookup(key)) == 0 {
			x.Missing = append(x.Missing, key)
		}
	}
	slices.Sort(x.Missing)
	return x
}

// sources returns the policies of a layer.
func (s *Set) sources(l Layer) []Source {
	if one := s.single(l); one != nil {
		return []Source{*one}
	}
	return s.several(l)
}

// String is the answer in the words of an explanation.
func (a answer) String() string {
	return [...]string{silent: "does not allow", allows: "allows", denies: "denies"}[a]
}

func (e *evaluation) explain(source Source, asked map[string]bool) SourceExplanation {
	x := SourceExplanation{Name: source.Name}
	if source.Document == nil {
		return x
	}
	for _, key := range source.Document.Keys() {
		asked[key] = true
	}
	for i := range source.Document.statements {
		s := &source.Document.statements[i]
		one := StatementExplanation{Index: i, Sid: s.sid, Deny: s.deny,
			Start: position(source.Document.text, s.start), End: position(source.Document.text, s.end)}
		m := e.mismatch(s)
		one.Matched = m.element == noElement
		one.Element, one.Why = e.why(s, m)
		x.Statements = append(x.Statements, one)
	}
	return x
}

// why puts a mismatch into words.
func (e *evaluation) why(s *statement, m mismatch) (element, why string) {
	switch m.element {
	case principalElement:
		if s.notPrincipal {
			return "NotPrincipal", "the caller is one of the exceptions"
		}
		return "Principal", "the caller is not one of those it names"
	case actionElement:
		if s.notAction {
			return "NotAction", e.request.Action + " is one of the exceptions " + some(s.actionTexts)
		}
		return "Action", e.request.Action + " is not " + some(s.actionTexts)
	case resourceElement:
		return e.whyResource(s)
	case conditionElement:
		c := &s.conditions[m.condition]
		return "Condition " + c.operator + " " + c.name, e.whyCondition(c, s.deny)
	}
	return "", ""
}

func (e *evaluation) whyResource(s *statement) (element, why string) {
	element, why = "Resource", e.request.Resource+" is not "+some(s.resourceTexts)
	if s.notResource {
		element, why = "NotResource", e.request.Resource+" is one of the exceptions "+some(s.resourceTexts)
	}
	var absent []string
	for _, r := range s.resources {
		for _, p := range r.parts {
			absent = append(absent, e.absent(p)...)
		}
	}
	return element, why + valueless(absent)
}

// absent lists the variables of a pattern that have no value.
func (e *evaluation) absent(p pattern) (keys []string) {
	for i := range p.pieces {
		one := &p.pieces[i]
		if one.kind != variable {
			continue
		}
		if _, ok := e.variable(one); !ok {
			keys = append(keys, one.text)
		}
	}
	return keys
}

func valueless(keys []string) string {
	if len(keys) == 0 {
		return ""
	}
	slices.Sort(keys)
	return "; the request has no single value for ${" + strings.Join(slices.Compact(keys), "}, ${") + "}"
}

func (e *evaluation) whyCondition(c *condition, deny bool) string {
	values := e.lookup(c.key)
	var absent []string
	for _, t := range c.tests {
		for _, p := range patternsOf(t) {
			absent = append(absent, e.absent(p)...)
		}
	}
	unsaid := valueless(absent)
	switch {
	case c.null:
		return "the key is " + map[bool]string{true: "absent", false: "there"}[len(values) == 0]
	case c.negated && !deny && unsaid != "":
		return unsaid[2:] + ", so that nothing can be excluded"
	case len(values) == 0:
		return "the request does not have the key"
	case c.negated:
		return "the request has " + some(values) + ", excluded is " + some(c.values) + unsaid
	}
	return "the request has " + some(values) + ", wanted is " + some(c.values) + unsaid
}

// some lists the first of many texts.
func some(texts []string) string {
	const most = 5
	more := ""
	if len(texts) > most {
		more = " or " + strconv.Itoa(len(texts)-most) + " others"
		if len(texts) == most+1 {
			more = " or another"
		}
		texts = texts[:most]
	}
	return strings.Join(texts, ", ") + more
}

// String is the explanation as text of several lines.
func (x Explanation) String() string {
	var b strings.Builder
	d := x.Decision
	switch {
	case d.Allowed && d.Source == "":
		b.WriteString("allowed: the caller is the root of its account\n")
	case d.Allowed:
		b.WriteString("allowed by statement " + strconv.Itoa(d.Statement+1) + " of " + d.Source + "\n")
	default:
		b.WriteString("denied, " + d.Reason(x.Action) + "\n")
	}
	for _, l := range x.Layers {
		b.WriteString("\n" + l.Layer.String() + ": " + l.Says)
		if !l.Needed {
			b.WriteString(" (it need not)")
		}
		b.WriteString("\n")
		if len(l.Sources) == 0 {
			b.WriteString("  there is none\n")
		}
		for _, s := range l.Sources {
			s.write(&b)
		}
	}
	if len(x.Missing) > 0 {
		b.WriteString("\nkeys that the request does not have: " + strings.Join(x.Missing, ", ") + "\n")
	}
	return b.String()
}

func (x SourceExplanation) write(b *strings.Builder) {
	b.WriteString("  " + x.Name + "\n")
	for _, s := range x.Statements {
		b.WriteString("    statement " + strconv.Itoa(s.Index+1))
		if s.Sid != "" {
			b.WriteString(" " + s.Sid)
		}
		b.WriteString(", line " + strconv.Itoa(s.Start.Line) + ", " + map[bool]string{true: "Deny", false: "Allow"}[s.Deny] + ": ")
		if s.Matched {
			b.WriteString("matches\n")
		} else {
			b.WriteString("does not match: " + s.Element + ": " + s.Why + "\n")
		}
	}
}
