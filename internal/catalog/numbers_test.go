package catalog

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

func (r *room) next(e *Entry, floor kvs.Millis) kvs.FragmentNumber {
	r.t.Helper()
	f, err := e.NextNumber(context.Background(), floor)
	if err != nil {
		r.t.Fatal(err)
	}
	return f
}

// crash opens a copy of the files as they are on disk now, the way a killed process
// leaves them: the log not moved into the file, nothing said goodbye to.
func (r *room) crash() {
	r.t.Helper()
	dir := r.t.TempDir()
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(r.path + suffix)
		if err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "catalog.db"+suffix), data, 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := r.db.Close(); err != nil {
		r.t.Fatal(err)
	}
	r.path = filepath.Join(dir, "catalog.db")
	r.open()
}

// The counter values seen at the service: 1 to n, and thousand + 1 for each session
// (wire-media section 6).
func TestSessionsStartAtTheNextThousand(t *testing.T) {
	r := newRoom(t)
	e := r.entry(r.create("cam").ID)
	want := func(n int64) {
		t.Helper()
		if f := r.next(e, 0); f.N != n {
			t.Errorf("number %d, want %d", f.N, n)
		}
	}
	begin := func() {
		t.Helper()
		before := r.commits
		ok(t, e.BeginSession(t.Context()))
		if r.commits != before+1 {
			t.Errorf("a session start cost %d commits, want 1", r.commits-before)
		}
	}
	begin()
	want(1)
	want(2)
	begin()
	want(1001) // for both sessions: a stream has one counter
	want(1002)
	before := r.commits
	for range 998 {
		r.next(e, 0)
	}
	if r.commits != before {
		t.Errorf("%d commits within a thousand", r.commits-before)
	}
	want(2001) // a long session goes on
	if r.commits != before+1 {
		t.Errorf("%d commits for the next thousand, want 1", r.commits-before)
	}
	begin()
	want(3001)
	r.restart()
	e = r.entry(1)
	begin()
	want(4001)
	r.crash()
	e = r.entry(1)
	want(5001) // even without a session
	begin()
	begin()
	want(7001)
}

func TestServerTimeNeverGoesBack(t *testing.T) {
	r := newRoom(t)
	e := r.entry(r.create("cam").ID)
	start := r.clock.now
	at := func(floor, want kvs.Millis) {
		t.Helper()
		if f := r.next(e, floor); f.Server != want {
			t.Errorf("server time %d, want %d", f.Server-start, want-start)
		}
	}
	at(0, start)
	r.clock.move(time.Second)
	at(0, start+1000)
	r.clock.move(-time.Minute)
	at(0, start+1000)
	at(start+1500, start+1500)         // what the archive has
	ok(t, e.BeginSession(t.Context())) // stores it
	r.crash()
	e = r.entry(1)
	at(0, start+1500)
	r.clock.move(time.Hour)
	at(start, r.clock.now)
}

// Whatever happens in whatever order, numbers strictly increase as integers and as text
// and server times never decrease.
func TestNumbersStrictlyIncrease(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			r := newRoom(t)
			id := r.create("cam").ID
			e := r.entry(id)
			var last kvs.FragmentNumber
			for range 150 {
				switch rng.IntN(12) {
				case 0:
					ok(t, e.BeginSession(t.Context()))
				case 1:
					r.clock.move(-time.Duration(rng.Int64N(int64(2 * time.Hour))))
				case 2:
					r.restart()
					e = r.entry(id)
				case 3:
					r.crash()
					e = r.entry(id)
				default:
					r.clock.move(time.Duration(rng.Int64N(int64(time.Minute))))
				}
				for range rng.IntN(300) {
					f := r.next(e, last.Server) // the floor is the newest fragment of the archive
					if f.N <= last.N || f.Server < last.Server || f.String() <= last.String() && last.N > 0 || f.Random > kvs.RandomMask {
						t.Fatalf("%+v after %+v", f, last)
					}
					last = f
				}
			}
		})
	}
}

func TestConcurrentNumbersAreUnique(t *testing.T) {
	r := newRoom(t)
	e := r.entry(r.create("cam").ID)
	const workers, each = 8, 700 // several reservations run into each other
	got := make([][]kvs.FragmentNumber, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				if i%200 == 0 {
					if err := e.BeginSession(context.Background()); err != nil {
						t.Error(err)
					}
				}
				f, err := e.NextNumber(context.Background(), 0)
				if err != nil {
					t.Error(err)
				}
				got[w] = append(got[w], f)
			}
		})
	}
	wg.Wait()
	seen := map[int64]bool{}
	var top int64
	for _, fs := range got {
		for i, f := range fs {
			if seen[f.N] || i > 0 && f.N <= fs[i-1].N {
				t.Fatalf("number %d came twice or out of order", f.N)
			}
			seen[f.N], top = true, max(top, f.N)
		}
	}
	var reserved int64
	ok(t, r.db.Read().QueryRow("SELECT reserved FROM numbering").Scan(&reserved))
	if reserved < top {
		t.Errorf("number %d was given, only %d are reserved", top, reserved)
	}
}

func TestReservationObeysItsContext(t *testing.T) {
	r := newRoom(t)
	e := r.entry(r.create("cam").ID)
	e.numbers.reserving <- struct{}{} // somebody is reserving and does not come back
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.NextNumber(ctx, 0); err == nil {
		t.Error("got a number that is not reserved")
	}
	<-e.numbers.reserving
	r.next(e, 0)
}

func TestFailedReservationGivesNoNumber(t *testing.T) {
	r := newRoom(t)
	e := r.entry(r.create("cam").ID)
	ok(t, r.db.Close())
	_, err := e.NextNumber(t.Context(), 0)
	wantKind(t, err, kvs.Unavailable, "")
	wantKind(t, e.BeginSession(t.Context()), kvs.Unavailable, "")
	r.open()
	if f := r.next(r.entry(1), 0); f.N != 1 {
		t.Errorf("number %d, want 1", f.N)
	}
}

func TestNumberAllocatesNothing(t *testing.T) {
	r := newRoom(t)
	e := r.entry(r.create("cam").ID)
	ok(t, e.BeginSession(t.Context()))
	ctx := t.Context()
	if n := testing.AllocsPerRun(500, func() { _, _ = e.NextNumber(ctx, 0) }); n != 0 {
		t.Errorf("%v allocations per number, want 0", n)
	}
}
