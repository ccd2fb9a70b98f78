package config

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// reading is one pass over a file: it gives the settings of a Config the values that
// stand there, and keeps the line of each and every mistake.
type reading struct {
	path     string
	known    []setting
	lines    map[string]int // of a setting's name, or of one entry: limits.NAME
	mistakes Mistakes
}

// read reads settings from a YAML file over those in c. An error is that of reading the
// file; what is wrong inside it is in the reading's mistakes.
func (c *Config) read(path string) (*reading, error) {
	r := &reading{path: path, known: c.settings(), lines: map[string]int{}}
	text, err := os.ReadFile(path)
	if err != nil {
		return r, err
	}
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		r.syntax(err, string(text))
		return r, nil
	}
	for i, doc := range file.Docs {
		switch {
		case doc.Body == nil:
		case i > 0:
			r.wrong(doc.Body, "", "a second document begins here; write all settings into one")
		default:
			r.section("", doc.Body)
		}
	}
	return r, nil
}

// syntax records that the file is no YAML. Its line may begin with a tab, which the
// message does not say.
func (r *reading) syntax(err error, text string) {
	for i, line := range strings.Split(text, "\n") {
		if rest := strings.TrimLeft(line, " "); strings.HasPrefix(rest, "\t") && strings.Trim(rest, " \t\r") != "" {
			r.mistakes = append(r.mistakes, Mistake{Where: r.at(i + 1), Text: "begins with a tab: YAML is indented with spaces", line: i + 1})
			return
		}
	}
	var y yaml.Error
	if !errors.As(err, &y) || y.GetToken() == nil {
		r.mistakes = append(r.mistakes, Mistake{Where: r.path, Text: err.Error()})
		return
	}
	line := y.GetToken().Position.Line
	r.mistakes = append(r.mistakes, Mistake{Where: r.at(line), Text: y.GetMessage(), line: line})
}

func (r *reading) at(line int) string { return fmt.Sprintf("%s:%d", r.path, line) }

func (r *reading) wrong(n ast.Node, name, format string, args ...any) {
	line := n.GetToken().Position.Line
	r.mistakes = append(r.mistakes, Mistake{Where: r.at(line), Setting: name, Text: fmt.Sprintf(format, args...), line: line})
}

// pairs are the keys and values of a mapping, nil when n is none.
func pairs(n ast.Node) []*ast.MappingValueNode {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	}
	return nil
}

// section reads the settings below a name ("" or "tls.").
func (r *reading) section(prefix string, n ast.Node) {
	if _, empty := n.(*ast.NullNode); empty { // every line of the section is a comment
		return
	}
	values := pairs(n)
	if values == nil {
		r.wrong(n, strings.TrimSuffix(prefix, "."), "write settings as NAME: VALUE")
		return
	}
	for _, p := range values {
		key, name := keyText(p.Key), ""
		name = prefix + key
		if s, ok := find(r.known, name); ok {
			r.lines[name] = p.Key.GetToken().Position.Line
			r.value(s, p.Value)
		} else if r.isSection(name + ".") {
			r.section(name+".", p.Value)
		} else {
			r.wrong(p.Key, name, "there is no such setting%s", suggest(r.known, name))
		}
	}
}

func keyText(k ast.MapKeyNode) string {
	if s, ok := k.(*ast.StringNode); ok {
		return s.Value
	}
	return k.GetToken().Value
}

func (r *reading) isSection(prefix string) bool {
	for _, s := range r.known {
		if strings.HasPrefix(s.name, prefix) {
			return true
		}
	}
	return false
}

// value gives one setting what stands in the file.
func (r *reading) value(s setting, n ast.Node) {
	switch p := s.value.Addr().Interface().(type) {
	case *[]string:
		r.list(s.name, p, n)
	case *map[string]string:
		r.entries(s.name, p, n)
	default:
		if text, ok := r.text(s.name, n); ok {
			if err := setScalar(s.value, text); err != nil {
				r.wrong(n, s.name, "%v", err)
			}
		}
	}
}

// list reads a sequence, or one text as a list of one.
func (r *reading) list(name string, into *[]string, n ast.Node) {
	values := []ast.Node{n}
	if seq, ok := n.(*ast.SequenceNode); ok {
		values = seq.Values
	}
	*into = []string{}
	for _, v := range values {
		if text, ok := r.text(name, v); ok {
			*into = append(*into, text)
		}
	}
}

// entries reads a mapping of texts.
func (r *reading) entries(name string, into *map[string]string, n ast.Node) {
	*into = map[string]string{}
	if _, empty := n.(*ast.NullNode); empty {
		return
	}
	m, isMap := n.(*ast.MappingNode)
	if values := pairs(n); values != nil || isMap && len(m.Values) == 0 {
		for _, p := range values {
			key := keyText(p.Key)
			r.lines[name+"."+key] = p.Key.GetToken().Position.Line
			if text, ok := r.text(name+"."+key, p.Value); ok {
				(*into)[key] = text
			}
		}
		return
	}
	r.wrong(n, name, "write its entries as NAME: VALUE")
}

// text is the plain text of a value; numbers stay as they were written.
func (r *reading) text(name string, n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	case *ast.NullNode:
		r.wrong(n, name, `has no value; write "" for none, or remove the line`)
	case *ast.MappingNode, *ast.MappingValueNode, *ast.SequenceNode:
		r.wrong(n, name, "takes one value, not several")
	default:
		r.wrong(n, name, "write the value plainly: anchors, aliases and tags are not read here")
	}
	return "", false
}
