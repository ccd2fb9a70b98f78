package keyring_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/disk/disktest"
	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/keyring/keyringtest"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

const day kvs.Millis = 24 * 3_600_000

// rig is a ring with what it stands on.
type rig struct {
	*keyring.Ring
	provider *keyringtest.Provider
	options  keyring.Options
	gone     map[kvs.StreamID]bool
	now      time.Time
}

func newRig(t *testing.T) *rig {
	g := &rig{provider: keyringtest.NewProvider(), gone: map[kvs.StreamID]bool{}, now: time.UnixMilli(1_800_000_000_000)}
	g.options = keyring.Options{
		Path: "/d/keys", Disk: disktest.NewCrash("/d"), Provider: g.provider, Now: func() time.Time { return g.now },
		Owner: func(_ context.Context, s kvs.StreamID) (keyring.Owner, error) {
			if g.gone[s] {
				return keyring.Owner{}, kvs.Errorf(kvs.NotFound, "gone")
			}
			return keyring.Owner{Account: "000000000001", KeyID: "alias/mine"}, nil
		},
	}
	g.open(t)
	return g
}

func (g *rig) open(t *testing.T) {
	t.Helper()
	var err error
	if g.Ring, err = keyring.Open(g.options); err != nil {
		t.Fatal(err)
	}
}

func (g *rig) current(t *testing.T, s kvs.StreamID, at kvs.Millis) segment.DataKey {
	t.Helper()
	k, err := g.Current(t.Context(), s, at)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// failure returns the failure in err, 0 if there is none.
func failure(err error) keyring.Failure {
	if e, ok := errors.AsType[*keyring.Error](err); ok {
		return e.Failure
	}
	return 0
}

// A key lasts 24 hours of the stream's server time, and every stream has its own.
func TestAKeyForADay(t *testing.T) {
	g := newRig(t)
	first := g.current(t, 1, 1000)
	if same := g.current(t, 1, 1000+day-1); same.ID != first.ID || same.Secret != first.Secret {
		t.Error("another key within the day")
	}
	second := g.current(t, 1, 1000+day)
	if second.ID <= first.ID || second.Secret == first.Secret {
		t.Errorf("after a day: %v, then %v", first, second)
	}
	if back := g.current(t, 1, 500); back.ID != second.ID {
		t.Error("an older fragment got an older key")
	}
	if other := g.current(t, 2, 1000); other.ID <= second.ID || other.Secret == second.Secret {
		t.Error("two streams share a key")
	}
	k, err := g.Key(t.Context(), 1, first.ID)
	if err != nil || k.Secret != first.Secret {
		t.Errorf("for reading: %v, %v", k, err)
	}
	if _, err := g.Key(t.Context(), 2, first.ID); kvs.KindOf(err) != kvs.Internal || failure(err) != 0 {
		t.Errorf("the key of another stream: %v", err)
	}
}

// However many ask at once, one key is made, and one call unwraps it.
func TestOneCallForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.provider.Delay(time.Second, false)
		ask := func() {
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() { _, _ = g.Current(t.Context(), 1, 0) })
			}
			wg.Wait()
		}
		ask()
		if n := len(g.Entries()); n != 1 || g.provider.Calls() != 1 {
			t.Errorf("%d keys by %d calls", n, g.provider.Calls())
		}
		time.Sleep(time.Minute)
		ask()
		if g.provider.Calls() != 2 {
			t.Errorf("%d calls", g.provider.Calls())
		}
	})
}

// A provider that does not answer is unavailable after 5 s, even if it does not heed its
// context. Then it is not asked again about this key until it returns, and other
// streams do not wait for it.
func TestNeverAHang(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		t.Run(fmt.Sprint("deaf ", deaf), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t)
				other := g.current(t, 2, 0)
				g.provider.Delay(time.Hour, deaf)
				start := time.Now()
				_, err := g.Current(t.Context(), 1, 0)
				if took := time.Since(start); took != 5*time.Second || failure(err) != keyring.Unavailable {
					t.Errorf("after %v: %v", took, err)
				}
				if k, err := g.Current(t.Context(), 2, 0); err != nil || k.ID != other.ID {
					t.Errorf("another stream: %v", err)
				}
				synctest.Wait()
				g.provider.Delay(0, false)
				start = time.Now()
				_, err = g.Current(t.Context(), 1, 0)
				if deaf && failure(err) != keyring.Unavailable || !deaf && err != nil || time.Since(start) > 0 {
					t.Errorf("asked again: %v after %v", err, time.Since(start))
				}
				time.Sleep(time.Hour)
				if _, err = g.Current(t.Context(), 1, 0); err != nil {
					t.Errorf("when it has returned: %v", err)
				}
				if n := len(g.Entries()); n != 2 {
					t.Errorf("%d keys", n)
				}
			})
		})
	}
}

