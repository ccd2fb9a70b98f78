package server

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
	"github.com/millrace/millrace/internal/rekey"
)

// formatVersion is the version of the data directory's layout.
const formatVersion = 1

// KeyFile is the file of the data directory that secrets and media are sealed under:
// losing it loses them.
const KeyFile = rekey.Current

// RootKeyFile is where a first start leaves the root key when its output is kept by others.
const RootKeyFile = "root-key"

const lockFile = "lock"

// dataDir is the locked data directory.
type dataDir struct {
	root   string
	lock   *os.File
	serves *os.File // locked while the server serves, nil before
}

// devMark is in data directories that only development servers had: what they hold may
// be thrown away.
const devMark = "dev"

// openDataDir makes or opens the directory, takes its lock and checks its version and
// whose it is.
func openDataDir(root string, dev bool) (*dataDir, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	d := &dataDir{root: root}
	if d.lock, err = lock(d.path(lockFile)); err != nil {
		return nil, err
	}
	if err := d.checkFormat(dev); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// serving tells backups that the index of the archive knows all that was acknowledged.
func (d *dataDir) serving() (err error) {
	path := d.path(backup.ServingFile)
	if d.serves, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	// A backup that looks holds it for a moment: wait.
	if err := syscall.Flock(int(d.serves.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", path, err)
	}
	return nil
}

// lock takes an advisory lock that ends with the process, however that ends.
func lock(path string) (*os.File, error) {
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
func (d *dataDir) checkFormat(dev bool) error {
	if err := d.examineFormat(); err != nil {
		return err
	}
	if err := d.examineOwner(dev); err != nil {
		return err
	}
	if !dev { // from now on it holds what somebody may need
		if err := os.Remove(d.path(devMark)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	path := d.path("format")
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if dev {
		if err := disk.WriteFile(d.path(devMark), []byte("made by millrace serve --dev\n"), 0o600); err != nil {
			return err
		}
	}
	return disk.WriteFile(path, []byte("millrace "+strconv.Itoa(formatVersion)+"\n"), 0o600)
}

// examineFormat reads the layout's version; a directory without one must be empty.
func (d *dataDir) examineFormat() error {
	path := d.path("format")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if foreign := d.foreign(); foreign != "" {
			return fmt.Errorf("%s is not empty (it holds %s) and not a data directory of millrace: there is no file named format in it; give another --data", d.root, foreign)
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
		return fmt.Errorf("%s does not hold a format version: %s is not a data directory of millrace", path, d.root)
	case v > formatVersion:
		return fmt.Errorf("data directory %s has format %d, this program knows %d: use a newer millrace", d.root, v, formatVersion)
	}
	return nil
}

// examineOwner refuses a directory that somebody relies on to a development server: its
// clock can be moved, and what expires by that is gone.
func (d *dataDir) examineOwner(dev bool) error {
	if _, err := os.Stat(d.path("format")); !dev || d.forDev() || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("data directory %s is not one that only servers with --dev had, and one with --dev may delete what it holds: leave --dev out, or give another --data", d.root)
}

// forDev reports whether a development server made the directory.
func (d *dataDir) forDev() bool {
	_, err := os.Stat(d.path(devMark))
	return err == nil
}

// foreign is the name of something in the directory that is not ours, "" if there is
// nothing. A new file system has its lost+found.
func (d *dataDir) foreign() string {
	entries, _ := os.ReadDir(d.root)
	for _, e := range entries {
		if n := e.Name(); n != lockFile && n != devMark && n != "lost+found" && !strings.HasPrefix(n, ".format-") {
			return n
		}
	}
	return ""
}

func (d *dataDir) path(name string) string { return filepath.Join(d.root, name) }

// secret reads 32 random bytes from a file, made when they are first needed.
func (d *dataDir) secret(name string) ([]byte, error) {
	b, err := os.ReadFile(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		b = make([]byte, 32)
		_, _ = rand.Read(b) // never fails
		err = disk.WriteFile(d.path(name), b, 0o600)
	}
	if err == nil && len(b) != 32 {
		err = fmt.Errorf("%s is damaged: it must hold 32 bytes", d.path(name))
	}
	return b, err
}

// close gives up the locks; that of the directory last, so that the next server is not
// taken for one that serves already.
func (d *dataDir) close() (err error) {
	if d.serves != nil {
		err = d.serves.Close()
	}
	return errors.Join(err, d.lock.Close())
}
