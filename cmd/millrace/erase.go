package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/millrace/millrace/internal/api/admin"
	"github.com/millrace/millrace/internal/client"
)

// eraseCmd is "millrace erase".
type eraseCmd struct {
	Stream string `arg:"" optional:"" help:"Name or ARN of the stream; without it --list shows the records of the account."`
	span
	DryRun bool `help:"Only say how much would be erased."`
	Yes    bool `help:"Do not ask."`
	List   bool `help:"List the records of what was erased."`
	JSON   bool `name:"json" help:"With --list: one JSON object a line instead of a table."`

	connection
}

// Help is the end of the help text.
func (*eraseCmd) Help() string {
	return `Erases, for good, the stored fragments of a stream that lie in a range of time, or partly: they
can be read by nobody any more when the command returns. It leaves a record of who erased what. What is
on hold is not erased: the command is refused then. Fragments that arrive later are not meant. It takes the
root key, or a user whose policies name millrace:EraseFragments.

Examples:
  millrace erase garden --from 2026-01-02T15:00:00Z --to 2026-01-02T16:00:00Z --dry-run
  millrace erase garden --from 2026-01-02T15:00:00Z --to 2026-01-02T16:00:00Z
  millrace erase garden --to 2026-01-02T16:00:00Z --clock producer --yes
  millrace erase --list
  millrace erase garden --list --json`
}

// Run erases, or lists what was erased.
func (c *eraseCmd) Run(ctx context.Context, std stdio) error {
	if err := c.check(); err != nil {
		return err
	}
	in := admin.EraseInput{Stream: theStream(c.Stream), DryRun: true}
	var err error
	if in.Span, err = c.input("erase"); err != nil {
		return err
	}
	cl, err := c.open()
	if err != nil {
		return err
	}
	if c.List {
		return c.list(ctx, cl, std.out)
	}
	return c.erase(ctx, cl, std, in)
}

// check finds flags that do not go together.
func (c *eraseCmd) check() error {
	ranged := c.From.set || c.To.set
	switch {
	case c.List && (ranged || c.DryRun || c.Yes):
		return &usageError{"erase", "--list goes with a stream and --json only"}
	case c.List:
		return nil
	case c.JSON:
		return &usageError{"erase", "--json goes with --list"}
	case c.Stream == "":
		return &usageError{"erase", "name the stream, or give --list"}
	case !ranged:
		return &usageError{"erase", "give --from, --to or both; to erase everything delete the stream"}
	}
	return nil
}

func (c *eraseCmd) erase(ctx context.Context, cl *client.Client, std stdio, in admin.EraseInput) error {
	var toll admin.EraseOutput
	if err := cl.Admin(ctx, "EraseFragments", in, &toll); err != nil {
		return named(c.Stream, err)
	}
	what := fmt.Sprintf("%s of %s, %s", count(int(toll.Fragments), "fragment"), c.Stream, size(toll.Bytes))
	switch {
	case toll.Fragments == 0:
		_, err := fmt.Fprintf(std.out, "%s has nothing stored in that range.\n", c.Stream)
		return err
	case toll.Held > 0:
		return fmt.Errorf("%s; %d are on hold, so nothing can be erased\n  hint: millrace hold list %s shows the holds", what, toll.Held, c.Stream)
	case c.DryRun:
		_, err := fmt.Fprintf(std.out, "%s would be erased.\n", what)
		return err
	case !c.Yes:
		if err := confirmed(std, "Erase "+what+"? They cannot be brought back."); err != nil {
			return err
		}
	}
	in.DryRun = false
	if err := cl.Admin(ctx, "EraseFragments", in, &toll); err != nil {
		return named(c.Stream, err)
	}
	_, err := fmt.Fprintf(std.out, "%s of %s, %s, erased; record %d.\n", count(int(toll.Fragments), "fragment"), c.Stream, size(toll.Bytes), toll.Erasure.Erasure)
	return err
}

// confirmed asks on the terminal. Anything but yes is an error.
func confirmed(std stdio, question string) error {
	fmt.Fprintf(std.err, "%s [yes/no] ", question)
	answer, err := bufio.NewReader(std.in).ReadString('\n')
	if strings.EqualFold(strings.TrimSpace(answer), "yes") {
		return nil
	}
	if err != nil {
		fmt.Fprintln(std.err)
		return errors.New("nobody answered, so nothing was done; --yes says yes")
	}
	return errors.New("nothing was done")
}

// list shows the records, page by page.
func (c *eraseCmd) list(ctx context.Context, cl *client.Client, w io.Writer) error {
	in := admin.ErasuresInput{AnyStream: onStream(c.Stream)}
	for shown := 0; ; {
		var out admin.ErasuresOutput
		if err := cl.Admin(ctx, "ListErasures", in, &out); err != nil {
			return advise(named(c.Stream, err), "millrace erase --list has the records of streams that are deleted, too")
		}
		if shown += len(out.Erasures); shown == 0 && !c.JSON {
			_, err := fmt.Fprintln(w, "Nothing was ever erased.")
			return err
		}
		print := erasureTable
		if c.JSON {
			print = writeObjects[admin.Erasure]
		}
		if err := print(w, out.Erasures); err != nil {
			return err
		}
		if in.NextToken = out.NextToken; in.NextToken == "" {
			return nil
		}
	}
}

func erasureTable(w io.Writer, all []admin.Erasure) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ERASURE\tSTREAM\tWHAT\tFRAGMENTS\tBYTES\tWHEN\tBY")
	for _, e := range all {
		what := rangeText(e.From, e.To, e.Clock)
		if !e.Done {
			what += ", not finished"
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%d\t%s\t%s\t%s\n", e.Erasure, e.StreamName, what, e.Fragments, size(e.Bytes), e.Created.UTC().Format(time.RFC3339), e.AskedBy)
	}
	return t.Flush()
}
