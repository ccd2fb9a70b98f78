package keyring_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/disk/disktest"
	"github.com/millrace/millrace/internal/journal"
	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// reopen closes the ring and opens its file again.
func (g *rig) reopen(t *testing.T) {
	t.Helper()
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	g.open(t)
}

// contents is all of the file.
func (g *rig) contents(t *testing.T) []byte {
	t.Helper()
	f, err := g.options.Disk.Open(g.options.Path)
	if err != nil {
		t.Fatal(err)
	}
	size, err := f.Size()
	b := make([]byte, size)
	if _, err2 := f.ReadAt(b, 0); errors.Join(err, err2, f.Close()) != nil {
		t.Fatal(err, err2)
	}
	return b
}

// The entries are as the page draws them.
func TestTheBytesOfAnEntry(t *testing.T) {
	g := newRig(t)
	k := g.current(t, 7, 1_700_000_000_000)
	b := g.contents(t)
	if len(b) != 64+256 || string(b[:8]) != "MLRCKEY\n" || b[8] != 1 || b[12] != 0 || b[13] != 1 {
		t.Fatalf("%d bytes: % x", len(b), b[:64])
	}
	e := g.Entries()[0]
	want := fmt.Appendf(nil, "%s%s%s%s", le64(k.ID), le64(7), le64(1_700_000_000_000), le64(uint64(len(e.Wrapped)))[:4])
	want = append(want, e.Wrapped...)
	if got := b[64 : 64+256-4]; !bytes.Equal(got[:len(want)], want) || bytes.Trim(got[len(want):], "\x00") != nil && len(bytes.Trim(got[len(want):], "\x00")) > 0 {
		t.Errorf("% x\nwant % x", got, want)
	}
	if bytes.Contains(b, k.Secret[:]) {
		t.Error("the secret is in the file")
	}
}

func le64(n uint64) []byte {
	b := make([]byte, 8)
	for i := range b {
		b[i] = byte(n >> (8 * i))
	}
	return b
}

func TestKeysOutliveTheProcess(t *testing.T) {
	g := newRig(t)
	a, b := g.current(t, 1, 0), g.current(t, 2, 0)
	g.reopen(t)
	if same := g.current(t, 1, day-1); same.ID != a.ID || same.Secret != a.Secret {
		t.Error("another key after a restart")
	}
	if k, err := g.Key(t.Context(), 2, b.ID); err != nil || k.Secret != b.Secret {
		t.Error(err)
	}
}

// Ids are not used again, even if the greatest was dropped, the clock went back and the
// process ended.
func TestIDsAreNotUsedAgain(t *testing.T) {
	g := newRig(t)
	g.current(t, 1, 0)
	last := g.current(t, 2, 0)
	if err := g.Forget(2); err != nil {
		t.Fatal(err)
	}
	g.now = g.now.Add(-24 * time.Hour)
	g.reopen(t)
	if next := g.current(t, 3, 0); next.ID <= last.ID {
		t.Errorf("%d after %d", next.ID, last.ID)
	}
	if n := len(g.Entries()); n != 2 {
		t.Errorf("%d keys", n)
	}
}

