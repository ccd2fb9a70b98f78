package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/millrace/millrace/internal/disk"
)

// errTaken says that another process holds a lock.
var errTaken = errors.New("in use by another process")

// take takes an advisory lock that ends with the process, however that ends. With
// errTaken the file is returned, too, to be read and closed.
func take(path string) (*os.File, error) {
	f, err := disk.Open(path)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return f, errTaken
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return f, nil
}

// ServingFile is locked in a data directory, besides its lock, by a server whose index
// knows all that is in the segments. What a file says outlives a server that crashed and
// would be taken for the word of the next one; a lock ends with its process.
const ServingFile = "serving"

// startingPoll is how often a starting server is looked at.
const startingPoll = 100 * time.Millisecond

// Quiet waits until the data directory can be copied. A server that serves has all that
// it acknowledged in its index. One that starts may have not yet, so it is waited for.
// Without a server the directory is kept from being served until the returned function
// is called, and offline is true: what the index does not know yet is copied as well.
// Whoever else works there without serving, such as another backup, is waited for, too.
func Quiet(ctx context.Context, data string) (offline bool, release func() error, err error) {
	for {
		f, err := take(filepath.Join(data, lockFile))
		if err == nil {
			return true, f.Close, nil
		}
		if !errors.Is(err, errTaken) {
			return false, nil, err
		}
		served, err := serves(data)
		if err = errors.Join(err, f.Close()); err != nil {
			return false, nil, err
		}
		if served {
			return false, func() error { return nil }, nil
		}
		select {
		case <-time.After(startingPoll):
		case <-ctx.Done():
			return false, nil, ctx.Err()
		}
	}
}

// serves says whether [ServingFile] is locked.
func serves(data string) (bool, error) {
	f, err := os.Open(filepath.Join(data, ServingFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) // closing gives it up
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, f.Close()
	}
	return false, errors.Join(err, f.Close())
}
