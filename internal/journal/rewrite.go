package journal

import (
	"errors"
	"fmt"
	"iter"
	"path/filepath"

	"github.com/millrace/millrace/internal/disk"
)

// rewriteBytes is how much a rewrite gathers before it writes.
const rewriteBytes = 64 << 10

// Rewrite replaces all entries. Each payload need be valid until the next is asked for.
// The salt changes. After an error the journal holds either the old entries or the new
// ones, and after a power failure the same may be said again, until an Append or Rewrite
// succeeds.
func (j *Journal) Rewrite(payloads iter.Seq[[]byte]) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.settle(); err != nil {
		return err
	}
	return j.rewrite(func(yield func([]byte, error) bool) {
		for p := range payloads {
			if !yield(p, nil) {
				return
			}
		}
	})
}

// Revise is [Journal.Rewrite] with what change makes of each entry, in order, and last
// behind them. Entries for which change returns nil are left out. An error of change, or
// of reading the entries, leaves the journal as it is. It needs little memory.
func (j *Journal) Revise(change func(payload []byte) ([]byte, error), last func() []byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.settle(); err != nil {
		return err
	}
	return j.revise(change, last)
}

// revise is Revise for who holds mu.
func (j *Journal) revise(change func(payload []byte) ([]byte, error), last func() []byte) error {
	old, end := j.f, j.end
	return j.rewrite(func(yield func([]byte, error) bool) {
		_, _, err := Read(old, end, j.format, func(_ int64, payload []byte) error {
			p, err := change(payload)
			if err == nil && p != nil && !yield(p, nil) {
				return errStop
			}
			return err
		})
		switch {
		case errors.Is(err, errStop):
		case err != nil:
			yield(nil, err)
		default:
			if p := last(); p != nil {
				yield(p, nil)
			}
		}
	})
}

var errStop = errors.New("enough")

// rewrite holds mu, or nobody else has the journal yet. j.f is nil when there is no file.
func (j *Journal) rewrite(payloads iter.Seq2[[]byte, error]) error {
	salt := newSalt()
	dir, base := filepath.Split(j.path)
	name := filepath.Join(dir, fmt.Sprintf(".%s-%016x", base, salt))
	f, err := j.fs.Create(name)
	if err != nil {
		return err
	}
	end, err := j.format.write(f, salt, payloads)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		if err = j.fs.Rename(name, j.path); err != nil {
			err = j.judge(err, salt)
		}
	}
	if err != nil {
		// What cannot be removed now, the next Open removes.
		return errors.Join(err, f.Close(), j.fs.Remove(name))
	}
	j.file.Lock()
	old := j.f
	j.f, j.salt, j.end = f, salt, end
	j.file.Unlock()
	j.dirty, j.unsure = false, true
	if old != nil {
		_ = old.Close() // it has no name any more
	}
	return j.settleName()
}

// judge says what became of a rename that failed: it may have happened all the same, and
// entries appended to a file without a name are lost. It returns nil if it did; the folder
// is synced behind it as behind any other. If it cannot be told nothing is added any more.
func (j *Journal) judge(failure error, renamed uint64) error {
	switch salt, err := j.named(); {
	case err == nil && salt == renamed:
		return nil
	case err != nil || j.f == nil || salt != j.salt:
		j.doubt = errors.Join(failure, err)
		return j.doubt
	}
	return failure
}

// named returns the salt of the file that has the journal's name.
func (j *Journal) named() (salt uint64, err error) {
	f, err := j.fs.Open(j.path)
	if err != nil {
		return 0, err
	}
	salt, _, err = Read(f, headSize, j.format, nil)
	return salt, errors.Join(err, f.Close())
}

// write writes a whole journal and returns its end.
func (f Format) write(to disk.File, salt uint64, payloads iter.Seq2[[]byte, error]) (end int64, err error) {
	b := f.appendHead(nil, salt)
	for p, err := range payloads {
		if err != nil {
			return 0, err
		}
		b = f.appendEntry(b, p, salt, end+int64(len(b)))
		if len(b) < rewriteBytes {
			continue
		}
		if err := to.Write([][]byte{b}, end); err != nil {
			return 0, err
		}
		end += int64(len(b))
		b = b[:0]
	}
	return end + int64(len(b)), to.Write([][]byte{b}, end)
}
