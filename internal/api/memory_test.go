package api

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// checkUse compares what is taken of a memory.
func checkUse(t *testing.T, m *Memory, used, refused int64) {
	t.Helper()
	if u, limit, r := m.Use(); u != used || r != refused || limit != 100 {
		t.Errorf("%d bytes of %d are taken and %d answers refused, want %d and %d", u, limit, r, used, refused)
	}
}

// Who finds the memory taken waits for five seconds, and is served as soon as there is some.
func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory(100)
		all, err := m.Take(t.Context(), 1000) // larger than everything: it is alone
		if err != nil || all != 100 {
			t.Fatal(all, err)
		}
		start := time.Now()
		if _, err := m.Take(t.Context(), 1); kvs.KindOf(err) != kvs.Unavailable || time.Since(start) != memoryWait {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		checkUse(t, m, 100, 1)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := m.Take(gone, 1); err != context.Canceled {
			t.Errorf("who has gone: %v", err)
		}
		time.AfterFunc(3*time.Second, func() { m.Give(all) })
		if n, err := m.Take(t.Context(), 40); err != nil || n != 40 {
			t.Error(n, err)
		}
		checkUse(t, m, 40, 1)
		m.Give(40)
		checkUse(t, m, 0, 1)
	})
}

// What one answer has grows and shrinks, and is what it was when more is refused.
func TestHeldMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory(100)
		one, other := Held{Memory: m}, Held{Memory: m}
		for _, n := range []int64{10, 70, 30, 30} {
			if err := one.Set(t.Context(), n); err != nil {
				t.Fatal(err)
			}
			checkUse(t, m, n, 0)
		}
		if err := other.Set(t.Context(), 60); err != nil {
			t.Fatal(err)
		}
		if err := one.Set(t.Context(), 50); kvs.KindOf(err) != kvs.Unavailable {
			t.Error(err)
		}
		checkUse(t, m, 90, 1)
		other.Close()
		other.Close()
		if err := one.Set(t.Context(), 1000); err != nil {
			t.Error(err)
		}
		checkUse(t, m, 100, 1)
		one.Close()
		checkUse(t, m, 0, 1)
		var none Held // without a bound
		if err := none.Set(t.Context(), 1<<40); err != nil {
			t.Error(err)
		}
		none.Close()
	})
}
