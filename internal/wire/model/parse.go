package model

import (
	"embed"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

//go:embed *.txt
var texts embed.FS

// files are the models in the order in which they are generated.
var files = []string{"video.txt", "media.txt", "archived.txt", "signaling.txt", "storage.txt"}

// Load reads the facts that are compiled into the program.
func Load() (*Facts, error) {
	shared := newParser(nil)
	if err := shared.file("shared.txt"); err != nil {
		return nil, err
	}
	facts := &Facts{Shared: shared.service.Shapes}
	for _, name := range files {
		p := newParser(shared.shapes)
		if err := p.file(name); err != nil {
			return nil, err
		}
		facts.Services = append(facts.Services, p.service)
	}
	return facts, nil
}

// parser reads one file. The structure or operation last begun takes the indented
// lines that follow it.
type parser struct {
	service    Service
	shapes     map[string]*Shape
	exceptions map[string]Exception
	structure  *Shape
	operation  *Operation
	errors     map[string][]string // exception names by operation, resolved at the end
}

func newParser(shared map[string]*Shape) *parser {
	p := &parser{shapes: map[string]*Shape{}, exceptions: map[string]Exception{}, errors: map[string][]string{}}
	for name, s := range shared {
		p.shapes[name] = s
	}
	p.shapes["null"] = &Shape{Name: "null", Kind: Null}
	return p
}

func (p *parser) file(name string) error {
	text, err := texts.ReadFile(name)
	if err != nil {
		return err
	}
	if err := p.parse(string(text)); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (p *parser) parse(text string) error {
	for i, line := range strings.Split(text, "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		words := strings.Fields(line)
		read := p.declaration
		if line[0] == '\t' {
			read = p.detail
		}
		if err := read(words); err != nil {
			return fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return p.resolve()
}

// declaration reads a line that begins something.
func (p *parser) declaration(words []string) error {
	if len(words) < 2 {
		return fmt.Errorf("%q has no name", words[0])
	}
	p.structure, p.operation = nil, nil
	name, rest := words[1], words[2:]
	switch words[0] {
	case "service":
		p.service.Name, p.service.Version = name, strings.Join(rest, " ")
		return nil
	case "exception":
		return p.exception(name, rest)
	case "operation":
		return p.begin(name, rest)
	}
	return p.shape(words[0], name, rest)
}

func (p *parser) exception(name string, rest []string) error {
	e := Exception{Name: name + "Exception", MessageKey: "Message"}
	if len(rest) == 2 && rest[1] == "message" {
		e.MessageKey = "message"
	} else if len(rest) != 1 {
		return fmt.Errorf("exception %s: want a status and perhaps the word message", name)
	}
	status, err := strconv.Atoi(rest[0])
	if err != nil {
		return fmt.Errorf("exception %s: %w", name, err)
	}
	e.Status = status
	p.exceptions[name] = e
	return nil
}

// begin starts an operation. Both its bodies are JSON objects until a line says that
// one of them is a payload.
func (p *parser) begin(name string, rest []string) error {
	if len(rest) != 1 {
		return fmt.Errorf("operation %s: want a path", name)
	}
	p.service.Operations = append(p.service.Operations, Operation{
		Name: name, Path: rest[0],
		Input:  &Shape{Name: name + "Input", Kind: Structure},
		Output: &Shape{Name: name + "Output", Kind: Structure},
	})
	p.operation = &p.service.Operations[len(p.service.Operations)-1]
	return nil
}

// detail reads an indented line.
func (p *parser) detail(words []string) error {
	if p.structure != nil {
		return p.structure.member(words)
	}
	if p.operation == nil || len(words) < 2 {
		return fmt.Errorf("%q stands under nothing", strings.Join(words, " "))
	}
	side := &p.operation.Input
	switch words[0] {
	case "!":
		p.errors[p.operation.Name] = words[1:]
		return nil
	case ">":
		side = &p.operation.Output
	case "<":
	default:
		return fmt.Errorf("%q is not one of the marks < > ! of a member", words[0])
	}
	if words[1] == "payload" {
		*side = nil
		return nil
	}
	return (*side).member(words[1:])
}

// resolve turns names into pointers, now that all are known.
func (p *parser) resolve() error {
	for i := range p.service.Operations {
		op := &p.service.Operations[i]
		for _, s := range []*Shape{op.Input, op.Output} {
			if s != nil {
				p.service.Shapes = append(p.service.Shapes, s)
			}
		}
		for _, name := range p.errors[op.Name] {
			e, ok := p.exceptions[name]
			if !ok {
				return fmt.Errorf("operation %s: unknown exception %s", op.Name, name)
			}
			op.Exceptions = append(op.Exceptions, e)
		}
		sort.Slice(op.Exceptions, func(a, b int) bool { return op.Exceptions[a].Name < op.Exceptions[b].Name })
	}
	for _, s := range p.service.Shapes {
		if err := p.resolveShape(s); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	return nil
}

func (p *parser) resolveShape(s *Shape) error {
	for i := range s.Members {
		if err := p.look(s.Members[i].shape, &s.Members[i].Shape); err != nil {
			return err
		}
	}
	if err := p.look(s.item, &s.Item); err != nil {
		return err
	}
	return p.look(s.key, &s.Key)
}

func (p *parser) look(name string, to **Shape) error {
	if name == "" {
		return nil
	}
	s, ok := p.shapes[name]
	if !ok {
		return fmt.Errorf("unknown shape %s", name)
	}
	*to = s
	return nil
}
