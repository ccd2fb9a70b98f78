package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/millrace/millrace/internal/inspect"
	"github.com/millrace/millrace/internal/server"
)

// checkCmd is "millrace check".
type checkCmd struct {
	dataFlags
	Deep        bool   `help:"Read all media and unseal them, too."`
	Repair      bool   `help:"Mend what can be mended without loss; the server must be stopped."`
	Keys        string `placeholder:"FILE" help:"With --repair, take back data keys that are lost from this file, a backup's archive/keys; the others stay."`
	WithoutKeys bool   `help:"With --repair, go on although all data keys are lost: what they seal stays unreadable."`
	JSON        bool   `name:"json" help:"Print the report as JSON."`
}

// Help is the end of the help text.
func (*checkCmd) Help() string {
	return `Compares segments, index, keys and tombstones with the rules of the archive, which have numbers
on the page archive-format. The server may go on meanwhile; a directory without one cannot be
served until the check has ended. A repair makes the index again from the media, writes the ends
of segments again and the like; it never removes what can be read, and says what cannot be mended.

The exit code is 0 when nothing is wrong, or all of it was mended, 1 when something is wrong, and
2 when nothing could be checked.

Examples:
  millrace check --data /var/lib/millrace
  millrace check --deep --config /etc/millrace/millrace.yml
  millrace check --json --data /var/lib/millrace | jq '.after.findings[].text'
  millrace check --repair --data /var/lib/millrace
  millrace check --repair --keys /mnt/restored/archive/keys --data /var/lib/millrace`
}

// untriedError says why something was not done at all.
type untriedError struct{ error }

func (e untriedError) Unwrap() error { return e.error }

// Run checks, and repairs if that is asked for.
func (c *checkCmd) Run(ctx context.Context, std stdio) error {
	if (c.Keys != "" || c.WithoutKeys) && !c.Repair {
		return &usageError{"check", "--keys and --without-keys need --repair"}
	}
	settings, err := c.settings()
	if err != nil {
		return &usageError{"check", err.Error()}
	}
	line := newCheckLine(std.err)
	r, err := server.Inspect(ctx, settings, server.Inspection{Deep: c.Deep, Repair: c.Repair, Keys: c.Keys, Without: c.WithoutKeys, Progress: line.show})
	line.clear()
	if errors.Is(err, fs.ErrNotExist) {
		err = c.whence("data", err)
	}
	if r == nil {
		return untriedError{readable(settings.Data, err)}
	}
	if c.JSON {
		err = errors.Join(err, printJSON(std.out, r))
	} else {
		printReport(std.out, r)
	}
	if left := r.After.Total(); err == nil && left > 0 {
		err = fmt.Errorf("%s wrong; docs/guide/troubleshoot.md says what to do", choose(left == 1, "1 thing is", fmt.Sprintf("%d things are", left)))
	}
	return err
}

// printReport writes what was found and done.
func printReport(w io.Writer, r *inspect.Repaired) {
	if r.Before != r.After {
		printFindings(w, r.Before, "found")
	}
	for _, text := range r.Done {
		fmt.Fprintln(w, "repaired:", text)
	}
	printFindings(w, r.After, choose(r.Before != r.After, "left", ""))
	for _, text := range r.After.Notes {
		fmt.Fprintln(w, "note:", text)
	}
	a := r.After
	fmt.Fprintf(w, "%s, %s, %s of media", count(a.Segments, "segment"),
		choose(a.Fragments == 0 && a.Segments > 0, "fragments not counted", count(int(a.Fragments), "fragment")), size(a.Bytes))
	if a.Deep {
		fmt.Fprintf(w, "; %s read, %s unsealed", size(a.Read), count(int(a.Unsealed), "fragment"))
	}
	fmt.Fprintf(w, ": %s\n", choose(a.Clean(), "nothing is wrong", count(a.Total(), "finding")))
}

func printFindings(w io.Writer, r *inspect.Report, what string) {
	if what != "" {
		what += ", "
	}
	for _, f := range r.Findings {
		fmt.Fprintf(w, "%srule %d: %s%s\n", what, f.Invariant, f.Text, choose(f.Repairable, " (can be repaired)", ""))
	}
	if more := r.Total() - len(r.Findings); more > 0 {
		fmt.Fprintf(w, "%sand %d more\n", what, more)
	}
}

// checkLine shows on a terminal how far a check is. Elsewhere it is silent.
type checkLine struct {
	w     io.Writer // nil = silent
	shown time.Time
}

func newCheckLine(w io.Writer) *checkLine {
	if !terminal(w) {
		w = nil
	}
	return &checkLine{w: w}
}

// show writes the line anew, a few times in a second.
func (l *checkLine) show(p inspect.Progress) {
	if l.w == nil || time.Since(l.shown) < meterStep {
		return
	}
	l.shown = time.Now()
	fmt.Fprintf(l.w, "\r\x1b[Kchecking  %s of %s", size(p.Done), size(max(p.Total, p.Done)))
}

// clear removes the line.
func (l *checkLine) clear() {
	if l.w != nil {
		fmt.Fprint(l.w, "\r\x1b[K")
	}
}
