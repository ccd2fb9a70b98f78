package keep

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/millrace/millrace/internal/segment"
)

// ExamineKeys looks whether the file of data keys is there, or nothing needs it, and
// changes nothing. An archive with sealed media and without their keys must not get an
// empty file: it would look whole, and hide the loss until somebody reads.
func ExamineKeys(data, warm string) error {
	path := filepath.Join(data, "archive", "keys")
	switch _, err := os.Lstat(path); {
	case errors.Is(err, syscall.ENOTDIR): // what should be the data directory is none
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	sealed := 0
	for _, dir := range []string{filepath.Join(data, "archive"), warm} {
		if dir == "" {
			continue
		}
		n, err := sealedSegments(filepath.Join(dir, "segments"))
		if err != nil {
			return err
		}
		sealed += n
	}
	if sealed == 0 {
		return nil
	}
	return fmt.Errorf("%s is missing, and without the data keys in it nobody can read what %d segments of media hold: "+
		"put it back from the newest backup (millrace check --repair --keys FILE); "+
		"if it is lost for good and so may be these media, go on with millrace check --repair --without-keys: they stay where they are, unreadable, until they expire", path, sealed)
}

// sealedSegments counts the segments in a folder whose records are sealed.
func sealedSegments(dir string) (n int, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	for _, e := range entries {
		if _, ok := segment.ParseFileName(e.Name()); ok && isSealed(filepath.Join(dir, e.Name())) {
			n++
		}
	}
	return n, err
}

// isSealed reports whether a segment has records that are sealed. What cannot be read is
// told by those who need it.
func isSealed(path string) bool {
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // only read from
	h, err := segment.ReadHead(f)
	if err != nil || h.Version == 1 {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Size() > segment.HeadSize
}
