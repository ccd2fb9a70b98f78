// Package admin serves the operations that are our own, beside those of the service
// models: what an operator asks a running server and changes in it.
//
// An operation is POST /millrace/NAME with a JSON body, signed like every call and
// allowed by the action millrace:NAME; docs/ref/admin.md, written from the routes, is
// their reference. A [Route] takes the same path through the front as every other
// call. Whatever a call shows or changes belongs to the caller's account.
//
// Other rooms contribute routes by returning a []Route, which the server hands to
// [Routes]. Routes are called from many goroutines.
package admin

import (
	"context"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/kvs"
)

// Route serves one operation of our own. [JSON] and [OnStream] make it for a body that
// is a Go struct.
type Route struct {
	Name string // such as ListLimits
	Help string // what it does: a sentence of the reference

	// Input and Output are empty values of the structs that the bodies hold, for the
	// reference. Their members say what they mean in a tag help:"...".
	Input, Output any

	// Target says which stream the body names; nil when it never does. An empty target
	// means that the call is about the account.
	Target func(body []byte) (api.Target, error)

	// Call does the work and returns what encoding/json writes as the answer. It may
	// also write the answer itself, line by line, after [api.Call.Begin].
	Call func(ctx context.Context, c *api.Call, body []byte) (any, error)
}

// Routes makes the routes known to the front.
func Routes(own ...Route) []api.Route {
	var all []api.Route
	for _, r := range own {
		route := api.Route{Operation: r.Name, Own: true, Call: func(ctx context.Context, c *api.Call) (any, error) {
			return r.Call(ctx, c, c.Body())
		}}
		if r.Target != nil {
			route.Target = func(c *api.Call) (api.Target, error) { return r.Target(c.Body()) }
		}
		all = append(all, route)
	}
	return all
}

// JSON makes a route whose body is a T. Members that T does not have are refused: a
// misspelt one must not mean "everything". out is an empty value of the answer.
func JSON[T any](name, help string, out any, call func(ctx context.Context, c *api.Call, in *T) (any, error)) Route {
	return Route{Name: name, Help: help, Input: *new(T), Output: out, Call: func(ctx context.Context, c *api.Call, body []byte) (any, error) {
		in := new(T)
		if err := decode(body, in); err != nil {
			return nil, err
		}
		return call(ctx, c, in)
	}}
}

// OnStream is like [JSON] for a T that embeds [Stream] or [AnyStream]. [api.Call.Stream]
// is the stream that was named.
func OnStream[T any, P interface {
	*T
	target() (api.Target, error)
}](name, help string, out any, call func(ctx context.Context, c *api.Call, in *T) (any, error)) Route {
	r := JSON(name, help, out, call)
	r.Target = func(body []byte) (api.Target, error) {
		in := new(T)
		if err := decode(body, in); err != nil {
			return api.Target{}, err
		}
		return P(in).target()
	}
	return r
}

// AnyStream is embedded by inputs that may name a stream.
type AnyStream struct {
	StreamName *string `json:",omitempty" help:"Name of the stream; without a stream the call is about the account."`
	StreamARN  *string `json:",omitempty" help:"ARN of the stream, instead of its name."`
}

func (s *AnyStream) target() (api.Target, error) {
	return api.Target{Name: s.StreamName, ARN: s.StreamARN}, nil
}

// Stream is embedded by inputs that must name a stream.
type Stream struct {
	StreamName *string `json:",omitempty" help:"Name of the stream."`
	StreamARN  *string `json:",omitempty" help:"ARN of the stream, instead of its name."`
}

func (s *Stream) target() (api.Target, error) {
	if s.StreamName == nil && s.StreamARN == nil {
		return api.Target{}, kvs.Errorf(kvs.InvalidArgument, "Either StreamName or StreamARN must be given.")
	}
	return api.Target{Name: s.StreamName, ARN: s.StreamARN}, nil
}

// Scope is what a call about signaling channels is about.
type Scope struct {
	Account kvs.AccountID
	Channel kvs.Channel // the one that was named; its ID is 0 when it is about all
}

// OnChannel is like [JSON] for a T that embeds [AnyChannel].
func OnChannel[T any, P interface {
	*T
	target() (api.Target, error)
}](name, help string, out any, call func(ctx context.Context, s Scope, in *T) (any, error)) Route {
	return OnStream[T, P](name, help, out, func(ctx context.Context, c *api.Call, in *T) (any, error) {
		return call(ctx, Scope{c.Principal.Account, c.Channel}, in)
	})
}

// AnyChannel is embedded by inputs that may name a signaling channel.
type AnyChannel struct {
	ChannelName *string `json:",omitempty" help:"Name of the signaling channel; without a channel the call is about the account."`
	ChannelARN  *string `json:",omitempty" help:"ARN of the channel, instead of its name."`
}

func (c *AnyChannel) target() (api.Target, error) {
	return api.Target{Name: c.ChannelName, ARN: c.ChannelARN, Kind: kvs.ChannelResource}, nil
}
