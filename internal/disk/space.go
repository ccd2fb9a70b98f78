package disk

import (
	"os"

	"golang.org/x/sys/unix"
)

// Free leaves out what only root may use.
func (System) Free(dir string) (free, total int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	unit := int64(s.Bsize) //nolint:unconvert // smaller on other systems
	return int64(s.Bavail) * unit, int64(s.Blocks) * unit, nil
}

// Shared compares the devices.
func (System) Shared(dir, other string) (bool, error) {
	var a, b unix.Stat_t
	if err := unix.Stat(dir, &a); err != nil {
		return false, &os.PathError{Op: "stat", Path: dir, Err: err}
	}
	if err := unix.Stat(other, &b); err != nil {
		return false, &os.PathError{Op: "stat", Path: other, Err: err}
	}
	return a.Dev == b.Dev, nil
}
