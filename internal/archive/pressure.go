package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/kvs"
)

// What a disk that fails or is full leads to; docs/design/archive-format.md, "A failed
// append", has the steps.
const (
	maxFailed  = 2                // batches in a row, then the archive is read-only
	probeEvery = 10 * time.Second // while it is
	probeBytes = 64 << 10
	roomEvery  = time.Second     // is looked for, while the reserve is given back
	askEvery   = 5 * time.Second // a full disk asks for a pass at most so often
)

// pressure is what the archive knows of an ill disk.
type pressure struct {
	dir     string // of reserve and probe
	reserve int64  // bytes to keep; 0 = none

	readOnly atomic.Pointer[string] // why nothing is appended; nil = it is
	given    atomic.Bool            // the reserve was given back: its room is not for media
	expire   chan struct{}          // capacity 1: expiry should run at once
	failed   int                    // batches in a row; guarded by Archive.mu

	lacking bool // there is no reserve, for another reason than room; the guard's

	mu    sync.Mutex
	gifts int       // how often the reserve was given back
	quota bool      // a quota was the reason: what the disk has free says nothing
	asked time.Time // for a pass, the last time
}

// Health is how the archive gets on with its disk.
type Health struct {
	ReadOnly string // why nothing is stored now; "" = it is
	Full     bool   // the disk was full, and the reserve is not back yet: nothing is stored until it is
}

// Health returns how the archive gets on with its disk. It asks no disk.
func (a *Archive) Health() Health {
	h := Health{Full: a.pressure.given.Load()}
	if why := a.pressure.readOnly.Load(); why != nil {
		h.ReadOnly = *why
	}
	return h
}

// refused is the answer to an append while the archive is read-only, or its disk full: the
// room of the reserve is for what makes room.
func (p *pressure) refused() error {
	if why := p.readOnly.Load(); why != nil {
		return kvs.Errorf(kvs.Unavailable, "the archive stores nothing, because its disk fails (%s); it tries again every %v", *why, probeEvery)
	}
	if p.given.Load() {
		return kvs.Errorf(kvs.Unavailable, "the archive stores nothing, because its disk is full; it goes on when %d bytes are free", 2*p.reserve)
	}
	return nil
}

// fault is what an error of the disk means.
type fault uint8

const (
	passing fault = iota // this batch fails, the next one may not
	full                 // no room
	ill                  // the disk does not take bytes
	locked               // the file system became read-only
)

func faultOf(err error) fault {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), db.IsFull(err):
		return full
	case errors.Is(err, syscall.EROFS):
		return locked
	case errors.Is(err, syscall.EIO), errors.Is(err, errUnsynced), db.IsFailing(err):
		return ill
	}
	return passing
}

// errUnsynced marks the failed sync of a new segment.
var errUnsynced = errors.New("not synced")

// weigh looks at how a batch ended. The caller holds mu.
func (a *Archive) weigh(b *placing) {
	p := &a.pressure
	var causes [locked + 1]error
	stored := false
	for _, r := range b.order {
		kind := faultOf(r.err)
		switch {
		case r.err == nil:
			stored = true
			continue
		case r.drawn:
			continue
		case kind == passing && r.out.Unsynced:
			kind = ill
		}
		causes[kind] = r.err
	}
	for _, err := range b.failed {
		causes[faultOf(err)] = err
	}
	if err := causes[full]; err != nil {
		a.makeRoom(err)
	}
	if err := causes[locked]; err != nil {
		a.stop(err)
	}
	switch err := causes[ill]; {
	case err != nil:
		if p.failed++; p.failed >= maxFailed {
			a.stop(err)
		}
	case stored:
		p.failed = 0
	}
}

// stop makes the archive read-only.
func (a *Archive) stop(cause error) {
	why := cause.Error()
	if a.pressure.readOnly.CompareAndSwap(nil, &why) {
		a.log.Error("the archive is read-only: its disk fails", "error", cause, "tried_again_every", probeEvery)
	}
}

// makeRoom gives the reserve back, so that index, tombstones and catalog can go on, and
// lets expiry run, but not pass after pass. It reports whether there is more room now.
func (a *Archive) makeRoom(cause error) bool {
	p := &a.pressure
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); p.asked.IsZero() || now.Sub(p.asked) >= askEvery {
		p.asked = now
		select {
		case p.expire <- struct{}{}:
		default:
		}
	}
	if p.reserve == 0 || !p.given.CompareAndSwap(false, true) {
		return false
	}
	p.gifts++
	p.quota = errors.Is(cause, syscall.EDQUOT)
	err := a.disk.Remove(p.path())
	a.log.Error("the disk is full: the reserve is given back, expiry runs, and nothing is stored until there is room", "bytes", p.reserve, "error", err)
	return err == nil
}

