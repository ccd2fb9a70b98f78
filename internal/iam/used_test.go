package iam

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/kvs"
)

// storedUse returns the stored time of last use of the only key.
func (h *house) storedUse() kvs.Millis {
	h.t.Helper()
	keys, err := h.List(h.t.Context(), "")
	if err != nil || len(keys) != 1 {
		h.t.Fatalf("%v, %v", keys, err)
	}
	return keys[0].Used
}

// TestRunWritesAtTheEnd: what was noted is stored when Run returns.
func TestRunWritesAtTheEnd(t *testing.T) {
	h := newHouse(t)
	k := h.bootstrap()
	h.Used(k.ID)
	h.Used("AKIAGONEGONEGONEGONE")
	if h.storedUse() != 0 {
		t.Error("Used itself wrote")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	must(t, h.Run(ctx))
	if want := h.millis() / 60_000 * 60_000; h.storedUse() != want {
		t.Errorf("used %d, want %d", h.storedUse(), want)
	}
}

// TestUseNeverGoesBack: neither by a clock that steps back nor by a failed write.
func TestUseNeverGoesBack(t *testing.T) {
	h := newHouse(t)
	k := h.bootstrap()
	h.Used(k.ID)
	must(t, h.flush(t.Context()))
	first := h.storedUse()
	h.clock.t = h.clock.t.Add(-time.Hour)
	h.Used(k.ID)
	must(t, h.flush(t.Context()))
	if h.storedUse() != first {
		t.Errorf("used %d after %d", h.storedUse(), first)
	}
	h.clock.t = h.clock.t.Add(2 * time.Hour)
	h.Used(k.ID)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h.flushLogged(ctx)
	if !strings.Contains(h.log.String(), "could not write when keys were last used") {
		t.Error("a failed write was not logged")
	}
	must(t, h.flush(t.Context()))
	if want := first + 3_600_000; h.storedUse() != want {
		t.Errorf("used %d, want %d: the note was lost with the failed write", h.storedUse(), want)
	}
}

// TestRunWritesEveryMinute, in fake time.
func TestRunWritesEveryMinute(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		d, err := db.Open(t.Context(), db.Options{Path: filepath.Join(dir, "iam.db"), Migrations: Migrations()})
		must(t, err)
		defer d.Close()
		s, err := Open(t.Context(), Options{DB: d, KeyFile: filepath.Join(dir, "key")})
		must(t, err)
		k, err := s.Bootstrap(t.Context(), "")
		must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		s.Used(k.ID)
		time.Sleep(flushEvery + time.Second)
		keys, err := s.List(t.Context(), "")
		if err != nil || keys[0].Used == 0 {
			t.Errorf("a minute later: %+v, %v", keys, err)
		}
		cancel()
		must(t, <-done)
	})
}
