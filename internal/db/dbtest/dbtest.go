// Package dbtest is the exam that every database behind internal/db has to pass.
package dbtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"testing"
	"testing/fstest"
)

// Database is what the rooms above use of a database.
type Database interface {
	Write(ctx context.Context, f func(*sql.Tx) error) error
	Read() *sql.DB
	Close() error
}

// Opener opens the same database each time it is called within one test.
type Opener func(t *testing.T, migrations fs.FS) (Database, error)

// Exam runs every question. fresh gives a new, empty database for each of them.
func Exam(t *testing.T, fresh func(t *testing.T) Opener) {
	for _, q := range []struct {
		name string
		ask  func(*testing.T, Opener)
	}{
		{"WrittenIsRead", writtenIsRead},
		{"SurvivesReopening", survivesReopening},
		{"MigratesOnce", migratesOnce},
		{"RefusesNewerSchema", refusesNewerSchema},
		{"FailureUndoesItsOwnOnly", failureUndoesItsOwnOnly},
		{"FailedStatementHarmsNobody", failedStatementHarmsNobody},
		{"CancelledStatementHarmsNobody", cancelledStatementHarmsNobody},
		{"PanicUndoes", panicUndoes},
		{"ReadsAreQueryOnly", readsAreQueryOnly},
		{"ReadsSeeWholeCommits", readsSeeWholeCommits},
		{"Types", types},
		{"ForeignKeys", foreignKeys},
		{"ClosedRefuses", closedRefuses},
	} {
		t.Run(q.name, func(t *testing.T) { q.ask(t, fresh(t)) })
	}
}

// Schema is a migration with the column types the rooms use.
const Schema = `-- +goose Up
CREATE TABLE owner (id BIGINT PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE item (
  id    BIGINT NOT NULL PRIMARY KEY,
  owner BIGINT NOT NULL REFERENCES owner (id),
  label TEXT NOT NULL,
  data  BYTEA
);
INSERT INTO owner (id, name) VALUES (1, 'first');
`

// Migrations returns the exam's schema as a migration folder, with more as further
// versions.
func Migrations(more ...string) fs.FS {
	m := fstest.MapFS{"migrations/00001_schema.sql": {Data: []byte(Schema)}}
	for i, sql := range more {
		m[fmt.Sprintf("migrations/%05d_more.sql", i+2)] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + sql)}
	}
	return m
}

// open opens the exam's database and closes it with the test.
func open(t *testing.T, o Opener, more ...string) Database {
	t.Helper()
	d, err := o(t, Migrations(more...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// insert adds an item and returns the error of Write.
func insert(d Database, id int, label string) error {
	return d.Write(context.Background(), func(tx *sql.Tx) error { return insertTx(tx, id, label) })
}

func insertTx(tx *sql.Tx, id int, label string) error {
	_, err := tx.Exec("INSERT INTO item (id, owner, label) VALUES ($1, 1, $2)", id, label)
	return err
}

// count returns the number of items as a reader sees it.
func count(t *testing.T, d Database) (n int) {
	t.Helper()
	if err := d.Read().QueryRow("SELECT COUNT(*) FROM item").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// together calls f(0) to f(n-1) at the same time and waits for all.
func together(n int, f func(int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

var errOnPurpose = errors.New("on purpose")
