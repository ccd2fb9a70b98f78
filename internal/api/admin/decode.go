package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// decode reads one JSON object; an empty body is an empty object. into is a pointer to a
// struct.
func decode(body []byte, into any) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return kvs.Errorf(kvs.InvalidArgument, "The body does not fit: %s.", misfit(err, body, reflect.TypeOf(into).Elem()))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return kvs.Errorf(kvs.InvalidArgument, "The body holds more than one JSON object.")
	}
	return nil
}

// misfit says what is wrong about a body in the words of JSON: callers know nothing of the
// struct t that it was meant for.
func misfit(err error, body []byte, t reflect.Type) string {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		name := member(wrong.Field, t)
		if name == "" {
			name = "it"
		}
		return name + " is " + given(wrong.Value) + ", not " + wanted(wrong.Type)
	}
	_, syntax := errors.AsType[*json.SyntaxError](err)
	if syntax || errors.Is(err, io.ErrUnexpectedEOF) {
		return "it is no JSON object: " + err.Error()
	}
	if text, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return "there is no member " + text
	}
	if name := untimely(body, t); name != "" {
		return name + " is not " + wanted(reflect.TypeFor[time.Time]())
	}
	return "a member is not of its type"
}

// member is the path of a member as callers write it, without the structs that t embeds.
func member(path string, t reflect.Type) string {
	first, rest, _ := strings.Cut(path, ".")
	if f, ok := t.FieldByName(first); ok && f.Anonymous {
		return rest
	}
	return path
}

// given is a value that came, by its kind.
func given(value string) string {
	kind, literal, _ := strings.Cut(value, " ")
	words := map[string]string{"string": "a text", "number": "a number", "bool": "true or false", "array": "a list", "object": "an object"}
	if literal != "" {
		return "the number " + literal
	}
	return words[kind]
}

// wanted is what a member takes.
func wanted(t reflect.Type) string {
	if t == reflect.TypeFor[time.Time]() {
		return "a time such as 2026-01-02T15:04:05Z"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return wanted(t.Elem())
	case reflect.Slice:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number from 0, in digits"
	}
	return "a whole number in digits"
}

// untimely finds the member of body that should be a time and is none. The decoder does
// not tell which it was.
func untimely(body []byte, t reflect.Type) string {
	var all map[string]json.RawMessage
	if json.Unmarshal(body, &all) != nil {
		return ""
	}
	for name, value := range all {
		f, ok := t.FieldByName(name)
		if !ok || f.Type != reflect.TypeFor[time.Time]() && f.Type != reflect.TypeFor[*time.Time]() {
			continue
		}
		if json.Unmarshal(value, new(time.Time)) != nil {
			return name
		}
	}
	return ""
}
