package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"syscall"

	"modernc.org/sqlite"
)

// snapshotPages is how much of a database is copied between two looks at the context.
const snapshotPages = 4096

// Snapshot copies the database in the file from to the new file to, as it was at one
// moment, and checks the copy. Another process may be using the database: its writers
// are not held up, and its log cannot start anew before the copy is done. The copy is
// not synced. Whoever may write the directory of from can call it.
func Snapshot(ctx context.Context, from, to string) error {
	if err := snapshot(ctx, from, to); err != nil {
		return fmt.Errorf("copy database %s: %w", from, err)
	}
	if err := Examine(ctx, to); err != nil {
		return fmt.Errorf("database %s is damaged, and so is a copy of it: %w", from, err)
	}
	return nil
}

func snapshot(ctx context.Context, from, to string) (err error) {
	pool, err := OpenReader(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	conn, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	// One read transaction around all steps: without it the copy would begin again
	// after each commit of somebody else, for ever on a busy server.
	if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
		return err
	}
	defer func() { _, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK") }() // nothing was written
	var tables int
	if err := conn.QueryRowContext(ctx, "SELECT COUNT(*) FROM sqlite_schema").Scan(&tables); err != nil {
		return err
	}
	return conn.Raw(func(driver any) error { return copyPages(ctx, driver, to) })
}

// backuper is what the driver's connection can do beyond database/sql.
type backuper interface {
	NewBackup(uri string) (*sqlite.Backup, error)
}

func copyPages(ctx context.Context, driver any, to string) error {
	source, ok := driver.(backuper)
	if !ok {
		return fmt.Errorf("the driver's %T cannot copy databases", driver)
	}
	// A copy that is not finished is thrown away, so it needs neither log nor syncs.
	uri, err := fileURI(to, url.Values{"_journal_mode": {"OFF"}, "_synchronous": {"OFF"}})
	if err != nil {
		return err
	}
	b, err := source.NewBackup(uri)
	if err != nil {
		return err
	}
	for more := true; more && err == nil; {
		if more, err = b.Step(snapshotPages); err == nil {
			err = ctx.Err()
		}
	}
	return errors.Join(err, b.Finish())
}

// OpenReader opens a database that another process may be using, for queries only; it
// neither makes nor migrates one.
func OpenReader(path string) (*sql.DB, error) {
	if frozen(path) {
		return openFrozen(path)
	}
	v := readerPragmas()
	v.Set("mode", "rw") // a reader takes part in the log
	return openURI(path, v)
}

// frozen reports whether a database lies on a file system that nobody can write to.
func frozen(path string) bool {
	return syscall.Access(path, 2) == syscall.EROFS // W_OK
}

// openFrozen opens a database where no file can be made or written.
func openFrozen(path string) (*sql.DB, error) {
	if log, err := os.Stat(path + "-wal"); err != nil || log.Size() == 0 {
		return OpenCopy(path)
	}
	v := readerPragmas()
	v.Set("mode", "ro")
	if _, err := os.Stat(path + "-shm"); errors.Is(err, fs.ErrNotExist) {
		// The list of what is in the log is missing and cannot be made. Who has the database
		// alone keeps it in memory; a lock for that would need a file to write to.
		v.Set("vfs", "unix-none")
		v.Add("_pragma", "locking_mode(exclusive)")
	}
	return openURI(path, v)
}

// OpenCopy opens a database that nobody changes, for queries only. It leaves no other
// file behind.
func OpenCopy(path string) (*sql.DB, error) {
	v := readerPragmas()
	v.Set("immutable", "1")
	return openURI(path, v)
}

// Examine reads a whole database that nobody changes and tells what is wrong with it.
func Examine(ctx context.Context, path string) (err error) {
	pool, err := OpenCopy(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	var found string
	if err := pool.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&found); err != nil {
		return openError(path, err)
	}
	if found != "ok" {
		return fmt.Errorf("%s is damaged: %s", path, found)
	}
	return nil
}

func openURI(path string, v url.Values) (*sql.DB, error) {
	uri, err := fileURI(path, v)
	if err != nil {
		return nil, err
	}
	connector, err := sqlite.NewConnector(uri)
	if err != nil {
		return nil, err
	}
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(1)
	return pool, nil
}

func fileURI(path string, v url.Values) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: v.Encode()}
	return u.String(), nil
}