func (p *pressure) path() string  { return filepath.Join(p.dir, "reserve") }
func (p *pressure) probe() string { return filepath.Join(p.dir, ".probe") }

// guard looks after the reserve, and after the disk while the archive is read-only, until
// ctx ends.
func (a *Archive) guard(ctx context.Context) {
	const often = int(probeEvery / roomEvery)
	t := time.NewTicker(roomEvery)
	defer t.Stop()
	pause := 0 // writing a reserve in vain is not for every second
	for n := 0; ; n++ {
		rarely := n%often == 0
		if rarely && a.pressure.readOnly.Load() != nil {
			a.tryDisk()
		}
		if pause--; n == 0 || a.pressure.given.Load() && pause <= 0 || a.pressure.lacking && rarely {
			if err := a.keepReserve(); err != nil && !errors.Is(err, errNoRoom) {
				pause = often
			}
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// tryDisk ends being read-only when the disk takes a file again.
func (a *Archive) tryDisk() {
	err := a.writeProbe()
	if err == nil {
		err = a.index.probe(context.Background())
	}
	if err != nil {
		return // said when it began; the metric says that it goes on
	}
	a.mu.Lock()
	a.pressure.failed = 0
	a.mu.Unlock()
	if a.pressure.readOnly.Swap(nil) == nil {
		return
	}
	a.log.Info("the disk takes bytes again: the archive is no longer read-only")
}

func (a *Archive) writeProbe() error {
	name := a.pressure.probe()
	if err := a.disk.Remove(name); err != nil {
		return err
	}
	f, err := a.disk.Create(name)
	if err != nil {
		return err
	}
	err = f.Write([][]byte{make([]byte, probeBytes)}, 0)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = a.disk.SyncDir(a.pressure.dir)
	}
	return errors.Join(err, f.Close(), a.disk.Remove(name))
}

// errNoRoom says that the reserve cannot be made yet. Nothing was written for it.
var errNoRoom = errors.New("too little is free")

// keepReserve makes the reserve if it is missing and there is twice as much room. With
// too little room nothing else is stored, also when a start finds it so.
func (a *Archive) keepReserve() error {
	p := &a.pressure
	if p.reserve == 0 {
		return nil
	}
	p.mu.Lock()
	gifts, quota := p.gifts, p.quota
	p.mu.Unlock()
	stood, err := a.fillReserve(quota)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil && p.gifts != gifts { // while it was being made
		return a.disk.Remove(p.path())
	}
	was := p.given.Load() || p.lacking
	noRoom := errors.Is(err, errNoRoom) || faultOf(err) == full
	p.given.Store(noRoom || err != nil && p.given.Load())
	p.lacking = err != nil && !noRoom
	switch {
	case err != nil && !was:
		a.log.Warn("there is no reserve for a full disk", "bytes", p.reserve, "error", err)
	case err == nil && was && !stood:
		a.log.Info("the reserve is back", "bytes", p.reserve)
	}
	return err
}

// fillReserve reports whether the reserve stood already. With a quota only writing tells
// how much room there is.
func (a *Archive) fillReserve(quota bool) (stood bool, err error) {
	p := &a.pressure
	if f, err := a.disk.Open(p.path()); err == nil {
		size, err := f.Size()
		if err = errors.Join(err, f.Close()); err == nil && size == p.reserve {
			return true, nil
		}
	}
	if err := a.disk.Remove(p.path()); err != nil {
		return false, err
	}
	free, _, err := a.disk.Free(p.dir)
	if err != nil {
		return false, err
	}
	if free < 2*p.reserve {
		return false, fmt.Errorf("%w: %d bytes, %d are needed", errNoRoom, free, 2*p.reserve)
	}
	f, err := a.disk.Create(p.path())
	if err != nil {
		return false, err
	}
	written := p.reserve
	if quota {
		written *= 2
	}
	err = fillFile(f, written)
	if err == nil && quota {
		err = f.Truncate(p.reserve)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return false, errors.Join(err, a.disk.Remove(p.path()))
	}
	return false, nil
}

// fillFile writes noise: zeros would take no room on a file system that compresses.
func fillFile(f interface {
	Write(pieces [][]byte, off int64) error
}, size int64) error {
	noise := rand.NewChaCha8([32]byte{})
	b := make([]byte, 1<<20)
	for at := int64(0); at < size; at += int64(len(b)) {
		_, _ = noise.Read(b)
		if err := f.Write([][]byte{b[:min(int64(len(b)), size-at)]}, at); err != nil {
			return err
		}
	}
	return nil
}

// FreeDisk is how much of a disk stays free: the greater of both. The zero value asks for
// nothing.
type FreeDisk struct {
	Bytes   int64
	Percent float64 // of the disk
}

// lack returns how many bytes a disk is short of it.
func (d FreeDisk) lack(free, total int64) int64 {
	return max(d.Bytes, int64(d.Percent/100*float64(total))) - free
}

// keepFree removes the oldest fragments of all streams, segment by segment, while a disk
// has less free than it should, but none that is on hold.
func (a *Archive) keepFree(ctx context.Context) error {
	if a.freeDisk == (FreeDisk{}) || a.policy == nil {
		return nil
	}
	var errs []error
	for _, dir := range a.dirs() {
		free, total, err := a.disk.Free(dir)
		if lack := a.freeDisk.lack(free, total); err == nil && lack > 0 {
			err = a.sacrifice(ctx, dir, lack)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// sacrifice removes what sealed segments of a folder hold, the oldest first, until so many
// bytes should be free.
func (a *Archive) sacrifice(ctx context.Context, dir string, lack int64) error {
	rows, err := a.index.segments(ctx)
	if err != nil {
		return err
	}
	all := slices.SortedFunc(maps.Values(rows), func(a, b segmentRow) int {
		return cmp.Or(cmp.Compare(a.Created, b.Created), cmp.Compare(a.ID, b.ID))
	})
	gone, asked := int64(0), lack
	for _, row := range all {
		path, ok := a.path(row)
		if lack <= 0 || ctx.Err() != nil {
			break
		}
		if !ok || filepath.Dir(path) != dir || !row.sealed || row.live == 0 {
			continue
		}
		n, bytes, err := a.empty(ctx, path, row)
		if err != nil {
			return fmt.Errorf("make room on the disk of %s: segment %d: %w", dir, row.ID, err)
		}
		gone += n
		lack -= bytes
	}
	if gone > 0 {
		a.log.Warn("the disk is too full: the oldest fragments of all streams are removed", "folder", dir, "bytes-lacking", asked, "fragments", gone)
	} else if lack > 0 {
		a.log.Warn("the disk is too full, and nothing can be removed: all is on hold or was just written", "folder", dir, "bytes-lacking", asked)
	}
	return errors.Join(a.clearDead(ctx), ctx.Err())
}

// empty removes what a segment holds and no hold covers, and returns how many fragments
// and bytes that was.
func (a *Archive) empty(ctx context.Context, path string, row segmentRow) (fragments, bytes int64, err error) {
	f, err := a.disk.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close() // only read from
	size, err := f.Size()
	if err != nil {
		return 0, 0, err
	}
	live, err := a.liveRows(ctx, f, row, size)
	if err != nil {
		return 0, 0, err
	}
	for some := range slices.Chunk(live, maxVictims) {
		n, freed, err := a.sacrificeSome(ctx, some)
		if fragments, bytes = fragments+n, bytes+freed; err != nil {
			return fragments, bytes, err
		}
	}
	if fragments == int64(len(live)) {
		bytes, _ = f.Allocated() // all of the file goes
	}
	return fragments, bytes, nil
}

// sacrificeSome removes those of some rows that no hold covers now. Which were removed or
// have moved meanwhile does not matter: where they were they are dead.
func (a *Archive) sacrificeSome(ctx context.Context, some []Stored) (fragments, bytes int64, err error) {
	a.maintenance.Lock()
	defer a.maintenance.Unlock()
	policies := map[kvs.StreamID]Policy{}
	var victims []victim
	for i := range some {
		s := &some[i]
		p, ok := policies[s.Stream]
		if !ok {
			if p, _, _, err = a.lookup(ctx, s.Stream); err != nil {
				return 0, 0, err
			}
			policies[s.Stream] = p
		}
		if p.held(&s.Fragment) {
			continue
		}
		victims = append(victims, victim{s.Stream, s.Number.N, s.segment, s.length, limited})
		bytes += s.length
	}
	return int64(len(victims)), bytes, a.bury(ctx, victims)
}
