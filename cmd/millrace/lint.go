package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/ingest/lint"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/rejection"
)

// lintCmd is "millrace lint".
type lintCmd struct {
	Files []string `arg:"" name:"file" help:"Matroska (.mkv, .webm); - reads the standard input."`

	Profile  string            `enum:"open,aws" default:"open" help:"Whose limits count: ${enum}. Default ${default}."`
	Limit    map[string]string `mapsep:"none" placeholder:"NAME=VALUE" help:"A limit that the stream has beside the profile, as \"millrace limit set\" takes it; may be repeated."`
	Tag      map[string]string `mapsep:"none" placeholder:"KEY=VALUE" help:"A tag that the stream has; may be repeated."`
	Absolute bool              `xor:"timecodes" help:"The producer will send the timecodes as ABSOLUTE: they must count from 1970."`
	Relative bool              `xor:"timecodes" help:"The producer will send them as RELATIVE. Default: as \"millrace put\" does."`
	Each     bool              `help:"Print each refusal and warning, one a line, instead of folding the same ones."`
	Strict   bool              `help:"Warnings are findings, too."`
	JSON     bool              `name:"json" help:"One JSON object for each file; with --each one for each finding, too."`
}

// Help is the end of the help text.
func (*lintCmd) Help() string {
	return `The file goes through the same code that takes PutMedia sessions in a server; nothing is
sent. It is looked at as it is: "millrace put" cuts new clusters where a file has unfit ones,
unless it is told to send it --raw.

The exit code is 0 when nothing would be refused, 1 when something would, when a file has no
cluster, so that nothing of it would be kept, or cannot be read, and 2 when the command line
is wrong.

Examples:
  millrace lint recording.mkv
  millrace lint --profile aws --json *.mkv | jq .Refusals
  millrace lint --limit fragment.duration=30s --tag millrace:lenient-tracks=1 late-sound.mkv
  gst-launch-1.0 ... ! matroskamux streamable=true ! fdsink | millrace lint -`
}

// These make the exit code of media with findings, which were told already.
var (
	errRefusals = errors.New("not all of the media would be taken")
	errNoMedia  = errors.New("without a cluster nothing would be kept")
	errWarnings = errors.New("there are warnings")
)

// Run looks at the files, one after the other.
func (c *lintCmd) Run(ctx context.Context, std stdio) error {
	var found error
	for _, name := range c.Files {
		report, err := c.check(ctx, std, name)
		if kvs.KindOf(err) == kvs.InvalidArgument {
			return &usageError{"lint", err.Error()}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", called(name), err)
		}
		if err := c.print(std.out, name, report); err != nil {
			return err
		}
		switch {
		case report.Refused > 0:
			found = errRefusals
		case report.Fragments.Count == 0 && found != errRefusals:
			found = errNoMedia
		case c.Strict && report.Warned > 0 && found == nil:
			found = errWarnings
		}
	}
	return found
}

// called is how a file is named in texts.
func called(name string) string { return choose(name == "-", "the input", name) }

// check looks at one file.
func (c *lintCmd) check(ctx context.Context, std stdio, name string) (*lint.Report, error) {
	var in io.Reader
	var length int64
	if name == "-" {
		in = interruptible(ctx, std.in, 0)
	} else {
		f, err := os.Open(name)
		if err != nil {
			return nil, errors.Unwrap(err)
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil && info.IsDir() {
			return nil, errors.New("it is a directory")
		} else if err == nil {
			length = info.Size()
		}
		in = f
	}
	o := lint.Options{Profile: quota.Profile(c.Profile), Limits: c.Limit, Tags: c.Tag, Relative: c.Relative, Absolute: c.Absolute}
	if c.Each {
		o.Found = func(r rejection.Refusal) { c.each(std.out, name, r) }
	}
	done := progress(std.err, called(name), length, &o)
	defer done()
	return lint.Check(ctx, in, o)
}

// progress shows on a terminal how far it is, when it takes long.
func progress(w io.Writer, name string, length int64, o *lint.Options) (done func()) {
	if !terminal(w) {
		return func() {}
	}
	var read atomic.Int64
	o.Progress = read.Store
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(meterStep)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				line := fmt.Sprintf("\r\x1b[K%s  %.1f MB", name, float64(read.Load())/1e6)
				if length > 0 {
					line += fmt.Sprintf(" of %.1f", float64(length)/1e6)
				}
				fmt.Fprint(w, line)
			case <-quit:
				fmt.Fprint(w, "\r\x1b[K")
				return
			}
		}
	}()
	return func() { close(quit); <-ended }
}

