package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/millrace/millrace/internal/api/admin"
	"github.com/millrace/millrace/internal/api/admin/presence"
	"github.com/millrace/millrace/internal/client"
)

type channelWatchCmd struct {
	Channel string `arg:"" optional:"" help:"Name or ARN of a channel; without it all channels of the account are watched."`
	JSON    bool   `name:"json" help:"One JSON object a line."`

	connection
}

// Help is the end of the help text.
func (*channelWatchCmd) Help() string {
	return `Each line is a coming or a going: the time, the channel, who it was, the address, and of who
went the reason. The reasons are those of the log and of the metrics (docs/guide/signaling.md). A
server that is not there for a moment is waited for.

Examples:
  millrace channel watch
  millrace channel watch door
  millrace channel watch --json | jq 'select(.Role == "master" and .Event == "went")'`
}

// watchPause is the time after which a server is asked again that was not there.
const watchPause = 2 * time.Second

// Run prints what happens until it is interrupted.
func (c *channelWatchCmd) Run(ctx context.Context, std stdio) error {
	cl, err := c.open()
	if err != nil {
		return err
	}
	var in presence.WatchInput
	if c.Channel != "" {
		in.ChannelName, in.ChannelARN = nameOrARN(c.Channel)
	}
	lost := false
	for first := true; ; first = false {
		var out presence.WatchOutput
		err := cl.Admin(ctx, "WatchPresence", in, &out)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && (first || !passing(err)):
			return named(c.Channel, err)
		case err != nil:
			if !lost {
				fmt.Fprintln(std.err, "millrace:", explain("channel", err))
			}
			if lost = true; !pause(ctx, watchPause) {
				return nil
			}
			continue
		}
		if lost {
			lost = false
			fmt.Fprintln(std.err, "millrace: the server is there again")
		}
		if first && !c.JSON {
			if err := c.now(ctx, std.out, cl, in.AnyChannel); err != nil {
				return err
			}
		}
		in.After = out.Next
		if err := c.print(std.out, out.Events); err != nil {
			return err
		}
	}
}

// passing says whether an error may go away by itself: the server could not be asked, or
// says that it is not well.
func passing(err error) bool {
	refused, ok := errors.AsType[*client.Error](err)
	return !ok || refused.Status >= 500
}

// pause waits; it returns false when ctx ends.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// now says who is there to begin with.
func (c *channelWatchCmd) now(ctx context.Context, w io.Writer, cl *client.Client, which admin.AnyChannel) error {
	channels, masters, viewers := 0, 0, 0
	for in := (presence.ListInput{AnyChannel: which}); ; {
		var out presence.ListOutput
		if err := cl.Admin(ctx, "ListPresence", in, &out); err != nil {
			return named(c.Channel, err)
		}
		for _, ch := range out.Channels {
			channels++
			viewers += ch.Viewers
			if ch.Master != nil {
				masters++
			}
		}
		if in.NextToken = out.NextToken; in.NextToken == "" {
			break
		}
	}
	where := "on " + c.Channel
	if c.Channel == "" {
		where = "on " + count(channels, "channel")
	}
	_, err := fmt.Fprintf(w, "Now %s: %s and %s.\n", where, count(masters, "master"), count(viewers, "viewer"))
	return err
}

// print prints what happened.
func (c *channelWatchCmd) print(w io.Writer, events []presence.Event) error {
	for i := range events {
		e := &events[i]
		if c.JSON {
			if err := json.NewEncoder(w).Encode(e); err != nil {
				return err
			}
			continue
		}
		if _, err := fmt.Fprintln(w, eventText(e)); err != nil {
			return err
		}
	}
	return nil
}

// eventText is a coming or a going for people.
func eventText(e *presence.Event) string {
	who := e.Role
	if e.ClientID != "" {
		who += " " + e.ClientID
	}
	text := fmt.Sprintf("%s  %s  %s %s", stamp(e.Time), e.ChannelName, who, e.Event)
	if e.Reason != "" {
		text += " (" + e.Reason + ")"
	}
	return text + "  " + e.Client
}
