package model

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// kinds are the words that declare a shape.
var kinds = map[string]Kind{
	"text": Text, "secret": Text, "enum": Enum, "integer": Integer, "long": Long,
	"boolean": Boolean, "timestamp": Timestamp, "list": List, "map": Map, "structure": Structure,
}

// shape reads the line that declares a shape.
func (p *parser) shape(word, name string, rest []string) error {
	kind, ok := kinds[word]
	if !ok {
		return fmt.Errorf("unknown word %q", word)
	}
	if p.shapes[name] != nil {
		return fmt.Errorf("shape %s stands twice", name)
	}
	s := &Shape{Name: name, Kind: kind, Sensitive: word == "secret"}
	if err := s.constraints(rest); err != nil {
		return fmt.Errorf("shape %s: %w", name, err)
	}
	p.shapes[name] = s
	p.service.Shapes = append(p.service.Shapes, s)
	if kind == Structure {
		p.structure = s
	}
	return nil
}

// constraints reads what follows the name.
func (s *Shape) constraints(rest []string) error {
	switch {
	case s.Kind == Enum:
		s.Values = rest
		return nil
	case s.Kind == List && len(rest) > 0:
		s.item, rest = rest[0], rest[1:]
	case s.Kind == Map && len(rest) > 1:
		s.key, s.item, rest = rest[0], rest[1], rest[2:]
	}
	if len(rest) > 0 && strings.Contains(rest[0], "..") && s.bounds(rest[0]) == nil {
		rest = rest[1:]
	}
	if s.Kind == Text && len(rest) == 1 {
		s.Pattern, rest = rest[0], nil
	}
	if len(rest) > 0 {
		return fmt.Errorf("left over: %q", strings.Join(rest, " "))
	}
	return nil
}

// bounds reads MIN..MAX.
func (s *Shape) bounds(text string) error {
	low, high, _ := strings.Cut(text, "..")
	for _, b := range []struct {
		text string
		to   **int64
	}{{low, &s.Min}, {high, &s.Max}} {
		if b.text == "" {
			continue
		}
		n, err := strconv.ParseInt(b.text, 10, 64)
		if err != nil {
			return err
		}
		*b.to = &n
	}
	return nil
}

// member reads MEMBER[!] [SHAPE] and keeps the members in alphabetical order.
func (s *Shape) member(words []string) error {
	name, required := strings.CutSuffix(words[0], "!")
	m := Member{Name: name, Required: required, shape: name}
	switch len(words) {
	case 1:
	case 2:
		m.shape = words[1]
	default:
		return fmt.Errorf("member %s: left over: %q", name, strings.Join(words[2:], " "))
	}
	s.Members = append(s.Members, m)
	sort.Slice(s.Members, func(a, b int) bool { return s.Members[a].Name < s.Members[b].Name })
	return nil
}
