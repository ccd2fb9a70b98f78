package disktest

import (
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/millrace/millrace/internal/disk"
)

// Crash is a disk in memory that knows what a power failure may leave of it.
//
// A page of 4 KiB that was written, cut off or punched since the last Sync of its file may
// hold what was synced, or what any write since then made of it, or, where something was
// written, some sectors of one and some of another. A page that was never synced may be zeros, or what another file
// once had there. The size of a file may be any since its last Sync. Names that were made,
// changed or removed since the last SyncDir of their folder may each be as before or after.
// What was synced is never lost. Many goroutines may use it.
type Crash struct {
	mu      sync.Mutex
	root    string
	folder  *folder
	handles int
}

// NewCrash returns a disk with one folder, which is durable. All names must be in it.
func NewCrash(root string) *Crash {
	return &Crash{root: filepath.Clean(root), folder: newFolder()}
}

// Clone returns the disk as it may be found after a power failure at this moment, chosen
// by the seed and mounted at root. c itself goes on.
func (c *Crash) Clone(seed uint64, root string) *Crash {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := &chance{Rand: rand.New(rand.NewPCG(seed, 0)), files: make(map[*inode]*inode)}
	r.manner = manner(r.IntN(int(manners)))
	c.folder.collect(r)
	return &Crash{root: filepath.Clean(root), folder: c.folder.crash(r)}
}

// Copy returns the disk as it is, with nothing lost and everything durable.
func (c *Crash) Copy(root string) *Crash {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := &chance{Rand: rand.New(rand.NewPCG(0, 0)), files: make(map[*inode]*inode), manner: allSurvives}
	return &Crash{root: filepath.Clean(root), folder: c.folder.crash(r)}
}

// Move mounts the disk at another root; names given from now on must be in it.
func (c *Crash) Move(root string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.root = filepath.Clean(root)
}

// Export writes all files as they are now to a folder of the real disk, with their holes.
func (c *Crash) Export(dir string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.folder.export(dir)
}

// Handles returns how many files are open.
func (c *Crash) Handles() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.handles
}

// Allocated returns how many bytes the files of all folders take.
func (c *Crash) Allocated() (bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.folder.allocated()
}

// find returns the folder that a name is in, and the last part of the name. The caller
// holds mu.
func (c *Crash) find(op, name string) (*folder, string, error) {
	rest, err := filepath.Rel(c.root, filepath.Clean(name))
	if err != nil || strings.HasPrefix(rest, "..") {
		return nil, "", &fs.PathError{Op: op, Path: name, Err: syscall.EXDEV}
	}
	d, parts := c.folder, strings.Split(rest, string(filepath.Separator))
	for _, p := range parts[:len(parts)-1] {
		if d = d.now[p].folder; d == nil {
			return nil, "", &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
		}
	}
	return d, parts[len(parts)-1], nil
}

// at returns the folder of a name.
func (c *Crash) at(op, name string) (*folder, error) {
	d, last, err := c.find(op, name)
	if err != nil || last == "." {
		return d, err
	}
	if d = d.now[last].folder; d == nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return d, nil
}

// MakeDir makes a folder with its parents; each is an unsynced name in the one above.
func (c *Crash) MakeDir(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	rest, err := filepath.Rel(c.root, filepath.Clean(name))
	if err != nil || strings.HasPrefix(rest, "..") {
		return &fs.PathError{Op: "mkdir", Path: name, Err: syscall.EXDEV}
	}
	d := c.folder
	for p := range strings.SplitSeq(rest, string(filepath.Separator)) {
		switch e := d.now[p]; {
		case p == ".":
			continue
		case e.file != nil:
			return &fs.PathError{Op: "mkdir", Path: name, Err: syscall.ENOTDIR}
		case e.folder == nil:
			d.do(change{to: p, what: entry{folder: newFolder()}})
		}
		d = d.now[p].folder
	}
	return nil
}

// List returns the names in a folder.
func (c *Crash) List(dir string) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, err := c.at("list", dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(d.now))
	for name := range d.now {
		names = append(names, name)
	}
	return names, nil
}

// Create makes a file.
func (c *Crash) Create(name string) (disk.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, last, err := c.find("create", name)
	if err != nil {
		return nil, err
	}
	if _, taken := d.now[last]; taken {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	f := &inode{}
	d.do(change{to: last, what: entry{file: f}})
	c.handles++
	return &handle{disk: c, inode: f, name: name}, nil
}

// Open opens a file.
func (c *Crash) Open(name string) (disk.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, last, err := c.find("open", name)
	if err != nil {
		return nil, err
	}
	e := d.now[last]
	if e.file == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	c.handles++
	return &handle{disk: c, inode: e.file, name: name}, nil
}

// Rename gives a file another name in the same folder.
func (c *Crash) Rename(from, to string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, old, err := c.find("rename", from)
	if err != nil {
		return err
	}
	other, last, err := c.find("rename", to)
	switch {
	case err != nil:
		return err
	case other != d:
		return &fs.PathError{Op: "rename", Path: to, Err: syscall.EXDEV}
	case d.now[old].file == nil:
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	d.do(change{from: old, to: last, what: d.now[old]})
	return nil
}

// Remove takes a name away; whoever has the file open may go on reading.
func (c *Crash) Remove(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, last, err := c.find("remove", name)
	if err != nil {
		return err
	}
	if _, ok := d.now[last]; ok {
		d.do(change{from: last})
	}
	return nil
}

// SyncDir makes the names in a folder durable, and not the files.
func (c *Crash) SyncDir(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, err := c.at("sync", name)
	if err != nil {
		return err
	}
	d.sync()
	return nil
}

// Shared says that all is on one disk.
func (c *Crash) Shared(string, string) (bool, error) { return true, nil }

// Free says that there is plenty of room.
func (c *Crash) Free(string) (free, total int64, err error) { return 1 << 40, 1 << 40, nil }

// handle is an open file.
type handle struct {
	disk   *Crash
	inode  *inode
	name   string
	closed bool
}

func (h *handle) use(op string) error {
	if h.closed {
		return &fs.PathError{Op: op, Path: h.name, Err: fs.ErrClosed}
	}
	return nil
}

func (h *handle) ReadAt(b []byte, off int64) (int, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if err := h.use("read"); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, fmt.Errorf("read %s at %d", h.name, off)
	}
	n := h.inode.read(b, off)
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (h *handle) Write(pieces [][]byte, off int64) error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if err := h.use("write"); err != nil {
		return err
	}
	h.inode.write(pieces, off)
	return nil
}

func (h *handle) Sync() error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if err := h.use("sync"); err != nil {
		return err
	}
	h.inode.sync()
	return nil
}

func (h *handle) lose() {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	h.inode.lose()
}

func (h *handle) Truncate(size int64) error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if err := h.use("truncate"); err != nil {
		return err
	}
	h.inode.truncate(size)
	return nil
}

func (h *handle) Punch(off, n int64) error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if err := h.use("punch"); err != nil {
		return err
	}
	h.inode.punch(off, n)
	return nil
}

func (h *handle) Size() (int64, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	return h.inode.size, h.use("size")
}

func (h *handle) Allocated() (int64, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	return h.inode.allocated(), h.use("allocated")
}

func (h *handle) Holes() (disk.Holes, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	return h.inode.holes(), h.use("holes")
}

func (h *handle) Close() error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if err := h.use("close"); err != nil {
		return err
	}
	h.closed = true
	h.disk.handles--
	return nil
}
