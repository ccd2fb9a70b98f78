//go:build !linux

package disk

import (
	"errors"
	"os"
)

// direct is nothing: only Linux has it.
type direct struct{}

// Write writes piece by piece; systems without pwritev are for development.
func (f file) Write(pieces [][]byte, off int64) error {
	for _, p := range pieces {
		n, err := f.WriteAt(p, off)
		if err != nil {
			return err
		}
		off += int64(n)
	}
	return nil
}

// Sync makes the bytes durable.
func (f file) Sync() error { return f.File.Sync() }

// Punch gives nothing back.
func (f file) Punch(int64, int64) error { return errors.ErrUnsupported }

// Allocated knows of no holes.
func (f file) Allocated() (int64, error) { return f.Size() }

// Holes knows of none.
func (f file) Holes() (Holes, error) { return nil, nil }

// HolesOf knows of none.
func HolesOf(*os.File, int64) (Holes, error) { return nil, nil }

// Forget does nothing: only Linux is told.
func Forget(*os.File) {}
