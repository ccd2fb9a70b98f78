package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/millrace/millrace/internal/api/admin/allocations"
	"github.com/millrace/millrace/internal/client"
)

type turnUsageCmd struct {
	Channel string `arg:"" optional:"" help:"Name or ARN of a channel; without it all channels of the account are shown for which something was relayed."`
	JSON    bool   `name:"json" help:"One JSON object for each channel instead of a table."`

	connection
}

// Help is the end of the help text.
func (*turnUsageCmd) Help() string {
	return `Says what the relay carried for each channel since the server was started.

  MINUTES  minutes in which a relay address carried something, begun ones counted, those
           of several addresses added up (TurnConnectedMinutes)
  OUT, IN  bytes from clients to their peers, and back
  NOW      relay addresses that clients of the channel have now

Examples:
  millrace turn usage
  millrace turn usage door
  millrace turn usage --json | jq -s 'map(.TurnConnectedMinutes) | add'`
}

// Run shows the usage, page by page as it comes.
func (c *turnUsageCmd) Run(ctx context.Context, std stdio) error {
	cl, err := c.open()
	if err != nil {
		return err
	}
	var sum allocations.Use
	channels := 0
	since, err := c.pages(ctx, cl, func(page []allocations.Use) error {
		channels += len(page)
		for i := range page {
			sum.TurnConnectedMinutes += page[i].TurnConnectedMinutes
			sum.BytesOut += page[i].BytesOut
			sum.BytesIn += page[i].BytesIn
		}
		if c.JSON {
			return writeObjects(std.out, page)
		}
		return usageTable(std.out, page)
	})
	if err != nil || c.JSON {
		return err
	}
	if channels == 0 {
		_, err = fmt.Fprintf(std.out, "Nothing was relayed since %s.\n", since.Format(time.RFC3339))
		return err
	}
	_, err = fmt.Fprintf(std.out, "\n%s since %s: %d connected minutes, %s out, %s in.\n", count(channels, "channel"), since.Format(time.RFC3339),
		sum.TurnConnectedMinutes, size(int64(sum.BytesOut)), size(int64(sum.BytesIn)))
	return err
}

// pages asks for one page after the other.
func (c *turnUsageCmd) pages(ctx context.Context, cl *client.Client, print func([]allocations.Use) error) (since time.Time, err error) {
	var in allocations.UsageInput
	if c.Channel != "" {
		in.ChannelName, in.ChannelARN = nameOrARN(c.Channel)
	}
	for {
		var out allocations.UsageOutput
		if err := cl.Admin(ctx, "ListRelayUsage", in, &out); err != nil {
			return since, named(c.Channel, err)
		}
		if err := print(out.Channels); err != nil {
			return since, err
		}
		if in.NextToken = out.NextToken; in.NextToken == "" {
			return out.Since, nil
		}
	}
}

// usageTable prints one page; columns are as wide as a page needs.
func usageTable(w io.Writer, page []allocations.Use) error {
	if len(page) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CHANNEL\tMINUTES\tOUT\tIN\tPACKETS\tNOW")
	for i := range page {
		u := &page[i]
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%d / %d\t%d\n", u.ChannelName, u.TurnConnectedMinutes, size(int64(u.BytesOut)), size(int64(u.BytesIn)),
			u.PacketsOut, u.PacketsIn, u.Allocations)
	}
	return t.Flush()
}
