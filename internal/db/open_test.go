package db

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

func TestOpenErrorsNameTheFile(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.db")
	if err := os.WriteFile(text, []byte(strings.Repeat("no database at all\n", 500)), 0o600); err != nil {
		t.Fatal(err)
	}
	newer := filepath.Join(dir, "newer.db")
	two := fstest.MapFS{"00001_t.sql": testMigrations["00001_t.sql"], "00002_u.sql": {Data: []byte("-- +goose Up\nCREATE TABLE u (id BIGINT);")}}
	d, err := Open(t.Context(), Options{Path: newer, Migrations: two})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	broken := fstest.MapFS{"00001_t.sql": {Data: []byte("-- +goose Up\nCREATE TABL t;")}}
	for _, c := range []struct {
		name, path, want string
		o                Options
	}{
		{"text", text, "is not a database", Options{Migrations: testMigrations}},
		{"newer", newer, "schema version 2, this program knows versions up to 1", Options{Migrations: testMigrations}},
		{"directory missing", filepath.Join(dir, "no", "x.db"), "no such file or directory", Options{Migrations: testMigrations}},
		{"a directory", dir, "", Options{Migrations: testMigrations}},
		{"bad migration", filepath.Join(dir, "broken.db"), "syntax error", Options{Migrations: broken}},
		{"no migrations", filepath.Join(dir, "none.db"), "no migrations", Options{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.o.Path = c.path
			_, err := Open(t.Context(), c.o)
			if err == nil {
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), c.path) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q should name %s and say %q", err, c.path, c.want)
			}
		})
	}
}

func TestNewFileIsPrivate(t *testing.T) {
	d, _ := openTest(t)
	defer d.Close()
	if err := d.Write(t.Context(), add(1)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{d.path, d.path + "-wal"} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want mode 0600", name, info.Mode(), err)
		}
	}
}

func TestPragmas(t *testing.T) {
	for _, durable := range []bool{true, false} {
		d, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "t.db"), Durable: durable, Migrations: testMigrations})
		if err != nil {
			t.Fatal(err)
		}
		sync := map[bool]string{true: "2", false: "1"}[durable]
		for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": sync, "foreign_keys": "1", "wal_autocheckpoint": "0"} {
			var got string
			if err := d.write.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
				t.Errorf("durable %v: %s = %q (%v), want %q", durable, pragma, got, err, want)
			}
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A file that may not grow is what a full disk looks like to SQLite.
func TestFullDiskIsUnavailableAndPasses(t *testing.T) {
	d, _ := openTest(t)
	defer d.Close()
	pages := func(n int) {
		if _, err := d.write.Exec("PRAGMA max_page_count = " + strconv.Itoa(n)); err != nil {
			t.Fatal(err)
		}
	}
	pages(8)
	grow := func(tx *sql.Tx) error {
		_, err := tx.Exec("CREATE TABLE big AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999) SELECT i, hex(zeroblob(200)) FROM n")
		return err
	}
	err := d.Write(t.Context(), grow)
	if kvs.KindOf(err) != kvs.Unavailable || !strings.Contains(err.Error(), d.path) {
		t.Errorf("full disk: %v, want kind Unavailable and the file's name", err)
	}
	if err := d.Write(t.Context(), add(1)); err != nil {
		t.Errorf("a small write after a full disk: %v", err)
	}
	pages(999)
	if err := d.Write(t.Context(), grow); err != nil {
		t.Errorf("after space was made: %v", err)
	}
}

func TestErrorsOfTheFunctionPass(t *testing.T) {
	d, _ := openTest(t)
	defer d.Close()
	want := kvs.Errorf(kvs.InUse, "taken")
	err := d.Write(t.Context(), func(*sql.Tx) error { return want })
	if !errors.Is(err, want) {
		t.Errorf("got %v, want the function's own error", err)
	}
	if err := errors.Join(d.Write(t.Context(), add(1))); err != nil {
		t.Fatal(err)
	}
	if err := d.Write(t.Context(), add(1)); !IsConflict(err) {
		t.Errorf("second insert of a key: %v, want a conflict", err)
	}
}

func TestCheckpointAfterCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := openTest(t)
		before, err := os.ReadFile(d.path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			if err := d.Write(context.Background(), add(i)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * checkpointEvery) // of the bubble's clock
		synctest.Wait()
		after, err := os.ReadFile(d.path)
		if err != nil || len(after) < len(before) || string(after) == string(before) {
			t.Errorf("the file did not change after commits and a checkpoint: %d and %d bytes, %v", len(before), len(after), err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(d.path + "-wal"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the log is still there after closing: %v", err)
		}
	})
}

// A full disk fails every checkpoint; the log says when that begins and when it ends.
func TestCheckpointsThatFailAreLoggedOnce(t *testing.T) {
	d, _ := openTest(t)
	defer d.Close()
	var log bytes.Buffer
	d.log = slog.New(slog.NewTextHandler(&log, nil))
	ended, end := context.WithCancel(t.Context())
	end()
	for range 5 {
		d.checkpointOnce(ended)
	}
	for range 3 {
		d.noteCheckpoint(errBusy) // says neither
		d.checkpointOnce(t.Context())
	}
	if got := log.String(); strings.Count(got, "\n") != 2 || strings.Count(got, "checkpoint failed") != 1 || strings.Count(got, "succeed again") != 1 {
		t.Errorf("logged\n%s", got)
	}
}

// With a log that is too long the checkpoint restarts it; a reader that stays in its
// transaction delays that but wedges nobody.
func TestLongLogStartsAnew(t *testing.T) {
	d, _ := openTest(t)
	defer d.Close()
	d.restartAt = 0
	write := func(from int) int64 {
		for i := range 20 {
			if err := d.Write(t.Context(), add(from+i)); err != nil {
				t.Fatal(err)
			}
		}
		info, err := os.Stat(d.path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	reader, err := d.Read().Begin()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := reader.QueryRow("SELECT COUNT(*) FROM t").Scan(&n); err != nil {
		t.Fatal(err)
	}
	first := write(0)
	d.checkpointOnce(t.Context())
	if grown := write(100); grown <= first {
		t.Errorf("log of %d bytes after %d under a reader: it was overwritten", grown, first)
	}
	if err := reader.Rollback(); err != nil {
		t.Fatal(err)
	}
	before := write(200)
	d.checkpointOnce(t.Context())
	if after := write(300); after != before {
		t.Errorf("log grew from %d to %d bytes after a restart", before, after)
	}
}
