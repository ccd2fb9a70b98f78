package keep

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/millrace/millrace/internal/disk"
)

// The files that tie a folder for warm segments to its installation.
const (
	ownerFile = "millrace"    // in the folder: whose it is; locked while a server has it
	notedFile = "warm-folder" // in the data directory: the folder was used, and where it was
)

// Folder is the locked folder for segments of the tier WARM.
type Folder struct{ owner *os.File }

// OpenFolder takes the folder for the installation with this identity. Two installations
// never share one. It returns nil for none, and refuses to do without one that was used:
// without it, or when its disk is not mounted, the archive would forget what lies there.
func OpenFolder(data, warm, identity string) (*Folder, error) {
	if err := examineFolder(data, warm); err != nil || warm == "" {
		return nil, wrapFolder(err)
	}
	// Opened by its name and not replaced: a lock is on the file, not on the name.
	f, err := os.OpenFile(filepath.Join(warm, ownerFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, wrapFolder(err)
	}
	disk.Give(f)
	folder := &Folder{f}
	if err := folder.take(identity); err != nil {
		return nil, wrapFolder(errors.Join(err, f.Close()))
	}
	path, err := filepath.Abs(warm)
	if err == nil {
		err = disk.WriteFile(filepath.Join(data, notedFile), []byte(path+"\n"), 0o600)
	}
	if err != nil {
		return nil, wrapFolder(errors.Join(err, f.Close()))
	}
	return folder, nil
}

func wrapFolder(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("archive.warm_dir: %w", err)
}

// take locks the folder and marks it.
func (f *Folder) take(identity string) error {
	if err := syscall.Flock(int(f.owner.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("%s is in use by another millrace", filepath.Dir(f.owner.Name()))
		}
		return fmt.Errorf("lock %s: %w", f.owner.Name(), err)
	}
	owner, err := owned(filepath.Dir(f.owner.Name()), identity)
	if err != nil || owner != "" {
		return err
	}
	_, err = f.owner.WriteAt([]byte(identity+"\n"), 0)
	return errors.Join(err, f.owner.Sync())
}

// owned is whose folder it is, "" for nobody's. It fails when it is that of another
// installation.
func owned(warm, identity string) (string, error) {
	text, err := os.ReadFile(filepath.Join(warm, ownerFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	owner := strings.TrimSpace(string(text))
	if err == nil && owner != "" && owner != identity {
		err = fmt.Errorf("%s is the folder of another installation (%s, this one is %s): name another folder", warm, owner, cmp.Or(identity, "new"))
	}
	return owner, err
}

// Close gives the folder up.
func (f *Folder) Close() error {
	if f == nil {
		return nil
	}
	return f.owner.Close()
}

// ExamineFolder looks whether a server on the data directory could use the folder, and
// changes nothing. identity is as for [OpenFolder], "" for a directory that is still to be
// made.
func ExamineFolder(data, warm, identity string) error {
	if err := examineFolder(data, warm); err != nil || warm == "" {
		return err
	}
	_, err := owned(warm, identity)
	return err
}

func examineFolder(data, warm string) error {
	was, err := noted(data)
	if err != nil {
		return err
	}
	if warm == "" {
		if was != "" {
			return fmt.Errorf("is not set, but media of this data directory lie in %s: set it to that folder, or give --config FILE where the settings say so", was)
		}
		return nil
	}
	if err := present(warm, was); err != nil {
		return err
	}
	return tryWriting(warm)
}

// FindFolder is the folder of warm segments for who reads a data directory: the one of the
// settings, else the one that a server on the directory used last; "" = there is none. It
// fails when the folder is not what it was, as when its disk is not mounted.
func FindFolder(data, warm string) (string, error) {
	was, err := noted(data)
	if err != nil {
		return "", err
	}
	if warm == "" {
		warm = was
	}
	if warm == "" {
		return "", nil
	}
	return warm, wrapFolder(present(warm, was))
}

// Unmoved says that no server on the data directory had a folder for warm segments yet:
// one that was just restored has all its segments itself, whatever its index says.
func Unmoved(data string) (bool, error) {
	was, err := noted(data)
	return was == "", err
}

// noted is where the folder was that the data directory used last, "" when it used none.
func noted(data string) (string, error) {
	text, err := os.ReadFile(filepath.Join(data, notedFile))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return "", nil
	}
	return strings.TrimSpace(string(text)), err
}

// present looks whether the folder is there, and the marked one if it was used.
func present(warm, was string) error {
	info, err := os.Stat(warm)
	switch {
	case errors.Is(err, fs.ErrNotExist) && was != "":
		return fmt.Errorf("there is no folder %s, but media of this data directory lie in %s: mount its disk, or name the folder they were moved to", warm, was)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no folder %s: make it, or mount its disk", warm)
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a folder", warm)
	}
	if _, err := os.Stat(filepath.Join(warm, ownerFile)); was != "" && errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is empty, but media of this data directory lie in %s: mount its disk, or name the folder they were moved to", warm, was)
	}
	return nil
}

// tryWriting makes and removes a file.
func tryWriting(dir string) error {
	f, err := os.CreateTemp(dir, ".millrace-check-*")
	if err != nil {
		if wrong, ok := errors.AsType[*fs.PathError](err); ok { // the name of the try says nothing
			err = wrong.Err
		}
		return fmt.Errorf("nothing can be written to %s: %w", dir, err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
