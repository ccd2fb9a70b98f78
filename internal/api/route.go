package api

import (
	"context"
	"fmt"
	"strings"

	"github.com/millrace/millrace/internal/kvs"
)

// Route serves one operation.
type Route struct {
	Operation string // name, as the model has it

	// Own says that no model has the operation: it is ours, reached by POST at
	// /millrace/NAME, with the action millrace:NAME. Its route reads the body itself
	// ([Call.Body]), and its output is written by encoding/json.
	Own bool

	// Target says which stream or channel the call is about; nil when it is about none. That
	// of an operation of our own may name none.
	Target func(c *Call) (Target, error)

	// Span says which range of time the call asks for, and false when it asks for none; nil =
	// it never does. It is asked once the stream is known, if a policy is about the range.
	Span func(c *Call) (Span, bool)

	// Call does the work and returns the output, or streams it (see [Call.Begin]).
	Call func(ctx context.Context, c *Call) (any, error)
}

// Target names a stream or a signaling channel as callers do.
type Target struct {
	Name, ARN *string
	Kind      kvs.ResourceKind // "" = a stream
}

// unnamed reports whether neither form is given.
func (t Target) unnamed() bool { return t.Name == nil && t.ARN == nil }

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

// OnChannel makes the route of an operation with a JSON input of type T that names a
// signaling channel.
func OnChannel[T any, P interface {
	*T
	Target() (name, arn *string)
}](operation string, call func(ctx context.Context, c *Call, in *T) (any, error)) Route {
	r := OnStream[T, P](operation, call)
	r.Target = ofKind(r.Target, func(Target) kvs.ResourceKind { return kvs.ChannelResource })
	return r
}

// OnResource makes the route of an operation with a JSON input of type T that names a stream
// or a signaling channel: the ARN says which.
func OnResource[T any, P interface {
	*T
	Target() (name, arn *string)
}](operation string, call func(ctx context.Context, c *Call, in *T) (any, error)) Route {
	r := OnStream[T, P](operation, call)
	r.Target = ofKind(r.Target, func(t Target) (kind kvs.ResourceKind) {
		if t.ARN != nil {
			arn, _ := kvs.ParseARN(*t.ARN)
			kind = arn.Kind
		}
		return kind
	})
	return r
}

// ofKind makes targets of a kind.
func ofKind(target func(*Call) (Target, error), kind func(Target) kvs.ResourceKind) func(*Call) (Target, error) {
	return func(c *Call) (Target, error) {
		t, err := target(c)
		t.Kind = kind(t)
		return t, err
	}
}

// Ranged makes a route with an input of type T say which range of time its calls ask for.
func Ranged[T any](r Route, span func(c *Call, in *T) (Span, bool)) Route {
	r.Span = func(c *Call) (Span, bool) { return span(c, any(c.Input).(*T)) }
	return r
}

// resolve finds what a target names, in the account. Both forms may be given if they agree.
func (f *Front) resolve(ctx context.Context, c *Call, t Target) (err error) {
	if t.Kind == kvs.ChannelResource && f.o.Channels != nil {
		c.Channel, err = find(ctx, f.o.Channels, c.Principal.Account, t, "Channel")
		return err
	}
	c.Stream, err = find(ctx, f.o.Streams, c.Principal.Account, t, "Stream")
	return err
}

// finder finds things of one kind.
type finder[T any] interface {
	ByName(ctx context.Context, account kvs.AccountID, name string) (T, error)
	ByARN(ctx context.Context, account kvs.AccountID, arn kvs.ARN) (T, error)
}

// find finds what a target names; what is its kind as members of inputs begin with it.
func find[T any](ctx context.Context, all finder[T], account kvs.AccountID, t Target, what string) (none T, err error) {
	if t.unnamed() {
		return none, kvs.Errorf(kvs.InvalidArgument, "Either %[1]sName or %[1]sARN must be given.", what)
	}
	if t.ARN == nil {
		return all.ByName(ctx, account, *t.Name)
	}
	arn, ok := kvs.ParseARN(*t.ARN)
	if !ok {
		return none, kvs.Errorf(kvs.InvalidFormat, "%[1]sARN '%.1024[3]s' is malformed; a %[2]s's ARN looks like arn:aws:kinesisvideo:REGION:ACCOUNT:%[2]s/NAME/CODE.", what, strings.ToLower(what), *t.ARN)
	}
	if t.Name != nil && arn.Name != *t.Name {
		return none, kvs.Errorf(kvs.InvalidArgument, "%[1]sName '%[2]s' and %[1]sARN '%[3]s' name different %[4]ss; give one of them.", what, *t.Name, *t.ARN, strings.ToLower(what))
	}
	return all.ByARN(ctx, account, arn)
}
