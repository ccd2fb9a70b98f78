package archive

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/kvs"
)

// A limit says what it would remove, then removes just that and tells it.
func TestWeighLimit(t *testing.T) {
	var log lines
	m := newMill(t, func(o *Options) { o.Logger = log.logger() })
	m.policies[1] = Policy{Hours: 1 << 20, Holds: []Hold{{Range: kvs.TimeRange{Start: 0, End: 60_000}}}}
	recs := m.fill(1, 1, 40)
	toll, err := m.WeighLimit(t.Context(), 1, 300_000)
	if err != nil || toll.Held != 1 || toll.Fragments < 20 || toll.Bytes < 400_000 {
		t.Fatalf("%+v, %v", toll, err)
	}
	if none, err := m.WeighLimit(t.Context(), 1, 1<<30); err != nil || none != (Toll{}) {
		t.Errorf("%+v, %v", none, err)
	}
	p := m.policies[1]
	p.Bytes = 300_000
	m.policies[1] = p
	for range 3 {
		if err := m.Expire(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	wantStored(t, m.Archive, 1, append(recs[:1:1], recs[1+toll.Fragments:]...)...)
	if n := log.count("stream.bytes removed"); n != 1 {
		t.Errorf("%d lines", n)
	}
}

// Nothing goes when all that may go would not make the disk free enough, as when others
// fill it: that is told once, and measured. What was written last stays in any case.
func TestNothingIsRemovedInVain(t *testing.T) {
	var full *smallDisk
	var log lines
	m := newMill(t, func(o *Options) {
		full = &smallDisk{FS: disk.System{}, t: t, dir: o.Dir, size: 100 << 20}
		o.Disk, o.FreeDisk, o.SegmentBytes, o.Logger = full, FreeDisk{Bytes: 50 << 20}, 200_000, log.logger()
	})
	m.policies[1] = Policy{Hours: 1 << 20}
	recs := m.fill(1, 1, 60)
	look := func() {
		t.Helper()
		if err := m.Expire(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	full.size = 10 << 20
	for range 25 {
		look()
		wantStored(t, m.Archive, 1, recs...)
	}
	if short := m.Health().Short; short < 40<<20 || log.count("nothing is removed") != 1 {
		t.Errorf("%d bytes short, %d lines", short, log.count("nothing is removed"))
	}
	full.size = 100 << 20
	look()
	if short := m.Health().Short; short != 0 || log.count("as much of the disk is free") != 1 {
		t.Errorf("%d bytes short, %d lines", short, log.count("as much of the disk is free"))
	}
	full.size = 51 << 20 // all but the newest segments may go
	look()
	if m.Health().Short != 0 {
		t.Error("what can be reached is not")
	}
	if _, ok, err := m.Get(t.Context(), 1, recs[59].Fragment.Number, 0); err != nil || !ok {
		t.Errorf("the newest fragment is gone: %v", err)
	}
	if _, ok, _ := m.Get(t.Context(), 1, recs[0].Fragment.Number, 0); ok {
		t.Error("the oldest fragment is there")
	}
}

// A warm folder without room is looked at before anything is copied, and told once; when
// there is room everything moves.
func TestAFullWarmFolder(t *testing.T) {
	var log lines
	var small *smallDisk
	warm := t.TempDir()
	m := newMill(t, func(o *Options) {
		small = &smallDisk{FS: disk.System{}, t: t, dir: warm, size: 1 << 20}
		o.WarmDir, o.Disk, o.SegmentBytes, o.Logger = warm, small, 200_000, log.logger()
	})
	m.policies[1] = Policy{Hours: 1 << 20, Tier: kvs.Warm}
	recs := m.fill(1, 1, 40)
	for range 3 {
		if err := m.Expire(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if !m.Health().WarmFull || m.moves != 0 || log.count("the warm folder is full") != 1 {
		t.Errorf("%+v, %d moves, %d lines", m.Health(), m.moves, log.count("the warm folder is full"))
	}
	small.size = 100 << 20
	if err := m.Expire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m.Health().WarmFull || m.moves == 0 || log.count("has room again") != 1 {
		t.Errorf("%+v, %d moves, %d lines", m.Health(), m.moves, log.count("has room again"))
	}
	wantStored(t, m.Archive, 1, recs...)
}

// twoDisks has room for so many bytes of segments: each folder for itself, or both.
type twoDisks struct {
	disk.FS
	t    *testing.T
	one  bool
	dirs []string
	size int64
}

func (d *twoDisks) Shared(string, string) (bool, error) { return d.one, nil }

func (d *twoDisks) Free(dir string) (free, total int64, err error) {
	free = d.size
	for _, other := range d.dirs {
		if d.one || strings.HasPrefix(dir, other) {
			free -= onDisk(d.t, other)
		}
	}
	return free, d.size, nil
}

// TestTheOldestOfTheDiskGo: where the warm folder is on the disk of the data directory, old
// warm media go before young hot ones; on a disk of its own they do not help.
func TestTheOldestOfTheDiskGo(t *testing.T) {
	for _, one := range []bool{true, false} {
		full := &twoDisks{FS: disk.System{}, t: t, one: one, size: 100 << 20}
		warm := t.TempDir()
		m := newMill(t, func(o *Options) {
			full.dirs = []string{o.Dir, warm}
			o.WarmDir, o.Disk, o.FreeDisk, o.SegmentBytes = warm, full, FreeDisk{Percent: 10}, 200_000
		})
		m.policies[1], m.policies[2] = Policy{Hours: 1 << 20, Tier: kvs.Warm}, Policy{Hours: 1 << 20}
		for n := int64(1); n <= 40; n++ {
			m.shop.now.Store(n * 60_000)
			m.fill(1, n, n)
		}
		m.pass(61)
		for n := int64(62); n <= 121; n++ {
			m.shop.now.Store(n * 60_000)
			m.fill(2, n, n)
		}
		full.size = onDisk(t, m.o.Dir)
		if one {
			full.size += onDisk(t, warm)
		}
		if err := m.Expire(t.Context()); err != nil {
			t.Fatal(err)
		}
		first, _, err := m.Next(t.Context(), 2, kvs.FragmentNumber{}, 0)
		if err != nil || (first.Number.N == 62) != one {
			t.Errorf("one disk %v: the first young hot fragment is %d, %v", one, first.Number.N, err)
		}
		old, _, err := m.Next(t.Context(), 1, kvs.FragmentNumber{}, 0)
		if err != nil || (old.Number.N > 1) != one {
			t.Errorf("one disk %v: the first old warm fragment is %d, %v", one, old.Number.N, err)
		}
	}
}
