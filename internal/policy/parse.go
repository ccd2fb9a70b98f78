package policy

import (
	"slices"
	"strings"
)

// parser turns nodes into a Document.
type parser struct {
	doc       *Document
	variables bool // Version 2012-10-17: ${...} are variables; else they are text
	sids      map[string]bool
}

// newVersion is the version of the language that has variables. Without a Version a
// document is of the older one.
const newVersion, oldVersion = "2012-10-17", "2008-10-17"

// Parse reads a document. An error is always an *Error with the first place that is wrong.
// The limits of a document's size are the business of whoever stores it; Parse refuses
// only what is longer than MaxText.
func Parse(kind Kind, text []byte) (*Document, error) {
	p := &parser{doc: &Document{kind: kind, text: string(text)}, sids: map[string]bool{}}
	if len(text) > MaxText {
		return nil, refusal(p.doc.text, MaxText, "", "the text is longer than %d bytes", MaxText)
	}
	n, err := read(p.doc.text)
	if err == nil {
		err = p.document(n)
	}
	if err != nil {
		return nil, err
	}
	return p.doc, nil
}

func (p *parser) refuse(n node, format string, args ...any) *Error {
	return refusal(p.doc.text, n.start, n.path, format, args...)
}

func (p *parser) refuseMember(m member, format string, args ...any) *Error {
	return refusal(p.doc.text, m.at, m.value.path, format, args...)
}

// suspect keeps a text for Warnings. In the older version of the language what looks like a
// variable is suspect wherever it stands.
func (p *parser) suspect(kind suspectKind, n node) {
	if kind == suspectResource && !p.variables && strings.Contains(n.text, "${") {
		kind = suspectText
	}
	p.doc.suspects = append(p.doc.suspects, suspect{kind, n.start, n.path, n.text})
}

// elements refuses members that an object does not have and returns the others by name.
func (p *parser) elements(n node, what string, names ...string) (map[string]member, *Error) {
	if n.kind != objectNode {
		return nil, p.refuse(n, "%s is an object in braces, not %s", what, n.kind)
	}
	found := map[string]member{}
	for _, m := range n.members {
		if !slices.Contains(names, m.name) {
			help := suggestion(m.name, names)
			if help == "" {
				help = "; the elements are " + oneOf(names...)
			}
			return nil, p.refuseMember(m, "%s is no element of %s%s", quoted(m.name), what, help)
		}
		found[m.name] = m
	}
	return found, nil
}

func (p *parser) document(n node) *Error {
	elements, err := p.elements(n, "a policy", "Version", "Id", "Statement")
	if err != nil {
		return err
	}
	if m, ok := elements["Version"]; ok {
		if v := m.value; v.kind != textNode || v.text != newVersion && v.text != oldVersion {
			return p.refuse(v, "the version of the policy language is %q, or %q", newVersion, oldVersion)
		}
		p.variables = m.value.text == newVersion
	}
	if m, ok := elements["Id"]; ok {
		if m.value.kind != textNode {
			return p.refuse(m.value, "an Id is a string, not %s", m.value.kind)
		}
		p.doc.id = m.value.text
	}
	m, ok := elements["Statement"]
	if !ok {
		return p.refuse(n, `the policy has no Statement; write {"Version": %q, "Statement": [...]}`, newVersion)
	}
	return p.statements(m.value)
}

func (p *parser) statements(n node) *Error {
	items := []node{n}
	if n.kind == listNode {
		items = n.items
	}
	if len(items) == 0 {
		return p.refuse(n, "the list of statements is empty; write at least one")
	}
	for _, item := range items {
		s, err := p.statement(item)
		if err != nil {
			return err
		}
		p.doc.statements = append(p.doc.statements, s)
	}
	return nil
}

func (p *parser) statement(n node) (s statement, err *Error) {
	s.start, s.end = n.start, n.end
	elements, err := p.elements(n, "a statement", "Sid", "Effect", "Principal", "NotPrincipal",
		"Action", "NotAction", "Resource", "NotResource", "Condition")
	if err != nil {
		return s, err
	}
	if m, ok := elements["Sid"]; ok {
		if err = p.sid(&s, m.value); err != nil {
			return s, err
		}
	}
	if err = p.effect(&s, n, elements); err != nil {
		return s, err
	}
	for _, read := range []func(*statement, node, map[string]member) *Error{p.principal, p.actions, p.resources} {
		if err = read(&s, n, elements); err != nil {
			return s, err
		}
	}
	if m, ok := elements["Condition"]; ok {
		s.conditions, err = p.conditions(m.value)
	}
	return s, err
}

