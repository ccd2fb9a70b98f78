package archive

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/kvs"
)

// What a disk that fails or is full leads to; docs/design/archive-format.md, "A failed
// append", has the steps.
const (
	maxFailedSyncs = 2                // in a row, then the archive is read-only
	probeEvery     = 10 * time.Second // while it is, and while the reserve is missing
	probeBytes     = 64 << 10
)

// pressure is what the archive knows of an ill disk.
type pressure struct {
	dir     string // of reserve and probe
	reserve int64  // bytes to keep; 0 = none

	readOnly atomic.Pointer[string] // why nothing is appended; nil = it is
	given    atomic.Bool            // the reserve was given back
	expire   chan struct{}          // capacity 1: expiry should run at once
	failed   int                    // syncs in a row; guarded by Archive.mu
}

// Health is how the archive gets on with its disk.
type Health struct {
	ReadOnly string // why nothing is stored now; "" = it is
	Full     bool   // the disk was full, and the reserve is not back yet
}

// Health returns how the archive gets on with its disk. It asks no disk.
func (a *Archive) Health() Health {
	h := Health{Full: a.pressure.given.Load()}
	if why := a.pressure.readOnly.Load(); why != nil {
		h.ReadOnly = *why
	}
	return h
}

// refused is the answer to an append while the archive is read-only.
func (p *pressure) refused() error {
	if why := p.readOnly.Load(); why != nil {
		return kvs.Errorf(kvs.Unavailable, "the archive stores nothing, because its disk fails (%s); it tries again every %v", *why, probeEvery)
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
	case errors.Is(err, syscall.EIO):
		return ill
	}
	return passing
}

// errUnsynced marks the failed sync of a new segment.
var errUnsynced = errors.New("not synced")

// weigh looks at how the runs of a batch ended. The caller holds mu.
func (a *Archive) weigh(runs []*run) {
	p := &a.pressure
	for _, r := range runs {
		if r.err == nil {
			p.failed = 0
		}
		if r.err == nil || r.drawn {
			continue
		}
		kind := faultOf(r.err)
		switch {
		case kind == full:
			a.makeRoom()
		case kind == locked:
			a.stop(r.err)
		case kind == ill, r.out.Unsynced, errors.Is(r.err, errUnsynced):
			if p.failed++; p.failed >= maxFailedSyncs {
				a.stop(r.err)
			}
		}
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
// lets expiry run at once.
func (a *Archive) makeRoom() {
	p := &a.pressure
	select {
	case p.expire <- struct{}{}:
	default:
	}
	if p.reserve == 0 || !p.given.CompareAndSwap(false, true) {
		return
	}
	err := a.disk.Remove(p.path())
	a.log.Error("the disk is full: the reserve is given back, and expiry runs", "bytes", p.reserve, "error", err)
}

func (p *pressure) path() string  { return filepath.Join(p.dir, "reserve") }
func (p *pressure) probe() string { return filepath.Join(p.dir, ".probe") }

// guard looks after the reserve, and after the disk while the archive is read-only, until
// ctx ends.
func (a *Archive) guard(ctx context.Context) {
	a.keepReserve()
	t := time.NewTicker(probeEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		if a.pressure.readOnly.Load() != nil {
			a.tryDisk()
		}
		if a.pressure.given.Load() {
			a.keepReserve()
		}
	}
}

// tryDisk ends being read-only when the disk takes a file again.
func (a *Archive) tryDisk() {
	if err := a.writeProbe(); err != nil {
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

// keepReserve makes the reserve if it is missing and there is twice as much room.
func (a *Archive) keepReserve() {
	p := &a.pressure
	if p.reserve == 0 {
		return
	}
	stood, err := a.fillReserve()
	switch was := p.given.Swap(err != nil); {
	case err != nil && !was:
		a.log.Warn("there is no reserve for a full disk", "bytes", p.reserve, "error", err)
	case err == nil && was && !stood:
		a.log.Info("the reserve is back", "bytes", p.reserve)
	}
}

// fillReserve reports whether the reserve stood already.
func (a *Archive) fillReserve() (stood bool, err error) {
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
		return false, fmt.Errorf("%d bytes are free, %d are needed", free, 2*p.reserve)
	}
	f, err := a.disk.Create(p.path())
	if err != nil {
		return false, err
	}
	if err := errors.Join(fillFile(f, p.reserve), f.Close()); err != nil {
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
