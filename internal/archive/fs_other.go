//go:build !linux

package archive

// Write writes piece by piece; systems without pwritev are for development.
func (f realFile) Write(pieces [][]byte, off int64) error {
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
func (f realFile) Sync() error { return f.File.Sync() }
