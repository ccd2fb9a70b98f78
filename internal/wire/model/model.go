// Package model reads the facts of the five service models: operations with their
// paths, members, constraints and exceptions.
//
// The facts are the text files beside this one, one line per fact; package wire is
// generated from them, and its tests are tables over them. Nothing in a running
// server reads this package. The format is line-oriented; "#" starts a comment line:
//
//	service NAME API-VERSION
//	exception NAME STATUS [message]      "message": its body spells the member so
//	text NAME [MIN..MAX] [PATTERN]       secret: a text that errors must not show
//	enum NAME VALUE...
//	integer|long NAME [MIN..MAX]         either bound may be left out
//	boolean|timestamp NAME
//	list NAME ITEM [MIN..MAX]
//	map NAME KEY VALUE [MIN..MAX]
//	structure NAME
//	    MEMBER[!] [SHAPE]                "!": required; SHAPE left out when it has the member's name
//	operation NAME PATH
//	    < MEMBER[!] [SHAPE]              input; "< payload": the body is not JSON
//	    > MEMBER [SHAPE]                 output; "> payload": a stream of bytes
//	    ! EXCEPTION...                   names without their common ending "Exception"
//
// The shape "null" is a member that the real service sends but no model has: always
// null. Shapes may be used before their line; names of shared.txt are known everywhere.
package model

// Kind is the kind of a shape.
type Kind uint8

// The kinds of shape.
const (
	Text Kind = iota
	Enum
	Integer // 32 bits
	Long    // 64 bits
	Boolean
	Timestamp
	List
	Map
	Structure
	Null
)

// Shape is a named kind of value with its constraints.
type Shape struct {
	Name      string
	Kind      Kind
	Min, Max  *int64 // of characters, of a number, or of elements; nil = unbounded
	Pattern   string // of a text; it must match the whole text
	Values    []string
	Sensitive bool   // a text that must not show in errors
	Item      *Shape // of a list; the value of a map
	Key       *Shape // of a map
	Members   []Member

	item, key string // names not yet resolved
}

// Member is one member of a structure. Members are in alphabetical order.
type Member struct {
	Name     string
	Required bool
	Shape    *Shape

	shape string
}

// Exception is an error that an operation may answer.
type Exception struct {
	Name       string // with the ending "Exception"
	Status     int
	MessageKey string // "Message", or "message" in the newer models
}

// Operation is one call of a service.
type Operation struct {
	Name, Path    string
	Input, Output *Shape // nil: the body is a stream, not JSON
	Exceptions    []Exception
}

// Service is one service model.
type Service struct {
	Name, Version string
	Shapes        []*Shape // in the order of the file, inputs and outputs last
	Operations    []Operation
}

// Facts are all five models.
type Facts struct {
	Shared   []*Shape // shapes that several services use
	Services []Service
}
