package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"text/tabwriter"
	"time"

	"github.com/millrace/millrace/internal/backup"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/keep"
)

// backupCmd makes backups of a data directory, lists and verifies them.
type backupCmd struct {
	Make   backupMakeCmd   `cmd:"" default:"withargs" help:"Copy the data directory into a folder of backups (what \"backup DIR\" does)."`
	List   backupListCmd   `cmd:"" help:"List the backups in a folder."`
	Verify backupVerifyCmd `cmd:"" help:"Read backups and compare each byte with its digest."`
}

// Help shows examples.
func (backupCmd) Help() string {
	return `The server goes on meanwhile. Backups in one folder share the media that did not change.

Examples:
  millrace backup /mnt/backups/millrace --data /var/lib/millrace
  millrace backup /mnt/backups/millrace --data /var/lib/millrace --rate 50MB --keep 14
  millrace backup list /mnt/backups/millrace
  millrace backup verify /mnt/backups/millrace
  millrace restore /mnt/backups/millrace --data /var/lib/millrace-new
A folder named list or verify is written ./list or ./verify.`
}

type backupMakeCmd struct {
	dataFlags
	Dir         string      `arg:"" name:"DIR" help:"Folder of backups, best on another disk; made if missing."`
	Keep        int         `default:"7" placeholder:"N" help:"Remove all but the newest N backups, 0 = none (default: 7)."`
	Rate        config.Size `placeholder:"SIZE" help:"Copy at most so much media in a second, such as 50MB."`
	WithKeyFile bool        `help:"Include the key file: who has the backup can then use every secret in it."`
	Verify      bool        `help:"Read all media in the folder again, and copy again what is damaged while the server has it."`
	JSON        bool        `name:"json" help:"Print the report as JSON."`
}

// Run makes a backup.
func (b *backupMakeCmd) Run(ctx context.Context, std stdio) error {
	c, err := b.settings()
	if err != nil {
		return &usageError{"backup", err.Error()}
	}
	if b.Keep < 0 || b.Rate < 0 {
		return &usageError{"backup", "--keep and --rate cannot be negative"}
	}
	warm, err := keep.FindFolder(c.Data, c.Archive.WarmDir)
	if err != nil {
		return err
	}
	line := newProgressLine(std.err)
	r, err := backup.Run(ctx, backup.Options{Data: c.Data, Warm: warm, Dir: b.Dir, Keep: b.Keep, Rate: int64(b.Rate), WithKeyFile: b.WithKeyFile,
		Verify: b.Verify, Program: version(), Progress: line.show})
	line.clear()
	if errors.Is(err, fs.ErrNotExist) {
		err = b.whence("data", err)
	}
	if err != nil {
		return readable(c.Data, err)
	}
	for _, w := range r.Warnings {
		fmt.Fprintln(std.err, "millrace: warning:", w)
	}
	if !r.HasKeyFile {
		fmt.Fprintf(std.err, "The key file is not in the backup, and nothing sealed can be read without it. Keep a copy elsewhere:\n"+
			"  millrace key-file export FILE --data %s\n", c.Data)
	}
	if b.JSON {
		return printJSON(std.out, r)
	}
	fmt.Fprintf(std.out, "backup %s of %s: %s, %s, %s\n", r.ID, r.Time.UTC().Format(time.RFC3339), count(int(r.Streams), "stream"), count(int(r.Fragments), "fragment"), size(r.Size))
	fmt.Fprintf(std.out, "copied %s in %.1f s; %d of %s were there already\n", size(r.Copied), r.Seconds, r.Shared, count(r.Segments, "segment"))
	if len(r.Removed) > 0 {
		fmt.Fprintf(std.out, "removed %d older, %s freed\n", len(r.Removed), size(r.Freed))
	}
	return nil
}

type backupListCmd struct {
	Dir  string `arg:"" name:"DIR" help:"Folder of backups."`
	JSON bool   `name:"json" help:"Print the list as JSON."`
}

// Run prints a table.
func (b *backupListCmd) Run(std stdio) error {
	all, err := backup.List(b.Dir)
	if err != nil {
		return err
	}
	if b.JSON {
		return printJSON(std.out, all)
	}
	w := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "BACKUP\tOF\tSIZE\tSTREAMS\tFRAGMENTS\tKEY FILE\tSTATE")
	for _, s := range all {
		if s.Damaged != "" {
			fmt.Fprintf(w, "%s\t-\t-\t-\t-\t-\t%s\n", s.ID, s.Damaged)
			continue
		}
		state := choose(s.Warnings > 0, count(s.Warnings, "warning"), "complete")
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\t%s\n", s.ID, s.Time.Format(time.RFC3339), size(s.Size), s.Streams, s.Fragments,
			choose(s.HasKeyFile, "inside", "not inside"), state)
	}
	return w.Flush()
}

type backupVerifyCmd struct {
	Dir    string      `arg:"" name:"DIR" help:"Folder of backups."`
	Backup string      `placeholder:"ID" help:"Verify this backup only, or \"latest\" (default: all)."`
	Rate   config.Size `placeholder:"SIZE" help:"Read at most so much in a second, such as 50MB."`
	JSON   bool        `name:"json" help:"Print the verdict as JSON."`
}

// Run verifies and fails when there is damage.
func (b *backupVerifyCmd) Run(ctx context.Context, std stdio) error {
	line := newProgressLine(std.err)
	v, err := backup.Verify(ctx, backup.VerifyOptions{Dir: b.Dir, ID: b.Backup, Rate: int64(b.Rate), Progress: line.show})
	line.clear()
	if err != nil {
		return err
	}
	if b.JSON {
		err = printJSON(std.out, v)
	} else {
		for _, d := range v.Damage {
			fmt.Fprintln(std.out, d)
		}
		fmt.Fprintf(std.out, "%s, %s, %s read\n", count(len(v.Backups), "backup"), count(v.Files, "file"), size(v.Bytes))
	}
	if err == nil && len(v.Damage) > 0 {
		err = fmt.Errorf("%s; millrace backup DIR --verify copies damaged segments again while the server has them", choose(len(v.Damage) == 1, "1 file is damaged", fmt.Sprintf("%d files are damaged", len(v.Damage))))
	}
	if err == nil && len(v.Backups) == 0 {
		err = errors.New("there is no backup in " + b.Dir)
	}
	return err
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// size is a number of bytes for people.
func size(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f kB", float64(n)/1e3)
}

// progressLine shows on a terminal how far a copy is. Elsewhere it is silent.
type progressLine struct {
	w     io.Writer // nil = silent
	begun time.Time
	shown time.Time
}

func newProgressLine(w io.Writer) *progressLine {
	l := &progressLine{begun: time.Now()}
	if terminal(w) {
		l.w = w
	}
	return l
}

// show writes the line anew, a few times in a second.
func (l *progressLine) show(p backup.Progress) {
	now := time.Now()
	if l.w == nil || now.Sub(l.shown) < meterStep {
		return
	}
	l.shown = now
	fmt.Fprintf(l.w, "\r\x1b[K%s  %s of about %s  %s/s", p.Doing, size(p.Done), size(max(p.Total, p.Done)),
		size(int64(float64(p.Done)/max(now.Sub(l.begun).Seconds(), 0.1))))
}

// clear removes the line.
func (l *progressLine) clear() {
	if l.w != nil {
		fmt.Fprint(l.w, "\r\x1b[K")
	}
}