func (p *parser) sid(s *statement, n node) *Error {
	switch {
	case n.kind != textNode:
		return p.refuse(n, "a Sid is a string, not %s", n.kind)
	case p.doc.kind == Identity && n.text != "" && !plainName(n.text):
		return p.refuse(n, "the Sid %s has other characters than letters and digits", quoted(n.text))
	case n.text != "" && p.sids[n.text]:
		return p.refuse(n, "the Sid %s stands at another statement, too; each is used once", quoted(n.text))
	}
	s.sid = n.text
	p.sids[n.text] = true
	return nil
}

func (p *parser) effect(s *statement, n node, elements map[string]member) *Error {
	m, ok := elements["Effect"]
	if !ok {
		return p.refuse(n, "the statement has no Effect; write Allow or Deny")
	}
	if m.value.kind != textNode || m.value.text != "Allow" && m.value.text != "Deny" {
		return p.refuse(m.value, "an Effect is %q or %q, exactly so", "Allow", "Deny")
	}
	s.deny = m.value.text == "Deny"
	return nil
}

// choice returns the one of two members that is there.
func (p *parser) choice(n node, elements map[string]member, name, not string, required bool) (m member, negated, ok bool, err *Error) {
	m, plain := elements[name]
	other, negated := elements[not]
	switch {
	case plain && negated:
		return m, false, false, p.refuseMember(other, "the statement has %s and %s; write one of them", name, not)
	case negated:
		return other, true, true, nil
	case !plain && required:
		return m, false, false, p.refuse(n, "the statement has no %s; write %s or %s", name, name, not)
	}
	return m, false, plain, nil
}

func (p *parser) principal(s *statement, n node, elements map[string]member) *Error {
	m, negated, ok, err := p.choice(n, elements, "Principal", "NotPrincipal", p.doc.kind == Trust)
	if err != nil || !ok {
		return err
	}
	switch {
	case p.doc.kind == Identity:
		return p.refuseMember(m, "policies of users, groups and roles have no Principal: it is whoever they are attached to")
	case negated && !s.deny:
		return p.refuseMember(m, "NotPrincipal goes with Deny only; with Allow it would let in everybody else there will ever be")
	}
	s.notPrincipal = negated
	s.principals, err = p.principals(m.value)
	return err
}

func (p *parser) actions(s *statement, n node, elements map[string]member) *Error {
	m, negated, _, err := p.choice(n, elements, "Action", "NotAction", true)
	if err != nil {
		return err
	}
	texts, err := p.texts(m.value)
	if err != nil {
		return err
	}
	s.notAction = negated
	for _, one := range texts {
		if reason := p.actionReason(one.text); reason != "" {
			return p.refuse(one, "%s", reason)
		}
		compiled, _ := parsePattern(strings.ToLower(one.text), grammar{wildcards: true})
		s.actions, s.actionTexts = append(s.actions, compiled), append(s.actionTexts, one.text)
		p.suspect(suspectAction, one)
	}
	return nil
}

// actionReason says what is wrong with an action, or "".
func (p *parser) actionReason(action string) string {
	service, name, ok := strings.Cut(action, ":")
	switch {
	case p.doc.kind == Trust && !strings.EqualFold(service, "sts"):
		return quoted(action) + " does not belong into a trust policy; write sts:AssumeRole"
	case action == "*":
		return ""
	case !ok || !actionName(service, "-") || !actionName(name, ""):
		return quoted(action) + " is no action; write * or SERVICE:NAME, such as kinesisvideo:GetMedia or kinesisvideo:Get*"
	}
	return ""
}

func actionName(s, more string) bool {
	for _, c := range s {
		if c != '*' && c != '?' && !strings.ContainsRune(more, c) && !plainName(string(c)) {
			return false
		}
	}
	return s != ""
}

func (p *parser) resources(s *statement, n node, elements map[string]member) *Error {
	m, negated, ok, err := p.choice(n, elements, "Resource", "NotResource", p.doc.kind == Identity)
	if err != nil || !ok {
		return err
	}
	if p.doc.kind == Trust {
		return p.refuseMember(m, "trust policies have no Resource: it is the role they belong to")
	}
	texts, err := p.texts(m.value)
	if err != nil {
		return err
	}
	s.notResource = negated
	for _, one := range texts {
		compiled, reason := parseARNPattern(one.text, grammar{wildcards: true, variables: p.variables})
		if reason != "" {
			return p.refuse(one, "%s", reason)
		}
		s.resources, s.resourceTexts = append(s.resources, compiled), append(s.resourceTexts, one.text)
		p.suspect(suspectResource, one)
	}
	return nil
}

// texts returns one string, or those of a list.
func (p *parser) texts(n node) ([]node, *Error) {
	items := []node{n}
	if n.kind == listNode {
		items = n.items
	}
	if len(items) == 0 {
		return nil, p.refuse(n, "the list is empty; write at least one string")
	}
	for _, one := range items {
		if one.kind != textNode {
			return nil, p.refuse(one, "a string should stand here, not %s", one.kind)
		}
	}
	return items, nil
}
