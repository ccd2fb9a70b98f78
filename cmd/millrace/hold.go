package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/millrace/millrace/internal/api/admin"
	"github.com/millrace/millrace/internal/kvs"
)

// holdCmd is "millrace hold".
type holdCmd struct {
	Add    holdAddCmd    `cmd:"" help:"Keep the fragments of a range of time."`
	List   holdListCmd   `cmd:"" help:"List the holds of a stream, or of all."`
	Remove holdRemoveCmd `cmd:"" help:"Remove a hold."`
}

// Help shows examples.
func (holdCmd) Help() string {
	return `A hold keeps the fragments of a stream that lie in a range of time, or partly, until it is
removed: whatever the retention and the limits, and whoever asks for their erasure. A stream with a
hold cannot be deleted. add and remove take the root key, or a user whose policies name
millrace:AddHold and millrace:RemoveHold.

Examples:
  millrace hold add garden --from 2026-01-02T15:00:00Z --to 2026-01-02T16:00:00Z --note 'case 7'
  millrace hold add garden --from 2026-01-02T15:00:00Z
  millrace hold list garden
  millrace hold list
  millrace hold remove garden 3`
}

// span says which fragments are meant.
type span struct {
	From  moment `help:"Fragments of which some is at this time or later: RFC 3339 or epoch seconds; without it from the first on." placeholder:"TIME"`
	To    moment `help:"Fragments that begin at this time or earlier; without it there is no end." placeholder:"TIME"`
	Clock string `enum:"server,producer" default:"server" help:"Whose time --from and --to mean: ${enum}."`
}

// input is the part of an input that says it.
func (s *span) input(command string) (in admin.Span, err error) {
	if s.From.set && s.To.set && s.From.at > s.To.at {
		return in, &usageError{command, "--from is later than --to"}
	}
	in.Clock = s.Clock
	if s.From.set {
		in.From = new(s.From.at.Time())
	}
	if s.To.set {
		in.To = new(s.To.at.Time())
	}
	return in, nil
}

// theStream is the part of an input that names a stream.
func theStream(stream string) (s admin.Stream) {
	s.StreamName, s.StreamARN = nameOrARN(stream)
	return s
}

// rangeText is a range of time for people.
func rangeText(from, to time.Time, clock string) string {
	text := "from the first on"
	if from.UnixMilli() > 0 {
		text = "from " + clockText(kvs.MillisOf(from))
	}
	if kvs.MillisOf(to) < kvs.MaxMillis {
		text += " to " + clockText(kvs.MillisOf(to))
	}
	return text + " (" + clock + ")"
}

type holdAddCmd struct {
	Stream string `arg:"" help:"Name or ARN of the stream."`
	span
	Note string `help:"Why; at most 1,000 characters."`

	connection
}

// Run sets a hold.
func (c *holdAddCmd) Run(ctx context.Context, std stdio) error {
	in := admin.AddHoldInput{Stream: theStream(c.Stream), Note: c.Note}
	var err error
	if in.Span, err = c.input("hold add"); err != nil {
		return err
	}
	cl, err := c.open()
	if err != nil {
		return err
	}
	var h admin.Hold
	if err := cl.Admin(ctx, "AddHold", in, &h); err != nil {
		return named(c.Stream, err)
	}
	if _, err = fmt.Fprintf(std.out, "Hold %d keeps what %s has %s.\n", h.Hold, c.Stream, rangeText(h.From, h.To, h.Clock)); err == nil {
		warnNotStored(std, h)
	}
	return err
}

// warnNotStored says of which streams holds keep nothing of what comes.
func warnNotStored(std stdio, all ...admin.Hold) {
	told := map[string]bool{}
	for _, h := range all {
		if h.NotStored && !told[h.Stream] {
			told[h.Stream] = true
			fmt.Fprintf(std.err, "millrace: %s has a retention of 0: fragments to come are not stored, and no hold keeps them\n", h.Stream)
		}
	}
}

type holdListCmd struct {
	Stream string `arg:"" optional:"" help:"Name or ARN of the stream; without it the holds of all streams of the account are listed."`
	JSON   bool   `name:"json" help:"One JSON object a line instead of a table."`

	connection
}

// Run lists the holds.
func (c *holdListCmd) Run(ctx context.Context, std stdio) error {
	cl, err := c.open()
	if err != nil {
		return err
	}
	var all []admin.Hold
	for in := (admin.HoldsInput{AnyStream: onStream(c.Stream)}); ; {
		var out admin.HoldsOutput
		if err := cl.Admin(ctx, "ListHolds", in, &out); err != nil {
			return named(c.Stream, err)
		}
		all = append(all, out.Holds...)
		if in.NextToken = out.NextToken; in.NextToken == "" {
			break
		}
	}
	if c.JSON {
		return writeObjects(std.out, all)
	}
	warnNotStored(std, all...)
	return holdTable(std.out, cmp.Or(c.Stream, "The account"), all)
}

func holdTable(w io.Writer, whose string, all []admin.Hold) error {
	if len(all) == 0 {
		_, err := fmt.Fprintf(w, "%s has no holds.\n", whose)
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "HOLD\tSTREAM\tKEEPS\tSET\tBY\tNOTE")
	for _, h := range all {
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\n", h.Hold, h.Stream, rangeText(h.From, h.To, h.Clock), h.Created.UTC().Format(time.RFC3339), h.SetBy, h.Note)
	}
	return t.Flush()
}

type holdRemoveCmd struct {
	Stream string `arg:"" help:"Name or ARN of the stream."`
	Hold   int64  `arg:"" help:"Id of the hold, as millrace hold list shows it."`

	connection
}

// Run removes a hold.
func (c *holdRemoveCmd) Run(ctx context.Context, std stdio) error {
	cl, err := c.open()
	if err != nil {
		return err
	}
	var left admin.HoldsOutput
	if err := cl.Admin(ctx, "RemoveHold", admin.RemoveHoldInput{Stream: theStream(c.Stream), Hold: c.Hold}, &left); err != nil {
		return advise(err, fmt.Sprintf("millrace hold list %s shows the holds it has; millrace hold list those of all streams", c.Stream)) // which of the two is missing, the answer says
	}
	_, err = fmt.Fprintf(std.out, "Hold %d is removed; %s has %s now. What only it kept goes within a minute or so.\n", c.Hold, c.Stream, count(len(left.Holds), "hold"))
	return err
}