// each prints one finding.
func (c *lintCmd) each(w io.Writer, name string, r rejection.Refusal) {
	if c.JSON {
		_ = writeObjects(w, []struct {
			File string
			lintFinding
		}{{name, lintFinding(r)}})
		return
	}
	what := "warning"
	if r.Scope != lint.Warning {
		what = fmt.Sprintf("%d %s", r.Code, r.Error)
	}
	fmt.Fprintf(w, "%s:%d: %s, %s: %s\n", name, r.Offset, what, r.Case, r.Why)
}

// lintFinding is a refusal that keeps its members beside those of another struct.
type lintFinding rejection.Refusal

// print prints the report of one file.
func (c *lintCmd) print(w io.Writer, name string, r *lint.Report) error {
	if c.JSON {
		return writeObjects(w, []struct {
			File string
			*lint.Report
		}{{name, r}})
	}
	_, err := io.WriteString(w, c.text(called(name), r))
	return err
}

// text is the report for people.
func (c *lintCmd) text(name string, r *lint.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", name, verdict(r))
	for _, t := range r.Tracks {
		fmt.Fprintf(&b, "  track %d: %s\n", t.Number, trackText(t))
	}
	if f := r.Fragments; f.Count > 0 {
		fmt.Fprintf(&b, "  %s, %d would be kept", count(int(f.Count), "fragment"), f.Kept)
		if f.Kept > 0 {
			fmt.Fprintf(&b, ": %s to %s, %s on average; %s to %s, %s on average", seconds(f.Duration.Least), seconds(f.Duration.Greatest), seconds(f.Duration.Mean),
				size(f.Size.Least), size(f.Size.Greatest), size(f.Size.Mean))
		}
		fmt.Fprintf(&b, "\n  %s\n", clusterText(r))
	}
	b.WriteByte('\n')
	if !c.Each {
		for _, e := range append(r.Refusals, r.Warnings...) {
			b.WriteString(entryText(e, "") + "\n")
		}
	}
	if r.Cut {
		b.WriteString("A server would end the session there: the rest was not looked at.\n\n")
	}
	return b.String()
}

// verdict is the report in a sentence.
func verdict(r *lint.Report) string {
	switch {
	case r.Format != "":
		return fmt.Sprintf("%s: this is %s, not Matroska: %s", times(r.Refused, "refusal"), r.Format, r.Hint)
	case r.Bytes == 0:
		return "it is empty: it has no cluster, and nothing would be kept"
	}
	text := "nothing would be refused"
	if r.Refused > 0 {
		text = times(r.Refused, "refusal")
	}
	if r.Warned > 0 {
		text += ", " + times(r.Warned, "warning")
	}
	return text
}

// trackText describes a track.
func trackText(t lint.Track) string {
	parts := []string{t.Type + " " + t.Codec}
	add := func(is bool, format string, args ...any) {
		if is {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(t.Width > 0, "%dx%d", t.Width, t.Height)
	add(t.Rate > 0, "%.4g frames/s", t.Rate)
	add(t.Sampling > 0, "%.0f Hz", t.Sampling)
	add(t.Channels > 0, "%s", count(int(t.Channels), "channel"))
	add(true, "private data %s", t.Private)
	add(true, "%s", count(int(t.Frames), "frame"))
	add(t.KeyFrames > 0, "%d of them key frames", t.KeyFrames)
	return strings.Join(parts, ", ")
}

// clusterText says how the clusters are written, and what their timecodes mean.
func clusterText(r *lint.Report) string {
	text := "clusters of known size: a consumer gets a fragment when it is whole"
	if r.Fragments.UnknownSize == r.Fragments.Count {
		text = "clusters of unknown size: frames reach consumers at once, and nobody can tell whether the last one is whole"
	} else if r.Fragments.UnknownSize > 0 {
		text = "some clusters of known and some of unknown size"
	}
	return fmt.Sprintf("%s; timecodes from %d, one unit is %v", text, r.FirstTimecode, time.Duration(r.TimecodeScale))
}

func seconds(millis int64) string { return fmt.Sprintf("%.2f s", float64(millis)/1000) }
