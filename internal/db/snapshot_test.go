package db

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// A snapshot taken while a writer works holds every row committed before it began, and
// rows come in the order of their commits: none is missing in the middle.
func TestSnapshotBesideAWriter(t *testing.T) {
	d, _ := openTest(t)
	defer d.Close()
	ctx, stop := context.WithCancel(t.Context())
	committed := make(chan int, 1) // the newest
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 1; ctx.Err() == nil; n++ {
			if err := d.Write(context.Background(), add(n)); err != nil {
				t.Error(err)
				return
			}
			select {
			case <-committed:
			default:
			}
			committed <- n
		}
	})
	for i := range 5 {
		before := <-committed
		to := filepath.Join(t.TempDir(), "copy.db")
		if err := Snapshot(t.Context(), d.path, to); err != nil {
			t.Fatal(err)
		}
		got := copied(t, to)
		if len(got) < before {
			t.Errorf("snapshot %d has %d rows, %d were committed before it", i, len(got), before)
		}
		for k, id := range got {
			if id != k+1 {
				t.Fatalf("snapshot %d: row %d is %d", i, k+1, id)
			}
		}
		beside(t, to)
	}
	stop()
	wg.Wait()
}

func copied(t *testing.T, path string) (got []int) {
	t.Helper()
	pool, err := OpenCopy(path)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	return ids(t, &DB{read: pool})
}

// beside fails when there are other files beside a copy.
func beside(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("%v beside the copy, %v", entries, err)
	}
}

// A copy of a closed database is whole as well, and a migration goes on from it.
func TestSnapshotOfAClosedDatabase(t *testing.T) {
	d, _ := openTest(t)
	if err := d.Write(t.Context(), add(7)); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "copy.db")
	if err := Snapshot(t.Context(), d.path, to); err != nil {
		t.Fatal(err)
	}
	again, err := Open(t.Context(), Options{Path: to, Migrations: testMigrations})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if got := ids(t, again); len(got) != 1 || got[0] != 7 {
		t.Errorf("rows %v, want 7", got)
	}
}

func TestSnapshotThatCannotBe(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.db")
	if err := Snapshot(t.Context(), missing, filepath.Join(t.TempDir(), "copy.db")); err == nil {
		t.Error("no error for a database that is not there")
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("looking for a database made one")
	}
	d, _ := openTest(t)
	defer d.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Snapshot(ctx, d.path, filepath.Join(t.TempDir(), "copy.db")); err == nil {
		t.Error("no error after the context ended")
	}
}

// A page of a table that was overwritten is found by Examine.
func TestExamineFindsDamage(t *testing.T) {
	d, _ := openTest(t)
	err := d.Write(t.Context(), func(tx *sql.Tx) error {
		for i := range 5000 {
			if err := add(i)(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Examine(t.Context(), d.path); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(d.path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	info, _ := f.Stat()
	if _, err := f.WriteAt([]byte(strings.Repeat("x", 4096)), info.Size()-8192); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := Examine(t.Context(), d.path); err == nil {
		t.Error("a page of letters was not noticed")
	}
}

func BenchmarkSnapshot(b *testing.B) {
	d, err := Open(b.Context(), Options{Path: filepath.Join(b.TempDir(), "t.db"), Migrations: testMigrations})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	err = d.Write(b.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec("WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 1000000) INSERT INTO t SELECT i FROM n")
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(d.path)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(info.Size())
	for i := 0; b.Loop(); i++ {
		if err := snapshot(b.Context(), d.path, filepath.Join(b.TempDir(), fmt.Sprint(i))); err != nil {
			b.Fatal(err)
		}
	}
}

// What is left of a database whose process was killed can be read where nothing can be
// written: the rows in its log, with the list of them beside it or without. Nothing is made.
func TestFrozenDatabases(t *testing.T) {
	d, _ := openTest(t)
	defer d.Close()
	for n := range 20 {
		if err := d.Write(t.Context(), add(n)); err != nil {
			t.Fatal(err)
		}
	}
	for _, ends := range [][]string{{"", "-wal"}, {"", "-wal", "-shm"}} {
		dir := t.TempDir()
		path := filepath.Join(dir, "killed.db")
		before := map[string]string{}
		for _, end := range ends {
			b, err := os.ReadFile(d.path + end)
			if err != nil {
				t.Fatal(err)
			}
			before["killed.db"+end] = string(b)
			if err := os.WriteFile(path+end, b, 0o400); err != nil {
				t.Fatal(err)
			}
		}
		pool, err := openFrozen(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := ids(t, &DB{read: pool}); len(got) != 20 {
			t.Errorf("with %q: %d rows, want 20", ends, len(got))
		}
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
		for name, want := range before {
			if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != want && name != "killed.db-shm" {
				t.Errorf("with %q: %s was changed, %v", ends, name, err)
			}
		}
		if all, _ := os.ReadDir(dir); len(all) != len(ends) {
			t.Errorf("with %q: %v", ends, all)
		}
	}
}
