package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Shape is a structure of the wire. Only generated types are shapes.
type Shape interface {
	// fields returns the members in alphabetical order; their values point into the
	// shape.
	fields() []field
}

// Input is what an operation is called with.
type Input interface {
	Shape
	// Check returns a *[CheckError] for the first member, in alphabetical order, that
	// breaks a rule of the model.
	Check() error
}

// field is one member of a shape.
type field struct {
	name  string
	need  need
	value value
}

// need says whether a member may be absent.
type need bool

const (
	optional need = false
	required need = true
)

// value is what a member holds: one implementation for each kind of shape.
type value interface {
	present() bool
	// check is called when the value is present.
	check() *CheckError
	// decode sets the value from valid JSON other than null.
	decode(raw []byte) *CheckError
	// append writes the value, which is present, as JSON. nulls says whether absent
	// members of structures below are written.
	append(b []byte, nulls bool) []byte
}

// Decode reads a JSON object into a shape made by Operation.Input or Operation.Output.
// An empty body is an empty object; unknown members and nulls are passed over. It
// does not check the rules of the model. The error is a *[SyntaxError] when body is no
// JSON object, or a *[CheckError] when a member has the wrong JSON type.
func Decode(body []byte, into Shape) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	if !json.Valid(body) {
		return syntaxError(body)
	}
	start := space(body, 0)
	if body[start] != '{' {
		return &SyntaxError{Offset: int64(start), Reason: "it begins with " + quoted(string(body[start:start+1]))}
	}
	if e := decodeFields(body[start:], into); e != nil {
		return e
	}
	return nil
}

// syntaxError asks the standard library, which is slower than [json.Valid], where
// body stops being JSON.
func syntaxError(body []byte) error {
	var raw json.RawMessage
	err := json.Unmarshal(body, &raw)
	e := &SyntaxError{Offset: int64(len(body)), Reason: "it is not JSON"}
	if s, ok := errors.AsType[*json.SyntaxError](err); ok {
		e.Offset, e.Reason = s.Offset, s.Error()
	}
	return e
}

func decodeFields(raw []byte, into Shape) *CheckError {
	fields := into.fields()
	return members(raw, func(name string, value []byte) *CheckError {
		for _, f := range fields {
			if f.name == name && !isNull(value) {
				return f.value.decode(value).in(name)
			}
		}
		return nil
	})
}

// Encode writes a shape as JSON with its members in alphabetical order: the same
// bytes for the same value, without spaces and without escaped slashes. Members that
// are absent are null in an output and left out of an input. A nil list is absent, an
// empty one is []. A nil out is {}.
func Encode(out any) ([]byte, error) {
	if out == nil {
		return []byte("{}"), nil
	}
	s, ok := out.(Shape)
	if !ok {
		return nil, fmt.Errorf("wire: %T is not a shape of the wire", out)
	}
	_, input := out.(Input)
	return appendFields(nil, s, !input), nil
}

func appendFields(b []byte, s Shape, nulls bool) []byte {
	b = append(b, '{')
	begun := false
	for _, f := range s.fields() {
		present := f.value.present()
		if !present && !nulls {
			continue
		}
		if begun {
			b = append(b, ',')
		}
		begun = true
		b = append(appendString(b, f.name), ':')
		if present {
			b = f.value.append(b, nulls)
		} else {
			b = append(b, "null"...)
		}
	}
	return append(b, '}')
}

// checkInput is the body of every Check method.
func checkInput(s Shape) error {
	if e := checkFields(s); e != nil {
		return e
	}
	return nil
}

func checkFields(s Shape) *CheckError {
	for _, f := range s.fields() {
		if !f.value.present() {
			if f.need == required {
				return missing(f.name)
			}
			continue
		}
		if e := f.value.check(); e != nil {
			return e.in(f.name)
		}
	}
	return nil
}

// Value returns what p points to, the zero value when it is nil.
func Value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
