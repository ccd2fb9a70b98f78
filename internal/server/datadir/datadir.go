// Package datadir knows the data directory as a whole: its lock, the version of its layout,
// and whose it is.
package datadir

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/millrace/millrace/internal/backup"
	"github.com/millrace/millrace/internal/disk"
)

// formatVersion is the version of the data directory's layout.
const formatVersion = 1

// LockFile is locked while a server or a command has the directory.
const LockFile = "lock"

// Dir is the data directory. [Open] makes one that is locked.
type Dir struct {
	Root   string // absolute when it is open
	lock   *os.File
	serves *os.File // locked while the server serves, nil before
}

// DevMark is in data directories that only development servers had: what they hold may
// be thrown away.
const DevMark = "dev"

// Open makes or opens the directory, takes its lock and checks its version and
// whose it is.
func Open(root string, dev bool) (*Dir, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	d := &Dir{Root: root}
	if d.lock, err = Lock(d.Path(LockFile)); err != nil {
		return nil, err
	}
	if err := d.checkFormat(dev); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Serving tells backups that the index of the archive knows all that was acknowledged.
func (d *Dir) Serving() (err error) {
	path := d.Path(backup.ServingFile)
	if d.serves, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	// A backup that looks holds it for a moment: wait.
	if err := syscall.Flock(int(d.serves.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", path, err)
	}
	return nil
}

// Lock takes an advisory lock that ends with the process, however that ends.
func Lock(path string) (*os.File, error) {
	f, err := disk.Open(path)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("data directory %s is in use by another millrace: stop it first, or give another --data", filepath.Dir(path))
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

// checkFormat reads the layout's version, or writes it in a new directory.
func (d *Dir) checkFormat(dev bool) error {
	if err := d.ExamineFormat(); err != nil {
		return err
	}
	if err := d.ExamineOwner(dev); err != nil {
		return err
	}
	if !dev { // from now on it holds what somebody may need
		if err := os.Remove(d.Path(DevMark)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	path := d.Path("format")
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if dev {
		if err := disk.WriteFile(d.Path(DevMark), []byte("made by millrace serve --dev\n"), 0o600); err != nil {
			return err
		}
	}
	return disk.WriteFile(path, []byte("millrace "+strconv.Itoa(formatVersion)+"\n"), 0o600)
}

// ExamineFormat reads the layout's version; a directory without one must be empty.
func (d *Dir) ExamineFormat() error {
	path := d.Path("format")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if foreign := d.foreign(); foreign != "" {
			return fmt.Errorf("%s is not empty (it holds %s) and not a data directory of millrace: there is no file named format in it; give another --data", d.Root, foreign)
		}
		return nil
	}
	if err != nil {
		return err
	}
	text, ok := strings.CutPrefix(strings.TrimSpace(string(b)), "millrace ")
	v, err := strconv.Atoi(text)
	switch {
	case !ok || err != nil:
		return fmt.Errorf("%s does not hold a format version: %s is not a data directory of millrace", path, d.Root)
	case v > formatVersion:
		return fmt.Errorf("data directory %s has format %d, this program knows %d: use a newer millrace", d.Root, v, formatVersion)
	}
	return nil
}

// ExamineOwner refuses a directory that somebody relies on to a development server: its
// clock can be moved, and what expires by that is gone.
func (d *Dir) ExamineOwner(dev bool) error {
	if _, err := os.Stat(d.Path("format")); !dev || d.ForDev() || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("data directory %s is not one that only servers with --dev had, and one with --dev may delete what it holds: leave --dev out, or give another --data", d.Root)
}

// ForDev reports whether a development server made the directory.
func (d *Dir) ForDev() bool {
	_, err := os.Stat(d.Path(DevMark))
	return err == nil
}

// foreign is the name of something in the directory that is not ours, "" if there is
// nothing. A new file system has its lost+found.
func (d *Dir) foreign() string {
	entries, _ := os.ReadDir(d.Root)
	for _, e := range entries {
		if n := e.Name(); n != LockFile && n != DevMark && n != "lost+found" && !strings.HasPrefix(n, ".format-") {
			return n
		}
	}
	return ""
}

// Path is the path of a file of the directory.
func (d *Dir) Path(name string) string { return filepath.Join(d.Root, name) }

// Secret reads 32 random bytes from a file, made when they are first needed.
func (d *Dir) Secret(name string) ([]byte, error) {
	b, err := os.ReadFile(d.Path(name))
	if errors.Is(err, fs.ErrNotExist) {
		b = make([]byte, 32)
		_, _ = rand.Read(b) // never fails
		err = disk.WriteFile(d.Path(name), b, 0o600)
	}
	if err == nil && len(b) != 32 {
		err = fmt.Errorf("%s is damaged: it must hold 32 bytes", d.Path(name))
	}
	return b, err
}

// Close gives up the locks; that of the directory last, so that the next server is not
// taken for one that serves already.
func (d *Dir) Close() (err error) {
	if d.serves != nil {
		err = d.serves.Close()
	}
	return errors.Join(err, d.lock.Close())
}
