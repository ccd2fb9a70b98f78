package policy

import (
	"slices"
	"strings"
)

// setPrefix is how a condition treats a key of several values.
type setPrefix uint8

const (
	noPrefix     setPrefix = iota // any value may match
	forAllValues                  // each value must match
	forAnyValue                   // at least one value must be there and match
)

// condition is one key under one operator.
type condition struct {
	operator string // as written: ForAnyValue:StringLikeIfExists
	name     string // the key as written
	key      string // in lower case
	set      setPrefix
	ifExists bool
	negated  bool
	null     bool
	tests    []test
	values   []string // as written
}

// parseOperator takes a name of an operator apart.
func parseOperator(name string) (operator, condition, bool) {
	c := condition{operator: name}
	rest, ok := strings.CutPrefix(name, "ForAllValues:")
	if ok {
		c.set = forAllValues
	} else if rest, ok = strings.CutPrefix(name, "ForAnyValue:"); ok {
		c.set = forAnyValue
	}
	rest, c.ifExists = strings.CutSuffix(rest, "IfExists")
	o, ok := operators[rest]
	c.negated, c.null = o.negated, o.null
	return o, c, ok && !(o.null && c.ifExists)
}

func (p *parser) conditions(n node) (all []condition, err *Error) {
	if n.kind != objectNode {
		return nil, p.refuse(n, `a Condition is an object of operators, such as {"StringEquals": {"aws:username": "anna"}}, not %s`, n.kind)
	}
	for _, m := range n.members {
		o, c, ok := parseOperator(m.name)
		if !ok {
			help := suggestion(m.name, operatorNames())
			if help == "" {
				help = "; the operators are " + oneOf(operatorNames()...) + ", all but Null also with IfExists behind, and with ForAllValues: or ForAnyValue: in front"
			}
			return nil, p.refuseMember(m, "%s is no operator%s", quoted(m.name), help)
		}
		if m.value.kind != objectNode {
			return nil, p.refuse(m.value, `under an operator stands an object of keys and values, such as {"aws:username": "anna"}, not %s`, m.value.kind)
		}
		for _, key := range m.value.members {
			one, err := p.condition(o, c, key)
			if err != nil {
				return nil, err
			}
			all = append(all, one)
		}
	}
	return all, nil
}

// condition reads one key with its values.
func (p *parser) condition(o operator, c condition, m member) (condition, *Error) {
	if reason := keyReason(m.name); reason != "" {
		return c, p.refuseMember(m, "%s", reason)
	}
	c.name, c.key = m.name, strings.ToLower(m.name)
	values, err := p.values(m.value)
	if err != nil {
		return c, err
	}
	for _, v := range values {
		t, reason := o.parse(v.text, p.variables)
		if reason != "" {
			return c, p.refuse(v, "%s", reason)
		}
		c.tests, c.values = append(c.tests, t), append(c.values, v.text)
		if !p.variables && strings.Contains(v.text, "${") {
			p.suspect(suspectText, v)
		}
	}
	return c, nil
}

// values returns the scalars of a condition's key: strings, and numbers and booleans that
// stand without quotes.
func (p *parser) values(n node) ([]node, *Error) {
	items := []node{n}
	if n.kind == listNode {
		items = n.items
	}
	if len(items) == 0 {
		return nil, p.refuse(n, "the list is empty; write at least one value")
	}
	for _, one := range items {
		if one.kind == nullNode || one.kind == listNode || one.kind == objectNode {
			return nil, p.refuse(one, "a value is a string, a number or a boolean, not %s", one.kind)
		}
	}
	return items, nil
}

// holds says whether the request fulfils the condition. An Allow is not granted by a
// negated operator one of whose variables has no value: what cannot be said must not
// grant. Under a Deny such a value just matches nothing, so the Deny applies.
func (c *condition) holds(e *evaluation, deny bool) bool {
	values := e.lookup(c.key)
	switch {
	case c.null:
		absent := outcomeOf(len(values) == 0)
		return slices.ContainsFunc(c.tests, func(t test) bool { return t.holds(e, "") == absent })
	case c.negated && !deny && c.unsaid(e):
		return false
	case len(values) == 0:
		return c.ifExists || c.set == forAllValues || c.set == noPrefix && c.negated
	}
	each := c.set == forAllValues || c.set == noPrefix && c.negated
	for _, v := range values {
		if c.matches(e, v) != each {
			return !each
		}
	}
	return each
}

// matches says whether one value of the request is as the operator wants it.
func (c *condition) matches(e *evaluation, value string) bool {
	for _, t := range c.tests {
		if t.holds(e, value) == yes {
			return !c.negated
		}
	}
	return c.negated
}

// unsaid says whether a variable of the condition has no value.
func (c *condition) unsaid(e *evaluation) bool {
	return slices.ContainsFunc(c.tests, func(t test) bool { return t.holds(e, "") == unsaid })
}

// operatorNames lists the operators for suggestions.
func operatorNames() (names []string) {
	for name := range operators {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// suggestion says which known name was probably meant.
func suggestion(name string, known []string) string {
	for _, k := range known {
		if strings.EqualFold(strings.TrimSuffix(k, "s"), strings.TrimSuffix(name, "s")) {
			return "; write " + k
		}
	}
	return ""
}
