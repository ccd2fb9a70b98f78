package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/wire"
)

// playFlags are what "millrace hls" and "millrace dash" have in common.
type playFlags struct {
	Stream string `arg:"" help:"Name or ARN of the stream."`

	Mode      string        `enum:",live,replay,on-demand" default:"" placeholder:"MODE" help:"live: the newest fragments. replay: those from --from on, as fast as they were recorded. on-demand: all from --from to --to at once. Without it --from and --to decide."`
	From      moment        `help:"Only fragments that begin at this time or later: RFC 3339 or epoch seconds." placeholder:"TIME"`
	To        moment        `help:"Only fragments that begin at this time or earlier." placeholder:"TIME"`
	Clock     string        `enum:"server,producer" default:"server" help:"Whose time --from, --to and the media have: ${enum}."`
	Expires   time.Duration `placeholder:"DURATION" help:"How long the URL works: 5m, which is what the server takes without it, to 12h."`
	Max       int64         `placeholder:"N" help:"At most so many fragments in a list, to 5000; else 5, on demand 1000."`
	LivePause string        `enum:",survive,break" default:"" placeholder:"survive|break" help:"What becomes of a live list while the producer pauses: survive, it stays as it is; break, the URL answers 404 after 30 s, so that what records it ends. Without it the stream's tag or the server decides."`
	ShowTimes bool          `help:"Show the time of each fragment in the list."`

	connection
}

// check returns what is wrong with the flags, "" if nothing is.
func (f *playFlags) check() string {
	switch mode := f.mode(); {
	case f.Mode == "live" && (f.From.set || f.To.set):
		return "--mode live has no --from and --to"
	case mode != wire.HLSPlaybackModeLive && !f.From.set:
		return "a range begins with --from"
	case mode == wire.HLSPlaybackModeOnDemand && !f.To.set:
		return "--mode on-demand ends with --to"
	case f.From.set && f.To.set && f.From.at >= f.To.at:
		return "--to is not later than --from"
	case f.Expires != 0 && (f.Expires < 300*time.Second || f.Expires > 12*time.Hour):
		return "--expires is between 5m and 12h"
	case f.Max < 0 || f.Max > 5000:
		return "--max is between 1 and 5000"
	case f.LivePause != "" && f.mode() != wire.HLSPlaybackModeLive:
		return "--live-pause is for live lists"
	}
	return ""
}

// mode is the PlaybackMode: the given one, else the one that fits the range.
func (f *playFlags) mode() string {
	switch {
	case f.Mode == "live" || f.Mode == "" && !f.From.set && !f.To.set:
		return wire.HLSPlaybackModeLive
	case f.Mode == "on-demand" || f.Mode == "" && f.To.set:
		return wire.HLSPlaybackModeOnDemand
	}
	return wire.HLSPlaybackModeLiveReplay
}

// selector is the FragmentSelectorType.
func (f *playFlags) selector() *string {
	return new(strings.ToUpper(f.Clock) + "_TIMESTAMP")
}

// ends are those of the range, nil where there are none.
func (f *playFlags) ends() (from, to *kvs.Millis) {
	if f.From.set {
		from = &f.From.at
	}
	if f.To.set {
		to = &f.To.at
	}
	return from, to
}

// expires is the number of seconds, nil for the server's.
func (f *playFlags) expires() *int64 {
	return unlessZero(int64(f.Expires.Round(time.Second) / time.Second))
}

func unlessZero(n int64) *int64 {
	if n == 0 {
		return nil
	}
	return &n
}

// always is how the operations say that something is displayed.
func always(show bool) *string {
	if !show {
		return nil
	}
	return new(wire.HLSDisplayFragmentTimestampAlways)
}

// ask calls the operation where the server says and prints the URL that out gets, alone.
func (f *playFlags) ask(ctx context.Context, std stdio, api string, op *wire.Operation, in wire.Input, out wire.Shape, url **string) error {
	cl, err := f.open()
	if err != nil {
		return err
	}
	if cl, err = f.at(ctx, cl, api); err != nil {
		return err
	}
	if err := cl.Call(ctx, op, in, out); err != nil {
		return err
	}
	_, err = fmt.Fprintln(std.out, f.withPause(wire.Value(*url)))
	return err
}

// withPause is a session URL with the option of our own, which is a parameter of it and none of
// the operation.
func (f *playFlags) withPause(url string) string {
	if f.LivePause == "" {
		return url
	}
	separator := "?"
	if strings.Contains(url, "?") {
		separator = "&"
	}
	return url + separator + "LivePause=" + strings.ToUpper(f.LivePause)
}

// at is the client for the endpoint of an API.
func (f *playFlags) at(ctx context.Context, cl *client.Client, api string) (*client.Client, error) {
	endpoint, err := cl.DataEndpoint(ctx, api, f.Stream)
	if err != nil {
		return nil, err
	}
	return cl.At(endpoint), nil
}
