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
	return j.rewrite(payloads)
}

// rewrite holds mu, or nobody else has the journal yet. j.f is nil when there is no file.
func (j *Journal) rewrite(payloads iter.Seq[[]byte]) error {
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
			j.doubt = !j.still()
		}
	}
	if err != nil {
		// What cannot be removed now, the next Open removes.
		return errors.Join(err, f.Close(), j.fs.Remove(name))
	}
	old := j.f
	j.f, j.salt, j.end = f, salt, end
	j.dirty, j.unsure = false, true
	if old != nil {
		_ = old.Close() // it has no name any more
	}
	return j.settleName()
}

// still says whether the path names the file that is open: a rename that failed may have
// happened all the same, and entries appended to a file without a name are lost.
func (j *Journal) still() bool {
	if j.f == nil {
		return false
	}
	f, err := j.fs.Open(j.path)
	if err != nil {
		return false
	}
	salt, _, err := Read(f, headSize, j.format, nil)
	return f.Close() == nil && err == nil && salt == j.salt
}

// write writes a whole journal and returns its end.
func (f Format) write(to disk.File, salt uint64, payloads iter.Seq[[]byte]) (end int64, err error) {
	b := f.appendHead(nil, salt)
	for p := range payloads {
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