// Keys go when no stored fragment can name them, and not before.
func TestPurgeUnused(t *testing.T) {
	g := newRig(t)
	const days = 6
	var keys []segment.DataKey
	for d := range kvs.Millis(days) {
		keys = append(keys, g.current(t, 1, d*day))
		g.current(t, 2, d*day)
	}
	g.current(t, 3, 0)
	g.current(t, 4, 0)
	needed := func(s kvs.StreamID) (kvs.Millis, error) {
		switch s {
		case 1:
			return 2*day + 5, nil // sealed with the third key
		case 2:
			return 0, errors.New("no answer")
		case 3:
			return 99 * day, nil
		}
		return 0, kvs.Errorf(kvs.NotFound, "deleted")
	}
	if err := g.PurgeUnused(needed); err != nil {
		t.Fatal(err)
	}
	g.reopen(t)
	for d, k := range keys {
		_, err := g.Key(t.Context(), 1, k.ID)
		if (err == nil) != (d >= 2) {
			t.Errorf("the key of day %d: %v", d, err)
		}
	}
	if n := len(g.Entries()); n != 4+days+1 {
		t.Errorf("%d keys stay", n)
	}
	before := g.contents(t)
	if err := g.PurgeUnused(needed); err != nil || !bytes.Equal(before, g.contents(t)) {
		t.Errorf("the file was written anew for nothing, %v", err)
	}
	all := func(kvs.StreamID) (kvs.Millis, error) { return 99 * day, nil }
	if err := g.PurgeUnused(all); err != nil || len(g.Entries()) != 2+2+1 {
		t.Errorf("where nothing is kept %d keys stay, %v", len(g.Entries()), err)
	}
}

// life makes, drops and wraps keys anew, and returns those that it was given and that
// nobody has dropped since. It goes on after errors.
func life(ctx context.Context, g *rig) map[uint64]segment.DataKey {
	given := map[uint64]segment.DataKey{}
	stream := map[uint64]kvs.StreamID{}
	use := func(s kvs.StreamID, at kvs.Millis) {
		if k, err := g.Current(ctx, s, at); err == nil {
			given[k.ID], stream[k.ID] = k, s
		}
	}
	use(1, 0)
	use(2, 0)
	use(1, day)
	g.gone[2] = true
	for id, s := range stream {
		if s == 2 {
			delete(given, id)
		}
	}
	_ = g.Forget(2)
	use(3, 0)
	_ = g.Rewrap(ctx, func(e keyring.Entry, _ keyring.Owner) ([]byte, error) { return e.Wrapped, nil })
	use(3, day)
	use(1, 2*day)
	return given
}

// check opens the file on a disk and wants all these keys in it.
func check(t *testing.T, g *rig, d disk.FS, path string, given map[uint64]segment.DataKey) {
	t.Helper()
	o := g.options
	o.Disk, o.Path = d, path
	r, err := keyring.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	entries := map[uint64]kvs.StreamID{}
	for _, e := range r.Entries() {
		if _, twice := entries[e.ID]; twice {
			t.Errorf("key %d is there twice", e.ID)
		}
		entries[e.ID] = e.Stream
	}
	for id, want := range given {
		if k, err := r.Key(t.Context(), entries[id], id); err != nil || k.Secret != want.Secret {
			t.Errorf("key %d: %v", id, err)
		}
	}
}

// Whichever file operation fails, a key that was handed out is in the file afterwards.
func TestTheNthOperationFails(t *testing.T) {
	for n := 1; ; n++ {
		faulty := &disktest.Faulty{FS: disktest.NewCrash("/d")}
		g := newRigOn(t, faulty)
		faulty.FailNth(n)
		given := life(t.Context(), g)
		hits := faulty.Heal()
		after := life2(t, g)
		for id, k := range after {
			given[id] = k
		}
		if err := g.Close(); err != nil {
			t.Errorf("operation %d: %v", n, err)
		}
		check(t, g, faulty, g.options.Path, given)
		if t.Failed() {
			t.Fatalf("after operation %d failed", n)
		}
		if hits == 0 {
			if n < 20 {
				t.Errorf("only %d operations", n)
			}
			return
		}
	}
}

// life2 makes another key on a disk that is whole again. A ring that cannot go on without
// a restart gets one.
func life2(t *testing.T, g *rig) map[uint64]segment.DataKey {
	k, err := g.Current(t.Context(), 1, 9*day)
	if err != nil {
		g.reopen(t)
		k = g.current(t, 1, 9*day)
	}
	return map[uint64]segment.DataKey{k.ID: k}
}

func newRigOn(t *testing.T, d disk.FS) *rig {
	g := newRig(t)
	g.options.Disk = d
	g.open(t)
	return g
}

