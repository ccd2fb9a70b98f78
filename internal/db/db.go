// Package db keeps rows: it opens a SQLite file, migrates it, writes from one goroutine and reads from a pool.
//
// Writers that wait at the same time share one commit, so the number of disk syncs
// does not grow with the number of writers (see [DB.Write]). Readers never wait for
// writers and never block them. All methods may be called from any number of
// goroutines.
//
// Statements are written so that PostgreSQL would take them too: placeholders $1, $2
// and so on, columns of type BIGINT, TEXT and BYTEA, nothing only SQLite knows. The
// exam another database has to pass is the package dbtest.
package db

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// Options say where the database is and how it is kept. Path and Migrations are needed.
type Options struct {
	Path string // the file; its directory must exist

	// Durable makes a commit survive a power failure (synchronous=FULL). Without it a
	// commit survives the end of the process, and a power failure may take the last
	// seconds but never damages the file (synchronous=NORMAL).
	Durable bool

	// Migrations holds NNNNN_name.sql files in goose's format, at its root or in a
	// folder named "migrations" (what go:embed makes).
	Migrations fs.FS

	ReadConns int // connections of the query-only pool; 0 = 4

	// ReadCache is how many KiB of pages each of them may remember, 0 = 2,000. It is for
	// look-ups all over a large file; a small one takes only what it has.
	ReadCache int

	// OnCommit is called from the writer after every commit with the number of
	// functions that shared it and the time the commit itself took. It must be quick.
	OnCommit func(functions int, took time.Duration)

	Logger *slog.Logger // nil = silent
}

// DB is an open database. Make it with [Open].
type DB struct {
	path     string
	log      *slog.Logger
	onCommit func(int, time.Duration)

	write      *sql.DB // one connection, used by the writer goroutine only
	read       *sql.DB // query-only pool
	checkpoint *sql.DB // one connection, used by the checkpoint goroutine only

	queue   chan *request // unbuffered: who waits here shares the next commit
	dirty   chan struct{} // capacity 1: something was committed
	closing chan struct{}
	once    sync.Once
	closed  error
	running sync.WaitGroup

	restartAt int // pages of log at which the writer is stopped to start it anew
	failing   int // code of the last checkpoint's failure, 0 = it succeeded; of the checkpoint goroutine

	batch sync.Mutex // held by the writer during a batch; by the checkpointer to restart the log
}

// Open opens or creates the database, brings its schema up to date and starts the
// writer. ctx bounds only the opening. Errors name the file.
func Open(ctx context.Context, o Options) (*DB, error) {
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return nil, err
	}
	if err := createFile(path); err != nil {
		return nil, err
	}
	d := &DB{
		path: path, log: cmp.Or(o.Logger, slog.New(slog.DiscardHandler)), onCommit: o.OnCommit,
		queue: make(chan *request), dirty: make(chan struct{}, 1), closing: make(chan struct{}),
		restartAt: restartFrames,
	}
	if d.onCommit == nil {
		d.onCommit = func(int, time.Duration) {}
	}
	if err := d.connect(ctx, o); err != nil {
		return nil, errors.Join(openError(path, err), d.disconnect())
	}
	d.running.Go(d.runWriter)
	d.running.Go(d.runCheckpoints)
	return d, nil
}

// connect opens the three ways into the file. The writer comes first because it turns
// on write-ahead logging and migrates before anybody else looks.
func (d *DB) connect(ctx context.Context, o Options) (err error) {
	if d.write, err = openPool(d.path, writerPragmas(o.Durable), 1); err != nil {
		return err
	}
	if err := d.write.PingContext(ctx); err != nil {
		return err
	}
	if err := migrate(ctx, d.write, o.Migrations, d.log.With("file", d.path)); err != nil {
		return err
	}
	if d.checkpoint, err = openPool(d.path, checkpointPragmas(o.Durable), 1); err != nil {
		return err
	}
	v := readerPragmas()
	if o.ReadCache > 0 {
		v.Add("_pragma", "cache_size(-"+strconv.Itoa(o.ReadCache)+")")
	}
	if d.read, err = openPool(d.path, v, cmp.Or(o.ReadConns, 4)); err != nil {
		return err
	}
	return d.read.PingContext(ctx)
}

// Read returns the query-only pool. A statement that would change something fails.
// Close rows soon: an open read transaction keeps the log from being emptied.
func (d *DB) Read() *sql.DB { return d.read }

// Close waits for the running commit, moves the log into the file and closes it.
// Functions still queued get an error of kind Unavailable. Closing twice is harmless.
func (d *DB) Close() error {
	d.once.Do(func() {
		close(d.closing)
		d.running.Wait()
		d.finalCheckpoint()
		d.closed = d.disconnect()
	})
	return d.closed
}

// disconnect closes what connect opened. The writer is last, because the last
// connection removes the log files.
func (d *DB) disconnect() error {
	var errs []error
	for _, pool := range []*sql.DB{d.read, d.checkpoint, d.write} {
		if pool != nil {
			errs = append(errs, pool.Close())
		}
	}
	return errors.Join(errs...)
}

// errClosed is what a caller gets that comes too late.
func errClosed() error {
	return kvs.Errorf(kvs.Unavailable, "The service is shutting down. Try again later.")
}
