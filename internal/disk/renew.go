package disk

import (
	"errors"
	"io"
)

// Renew writes the bytes of a file from one position to another once more, as they are.
// A Sync that failed makes the system take bytes for stored that are in memory only, and
// no later Sync of any process stores them; whoever is going to believe bytes of a process
// that ended writes them again before.
func Renew(f File, from, to int64) error {
	b := make([]byte, min(max(to-from, 0), 256<<10))
	for from < to {
		b = b[:min(int64(len(b)), to-from)]
		switch n, err := f.ReadAt(b, from); {
		case n == len(b):
		case errors.Is(err, io.EOF):
			return io.ErrUnexpectedEOF
		default:
			return err
		}
		if err := f.Write([][]byte{b}, from); err != nil {
			return err
		}
		from += int64(len(b))
	}
	return nil
}
