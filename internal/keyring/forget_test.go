package keyring_test

import (
	"io"
	"sync"
	"testing"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/kvs"
)

// pausing is a disk whose next read of a file that was opened, when hook is set, asks
// hook, once, and finds no bytes; and that says when a file is made.
type pausing struct {
	disk.FS
	mu   sync.Mutex
	hook func()
	made chan struct{}
}

type pausingFile struct {
	disk.File
	disk *pausing
}

func (d *pausing) Open(name string) (disk.File, error) {
	f, err := d.FS.Open(name)
	return pausingFile{f, d}, err
}

func (d *pausing) Create(name string) (disk.File, error) {
	f, err := d.FS.Create(name)
	select {
	case d.made <- struct{}{}:
	default:
	}
	return pausingFile{f, d}, err
}

func (f pausingFile) ReadAt(b []byte, off int64) (int, error) {
	f.disk.mu.Lock()
	hook := f.disk.hook
	f.disk.hook = nil
	f.disk.mu.Unlock()
	if hook == nil {
		return f.File.ReadAt(b, off)
	}
	hook()
	return 0, io.EOF
}

// A stream that is deleted between finding a key of it and reading the key is a deleted
// stream, and no damage.
func TestAStreamGoesWhileItsKeyIsRead(t *testing.T) {
	for name, ask := range map[string]func(g *rig, id uint64) error{
		"Key": func(g *rig, id uint64) error {
			_, err := g.Key(t.Context(), 1, id)
			return err
		},
		"Current": func(g *rig, _ uint64) error {
			_, err := g.Current(t.Context(), 1, 0)
			return err
		},
		"Ready": func(g *rig, _ uint64) error { return g.Ready(t.Context(), 1) },
	} {
		g := newRig(t)
		d := &pausing{FS: g.options.Disk, made: make(chan struct{}, 1)}
		g.options.Disk = d
		k := g.current(t, 1, 0)
		g.reopen(t)
		forgotten := make(chan error, 1)
		d.mu.Lock()
		d.hook = func() {
			g.gone[1] = true
			go func(r *keyring.Ring) { forgotten <- r.Forget(1) }(g.Ring)
			<-d.made // it has the file to itself
		}
		d.mu.Unlock()
		if err := ask(g, k.ID); kvs.KindOf(err) != kvs.NotFound {
			t.Errorf("%s: %v", name, err)
		}
		if err := <-forgotten; err != nil {
			t.Error(err)
		}
	}
}
