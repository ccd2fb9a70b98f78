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
