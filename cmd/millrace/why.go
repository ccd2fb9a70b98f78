package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/rejection"
)

// whyCmd is "millrace why".
type whyCmd struct {
	Stream string `arg:"" optional:"" help:"Name or ARN of the stream; without it the streams that had refusals are listed."`
	Since  since  `placeholder:"TIME" help:"Only what happened since then: a duration (15m), RFC 3339 or epoch seconds."`
	Follow bool   `short:"f" help:"Go on, and print what happens."`
	JSON   bool   `name:"json" help:"One JSON object a line."`

	connection
}

// Help is the end of the help text.
func (*whyCmd) Help() string {
	return `Says which fragments, sessions and calls of PutMedia were refused, what was found, where in
the body, and what to do about it; the latest first. So are calls for session URLs and clips, and segments whose
media do not play; at the end it says what plays the newest fragment. Refusals of the same kind are one entry
with the first and the latest of them. docs/ref/ack-codes.md lists all kinds. What a file would
be refused for is said by "millrace lint FILE" before it is sent.

Examples:
  millrace why
  millrace why garden
  millrace why garden --since 15m --json | jq .Last.Why
  millrace why garden --follow`
}

// rejections is the answer of ListRejections.
type rejections struct {
	Rejections     []rejection.Entry
	Streams        []rejection.Recent
	NewestFragment *struct {
		FragmentNumber  string
		ServerTimestamp time.Time
	}
	Sessions int
	Players  []struct{ As, Why string }
}

// followStep is how often the server is asked with --follow.
const followStep = 2 * time.Second

// Run prints the report.
func (c *whyCmd) Run(ctx context.Context, std stdio) error {
	cl, err := c.open()
	if err != nil {
		return err
	}
	if c.Stream == "" && c.Follow {
		return &usageError{"why", "--follow needs a stream"}
	}
	answer, err := c.ask(ctx, cl)
	switch {
	case err != nil:
		return err
	case c.Stream == "":
		return c.streams(std.out, answer.Streams)
	case len(answer.Rejections) == 0 && !c.JSON:
		fmt.Fprintln(std.out, c.nothing(answer, time.Now()))
	}
	known := map[string]int64{}
	if err := c.print(std.out, fresh(known, answer.Rejections)); err != nil {
		return err
	}
	if !c.JSON {
		fmt.Fprint(std.out, players(answer))
	}
	if !c.Follow {
		return nil
	}
	return c.follow(ctx, std.out, cl, known)
}

// ask calls ListRejections.
func (c *whyCmd) ask(ctx context.Context, cl *client.Client) (answer rejections, err error) {
	in := map[string]any{}
	if name, arn := nameOrARN(c.Stream); name != nil && *name != "" {
		in["StreamName"] = *name
	} else if arn != nil {
		in["StreamARN"] = *arn
	}
	if !c.Since.at.IsZero() {
		in["Since"] = c.Since.at
	}
	return answer, named(c.Stream, cl.Admin(ctx, "ListRejections", in, &answer))
}

// follow prints what comes until ctx ends.
func (c *whyCmd) follow(ctx context.Context, w io.Writer, cl *client.Client, known map[string]int64) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followStep):
		}
		answer, err := c.ask(ctx, cl)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if err := c.print(w, fresh(known, answer.Rejections)); err != nil {
			return err
		}
	}
}

// fresh returns the entries that happened again since they were known, and notes them.
func fresh(known map[string]int64, all []rejection.Entry) (news []rejection.Entry) {
	for _, e := range all {
		id := fmt.Sprint(e.First.Time, e.First.Request, e.First.Number, e.Last.Scope, e.Last.Code, e.Last.Case, e.Last.Track)
		if known[id] != e.Count {
			known[id] = e.Count
			news = append(news, e)
		}
	}
	return news
}

// print prints entries, the latest first; with --follow the latest is the last.
func (c *whyCmd) print(w io.Writer, entries []rejection.Entry) error {
	if c.Follow {
		slices.Reverse(entries)
	}
	if c.JSON {
		return writeObjects(w, entries)
	}
	for _, e := range entries {
		if _, err := fmt.Fprintln(w, entryText(e, c.Stream)); err != nil {
			return err
		}
	}
	return nil
}

// streams prints the streams that had refusals.
func (c *whyCmd) streams(w io.Writer, all []rejection.Recent) error {
	if c.JSON {
		return writeObjects(w, all)
	}
	if len(all) == 0 {
		fmt.Fprintf(w, "Nothing was refused on any stream%s.\n", c.Since)
		return nil
	}
	for _, r := range all {
		fmt.Fprintf(w, "%s  %s, the latest %s: %d %s: %s\n", r.StreamName, times(r.Count, "refusal"), stamp(r.Last.Time), r.Last.Code, r.Last.Error, r.Last.Why)
	}
	_, err := fmt.Fprintln(w, "\nmillrace why STREAM says where, and what to do.")
	return err
}

// nothing says how the stream is when there was no refusal.
func (c *whyCmd) nothing(answer rejections, now time.Time) string {
	open := fmt.Sprintf("%s open now", times(int64(answer.Sessions), "PutMedia session"))
	if answer.NewestFragment == nil {
		return fmt.Sprintf("%s: nothing was refused%s, and nothing came: the stream has no fragment; %s.", c.Stream, c.Since, open)
	}
	n := answer.NewestFragment
	return fmt.Sprintf("%s: nothing was refused%s. The newest fragment, %s, came %s, %s ago; %s.",
		c.Stream, c.Since, n.FragmentNumber, stamp(n.ServerTimestamp), max(0, now.Sub(n.ServerTimestamp)).Round(time.Second), open)
}

// players says what plays the newest fragment, and why others do not: "" when none is stored.
func players(answer rejections) (text string) {
	var play []string
	for _, p := range answer.Players {
		if p.Why == "" {
			play = append(play, p.As)
		}
	}
	if len(play) > 0 {
		text = wrap("The newest fragment plays as ", strings.Join(play, ", ")+".")
	}
	for _, p := range answer.Players {
		if p.Why != "" {
			text += wrap("Not as "+p.As+": ", p.Why)
		}
	}
	return text
}

// since is a time on the command line, or how long ago it was.
type since struct {
	text string
	at   time.Time
}

// UnmarshalText reads the flag's value.
func (s *since) UnmarshalText(text []byte) error {
	s.text = string(text)
	if d, err := time.ParseDuration(s.text); err == nil && d >= 0 {
		s.at = time.Now().Add(-d)
		return nil
	}
	at, err := parseMoment(s.text)
	if err != nil {
		return fmt.Errorf("%q is neither a duration (15m, 24h) nor a time: want RFC 3339 or seconds since 1970", s.text)
	}
	s.at = at.Time()
	return nil
}

// String is what a sentence ends with.
func (s since) String() string {
	if s.text == "" {
		return ""
	}
	return " since " + stamp(s.at)
}

// stamp writes a time for people.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// times writes a number of things.
func times(n int64, thing string) string { return count(int(n), thing) }
