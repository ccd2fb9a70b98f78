package iam

import (
	"database/sql"
	"fmt"
	"sync"
	"testing"

	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/kvs"
)

// tamper changes rows behind the store's back, as another process does.
func tamper(t *testing.T, d *db.DB, statement string, args ...any) {
	t.Helper()
	must(t, d.Write(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec(statement, args...)
		return err
	}))
}

// TestChangesFromOutside show after maxAge, not before: in between nothing is read.
func TestChangesFromOutside(t *testing.T) {
	h := newHouse(t)
	k := h.bootstrap()
	h.lookup(k.ID)
	tamper(t, h.db, "UPDATE access_key SET active = 0")
	h.clock.t = h.clock.t.Add(maxAge - 1)
	if !h.lookup(k.ID).Active {
		t.Error("a cached key was read again")
	}
	h.clock.t = h.clock.t.Add(1)
	if h.lookup(k.ID).Active {
		t.Error("an old cached key was used")
	}
	tamper(t, h.db, "DELETE FROM access_key")
	h.clock.t = h.clock.t.Add(maxAge)
	h.gone(k.ID)
	if len(h.cache.keys) != 0 {
		t.Error("a key that is gone is still cached")
	}
}

// TestOldReadIsNotCached: a key read before a change and cached after it would live on.
func TestOldReadIsNotCached(t *testing.T) {
	h := newHouse(t)
	k := h.bootstrap()
	old, before := h.lookup(k.ID), h.cache.changes
	must(t, h.Disable(t.Context(), k.ID))
	h.remember(k.ID, cached{old, h.now().Add(maxAge)}, before)
	if h.lookup(k.ID).Active {
		t.Error("the old state was cached over the change")
	}
}

func TestCacheIsBounded(t *testing.T) {
	h := newHouse(t)
	for i := range maxCached + 100 {
		h.remember(fmt.Sprint(i), cached{}, 0)
	}
	if n := len(h.cache.keys); n != maxCached {
		t.Errorf("%d keys cached, want %d", n, maxCached)
	}
	if _, ok := h.cache.keys[fmt.Sprint(maxCached+99)]; !ok {
		t.Error("the newest key was not cached")
	}
}

// TestTogether looks keys up while they are turned off and on: what a change returned
// for must be seen by every later look-up.
func TestTogether(t *testing.T) {
	h, ctx := newHouse(t), t.Context()
	h.bootstrap()
	var wg sync.WaitGroup
	for range 4 {
		k, err := h.Create(ctx, NewKey{})
		must(t, err)
		stop := make(chan struct{})
		for range 2 {
			wg.Go(func() {
				for { // at least once, however late it is scheduled
					if got, err := h.Lookup(ctx, k.ID); err != nil || got.Secret != k.Secret {
						t.Errorf("%v, %v", got, err)
						return
					}
					h.Used(k.ID)
					select {
					case <-stop:
						return
					default:
					}
				}
			})
		}
		wg.Go(func() {
			defer close(stop)
			for i := range 10 {
				on := i%2 == 1
				if err := h.setActive(ctx, k.ID, on); err != nil {
					t.Error(err)
				}
				if got, err := h.Lookup(ctx, k.ID); err != nil || got.Active != on {
					t.Errorf("active %v after setting %v, %v", got.Active, on, err)
				}
			}
		})
	}
	wg.Wait()
	must(t, h.flush(ctx))
	keys, err := h.List(ctx, "")
	must(t, err)
	for _, k := range keys {
		if !k.Root && k.Used == 0 {
			t.Errorf("key %s was never used", k.ID)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	d, err := db.Open(b.Context(), db.Options{Path: b.TempDir() + "/iam.db", Migrations: Migrations()})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	s, err := Open(b.Context(), Options{DB: d, KeyFile: b.TempDir() + "/key"})
	if err != nil {
		b.Fatal(err)
	}
	k, err := s.Bootstrap(b.Context(), "")
	if err != nil {
		b.Fatal(err)
	}
	for name, id := range map[string]string{"cached": k.ID, "unknown": "AKIAAAAAAAAAAAAAAAAA"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Lookup(b.Context(), id); err != nil && kvs.KindOf(err) != kvs.NotFound {
					b.Fatal(err)
				}
			}
		})
	}
}
