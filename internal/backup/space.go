package backup

import "golang.org/x/sys/unix"

// free returns how many bytes can be written to the file system of a folder.
func free(name string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(name, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil //nolint:unconvert // Bsize is smaller on other systems
}