// After a power failure at any operation every key that was handed out by then is there.
func TestPowerFailures(t *testing.T) {
	const seeds = 200
	for seed := range uint64(seeds) {
		crash := disktest.NewCrash("/d")
		faulty := &disktest.Faulty{FS: crash}
		g := newRigOn(t, faulty)
		cut := int(seed % 40)
		var found *disktest.Crash
		faulty.Fail(func(o disktest.Op) error {
			if o.N == cut {
				found = crash.Clone(seed, "/found")
			}
			if o.N >= cut {
				return disktest.ErrFault // nothing happens any more
			}
			return nil
		})
		given := life(t.Context(), g)
		if found == nil {
			found = crash.Clone(seed, "/found")
		}
		check(t, g, found, "/found/keys", given)
		_ = g.Close()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// A file that holds an entry of a newer program is not opened, and so not destroyed.
func TestAnEntryOfANewerProgram(t *testing.T) {
	g := newRig(t)
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(g.options.Disk, g.options.Path, keyring.Format, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(j.Append(bytes.Repeat([]byte{0xFF}, 252)), j.Close()); err != nil {
		t.Fatal(err)
	}
	if r, err := keyring.Open(g.options); err == nil {
		t.Errorf("opened, with %d keys", len(r.Entries()))
	}
}

// A disk that is slow is no provider that does not answer.
func TestASlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disktest.Faulty{FS: disktest.NewCrash("/d")}
		g := newRigOn(t, d)
		d.Fail(func(o disktest.Op) error {
			if o.Kind == disktest.Sync {
				time.Sleep(time.Minute)
			}
			return nil
		})
		start := time.Now()
		if _, err := g.Current(t.Context(), 1, 0); err != nil || time.Since(start) != time.Minute {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

// heard remembers what an observer was told.
type heard struct{ damaged int }

func (*heard) Made()                   {}
func (*heard) Refused(keyring.Failure) {}
func (h *heard) Damaged(keys int)      { h.damaged += keys }

// A key that rots is told and counted; it comes back from a copy of the file, and what
// was made since stays.
func TestADamagedKeyComesBack(t *testing.T) {
	g := newRig(t)
	before := []segment.DataKey{g.current(t, 7, 1), g.current(t, 8, 1), g.current(t, 9, 1)}
	copied := filepath.Join(filepath.Dir(g.options.Path), "copy")
	to, err := g.options.Disk.Create(copied)
	if err != nil {
		t.Fatal(err)
	}
	b := g.contents(t)
	f, err2 := g.options.Disk.Open(g.options.Path)
	err = errors.Join(err2, to.Write([][]byte{b}, 0), to.Close(), f.Write([][]byte{{b[350] + 1}}, 350), f.Close())
	if err != nil {
		t.Fatal(err)
	}
	var h heard
	g.options.Observer = &h
	g.reopen(t)
	if h.damaged != 1 {
		t.Errorf("%d damaged keys were told", h.damaged)
	}
	if _, err := g.Key(t.Context(), 8, before[1].ID); kvs.KindOf(err) != kvs.Internal {
		t.Errorf("the damaged key: %v", err)
	}
	since := g.current(t, 8, 2)
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	n, err := keyring.Merge(g.options.Disk, g.options.Path, copied)
	if n != 1 || err != nil {
		t.Fatalf("%d keys came back, %v", n, err)
	}
	g.open(t)
	for stream, k := range map[kvs.StreamID]segment.DataKey{7: before[0], 8: before[1], 9: before[2]} {
		if got, err := g.Key(t.Context(), stream, k.ID); got != k || err != nil {
			t.Errorf("key of stream %d: %v", stream, err)
		}
	}
	if got, err := g.Key(t.Context(), 8, since.ID); got != since || err != nil {
		t.Errorf("the key since: %v", err)
	}
}
