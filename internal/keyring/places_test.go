package keyring_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/millrace/millrace/internal/disk/disktest"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// TestKeysAreFoundWhileTheFileChanges: wrapped keys are read from the file, also while it
// is written anew and they move there.
func TestKeysAreFoundWhileTheFileChanges(t *testing.T) {
	g := newRig(t)
	var mine []segment.DataKey
	for n := range kvs.Millis(20) {
		mine = append(mine, g.current(t, 1, n*day))
		g.current(t, 2+kvs.StreamID(n), 0) // to be dropped, between those that stay
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 10 {
				for _, want := range mine {
					g.Drop()
					if k, err := g.Key(t.Context(), 1, want.ID); err != nil || k.Secret != want.Secret {
						t.Errorf("key %d: %v", want.ID, err)
						return
					}
				}
			}
		})
	}
	for n := range kvs.StreamID(20) {
		if err := g.Forget(2 + n); err != nil {
			t.Error(err)
		}
	}
	all.Wait()
	if n := len(g.Entries()); n != 20 {
		t.Errorf("%d keys are left", n)
	}
	g.reopen(t)
	for _, want := range mine {
		if k, err := g.Key(t.Context(), 1, want.ID); err != nil || k.Secret != want.Secret {
			t.Errorf("key %d: %v", want.ID, err)
		}
	}
}

// TestManyAreForgottenAtOnce: the file is written anew once, and not at all for streams
// without keys.
func TestManyAreForgottenAtOnce(t *testing.T) {
	g := newRig(t)
	d := &disktest.Faulty{FS: g.options.Disk}
	g.options.Disk = d
	g.reopen(t)
	var ids []kvs.StreamID
	for id := kvs.StreamID(1); id <= 50; id++ {
		g.current(t, id, 0)
		ids = append(ids, id)
	}
	made := 0
	d.Fail(func(o disktest.Op) error {
		if o.Kind == disktest.Create {
			made++
		}
		return nil
	})
	for range 3 {
		if err := g.Forget(ids[1:]...); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(g.Entries()); made != 1 || n != 1 {
		t.Errorf("the file was made %d times, %d keys are left", made, n)
	}
}

// TestForgettingIsNotDoneWhileItMayComeBack: after a failure the same call does it again,
// though nothing is known of the keys any more, and what is kept can be read.
func TestForgettingIsNotDoneWhileItMayComeBack(t *testing.T) {
	g := newRig(t)
	d := &disktest.Faulty{FS: g.options.Disk}
	g.options.Disk = d
	g.reopen(t)
	kept := g.current(t, 1, 0)
	g.current(t, 2, 0)
	d.Fail(func(o disktest.Op) error {
		if o.Kind == disktest.SyncDir {
			return disktest.ErrFault
		}
		return nil
	})
	for range 2 {
		if err := g.Forget(2); !errors.Is(err, disktest.ErrFault) {
			t.Errorf("done while the old name may come back: %v", err)
		}
	}
	g.Drop()
	if k, err := g.Key(t.Context(), 1, kept.ID); err != nil || k.Secret != kept.Secret {
		t.Error(err)
	}
	d.Heal()
	if err := g.Forget(2); err != nil {
		t.Error(err)
	}
	d.FailKinds(disktest.Read)
	g.Drop()
	if _, err := g.Key(t.Context(), 1, kept.ID); kvs.KindOf(err) != kvs.Internal || failure(err) != 0 {
		t.Errorf("a disk that cannot be read: %v", err)
	}
}
