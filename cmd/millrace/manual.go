package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/millrace/millrace/internal/manual"
	"github.com/millrace/millrace/internal/wire"
)

// completionCmd is "millrace completion".
type completionCmd struct {
	Shell string `arg:"" enum:"bash,fish,zsh" help:"bash, fish or zsh."`
}

// Help shows examples.
func (completionCmd) Help() string {
	return `Examples:
  source <(millrace completion bash)
  millrace completion zsh >~/.zfunc/_millrace
  millrace completion fish | source
Names of streams are completed when AWS_ENDPOINT_URL and keys are set.`
}

// Run prints the script.
func (c *completionCmd) Run(std stdio) error {
	script, err := manual.Script(c.Shell)
	if err != nil {
		return err
	}
	_, err = io.WriteString(std.out, script)
	return err
}

// manCmd is "millrace man".
type manCmd struct{}

// Help shows examples.
func (manCmd) Help() string {
	return `Examples:
  millrace man | man -l -
  millrace man >/usr/local/share/man/man1/millrace.1`
}

// Run prints the page.
func (manCmd) Run(std stdio, app *kong.Kong) error {
	about := manual.About{Version: version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.time" {
				about.Date, _, _ = strings.Cut(s.Value, "T")
			}
		}
	}
	_, err := io.WriteString(std.out, manual.Man(app.Model, about))
	return err
}

// explainTopic prints the topic of "help TOPIC", or a list of topics.
func explainTopic(w io.Writer, args []string) bool {
	if len(args) != 2 || args[0] != "help" {
		return false
	}
	if args[1] == "topics" {
		for _, t := range manual.Topics() {
			text, _ := manual.Topic(t)
			title, _, _ := strings.Cut(text, "\n")
			fmt.Fprintf(w, "%-14s %s\n", t, title)
		}
		return true
	}
	text, found := manual.Topic(args[1])
	if found {
		fmt.Fprint(w, text)
	}
	return found
}

// complete answers the script of a shell.
func complete(ctx context.Context, w io.Writer, app *kong.Kong, words []string) {
	manual.Complete(app.Model, words, func(kind string) []string {
		switch kind {
		case "stream":
			return streamNames(ctx)
		case "channel":
			return channelNames(ctx)
		}
		return nil
	}).Write(w)
}

// streamNames are the names of some streams, for somebody who waits at a terminal; none
// if that takes long.
func streamNames(ctx context.Context) (names []string) {
	var out wire.ListStreamsOutput
	if !atOnce(ctx, wire.ListStreams, &wire.ListStreamsInput{}, &out) {
		return nil
	}
	for _, s := range out.StreamInfoList {
		if s.StreamName != nil {
			names = append(names, *s.StreamName)
		}
	}
	return names
}

// channelNames is [streamNames] for signaling channels.
func channelNames(ctx context.Context) (names []string) {
	var out wire.ListSignalingChannelsOutput
	if !atOnce(ctx, wire.ListSignalingChannels, &wire.ListSignalingChannelsInput{}, &out) {
		return nil
	}
	for _, c := range out.ChannelInfoList {
		if c.ChannelName != nil {
			names = append(names, *c.ChannelName)
		}
	}
	return names
}

// atOnce asks a server that is known, and says whether it answered soon.
func atOnce(ctx context.Context, op *wire.Operation, in wire.Input, out wire.Shape) bool {
	if os.Getenv("AWS_ENDPOINT_URL") == "" && os.Getenv("AWS_ENDPOINT_URL_KINESIS_VIDEO") == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	cl, err := new(connection).open()
	return err == nil && cl.Call(ctx, op, in, out) == nil
}
