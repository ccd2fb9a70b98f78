package api

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/internal/kvs"
)

// Route serves one operation.
type Route struct {
	Operation string // name, as the model has it

	// Own says that no model has the operation: it is ours, reached by POST at
	// /millrace/NAME, with the action millrace:NAME. Its route reads the body itself
	// ([Call.Body]), and its output is written by encoding/json.
	Own bool

	// Target says which stream the call is about; nil when it is about none. That of an
	// operation of our own may name none.
	Target func(c *Call) (Target, error)

	// Span says which range of time the call asks for, and false when it asks for none; nil =
	// it never does. It is asked once the stream is known, if a policy is about the range.
	Span func(c *Call) (Span, bool)

	// Call does the work and returns the output, or streams it (see [Call.Begin]).
	Call func(ctx context.Context, c *Call) (any, error)
}

// Target names a stream as callers do.
type Target struct {
	Name, ARN *string
}

// String is what the caller asked for, shortened for the log.
func (t Target) String() string {
	for _, s := range []*string{t.Name, t.ARN} {
		if s != nil {
			return fmt.Sprintf("%.300s", *s)
		}
	}
	return ""
}

// JSON makes the route of an operation with a JSON input of type T that is about no
// stream, or about one that is not there yet.
func JSON[T any](operation string, call func(ctx context.Context, c *Call, in *T) (any, error)) Route {
	return Route{Operation: operation, Call: func(ctx context.Context, c *Call) (any, error) {
		return call(ctx, c, any(c.Input).(*T))
	}}
}

// OnStream makes the route of an operation with a JSON input of type T that names a
// stream.
func OnStream[T any, P interface {
	*T
	Target() (name, arn *string)
}](operation string, call func(ctx context.Context, c *Call, in *T) (any, error)) Route {
	r := JSON(operation, call)
	r.Target = func(c *Call) (t Target, err error) {
		t.Name, t.ARN = any(c.Input).(P).Target()
		return t, nil
	}
	return r
}

// Ranged makes a route with an input of type T say which range of time its calls ask for.
func Ranged[T any](r Route, span func(c *Call, in *T) (Span, bool)) Route {
	r.Span = func(c *Call) (Span, bool) { return span(c, any(c.Input).(*T)) }
	return r
}

// resolve finds the stream a target names. Both forms may be given if they agree.
func (f *Front) resolve(ctx context.Context, account kvs.AccountID, t Target) (kvs.Stream, error) {
	if t.ARN == nil && t.Name == nil {
		return kvs.Stream{}, kvs.Errorf(kvs.InvalidArgument, "Either StreamName or StreamARN must be given.")
	}
	if t.ARN == nil {
		return f.o.Streams.ByName(ctx, account, *t.Name)
	}
	arn, ok := kvs.ParseARN(*t.ARN)
	if !ok {
		return kvs.Stream{}, kvs.Errorf(kvs.InvalidFormat, "StreamARN '%.1024s' is malformed; a stream's ARN looks like arn:aws:kinesisvideo:REGION:ACCOUNT:stream/NAME/CODE.", *t.ARN)
	}
	if t.Name != nil && arn.Name != *t.Name {
		return kvs.Stream{}, kvs.Errorf(kvs.InvalidArgument, "StreamName '%s' and StreamARN '%s' name different streams; give one of them.", *t.Name, *t.ARN)
	}
	return f.o.Streams.ByARN(ctx, account, arn)
}
