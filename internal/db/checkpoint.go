package db

import (
	"cmp"
	"context"
	"errors"
	"time"
)

// Checkpoints move the log into the file in the background, so that no commit pays
// for one. A log longer than restartFrames pages (64 MiB) is a sign that passive
// checkpoints never catch the writer resting; then it is stopped for a moment.
const (
	checkpointEvery = 2 * time.Second
	restartFrames   = 16384
)

// runCheckpoints checkpoints at most every checkpointEvery, and only after commits.
func (d *DB) runCheckpoints() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	timer := time.NewTimer(checkpointEvery)
	defer timer.Stop()
	for {
		select {
		case <-d.dirty:
		case <-d.closing:
			return
		}
		timer.Reset(checkpointEvery)
		select {
		case <-timer.C:
		case <-d.closing:
			return
		}
		d.checkpointOnce(ctx)
	}
}

// checkpointOnce runs a passive checkpoint and, when the log has grown too long, one
// that makes it start anew while the writer holds still.
func (d *DB) checkpointOnce(ctx context.Context) {
	log, err := d.runCheckpoint(ctx, "PASSIVE")
	if err == nil && log > d.restartAt {
		d.batch.Lock()
		_, err = d.runCheckpoint(ctx, "RESTART")
		d.batch.Unlock()
	}
	d.noteCheckpoint(err)
}

// noteCheckpoint logs what changed: that checkpoints fail, or fail otherwise than
// before, and that they succeed again.
func (d *DB) noteCheckpoint(err error) {
	code := 0
	if err != nil {
		code = cmp.Or(primaryCode(err), -1)
	}
	switch {
	case code == d.failing || errors.Is(err, errBusy):
		return
	case code == 0:
		d.log.Info("checkpoints succeed again", "file", d.path)
	default:
		d.log.Warn("checkpoint failed; the log keeps growing until one succeeds", "file", d.path, "error", err)
	}
	d.failing = code
}

// finalCheckpoint empties the log before the file is closed, so that a copy of the
// closed file alone is complete.
func (d *DB) finalCheckpoint() {
	if _, err := d.runCheckpoint(context.Background(), "TRUNCATE"); err != nil {
		d.log.Warn("last checkpoint failed; the log will be read at the next start", "file", d.path, "error", err)
	}
}

// errBusy says that a reader or another process kept a checkpoint from finishing.
var errBusy = errors.New("checkpoint: the database is in use")

// runCheckpoint runs one checkpoint and returns the length of the log in pages.
func (d *DB) runCheckpoint(ctx context.Context, mode string) (pages int, err error) {
	var busy, done int
	err = d.checkpoint.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &pages, &done)
	if err == nil && busy != 0 {
		err = errBusy
	}
	return pages, err
}
