// Package disktest holds disks for tests: [Faulty] fails operations, or leaves them out
// and says that they were done; [Crash] keeps files in memory and knows what a power
// failure may leave of them.
package disktest

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"github.com/millrace/millrace/internal/disk"
)

// Kinds of operations.
const (
	MakeDir   = "makedir"
	List      = "list"
	Create    = "create"
	Open      = "open"
	Rename    = "rename"
	Remove    = "remove"
	SyncDir   = "syncdir"
	Free      = "free"
	Read      = "read"
	Write     = "write"
	Sync      = "sync"
	Truncate  = "truncate"
	Punch     = "punch"
	Size      = "size"
	Allocated = "allocated"
)

// Op is an operation that a [Faulty] is about to do.
type Op struct {
	N    int    // from 1 since the last [Faulty.Fail]
	Kind string // one of the constants above
	Name string // of the file or folder; the old name of a rename
	// Site is the line of code that asks for a Sync, SyncDir or Rename, such as
	// "archive/segment.go:104 (*Archive).openSegment". Others have none.
	Site string
}

// ErrFault is what a failed operation gives, and it is a full disk's error.
var ErrFault = fmt.Errorf("injected: %w", syscall.ENOSPC)

// Errors that a hook may return instead.
var (
	// ErrLost fails a Sync as a disk does that lost what it was given: a later Sync
	// that succeeds says nothing about these bytes.
	ErrLost = fmt.Errorf("injected: %w", syscall.EIO)
	// ErrIO fails an operation otherwise than a full disk does.
	ErrIO = fmt.Errorf("injected: %w", syscall.EIO)
	// ErrDead is what a process gets that ended some time ago: nothing of it reaches the
	// disk any more.
	ErrDead = errors.New("the process is dead")
	// ErrDrop leaves the operation out and reports success.
	ErrDrop = errors.New("left out")
)

// Faulty is a disk whose operations fail on demand, and that then goes on as if nothing
// was. The zero hook lets everything through.
type Faulty struct {
	disk.FS
	// SkipSync answers Sync and SyncDir without asking FS: tests that lose no power
	// need not wait for a real disk.
	SkipSync bool

	mu    sync.Mutex
	hook  func(Op) error
	count int
	hits  int
	sites map[string]string // to the kind
}

// Fail sets what is asked before each operation and counts from 1 again. The operation is
// done when hook is nil or returns nil; else it fails with that error, see [ErrLost] and
// [ErrDrop] for two that mean more. hook is called from whatever goroutine does the
// operation, from one at a time, and must not use the disk.
func (d *Faulty) Fail(hook func(Op) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hook, d.count, d.hits = hook, 0, 0
}

// FailNth lets the nth operation fail.
func (d *Faulty) FailNth(n int) {
	d.Fail(func(o Op) error {
		if o.N == n {
			return ErrFault
		}
		return nil
	})
}

// FailKinds lets all operations of some kinds fail.
func (d *Faulty) FailKinds(kinds ...string) {
	d.Fail(func(o Op) error {
		for _, k := range kinds {
			if o.Kind == k {
				return ErrFault
			}
		}
		return nil
	})
}

// Heal lets everything through and returns how many operations were hit since the last
// Fail.
func (d *Faulty) Heal() (hits int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hook = nil
	return d.hits
}

// Sites returns every line of code that asked for a Sync, SyncDir or Rename so far, and
// which of them it was.
func (d *Faulty) Sites() map[string]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	sites := make(map[string]string, len(d.sites))
	for s, kind := range d.sites {
		sites[s] = kind
	}
	return sites
}

