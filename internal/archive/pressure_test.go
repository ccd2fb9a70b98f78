package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/disk/disktest"
	"github.com/millrace/millrace/internal/kvs"
)

// lines is a log that may be read at any time.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// failWith lets operations of these kinds fail with errno.
func failWith(d *disktest.Faulty, errno syscall.Errno, kinds ...string) {
	d.Fail(func(o disktest.Op) error {
		for _, k := range kinds {
			if o.Kind == k {
				return fmt.Errorf("injected: %w", errno)
			}
		}
		return nil
	})
}

// Two syncs that fail in a row make the archive read-only: what comes then is refused
// without touching the disk, until a probe goes through. What was acknowledged can be read
// all the time, and what was refused never comes back.
func TestTwoFailedSyncsMakeTheArchiveReadOnly(t *testing.T) {
	for _, c := range []struct {
		name    string
		errno   syscall.Errno
		kinds   []string
		batches int // until it is read-only
	}{
		{"failed syncs", syscall.EIO, []string{disktest.Sync}, 2},
		{"failed syncs of another kind", syscall.EBADMSG, []string{disktest.Sync}, 2},
		{"failed syncs of the folder", syscall.EIO, []string{disktest.SyncDir}, 2},
		{"failed writes", syscall.EIO, []string{disktest.Write}, 2},
		{"a file system that became read-only", syscall.EROFS, []string{disktest.Write, disktest.Create, disktest.Truncate, disktest.Sync, disktest.Remove}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, log := faulty(), &lines{}
			o := Options{Dir: t.TempDir(), Disk: d, Logger: log.logger(), SegmentBytes: 1} // a segment for each
			a := start(t, o)
			a.mustStore(sample(1, 1, 1000))
			failWith(d, c.errno, c.kinds...)
			n := int64(2)
			for ; a.Health().ReadOnly == ""; n++ {
				if err := a.store(sample(1, n, 1000)); kvs.KindOf(err) != kvs.Internal || !errors.Is(err, c.errno) {
					t.Fatalf("fragment %d: %v", n, err)
				}
			}
			if n != int64(c.batches)+2 {
				t.Errorf("read-only after %d failures, want %d", n-2, c.batches)
			}
			touched := false
			d.Fail(func(disktest.Op) error { touched = true; return syscall.EIO })
			for range 3 {
				if err := a.store(sample(1, n, 1000)); kvs.KindOf(err) != kvs.Unavailable || !strings.Contains(err.Error(), c.errno.Error()) {
					t.Fatalf("read-only: %v", err)
				}
			}
			if touched {
				t.Error("a refused append touched the disk")
			}
			failWith(d, c.errno, c.kinds...)
			wantStored(t, a.Archive, 1, sample(1, 1, 1000))
			a.tryDisk()
			if a.Health().ReadOnly == "" {
				t.Error("appending goes on although the probe failed")
			}
			d.Heal()
			a.tryDisk()
			a.mustStore(sample(1, 90, 1000))
			wantStored(t, a.Archive, 1, sample(1, 1, 1000), sample(1, 90, 1000))
			if a, b := log.count("is read-only"), log.count("no longer read-only"); a != 1 || b != 1 {
				t.Errorf("%d lines say that it is read-only, %d that it is over", a, b)
			}
			a.stop()
			b := open(t, o)
			wantStored(t, b, 1, sample(1, 1, 1000), sample(1, 90, 1000))
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A sync that succeeds in between starts the count anew.
func TestSingleFailedSyncsAreForgotten(t *testing.T) {
	d := faulty()
	a := start(t, Options{Dir: t.TempDir(), Disk: d})
	for n := int64(1); n <= 6; n += 2 {
		a.mustStore(sample(1, n, 1000))
		syncs := 0
		d.Fail(func(o disktest.Op) error {
			if o.Kind == disktest.Sync {
				if syncs++; syncs == 1 {
					return syscall.EIO
				}
			}
			return nil
		})
		if err := a.store(sample(1, n+1, 1000)); err == nil {
			t.Fatal("stored without sync")
		}
		d.Heal()
	}
	if h := a.Health(); h != (Health{}) {
		t.Errorf("%+v", h)
	}
	a.mustStore(sample(1, 7, 1000))
}

// small is a disk with so many free bytes.
type small struct {
	disk.FS
	free atomic.Int64
}

func (d *small) Free(string) (free, total int64, err error) { return d.free.Load(), 1 << 40, nil }

// A full disk gets the reserve back and an expiry pass at once; the reserve returns when
// there is twice as much room.
func TestAFullDiskTakesTheReserve(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT} {
		t.Run(errno.Error(), func(t *testing.T) {
			const size = 3<<20 + 5
			d, log := faulty(), &lines{}
			room := &small{FS: d}
			room.free.Store(2 * size)
			o := Options{Dir: t.TempDir(), Disk: room, Reserve: size, Logger: log.logger()}
			a := open(t, o)
			_ = a.keepReserve()
			reserve := filepath.Join(o.Dir, "reserve")
			if info, err := os.Stat(reserve); err != nil || info.Size() != size {
				t.Fatal("no reserve", err)
			}
			stored := func(n int64) error { return batchOf(a, sample(1, n, 1000))[0] }
			failWith(d, errno, disktest.Write)
			if err := stored(1); kvs.KindOf(err) != kvs.Internal || !errors.Is(err, errno) {
				t.Fatal(err)
			}
			d.Heal() // there is the room of the reserve
			for n := int64(2); n <= 3; n++ {
				if err := stored(n); kvs.KindOf(err) != kvs.Unavailable || !strings.Contains(err.Error(), "full") {
					t.Fatalf("the reserve goes to media: %v", err)
				}
			}
			if _, err := os.Stat(reserve); !os.IsNotExist(err) || a.Health() != (Health{Full: true}) {
				t.Fatalf("%v, %+v", err, a.Health())
			}
			select {
			case <-a.pressure.expire:
			default:
				t.Error("expiry was not asked to run")
			}
			room.free.Store(2*size - 1)
			_ = a.keepReserve()
			if err := stored(4); !a.Health().Full || kvs.KindOf(err) != kvs.Unavailable {
				t.Errorf("the reserve is back without room for it: %v", err)
			}
			room.free.Store(2 * size)
			_ = a.keepReserve()
			if err := stored(5); err != nil {
				t.Error(err)
			}
			if info, err := os.Stat(reserve); err != nil || info.Size() != size || a.Health() != (Health{}) {
				t.Errorf("the reserve is not back: %v, %+v", err, a.Health())
			}
			if a, b := log.count("the disk is full"), log.count("the reserve is back"); a != 1 || b != 1 {
				t.Errorf("%d lines say that the disk is full, %d that the reserve is back", a, b)
			}
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A reserve that was left half made, or has another size, is made anew; a disk without
// room for it is told of once.
func TestTheReserveIsMadeAnew(t *testing.T) {
	log := &lines{}
	room := &small{FS: disk.System{}}
	o := Options{Dir: t.TempDir(), Disk: room, Reserve: 1 << 20, Logger: log.logger()}
	a := open(t, o)
	defer a.Close()
	for range 3 {
		_ = a.keepReserve()
	}
	if !a.Health().Full || log.count("no reserve") != 1 {
		t.Errorf("%+v, %d lines", a.Health(), log.count("no reserve"))
	}
	reserve := filepath.Join(o.Dir, "reserve")
	if err := os.WriteFile(reserve, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	room.free.Store(2 << 20)
	_ = a.keepReserve()
	if info, err := os.Stat(reserve); err != nil || info.Size() != 1<<20 || a.Health().Full {
		t.Error(err, a.Health())
	}
}

// While the archive is read-only the disk is tried every 10 s.
func TestAReadOnlyArchiveTriesItsDisk(t *testing.T) {
	d := faulty()
	o := Options{Dir: t.TempDir(), Disk: d}
	synctest.Test(t, func(t *testing.T) {
		a := open(t, o)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { a.guard(ctx); close(done) }()
		a.mu.Lock()
		a.stop(syscall.EIO)
		a.mu.Unlock()
		failWith(d, syscall.EIO, disktest.Sync)
		time.Sleep(probeEvery + time.Second)
		synctest.Wait()
		if a.Health().ReadOnly == "" {
			t.Error("the probe failed, and appending goes on")
		}
		d.Heal()
		time.Sleep(probeEvery)
		synctest.Wait()
		if a.Health().ReadOnly != "" {
			t.Error("the disk works, and the archive is read-only")
		}
		cancel()
		<-done
		if _, err := os.Stat(a.pressure.probe()); !os.IsNotExist(err) {
			t.Error("the probe is still there", err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// The wait of the oldest fragment is known, whether it is queued or being stored.
func TestTheOldestWaitIsKnown(t *testing.T) {
	q := newQueue()
	now := time.Now()
	if q.oldest(now) != 0 {
		t.Error("nothing waits")
	}
	for i := range 2 {
		q.put(pending{since: now.Add(time.Duration(i-5) * time.Second)})
	}
	if got := q.oldest(now); got != 5*time.Second {
		t.Errorf("queued: %v", got)
	}
	taken := q.take(nil)
	q.put(pending{since: now})
	if got := q.oldest(now); got != 5*time.Second || len(taken) != 2 {
		t.Errorf("being stored: %v", got)
	}
	q.take(nil)
	q.take(nil)
	if got := q.oldest(now); got != 0 {
		t.Errorf("at the end: %v", got)
	}
}
