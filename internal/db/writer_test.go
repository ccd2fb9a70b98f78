package db

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

var testMigrations = fstest.MapFS{"00001_t.sql": {Data: []byte("-- +goose Up\nCREATE TABLE t (id BIGINT PRIMARY KEY);")}}

// openTest opens a database and notes how many functions shared each commit.
func openTest(t *testing.T) (*DB, *[]int) {
	t.Helper()
	commits := new([]int)
	d, err := Open(t.Context(), Options{
		Path: filepath.Join(t.TempDir(), "t.db"), Migrations: testMigrations,
		OnCommit: func(n int, _ time.Duration) { *commits = append(*commits, n) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return d, commits
}

func add(id int) func(*sql.Tx) error {
	return func(tx *sql.Tx) error {
		_, err := tx.Exec("INSERT INTO t (id) VALUES ($1)", id)
		return err
	}
}

func ids(t *testing.T, d *DB) (out []int) {
	t.Helper()
	rows, err := d.Read().Query("SELECT id FROM t ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		out = append(out, id)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// hold occupies the writer with a function until the returned function is called.
func hold(d *DB, wg *sync.WaitGroup) (release func()) {
	running, gate := make(chan struct{}, 2), make(chan struct{}) // 2: it may run again
	wg.Go(func() {
		_ = d.Write(context.Background(), func(*sql.Tx) error {
			running <- struct{}{}
			<-gate
			return nil
		})
	})
	<-running
	return func() { close(gate) }
}

func TestWaitingFunctionsShareACommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, commits := openTest(t)
		defer d.Close()
		var wg sync.WaitGroup
		release := hold(d, &wg)
		for i := range 300 {
			wg.Go(func() {
				if err := d.Write(context.Background(), add(i)); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait() // all 300 are queued
		release()
		wg.Wait()
		if want := []int{maxBatch, 301 - maxBatch}; !slices.Equal(*commits, want) {
			t.Errorf("functions per commit %v, want %v", *commits, want)
		}
		if n := len(ids(t, d)); n != 300 {
			t.Errorf("%d rows, want 300", n)
		}
	})
}

func TestOldBatchTakesNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, commits := openTest(t)
		defer d.Close()
		var wg sync.WaitGroup
		release := hold(d, &wg)
		wg.Go(func() { _ = d.Write(context.Background(), add(1)) })
		time.Sleep(2 * maxCollect) // of the bubble's clock
		release()
		wg.Wait()
		if want := []int{1, 1}; !slices.Equal(*commits, want) {
			t.Errorf("functions per commit %v, want %v", *commits, want)
		}
	})
}

func TestCancelledWhileQueuedNeverRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := openTest(t)
		defer d.Close()
		var wg sync.WaitGroup
		release := hold(d, &wg)
		ctx, cancel := context.WithCancel(t.Context())
		var err error
		wg.Go(func() { err = d.Write(ctx, add(1)) })
		synctest.Wait()
		cancel()
		synctest.Wait() // the cancelled call must return while the writer is still held
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
		release()
		wg.Wait()
		if got := ids(t, d); len(got) != 0 {
			t.Errorf("rows %v after a cancelled write", got)
		}
	})
}

func TestCloseRefusesTheQueueAndFinishesTheRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := openTest(t)
		var wg sync.WaitGroup
		running, gate := make(chan struct{}), make(chan struct{})
		var first error
		wg.Go(func() {
			first = d.Write(context.Background(), func(tx *sql.Tx) error {
				close(running)
				<-gate
				return add(1)(tx)
			})
		})
		<-running
		wg.Go(func() { _ = d.Close() })
		synctest.Wait()
		if err := d.Write(context.Background(), add(2)); kvs.KindOf(err) != kvs.Unavailable {
			t.Errorf("write while closing: %v, want kind Unavailable", err)
		}
		close(gate)
		wg.Wait()
		if first != nil {
			t.Errorf("the running function: %v", first)
		}
	})
}

// A function that takes the whole transaction with it: the one before it and the one
// behind it are both committed, and it alone gets the error.
func TestLostTransactionRunsTheOthersAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, commits := openTest(t)
		defer d.Close()
		var wg sync.WaitGroup
		release := hold(d, &wg)
		runs := 0
		wg.Go(func() {
			err := d.Write(context.Background(), func(tx *sql.Tx) error { runs++; return add(1)(tx) })
			if err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			err := d.Write(context.Background(), func(tx *sql.Tx) error {
				return errors.Join(add(2)(tx), tx.Rollback(), errors.New("lost"))
			})
			if err == nil {
				t.Error("the function that lost the transaction got no error")
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if err := d.Write(context.Background(), add(3)); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		release()
		wg.Wait()
		if got := ids(t, d); !slices.Equal(got, []int{1, 3}) {
			t.Errorf("rows %v, want 1 and 3", got)
		}
		if !slices.Equal(*commits, []int{3}) || runs != 2 {
			t.Errorf("commits %v, first function ran %d times; want one commit of 3 and 2 runs", *commits, runs)
		}
	})
}

func TestGoexitDoesNotWedgeTheWriter(t *testing.T) {
	d, _ := openTest(t)
	defer d.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = d.Write(context.Background(), func(tx *sql.Tx) error {
			_ = add(1)(tx)
			runtime.Goexit()
			return nil
		})
	}()
	<-done
	if err := d.Write(context.Background(), add(2)); err != nil {
		t.Fatal(err)
	}
	if got := ids(t, d); !slices.Equal(got, []int{2}) {
		t.Errorf("rows %v, want only 2", got)
	}
}

// A deferred constraint fails at COMMIT: everybody in the batch must hear of it.
func TestFailingCommitFailsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, commits := openTest(t)
		defer d.Close()
		err := d.Write(t.Context(), func(tx *sql.Tx) error {
			_, err := tx.Exec("CREATE TABLE child (t BIGINT REFERENCES t (id) DEFERRABLE INITIALLY DEFERRED)")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		release := hold(d, &wg)
		var good, bad error
		wg.Go(func() { good = d.Write(context.Background(), add(1)) })
		wg.Go(func() {
			bad = d.Write(context.Background(), func(tx *sql.Tx) error {
				_, err := tx.Exec("INSERT INTO child (t) VALUES (99)")
				return err
			})
		})
		synctest.Wait()
		release()
		wg.Wait()
		if good == nil || bad == nil {
			t.Errorf("results %v and %v, want two errors", good, bad)
		}
		if err := d.Write(t.Context(), add(2)); err != nil {
			t.Errorf("after a failed commit: %v", err)
		}
		if got := ids(t, d); !slices.Equal(got, []int{2}) || len(*commits) != 2 {
			t.Errorf("rows %v, commits %v", got, *commits)
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	for _, durable := range []bool{false, true} {
		b.Run(map[bool]string{true: "durable", false: "normal"}[durable], func(b *testing.B) {
			commits := 0
			d, err := Open(b.Context(), Options{Path: filepath.Join(b.TempDir(), "t.db"), Durable: durable,
				Migrations: testMigrations, OnCommit: func(int, time.Duration) { commits++ }})
			if err != nil {
				b.Fatal(err)
			}
			defer d.Close()
			var mu sync.Mutex
			id := 0
			b.SetParallelism(100)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					mu.Lock()
					id++
					n := id
					mu.Unlock()
					if err := d.Write(context.Background(), add(n)); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/float64(max(commits, 1)), "writes/commit")
		})
	}
}
