package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/millrace/millrace/internal/api/admin"
	"github.com/millrace/millrace/internal/client"
)

// usageCmd is "millrace usage".
type usageCmd struct {
	Stream string `arg:"" optional:"" help:"Name or ARN of the stream; without it all streams of the account are shown."`
	JSON   bool   `name:"json" help:"One JSON object for each stream instead of a table."`

	connection
}

// Help is the end of the help text.
func (*usageCmd) Help() string {
	return `Says what each stream keeps and how much comes in: bytes and fragments stored, the oldest and
the newest fragment, the rates of the last minute. The time of a fragment is the server's; the
producer's is in brackets where it is more than a second away. Fragments that expired count
until they are removed, at most a minute or so.

Examples:
  millrace usage
  millrace usage garden
  millrace usage --json | jq -s 'sort_by(-.Bytes) | .[:10] | .[].StreamName'`
}

// Run shows the usage, page by page as it comes.
func (c *usageCmd) Run(ctx context.Context, std stdio) error {
	cl, err := c.open()
	if err != nil {
		return err
	}
	var sum totals
	print := c.table(std.out, &sum)
	if c.JSON {
		print = func(page []admin.StreamUsage) error { return writeObjects(std.out, page) }
	}
	if err := c.pages(ctx, cl, print); err != nil {
		return err
	}
	if sum.otherClock {
		fmt.Fprintln(std.out, "\nIn brackets: the time by the producer's clock, where it is not the server's.")
	}
	if c.JSON || c.Stream != "" {
		return nil
	}
	_, err = fmt.Fprintf(std.out, "\n%s: %s stored in %s, %s/s coming in, %.2f fragments/s.\n", count(sum.streams, "stream"), size(sum.bytes),
		count(int(sum.fragments), "fragment"), size(int64(sum.rate)), sum.fragmentRate)
	return err
}

// totals are sums over all streams.
type totals struct {
	streams            int
	bytes, fragments   int64
	rate, fragmentRate float64
	otherClock         bool // the producer's clock is shown for one of them
}

func (t *totals) add(s *admin.StreamUsage) {
	t.streams++
	t.bytes += s.Bytes
	t.fragments += s.Fragments
	t.rate += s.BytesPerSecond
	t.fragmentRate += s.FragmentsPerSecond
	t.otherClock = t.otherClock || apart(s.Oldest) || apart(s.Newest)
}

// pages asks for one page after the other.
func (c *usageCmd) pages(ctx context.Context, cl *client.Client, print func([]admin.StreamUsage) error) error {
	in := admin.UsageInput{AnyStream: onStream(c.Stream), Max: 1000}
	for {
		var out admin.UsageOutput
		if err := cl.Admin(ctx, "ListUsage", in, &out); err != nil {
			return named(c.Stream, err)
		}
		if err := print(out.Streams); err != nil {
			return err
		}
		if in.NextToken = out.NextToken; in.NextToken == "" {
			return nil
		}
	}
}

// table returns what prints one page; columns are as wide as a page needs.
func (c *usageCmd) table(w io.Writer, sum *totals) func([]admin.StreamUsage) error {
	return func(page []admin.StreamUsage) error {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "STREAM\tRETENTION\tSTORED\tFRAGMENTS\tOLDEST\tNEWEST\tIN\tFRAGMENTS/S")
		for i := range page {
			s := &page[i]
			sum.add(s)
			fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\t%s/s\t%.2f\n", s.StreamName, hours(s.RetentionHours), size(s.Bytes), s.Fragments,
				begun(s.Oldest), begun(s.Newest), size(int64(s.BytesPerSecond)), s.FragmentsPerSecond)
		}
		return t.Flush()
	}
}

// hours is a retention for people.
func hours(n int) string {
	switch {
	case n == 0:
		return "none"
	case n%24 == 0:
		return fmt.Sprintf("%d d", n/24)
	}
	return fmt.Sprintf("%d h", n)
}

// apart says whether the clocks of server and producer tell times that people would see the
// difference of.
func apart(f *admin.FragmentTime) bool {
	return f != nil && f.ServerTimestamp.Sub(f.ProducerTimestamp).Abs() > time.Second
}

// begun is when a fragment began: on the server's clock, and on the producer's when that
// is another time.
func begun(f *admin.FragmentTime) string {
	if f == nil {
		return "-"
	}
	const short = "2006-01-02T15:04:05Z"
	text := f.ServerTimestamp.UTC().Format(short)
	if apart(f) {
		text += " (" + f.ProducerTimestamp.UTC().Format(short) + ")"
	}
	return text
}
