package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/wire"
)

// listCmd is "millrace list".
type listCmd struct {
	Stream string `arg:"" help:"Name or ARN of the stream."`
	From   moment `help:"Only fragments that begin at this time or later: RFC 3339 or epoch seconds." placeholder:"TIME"`
	To     moment `help:"Only fragments that begin at this time or earlier." placeholder:"TIME"`
	Clock  string `enum:"server,producer" default:"server" help:"Whose time --from and --to mean: ${enum}."`
	JSON   bool   `name:"json" help:"One JSON object a line instead of a table."`

	connection
}

// Help is the end of the help text.
func (*listCmd) Help() string {
	return `The fragments come in the order in which they were received.

Examples:
  millrace list demo
  millrace list demo --from 2026-01-02T15:00:00Z --to 2026-01-02T16:00:00Z --clock producer
  millrace list demo --json | tail -1`
}

// Run lists the fragments.
func (c *listCmd) Run(ctx context.Context, std stdio) error {
	if c.From.set && c.To.set && c.From.at > c.To.at {
		return &usageError{"list", "--from is later than --to"}
	}
	cl, err := c.open()
	if err != nil {
		return err
	}
	fragments, err := c.all(ctx, cl)
	if err != nil {
		return err
	}
	// Numbers have one length, so that text order is the order of receiving.
	slices.SortFunc(fragments, func(a, b wire.Fragment) int {
		return cmp.Compare(wire.Value(a.FragmentNumber), wire.Value(b.FragmentNumber))
	})
	if c.JSON {
		return writeLines(std.out, fragments)
	}
	return writeTable(std.out, fragments)
}

// all reads every page.
func (c *listCmd) all(ctx context.Context, cl *client.Client) (all []wire.Fragment, err error) {
	endpoint, err := cl.DataEndpoint(ctx, wire.APINameListFragments, c.Stream)
	if err != nil {
		return nil, err
	}
	cl = cl.At(endpoint)
	from, to := c.From.or(0), c.To.or(kvs.MaxMillis)
	selector := wire.FragmentSelectorTypeServerTimestamp
	if c.Clock == "producer" {
		selector = wire.FragmentSelectorTypeProducerTimestamp
	}
	in := wire.ListFragmentsInput{
		MaxResults: new(int64(1000)),
		FragmentSelector: &wire.FragmentSelector{
			FragmentSelectorType: &selector,
			TimestampRange:       &wire.TimestampRange{StartTimestamp: &from, EndTimestamp: &to},
		},
	}
	in.StreamName, in.StreamARN = nameOrARN(c.Stream)
	for {
		var out wire.ListFragmentsOutput
		if err := cl.Call(ctx, wire.ListFragments, &in, &out); err != nil {
			return nil, err
		}
		all = append(all, out.Fragments...)
		if wire.Value(out.NextToken) == "" {
			return all, nil
		}
		in.NextToken = out.NextToken
	}
}

// nameOrARN says which of the two ways to name a stream was used.
func nameOrARN(stream string) (name, arn *string) {
	if strings.HasPrefix(stream, "arn:") {
		return nil, &stream
	}
	return &stream, nil
}

// writeLines writes the fragments as the server does, one a line.
func writeLines(w io.Writer, fragments []wire.Fragment) error {
	b := bufio.NewWriter(w)
	for i := range fragments {
		line, err := wire.Encode(&fragments[i])
		if err != nil {
			return fmt.Errorf("list: %w", err)
		}
		b.Write(append(line, '\n')) //nolint:errcheck // Flush returns the first error
	}
	return b.Flush()
}

func writeTable(w io.Writer, fragments []wire.Fragment) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "FRAGMENT NUMBER\tSERVER TIME\tPRODUCER TIME\tMILLISECONDS\tBYTES")
	for _, f := range fragments {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\n", wire.Value(f.FragmentNumber), clockText(wire.Value(f.ServerTimestamp)),
			clockText(wire.Value(f.ProducerTimestamp)), wire.Value(f.FragmentLengthInMilliseconds), wire.Value(f.FragmentSizeInBytes))
	}
	return t.Flush()
}
