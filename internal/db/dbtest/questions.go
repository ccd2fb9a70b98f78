package dbtest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"sync"
	"testing"

	"github.com/millrace/millrace/internal/kvs"
)

func writtenIsRead(t *testing.T, o Opener) {
	d := open(t, o)
	if err := insert(d, 7, "seven"); err != nil {
		t.Fatal(err)
	}
	var label string
	if err := d.Read().QueryRow("SELECT label FROM item WHERE id = $1", 7).Scan(&label); err != nil || label != "seven" {
		t.Fatalf("read %q, %v", label, err)
	}
}

func survivesReopening(t *testing.T, o Opener) {
	d := open(t, o)
	if err := insert(d, 1, "one"); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if n := count(t, open(t, o)); n != 1 {
		t.Fatalf("%d items after reopening, want 1", n)
	}
}

// The second opening must not run the first migration again (it would fail), and
// must run the one that is new.
func migratesOnce(t *testing.T, o Opener) {
	for range 2 {
		if err := open(t, o).Close(); err != nil {
			t.Fatal(err)
		}
	}
	d := open(t, o, "ALTER TABLE item ADD COLUMN size BIGINT NOT NULL DEFAULT 5;")
	if err := insert(d, 1, "one"); err != nil {
		t.Fatal(err)
	}
	var size int
	if err := d.Read().QueryRow("SELECT size FROM item WHERE id = 1").Scan(&size); err != nil || size != 5 {
		t.Fatalf("size %d, %v", size, err)
	}
}

func refusesNewerSchema(t *testing.T, o Opener) {
	if err := open(t, o, "CREATE TABLE later (id BIGINT);").Close(); err != nil {
		t.Fatal(err)
	}
	d, err := o(t, Migrations())
	if err == nil {
		_ = d.Close()
		t.Fatal("a database with a newer schema was opened")
	}
}

// Half of the functions fail after an insert; the other half must all be there.
func failureUndoesItsOwnOnly(t *testing.T, o Opener) {
	d := open(t, o)
	const n = 64
	errs := make([]error, n)
	together(n, func(i int) {
		errs[i] = d.Write(context.Background(), func(tx *sql.Tx) error {
			if err := insertTx(tx, i, "x"); err != nil {
				return err
			}
			if i%2 == 1 {
				return errOnPurpose
			}
			return nil
		})
	})
	for i, err := range errs {
		if want := i%2 == 1; errors.Is(err, errOnPurpose) != want || !want && err != nil {
			t.Errorf("function %d: %v", i, err)
		}
	}
	if got := count(t, d); got != n/2 {
		t.Errorf("%d items, want %d", got, n/2)
	}
}

// All use one of two keys: one of each wins, the others get the conflict.
func failedStatementHarmsNobody(t *testing.T, o Opener) {
	d := open(t, o)
	var mu sync.Mutex
	won := 0
	together(40, func(i int) {
		if insert(d, i%2, "x") == nil {
			mu.Lock()
			won++
			mu.Unlock()
		}
	})
	if got := count(t, d); won != 2 || got != 2 {
		t.Errorf("%d writers won, %d items; want 2 and 2", won, got)
	}
}

// A statement that is interrupted takes the whole transaction away in some databases;
// the neighbours must not notice.
func cancelledStatementHarmsNobody(t *testing.T, o Opener) {
	d := open(t, o)
	const n = 32
	errs := make([]error, n)
	together(n, func(i int) {
		if i%4 == 3 {
			errs[i] = writeCancelled(d, i)
			return
		}
		errs[i] = insert(d, i, "x")
	})
	for i, err := range errs {
		if (err != nil) != (i%4 == 3) {
			t.Errorf("function %d: %v", i, err)
		}
	}
	if got := count(t, d); got != n*3/4 {
		t.Errorf("%d items, want %d", got, n*3/4)
	}
}

