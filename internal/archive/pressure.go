package archive

import (
	"context"
	"errors"
	"fmt"
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

	short     atomic.Int64 // bytes that FreeDisk asks for and removing cannot make free
	warmFull  atomic.Bool  // segments wait for room in the warm folder
	freeing   sync.Mutex   // held by keepFree; taken before maintenance
	shortages map[string]shortage

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
	WarmFull bool   // segments wait in the data directory, because the warm folder has no room
	Short    int64  // bytes by which less is free than FreeDisk says, while nothing that may be removed would be enough
}

// Health returns how the archive gets on with its disk. It asks no disk.
func (a *Archive) Health() Health {
	h := Health{Full: a.pressure.given.Load(), WarmFull: a.pressure.warmFull.Load(), Short: a.pressure.short.Load()}
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
	said := []any{"bytes", p.reserve, "cause", cause}
	if err != nil {
		said = append(said, "error", err)
	}
	a.log.Error("the disk is full: the reserve is given back, expiry runs, and nothing is stored until there is room", said...)
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
		return false, fmt.Errorf("%w: %d bytes, and twice the reserve is needed, %d", errNoRoom, free, 2*p.reserve)
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

// Lack returns how many bytes a disk is short of it; 0 or less: it has enough.
func (d FreeDisk) Lack(free, total int64) int64 {
	return max(d.Bytes, int64(d.Percent/100*float64(total))) - free
}

// keepFree removes the oldest fragments of all streams, segment by segment, while a disk
// has less free than it should, but none that is on hold.
func (a *Archive) keepFree(ctx context.Context) error {
	if a.freeDisk == (FreeDisk{}) || a.policy == nil {
		return nil
	}
	a.pressure.freeing.Lock()
	defer a.pressure.freeing.Unlock()
	var errs []error
	var short int64
	for _, dirs := range a.disks() {
		free, total, err := a.disk.Free(dirs[0])
		if err == nil {
			var left int64
			left, err = a.sacrifice(ctx, dirs, a.freeDisk.Lack(free, total))
			short += left
		}
		errs = append(errs, err)
	}
	a.pressure.short.Store(short)
	return errors.Join(errs...)
}

// disks are the folders of the segments by the disks they lie on: what is old in one makes
// room for what is young in the other, where both share one.
func (a *Archive) disks() [][]string {
	dirs := a.dirs()
	if len(dirs) == 2 {
		if one, err := a.disk.Shared(dirs[0], dirs[1]); err == nil && one {
			return [][]string{dirs}
		}
	}
	return slices.Collect(slices.Chunk(dirs, 1))
}

// shortage is what a look at a folder found whose disk cannot be made free enough.
type shortage struct {
	reach int64 // bytes that removing would have given
	looks int   // since, without counting again: that reads all footers
}

const maxLooks = 10
