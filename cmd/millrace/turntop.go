package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/millrace/millrace/internal/api/admin/allocations"
	"github.com/millrace/millrace/internal/client"
)

type turnTopCmd struct {
	Channel  string        `arg:"" optional:"" help:"Name or ARN of a channel; without it all channels of the account are shown."`
	Interval time.Duration `default:"2s" help:"Time between two looks. Default ${default}."`
	Once     bool          `help:"Look once and print everything; so it is when the output is no terminal."`
	JSON     bool          `name:"json" help:"One JSON object for each relay address, once."`
	Number   int           `short:"n" placeholder:"N" help:"At most N relay addresses, the fastest first."`

	connection
}

// Help is the end of the help text.
func (*turnTopCmd) Help() string {
	return `Shows the relay addresses that clients have (allocations), the fastest first.

  CLIENT   id of the viewer, or master
  VIA      how the client reaches the relay: udp, tcp, tls or dtls
  SOURCE   from where
  RELAY    the address that it was lent
  PEERS    addresses that it may send to
  OUT, IN  bytes a second to peers and from peers, over the last 5 to 10 seconds
  PACKETS  out and in since it began
  DROPPED  not relayed; the metric millrace_turn_dropped_total says why

An address at which nothing comes in has peers that cannot reach it, or none.

Examples:
  millrace turn top
  millrace turn top door --once
  millrace turn top --json | jq 'select(.PacketsIn == 0)'`
}

// Run shows the allocations until it is interrupted.
func (c *turnTopCmd) Run(ctx context.Context, std stdio) error {
	if c.Interval < 100*time.Millisecond {
		return &usageError{"turn top", "--interval is at least 100ms"}
	}
	cl, err := c.open()
	if err != nil {
		return err
	}
	if c.Once || c.JSON || !terminal(std.out) {
		c.Number = cmp.Or(c.Number, everything)
		out, err := c.ask(ctx, cl)
		switch {
		case err != nil:
			return err
		case c.JSON:
			return writeObjects(std.out, out.Allocations)
		}
		return turnTable(std.out, &out)
	}
	return redraw(ctx, std.out, "turn top", c.Interval, func(page io.Writer) error {
		out, err := c.ask(ctx, cl)
		if err != nil {
			return err
		}
		return turnTable(page, &out)
	})
}

func (c *turnTopCmd) ask(ctx context.Context, cl *client.Client) (out allocations.Output, err error) {
	in := allocations.Input{Max: c.Number}
	if c.Channel != "" {
		in.ChannelName, in.ChannelARN = nameOrARN(c.Channel)
	}
	return out, named(c.Channel, cl.Admin(ctx, "ListAllocations", in, &out))
}

// turnTable prints the allocations below a line of sums.
func turnTable(w io.Writer, o *allocations.Output) error {
	if !o.Relay {
		_, err := fmt.Fprintln(w, "This server has no relay; the setting turn.listen gives it one.")
		return err
	}
	out, in := 0.0, 0.0
	for i := range o.Allocations {
		out += o.Allocations[i].BytesPerSecondOut
		in += o.Allocations[i].BytesPerSecondIn
	}
	fmt.Fprintf(w, "%s  %s out %s/s, in %s/s", stamp(o.Now), addresses(len(o.Allocations)), size(int64(out)), size(int64(in)))
	if o.More > 0 {
		fmt.Fprintf(w, ", and %d not shown", o.More)
	}
	fmt.Fprint(w, "\n\n")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CHANNEL\tCLIENT\tVIA\tSOURCE\tRELAY\tAGE\tPEERS\tOUT\tIN\tPACKETS\tDROPPED")
	for i := range o.Allocations {
		a := &o.Allocations[i]
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s/s\t%s/s\t%d / %d\t%d\n", a.ChannelName, printable(cmp.Or(a.ClientID, "master")), a.Transport,
			a.Source, a.RelayAddress, o.Now.Sub(a.Since).Round(time.Second), a.Peers, size(int64(a.BytesPerSecondOut)), size(int64(a.BytesPerSecondIn)),
			a.PacketsOut, a.PacketsIn, a.PacketsDropped)
	}
	return t.Flush()
}

// addresses is a number of relay addresses.
func addresses(n int) string {
	if n == 1 {
		return "1 relay address"
	}
	return fmt.Sprintf("%d relay addresses", n)
}
