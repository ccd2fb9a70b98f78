package db

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"modernc.org/sqlite" // also registers the driver "sqlite"
	codes "modernc.org/sqlite/lib"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/kvs"
)

// busyTimeout is how long a connection waits for another process that has the file
// locked (a backup, an operator's shell), in milliseconds.
const busyTimeout = "10000"

// logSizeLimit is the size in bytes the log file is cut to when it starts anew.
const logSizeLimit = "67108864"

func writerPragmas(durable bool) url.Values {
	v := basePragmas()
	v.Set("_journal_mode", "WAL")
	v.Set("_synchronous", synchronous(durable))
	v.Set("_txlock", "immediate") // take the write lock at BEGIN, where waiting is harmless
	v.Add("_pragma", "wal_autocheckpoint(0)")
	v.Add("_pragma", "journal_size_limit("+logSizeLimit+")")
	return v
}

func checkpointPragmas(durable bool) url.Values {
	v := basePragmas()
	v.Set("_busy_timeout", "200") // the writer may be holding still for it
	v.Set("_synchronous", synchronous(durable))
	v.Add("_pragma", "wal_autocheckpoint(0)")
	v.Add("_pragma", "journal_size_limit("+logSizeLimit+")")
	return v
}

func readerPragmas() url.Values {
	v := basePragmas()
	v.Set("_query_only", "1")
	return v
}

func basePragmas() url.Values {
	return url.Values{
		"_busy_timeout": {busyTimeout},
		"_foreign_keys": {"1"},
		"_defensive":    {"1"},
		"_dqs":          {"0"}, // a misspelt column is an error, as in PostgreSQL
		"_error_rc":     {"1"},
	}
}

func synchronous(durable bool) string {
	if durable {
		return "FULL"
	}
	return "NORMAL"
}

// openPool makes a pool whose connections stay open, because opening one re-reads
// the schema.
func openPool(path string, pragmas url.Values, conns int) (*sql.DB, error) {
	dsn := url.URL{Scheme: "file", Path: path, RawQuery: pragmas.Encode()}
	connector, err := sqlite.NewConnector(dsn.String())
	if err != nil {
		return nil, err
	}
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	return pool, nil
}

// createFile makes an empty database, readable by its owner only, and syncs its
// directory entry; an existing file is left alone.
func createFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	disk.Give(f)
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("create database %s: %w", path, err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("create database %s: %w", path, err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("create database %s: %w", path, err)
	}
	return nil
}

// primaryCode returns SQLite's primary result code, 0 when err is not SQLite's.
func primaryCode(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}

// openError says in the operator's words why a file could not be opened.
func openError(path string, err error) error {
	switch primaryCode(err) {
	case codes.SQLITE_NOTADB:
		return fmt.Errorf("%s is not a database; move it away or restore it from a backup: %w", path, err)
	case codes.SQLITE_CORRUPT:
		return fmt.Errorf("%s is damaged; restore it from a backup: %w", path, err)
	case codes.SQLITE_READONLY, codes.SQLITE_PERM, codes.SQLITE_CANTOPEN:
		return fmt.Errorf("%s cannot be written; check the owner and mode of the file and its directory: %w", path, err)
	}
	return fmt.Errorf("open database %s: %w", path, err)
}

// storeError gives the kind Unavailable to errors that come from the disk and not from
// the statement, so that callers answer "try again". Others pass unchanged.
func storeError(path string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*kvs.Error](err); ok {
		return err
	}
	switch primaryCode(err) {
	case codes.SQLITE_FULL, codes.SQLITE_IOERR, codes.SQLITE_BUSY, codes.SQLITE_LOCKED,
		codes.SQLITE_READONLY, codes.SQLITE_NOMEM, codes.SQLITE_CANTOPEN, codes.SQLITE_CORRUPT:
		return &kvs.Error{
			Kind:    kvs.Unavailable,
			Message: "The service could not store the change. Try again.",
			Cause:   fmt.Errorf("write %s: %w", path, err),
		}
	}
	return err
}

// IsDamaged reports whether err says that the file is no database, or a damaged one.
func IsDamaged(err error) bool {
	code := primaryCode(err)
	return code == codes.SQLITE_NOTADB || code == codes.SQLITE_CORRUPT
}

// IsFull reports whether err says that the disk has no room.
func IsFull(err error) bool { return primaryCode(err) == codes.SQLITE_FULL }

// IsFailing reports whether err says that the disk, or the file on it, does not do what a
// disk should.
func IsFailing(err error) bool {
	switch primaryCode(err) {
	case codes.SQLITE_IOERR, codes.SQLITE_READONLY, codes.SQLITE_CANTOPEN, codes.SQLITE_CORRUPT, codes.SQLITE_NOTADB:
		return true
	}
	return false
}

// IsConflict reports whether err says that a row with the same key exists already.
func IsConflict(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && (e.Code() == codes.SQLITE_CONSTRAINT_UNIQUE || e.Code() == codes.SQLITE_CONSTRAINT_PRIMARYKEY)
}
