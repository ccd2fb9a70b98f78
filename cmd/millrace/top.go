package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"github.com/millrace/millrace/internal/api/admin"
	"github.com/millrace/millrace/internal/client"
)

// topCmd is "millrace top".
type topCmd struct {
	Stream   string        `arg:"" optional:"" help:"Name or ARN of a stream; without it the sessions of all streams are shown."`
	Interval time.Duration `default:"2s" help:"Time between two looks. Default ${default}."`
	Once     bool          `help:"Look once and print all sessions; so it is when the output is no terminal."`
	JSON     bool          `name:"json" help:"One JSON object for each session, once."`
	Number   int           `short:"n" placeholder:"N" help:"At most N sessions, the fastest first."`

	connection
}

// Help is the end of the help text.
func (*topCmd) Help() string {
	return `Shows the open PutMedia, GetMedia and GetMediaForFragmentList sessions, the fastest first.

  RATE   bytes a second over the last minute
  ACK    the last acknowledgement, and the numbers of durable and of refused fragments
  DELAY  producers: how long the last RECEIVED or PERSISTED took; consumers: the age of
         the fragment that is being sent
  IDLE   since media moved last
  HELD   how long the producer was held up in all: for want of memory, by the disk, or
         by a limit

Examples:
  millrace top
  millrace top garden --once
  millrace top --json | jq 'select(.IdleSeconds > 3)'`
}

// What redraws a terminal: to its first corner, and what to end lines and the page with.
const (
	home      = "\x1b[H"
	clearLine = "\x1b[K"
	clearRest = "\x1b[J"
)

// everything is more sessions than a server lists.
const everything = 20_000

// Run shows the sessions until it is interrupted.
func (c *topCmd) Run(ctx context.Context, std stdio) error {
	if c.Interval < 100*time.Millisecond {
		return &usageError{"top", "--interval is at least 100ms"}
	}
	cl, err := c.open()
	if err != nil {
		return err
	}
	if c.Once || c.JSON || !terminal(std.out) {
		c.Number = cmp.Or(c.Number, everything)
		out, err := c.ask(ctx, cl)
		if err != nil {
			return err
		}
		if c.JSON {
			return writeObjects(std.out, out.Sessions)
		}
		return topTable(std.out, &out)
	}
	return redraw(ctx, std.out, "top", c.Interval, func(page io.Writer) error {
		out, err := c.ask(ctx, cl)
		if err != nil {
			return err
		}
		return topTable(page, &out)
	})
}

func (c *topCmd) ask(ctx context.Context, cl *client.Client) (out admin.SessionsOutput, err error) {
	return out, named(c.Stream, cl.Admin(ctx, "ListSessions", admin.SessionsInput{AnyStream: onStream(c.Stream), Max: c.Number}, &out))
}

// redraw writes a page again and again, which look makes. A server that cannot be reached
// for a moment is told in the first line; the command goes on.
func redraw(ctx context.Context, w io.Writer, command string, every time.Duration, look func(io.Writer) error) error {
	again := time.NewTicker(every)
	defer again.Stop()
	for first := true; ; first = false {
		var page bytes.Buffer
		err := look(&page)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && first:
			return err
		case err != nil:
			page.Reset()
			fmt.Fprintln(&page, explain(command, err))
		}
		if _, err := io.WriteString(w, screen(w, page.String())); err != nil {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// screen makes a page of text fit the terminal behind w.
func screen(w io.Writer, page string) string {
	columns, rows := 0, 0
	if f, ok := w.(*os.File); ok {
		if ws, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil {
			columns, rows = int(ws.Col), int(ws.Row)
		}
	}
	return home + fit(page, columns, rows) + clearRest
}

// fit cuts a page to so many columns and rows; 0 = as many as there are.
func fit(page string, columns, rows int) string {
	var b strings.Builder
	n := 0
	for line := range strings.Lines(page) {
		if n++; rows > 1 && n == rows {
			break
		}
		text := []rune(strings.TrimRight(line, "\n"))
		if columns > 0 && len(text) > columns {
			text = text[:columns]
		}
		b.WriteString(string(text) + clearLine + "\n")
	}
	return b.String()
}

// topTable prints the sessions below a line of sums.
func topTable(w io.Writer, out *admin.SessionsOutput) error {
	producers, in, sent := 0, 0.0, 0.0
	for i := range out.Sessions {
		if s := &out.Sessions[i]; s.Operation == "PutMedia" {
			producers++
			in += s.BytesPerSecond
		} else {
			sent += s.BytesPerSecond
		}
	}
	fmt.Fprintf(w, "%s  %s in %s/s, %s out %s/s", stamp(out.Now), count(producers, "producer"), size(int64(in)),
		count(len(out.Sessions)-producers, "consumer"), size(int64(sent)))
	if more := out.More + out.Unlisted; more > 0 {
		fmt.Fprintf(w, ", and %s not shown", count(more, "session"))
	}
	fmt.Fprint(w, "\n\n")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "STREAM\tOPERATION\tRATE\tBYTES\tFRAGMENTS\tACK\tDELAY\tIDLE\tHELD\tFOR\tCLIENT\tKEY\tUSER AGENT")
	for i := range out.Sessions {
		s := &out.Sessions[i]
		fmt.Fprintf(t, "%s\t%s\t%s/s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.StreamName, s.Operation, size(int64(s.BytesPerSecond)), size(s.Bytes),
			s.Fragments, ackText(s), brief(s.DelaySeconds), brief(s.IdleSeconds), brief(s.HeldSeconds),
			out.Now.Sub(s.Since).Round(time.Second), s.Client, printable(s.AccessKey), printable(s.UserAgent))
	}
	return t.Flush()
}

// ackText is the last acknowledgement and how many were good and bad.
func ackText(s *admin.Session) string {
	if s.Operation != "PutMedia" {
		return "-"
	}
	text := fmt.Sprintf("%s %d", strings.ToLower(s.LastAck), s.Persisted)
	if s.Failed > 0 {
		text += fmt.Sprintf(", %d refused", s.Failed)
	}
	return strings.TrimSpace(text)
}

// brief is a time in seconds for people.
func brief(s float64) string {
	d := time.Duration(s * float64(time.Second))
	if d < 10*time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// printable takes out what would move the cursor: a user agent is written by strangers.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}