// writeCancelled inserts and then runs a long statement whose context ends as soon as the
// statement has begun. It has an end since SQLite forgets an interruption that comes just
// ahead of the first step; then the function fails by itself.
func writeCancelled(d Database, id int) error {
	return d.Write(context.Background(), func(tx *sql.Tx) error {
		if err := insertTx(tx, id, "cancelled"); err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(context.Background())
		go cancel()
		_, err := tx.ExecContext(ctx, `INSERT INTO item (id, owner, label)
			WITH RECURSIVE n (i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n)
			SELECT i, 1, 'long' FROM n LIMIT 200000`)
		<-ctx.Done()
		return errors.Join(err, ctx.Err())
	})
}

func panicUndoes(t *testing.T, o Opener) {
	d := open(t, o)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic did not reach the caller of Write")
			}
		}()
		_ = d.Write(context.Background(), func(tx *sql.Tx) error {
			_ = insertTx(tx, 1, "x")
			panic("on purpose")
		})
	}()
	if err := insert(d, 2, "after"); err != nil {
		t.Fatal(err)
	}
	if got := count(t, d); got != 1 {
		t.Errorf("%d items, want only the one after the panic", got)
	}
}

func readsAreQueryOnly(t *testing.T, o Opener) {
	d := open(t, o)
	for _, stmt := range []string{
		"INSERT INTO item (id, owner, label) VALUES (1, 1, 'x')",
		"UPDATE owner SET name = 'y'",
		"DELETE FROM owner",
		"CREATE TABLE other (id BIGINT)",
		"DROP TABLE item",
	} {
		if _, err := d.Read().Exec(stmt); err == nil {
			t.Errorf("the read pool ran %q", stmt)
		}
	}
}

// Every writer adds two items in one function; a reader must never see an odd number.
func readsSeeWholeCommits(t *testing.T, o Opener) {
	d := open(t, o)
	done := make(chan struct{})
	go func() {
		defer close(done)
		together(50, func(i int) {
			err := d.Write(context.Background(), func(tx *sql.Tx) error {
				return errors.Join(insertTx(tx, 2*i, "a"), insertTx(tx, 2*i+1, "b"))
			})
			if err != nil {
				t.Error(err)
			}
		})
	}()
	for n := 0; n < 100; {
		select {
		case <-done:
			if n = count(t, d); n != 100 {
				t.Fatalf("%d items at the end, want 100", n)
			}
		default:
			if n = count(t, d); n%2 != 0 {
				t.Fatalf("a reader saw %d items", n)
			}
		}
	}
	<-done
}

func types(t *testing.T, o Opener) {
	d := open(t, o)
	data := []byte{0, 0xff, '\'', 0}
	const big, text = int64(1<<63 - 1), "Ünïcode 🎥 'quoted'"
	err := d.Write(context.Background(), func(tx *sql.Tx) error {
		_, err := tx.Exec("INSERT INTO item (id, owner, label, data) VALUES ($1, $2, $3, $4)", big, 1, text, data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var id int64
	var label string
	var got []byte
	err = d.Read().QueryRow("SELECT id, label, data FROM item WHERE id = $1", big).Scan(&id, &label, &got)
	if err != nil || id != big || label != text || !bytes.Equal(got, data) {
		t.Fatalf("read %d %q %v, %v", id, label, got, err)
	}
}

func foreignKeys(t *testing.T, o Opener) {
	d := open(t, o)
	err := d.Write(context.Background(), func(tx *sql.Tx) error {
		_, err := tx.Exec("INSERT INTO item (id, owner, label) VALUES (1, 99, 'x')")
		return err
	})
	if err == nil {
		t.Fatal("an item of an unknown owner was stored")
	}
}

func closedRefuses(t *testing.T, o Opener) {
	d := open(t, o)
	for range 2 {
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := insert(d, 1, "late"); kvs.KindOf(err) != kvs.Unavailable {
		t.Fatalf("write after close: %v, want kind Unavailable", err)
	}
}
