package archive

import (
	"container/list"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/segment"
)

// maxIdleFiles is how many segments stay open for reading while nobody reads them.
const maxIdleFiles = 64

// files shares open segments among readers. A file that is removed while somebody
// reads it stays open, and so readable, until the last reader closes it.
type files struct {
	disk disk.FS
	dirs []string // where segments are

	mu    sync.Mutex
	open  map[int64]*sharedFile
	idle  list.List // of *sharedFile without readers, longest idle first
	taken map[int64]chan struct{}
}

// sharedFile is a segment open for reading. All but f and head is guarded by files.mu.
type sharedFile struct {
	f    disk.File
	head segment.Head

	id      int64
	readers int
	removed bool
	idle    *list.Element // nil while there are readers
}

func newFiles(fs disk.FS, dirs []string) *files {
	return &files{disk: fs, dirs: dirs, open: make(map[int64]*sharedFile), taken: make(map[int64]chan struct{})}
}

// acquire opens a segment or joins its readers. Opening happens under the lock, so
// that a file being removed is never kept.
func (c *files) acquire(id int64) (*sharedFile, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.taken[id] != nil {
		over := c.taken[id]
		c.mu.Unlock()
		<-over
		c.mu.Lock()
	}
	s := c.open[id]
	if s == nil {
		var err error
		if s, err = c.openShared(id); err != nil {
			return nil, err
		}
		c.open[id] = s
	}
	if s.idle != nil {
		c.idle.Remove(s.idle)
		s.idle = nil
	}
	s.readers++
	return s, nil
}

// exclusive calls f while nobody reads the segment; who wants to meanwhile waits. It
// reports false, without a call, when somebody does.
func (c *files) exclusive(id int64, f func() error) (quiet bool, err error) {
	c.mu.Lock()
	if s := c.open[id]; s != nil && s.readers > 0 || c.taken[id] != nil {
		c.mu.Unlock()
		return false, nil
	}
	over := make(chan struct{})
	c.taken[id] = over
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.taken, id)
		c.mu.Unlock()
		close(over)
	}()
	return true, f()
}

func (c *files) openShared(id int64) (*sharedFile, error) {
	f, err := c.find(id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, gone(err)
	}
	if err != nil {
		return nil, err
	}
	h, err := segment.ReadHead(f)
	if err == nil && h.ID != id {
		err = fmt.Errorf("the file says it is segment %d", h.ID)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open segment %d: %w", id, err), f.Close())
	}
	return &sharedFile{f: f, head: h, id: id}, nil
}

// find opens a segment wherever it is. While it moves it is in both folders, and either
// file will do.
func (c *files) find(id int64) (f disk.File, err error) {
	for _, dir := range c.dirs {
		f, err = c.disk.Open(filepath.Join(dir, segment.FileName(id)))
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return f, err
}

// release ends one reader's use.
func (c *files) release(s *sharedFile) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.readers--
	if s.readers > 0 {
		return nil
	}
	if s.removed {
		return s.f.Close()
	}
	s.idle = c.idle.PushBack(s)
	if c.idle.Len() <= maxIdleFiles {
		return nil
	}
	return c.drop(c.idle.Front().Value.(*sharedFile))
}

// drop closes an idle file. The caller holds mu.
func (c *files) drop(s *sharedFile) error {
	c.idle.Remove(s.idle)
	delete(c.open, s.id)
	return s.f.Close()
}

// forget makes sure that a removed file is closed as soon as nobody reads it.
func (c *files) forget(id int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.open[id]
	switch {
	case s == nil:
	case s.readers == 0:
		_ = c.drop(s) // only read from: nothing can be lost
	default:
		s.removed = true
		delete(c.open, id)
	}
}

// close closes the idle files; those with readers close with their last reader.
func (c *files) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for id, s := range c.open {
		if s.readers == 0 {
			errs = append(errs, s.f.Close())
		}
		s.removed = true
		delete(c.open, id)
	}
	c.idle.Init()
	return errors.Join(errs...)
}
