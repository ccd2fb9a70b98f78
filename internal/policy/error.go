package policy

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Error says why a text is no policy, and where. Line and Column count from 1, columns
// in characters.
type Error struct {
	Line, Column int
	Path         string // of the element: Statement[0].Condition.Bool; "" for the document
	Reason       string // what is wrong and what would be right
}

// Error returns all of it in one line.
func (e *Error) Error() string {
	where := fmt.Sprintf("line %d, column %d", e.Line, e.Column)
	if e.Path != "" {
		where += ", " + e.Path
	}
	return where + ": " + e.Reason
}

// Warning is about an element that is right as grammar but never matches anything.
// Line and Column are as in Error.
type Warning struct {
	Line, Column int
	Path         string
	Reason       string
}

// String returns all of it in one line.
func (w Warning) String() string { return (*Error)(&w).Error() }

// Position is a place in a text, counted from 1, columns in characters.
type Position struct{ Line, Column int }

// position finds the line and column of an offset in bytes.
func position(text string, at int) Position {
	before := text[:min(at, len(text))]
	line := strings.LastIndexByte(before, '\n') + 1
	return Position{Line: 1 + strings.Count(before, "\n"), Column: 1 + utf8.RuneCountInString(before[line:])}
}

// refusal makes the Error about a place of a text.
func refusal(text string, at int, path, format string, args ...any) *Error {
	p := position(text, at)
	return &Error{Line: p.Line, Column: p.Column, Path: path, Reason: fmt.Sprintf(format, args...)}
}

// memberPath returns the path of a member of an object, elementPath that of an item of a
// list.
func memberPath(path, name string) string {
	switch {
	case !plainName(name):
		return path + "[" + strconv.Quote(short(name)) + "]"
	case path == "":
		return name
	}
	return path + "." + name
}

func elementPath(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

func plainName(s string) bool {
	for _, c := range s {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9') {
			return false
		}
	}
	return s != ""
}

// short cuts what a message repeats of a text to a length that can be read.
func short(s string) string {
	const most = 80
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "..."
}

// quoted is a text as messages show it.
func quoted(s string) string { return strconv.Quote(short(s)) }

// oneOf lists what would be right: "A, B or C".
func oneOf(names ...string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}
