package policy

import (
	"slices"
	"strings"
)

// suspect is a text of a document that may never match anything.
type suspect struct {
	kind  suspectKind
	start int
	path  string
	text  string
}

// suspectKind is the kind of a suspect.
type suspectKind uint8

const (
	suspectAction suspectKind = iota
	suspectResource
	suspectText // what looks like a variable and is none
)

// Warnings lists what is right as grammar but never matches: actions that there are not,
// ARNs of streams and channels without their creation time, and variables in a document
// whose Version has none. The actions are the names of all that there are
// (kinesisvideo:GetMedia ...); without any, actions are not looked at.
func (d *Document) Warnings(actions ...string) (found []Warning) {
	for _, s := range d.suspects {
		reason := ""
		switch s.kind {
		case suspectAction:
			reason = StrayAction(s.text, actions)
		case suspectResource:
			reason = strayResource(s.text)
		case suspectText:
			reason = quoted(s.text) + " has no variable but the text ${...}, as the Version is not " + newVersion
		}
		if reason != "" {
			p := position(d.text, s.start)
			found = append(found, Warning{Line: p.Line, Column: p.Column, Path: s.path, Reason: reason})
		}
	}
	return found
}

// StrayAction says why a pattern, such as kinesisvideo:Get*, or the name of an action matches
// none of the actions that there are, "" if it does.
func StrayAction(pattern string, actions []string) string {
	compiled, _ := parsePattern(strings.ToLower(pattern), grammar{wildcards: true})
	service, _, _ := strings.Cut(pattern, ":")
	ofService, _ := parsePattern(strings.ToLower(service), grammar{wildcards: true})
	var near []string
	for _, a := range actions {
		if matches(compiled.pieces, strings.ToLower(a)) {
			return ""
		}
		if of, _, _ := strings.Cut(a, ":"); matches(ofService.pieces, strings.ToLower(of)) {
			near = append(near, a)
		}
	}
	switch {
	case len(actions) == 0:
		return ""
	case len(near) == 0 && strings.EqualFold(service, "kinesis-video"):
		return "the service is written kinesisvideo: " + quoted(pattern) + " matches no action"
	case len(near) == 0:
		return "there is no service " + quoted(service) + " here: " + quoted(pattern) + " matches no action"
	}
	return quoted(pattern) + " matches no action of the service" + nearest(pattern, near)
}

// nearest suggests the action that shares the longest end or start with a pattern.
func nearest(pattern string, actions []string) string {
	best, most := "", 3 // fewer letters in common say nothing
	_, name, _ := strings.Cut(strings.ToLower(pattern), ":")
	name = strings.Trim(name, "*?")
	for _, a := range actions {
		_, other, _ := strings.Cut(strings.ToLower(a), ":")
		if n := max(sharedStart(name, other), sharedStart(reversed(name), reversed(other))); n > most {
			best, most = a, n
		}
	}
	if best == "" {
		return ""
	}
	return "; was " + best + " meant?"
}

func sharedStart(a, b string) (n int) {
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

func reversed(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

// strayResource looks for stream/NAME: an ARN always has a creation time behind it.
func strayResource(pattern string) string {
	a := splitARN(pattern)
	kind, name, slash := strings.Cut(a.parts[5], "/")
	if a.ok && a.parts[2] == "kinesisvideo" && (kind == "stream" || kind == "channel") && slash &&
		!strings.ContainsAny(strings.ReplaceAll(name, "${", ""), "/*") {
		return "no " + kind + " has such an ARN, which ends in a creation time; write " + quoted(pattern+"/*")
	}
	return ""
}
