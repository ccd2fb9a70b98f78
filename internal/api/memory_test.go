package api

import (
	"context"
	"errors"
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

// Who reads the media of one stream slowly keeps others of it waiting, and nobody else.
func TestAStreamTakesHalfOfTheMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory(100)
		take := func(stream kvs.StreamID, n int64) error {
			_, err := m.TakeFor(t.Context(), stream, n)
			return err
		}
		if err := errors.Join(take(1, 30), take(1, 20)); err != nil {
			t.Fatal(err)
		}
		refused := make(chan error)
		go func() { refused <- take(1, 1) }()
		synctest.Wait()
		if err := take(2, 10); err != nil {
			t.Errorf("another stream behind it: %v", err)
		}
		if err := <-refused; kvs.KindOf(err) != kvs.Unavailable {
			t.Errorf("more than half: %v", err)
		}
		one := Held{Memory: m, Stream: 3}
		if err := errors.Join(one.Set(t.Context(), 1), one.Set(t.Context(), 40)); err != nil {
			t.Errorf("one that grows: %v", err)
		}
		checkUse(t, m, 100, 1)
		go func() { refused <- take(4, 60) }() // alone it may be more than half
		synctest.Wait()
		time.AfterFunc(time.Second, func() { m.GiveFor(1, 50) })
		time.AfterFunc(2*time.Second, func() { one.Close() })
		if err := errors.Join(take(5, 1), <-refused); err != nil {
			t.Errorf("two in turn: %v", err)
		}
		m.GiveFor(2, 10)
		m.GiveFor(4, 60)
		m.GiveFor(5, 1)
		checkUse(t, m, 0, 1)
		if len(m.streams) != 0 || m.waiting.Len() != 0 {
			t.Error("something is left")
		}
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