func (d *Faulty) step(kind, name string) error {
	site := ""
	if kind == Sync || kind == SyncDir || kind == Rename {
		site = callSite()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.count++
	if site != "" {
		if d.sites == nil {
			d.sites = make(map[string]string)
		}
		d.sites[site] = kind
	}
	if d.hook == nil {
		return nil
	}
	err := d.hook(Op{N: d.count, Kind: kind, Name: name, Site: site})
	if err == nil {
		return nil
	}
	d.hits++
	if errors.Is(err, ErrDrop) {
		return err
	}
	return fmt.Errorf("%s %s: %w", kind, filepath.Base(name), err)
}

// callSite is the nearest line outside of this package, and outside of methods that only
// hand on what another line asks for.
func callSite() string {
	var pcs [16]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	for {
		f, more := frames.Next()
		dir, file := filepath.Split(f.File)
		pkg := filepath.Base(dir)
		method := f.Function[strings.LastIndexByte(f.Function, '.')+1:]
		wrapper := method == "Sync" || method == "SyncDir" || method == "Rename"
		if !wrapper && pkg != "disktest" || strings.HasSuffix(file, "_test.go") {
			_, function, _ := strings.Cut(filepath.Base(f.Function), ".")
			return fmt.Sprintf("%s/%s:%d %s", pkg, file, f.Line, function)
		}
		if !more {
			return ""
		}
	}
}

// done takes the success of a dropped operation for what it says.
func done(err error) error {
	if errors.Is(err, ErrDrop) {
		return nil
	}
	return err
}

// MakeDir makes a folder.
func (d *Faulty) MakeDir(name string) error {
	if err := d.step(MakeDir, name); err != nil {
		return done(err)
	}
	return d.FS.MakeDir(name)
}

// List returns names.
func (d *Faulty) List(dir string) ([]string, error) {
	if err := d.step(List, dir); err != nil {
		return nil, err
	}
	return d.FS.List(dir)
}

// Create makes a file.
func (d *Faulty) Create(name string) (disk.File, error) {
	if err := d.step(Create, name); err != nil {
		return nil, err
	}
	f, err := d.FS.Create(name)
	return d.file(f, name, err)
}

// Open opens a file.
func (d *Faulty) Open(name string) (disk.File, error) {
	if err := d.step(Open, name); err != nil {
		return nil, err
	}
	f, err := d.FS.Open(name)
	return d.file(f, name, err)
}

func (d *Faulty) file(f disk.File, name string, err error) (disk.File, error) {
	if err != nil {
		return nil, err
	}
	return &faultyFile{File: f, disk: d, name: name}, nil
}

// Rename gives a file another name.
func (d *Faulty) Rename(from, to string) error {
	if err := d.step(Rename, from); err != nil {
		return done(err)
	}
	return d.FS.Rename(from, to)
}

// Remove takes a name away.
func (d *Faulty) Remove(name string) error {
	if err := d.step(Remove, name); err != nil {
		return done(err)
	}
	return d.FS.Remove(name)
}

// SyncDir makes names durable.
func (d *Faulty) SyncDir(name string) error {
	if err := d.step(SyncDir, name); err != nil || d.SkipSync {
		return done(err)
	}
	return d.FS.SyncDir(name)
}

// Free says how much room there is.
func (d *Faulty) Free(dir string) (free, total int64, err error) {
	if err := d.step(Free, dir); err != nil {
		return 0, 0, err
	}
	return d.FS.Free(dir)
}

type faultyFile struct {
	disk.File
	disk *Faulty
	name string
}

// Write leaves half of the first piece behind when it fails, unless the process is dead.
func (f *faultyFile) Write(pieces [][]byte, off int64) error {
	if err := f.disk.step(Write, f.name); err != nil {
		if errors.Is(err, ErrDrop) || errors.Is(err, ErrDead) || len(pieces) == 0 {
			return done(err)
		}
		return errors.Join(err, f.File.Write([][]byte{pieces[0][:len(pieces[0])/2]}, off))
	}
	return f.File.Write(pieces, off)
}

// loser is a file that can forget that it has something to sync.
type loser interface{ lose() }

// Sync fails after the bytes were written: they may be found at the next start.
func (f *faultyFile) Sync() error {
	if err := f.disk.step(Sync, f.name); err != nil || f.disk.SkipSync {
		if l, ok := f.File.(loser); ok && errors.Is(err, ErrLost) {
			l.lose()
		}
		return done(err)
	}
	return f.File.Sync()
}

func (f *faultyFile) Truncate(size int64) error {
	if err := f.disk.step(Truncate, f.name); err != nil {
		return done(err)
	}
	return f.File.Truncate(size)
}

func (f *faultyFile) Punch(off, n int64) error {
	if err := f.disk.step(Punch, f.name); err != nil {
		return done(err)
	}
	return f.File.Punch(off, n)
}

func (f *faultyFile) ReadAt(b []byte, off int64) (int, error) {
	if err := f.disk.step(Read, f.name); err != nil {
		return 0, err
	}
	return f.File.ReadAt(b, off)
}

func (f *faultyFile) Size() (int64, error) {
	if err := f.disk.step(Size, f.name); err != nil {
		return 0, err
	}
	return f.File.Size()
}

func (f *faultyFile) Allocated() (int64, error) {
	if err := f.disk.step(Allocated, f.name); err != nil {
		return 0, err
	}
	return f.File.Allocated()
}