// The wish of one caller to go does not end the call that others wait for.
func TestACallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.provider.Delay(2*time.Second, false)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var first, second error
		var wg sync.WaitGroup
		wg.Go(func() { _, first = g.Current(ctx, 1, 0) })
		wg.Go(func() { _, second = g.Current(t.Context(), 1, 0) })
		wg.Wait()
		if !errors.Is(first, context.DeadlineExceeded) || failure(first) != 0 || second != nil {
			t.Errorf("who left: %v; who stayed: %v", first, second)
		}
	})
}

// A wrapping key that is switched off stops its streams within a minute, and the
// secrets are gone from memory.
func TestKeysAreForgottenWithinAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- g.Run(ctx) }()
		k := g.current(t, 1, 0)
		g.provider.Fail(keyring.Disabled)
		if same := g.current(t, 1, 0); same.ID != k.ID {
			t.Error("not remembered")
		}
		if err := g.Ready(t.Context(), 1); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := g.Unwrapped(); n != 0 {
			t.Errorf("%d keys in memory", n)
		}
		_, err := g.Current(t.Context(), 1, 0)
		if failure(err) != keyring.Disabled || !strings.Contains(err.Error(), `"alias/mine"`) {
			t.Errorf("to write: %v", err)
		}
		if _, err := g.Key(t.Context(), 1, k.ID); failure(err) != keyring.Disabled {
			t.Errorf("to read: %v", err)
		}
		if err := g.Ready(t.Context(), 1); failure(err) != keyring.Disabled {
			t.Errorf("to begin: %v", err)
		}
		g.provider.Fail(0)
		if again := g.current(t, 1, 0); again.Secret != k.Secret {
			t.Error("switched on, it is another key")
		}
		cancel()
		if err := <-done; err != nil || g.Unwrapped() != 0 {
			t.Errorf("%d keys stay, %v", g.Unwrapped(), err)
		}
	})
}

// Every failure of a provider is told as it is; what is none of them may pass.
func TestEveryFailure(t *testing.T) {
	for f := keyring.AccessDenied; f <= keyring.NotFound; f++ {
		g := newRig(t)
		g.provider.Fail(f)
		if _, err := g.Current(t.Context(), 1, 0); failure(err) != f || f.String() == "" {
			t.Errorf("%d: %v", f, err)
		}
		if err := g.Ready(t.Context(), 1); failure(err) != f {
			t.Errorf("%d: %v", f, err)
		}
		if len(g.Entries()) != 0 {
			t.Error("a key was kept all the same")
		}
	}
	g := newRig(t)
	g.gone[1] = true
	if _, err := g.Current(t.Context(), 1, 0); kvs.KindOf(err) != kvs.NotFound {
		t.Errorf("a deleted stream: %v", err)
	}
}

// Asking whether a key works writes nothing.
func TestReadyWritesNothing(t *testing.T) {
	g := newRig(t)
	for range 3 {
		if err := g.Ready(t.Context(), 1); err != nil {
			t.Error(err)
		}
	}
	if g.provider.Calls() != 1 || len(g.Entries()) != 0 {
		t.Errorf("%d calls, %d keys", g.provider.Calls(), len(g.Entries()))
	}
}

func TestForget(t *testing.T) {
	g := newRig(t)
	k, other := g.current(t, 1, 0), g.current(t, 2, 0)
	if err := g.Forget(1); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Key(t.Context(), 1, k.ID); kvs.KindOf(err) != kvs.Internal {
		t.Errorf("forgotten: %v", err)
	}
	g.gone[1] = true
	if _, err := g.Key(t.Context(), 1, k.ID); kvs.KindOf(err) != kvs.NotFound {
		t.Errorf("of a deleted stream: %v", err)
	}
	if same, err := g.Key(t.Context(), 2, other.ID); err != nil || same.Secret != other.Secret {
		t.Errorf("another stream's: %v", err)
	}
}

// What a provider says is in the log, once in a while.
func TestFailuresAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		var log strings.Builder
		g.options.Logger = slog.New(slog.NewTextHandler(&log, nil))
		g.open(t)
		g.provider.Fail(keyring.Disabled)
		for range 30 {
			_ = g.Ready(t.Context(), 1)
			time.Sleep(time.Second)
		}
		if n := strings.Count(log.String(), "a wrapping key cannot be used"); n != 3 || !strings.Contains(log.String(), "times=10") || !strings.Contains(log.String(), "alias/mine") {
			t.Errorf("%d lines:\n%s", n, log.String())
		}
	})
}
