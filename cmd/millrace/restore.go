package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/millrace/millrace/internal/backup"
	"github.com/millrace/millrace/internal/server"
)

// restoreCmd makes a data directory from a backup.
type restoreCmd struct {
	Dir     string `arg:"" name:"DIR" help:"Folder of backups."`
	Data    string `required:"" placeholder:"NEWDIR" help:"Data directory to make: it must not exist, or be empty."`
	Backup  string `default:"latest" placeholder:"ID" help:"Which backup; millrace backup list shows them (default: the latest)."`
	KeyFile string `placeholder:"FILE" help:"Copy of the key file, if it is not in the backup."`
	Salvage bool   `help:"Go on when media in the backup are damaged or missing."`
	JSON    bool   `name:"json" help:"Print the report as JSON."`
}

// Help shows examples.
func (restoreCmd) Help() string {
	return `Each byte is compared with its digest on the way. Nothing is ever replaced.

Examples:
  millrace restore /mnt/backups/millrace --data /var/lib/millrace --key-file /safe/key-file
  millrace restore /mnt/backups/millrace --data /var/lib/millrace-drill --backup 20261122T052001Z
Run it as the user of the server, and start the server on NEWDIR afterwards.`
}

// Run restores a backup.
func (r *restoreCmd) Run(ctx context.Context, std stdio) error {
	line := newProgressLine(std.err)
	done, err := backup.Restore(ctx, backup.RestoreOptions{Dir: r.Dir, ID: r.Backup, Data: r.Data, KeyFile: r.KeyFile, Salvage: r.Salvage, Progress: line.show})
	line.clear()
	if err != nil {
		return readable(r.Data, err)
	}
	for _, w := range done.Warnings {
		fmt.Fprintln(std.err, "millrace: warning:", w)
	}
	if r.JSON {
		err = printJSON(std.out, done)
	} else {
		fmt.Fprintf(std.out, "restored backup %s into %s: as of %s, %s, %s, %s in %.1f s\n", done.ID, done.Data,
			done.Time.UTC().Format(time.RFC3339), count(int(done.Streams), "stream"), count(int(done.Fragments), "fragment"), size(done.Size), done.Seconds)
	}
	if !done.HasKey {
		fmt.Fprintf(std.err, "THE KEY FILE IS MISSING: it was not in the backup, and the server does not start without it.\n"+
			"Copy it to %s, owned by the user of the server, mode 0600.\n", filepath.Join(r.Data, server.KeyFile))
	}
	return err
}
