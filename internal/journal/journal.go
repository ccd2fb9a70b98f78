// Package journal keeps small entries of one size in a file that only grows, each synced
// before it counts, and replaces the file as a whole when entries have to go. The bytes
// are drawn in docs/design/archive-format.md. A [Journal] may be used from several
// goroutines.
package journal

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/millrace/millrace/internal/disk"
)

// Journal is an open journal. Make it with [Open].
type Journal struct {
	fs     disk.FS
	path   string
	format Format

	file sync.RWMutex // taken after mu; held for reading by those who read f without mu, and by those who change f or salt

	mu     sync.Mutex
	f      disk.File
	salt   uint64
	end    int64 // of the entries that count
	torn   int64
	lost   int   // entries before others
	dirty  bool  // something may lie behind end
	doubt  error // why path may name another file than f; nil = it does not
	unsure bool  // the name may be lost in a power failure
}

// renewBytes is how much of the end is written again before it is believed. So that it is
// all that a process may have left unsynced, no more is written before a sync.
const renewBytes = 1 << 20

// Open opens the journal at path and calls each for its entries in order, with their
// position and without their checksum; the slice is valid during the call only. An error
// of each ends it. A missing journal is made. A file that does not begin like a journal of
// this format is an error: nothing is taken for empty that may hold something.
//
// What a crash left is put in order: temporary files go, what is torn at the end is cut,
// and damaged entries before others are left out by writing the file anew. What was
// passed to each is durable when Open returns, and so is the file's name, also when the
// process before was killed between the two.
func Open(fsys disk.FS, path string, f Format, each func(at int64, payload []byte) error) (*Journal, error) {
	j := &Journal{fs: fsys, path: path, format: f, unsure: true}
	err := j.open(each)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), j.Close())
	}
	return j, nil
}

func (j *Journal) open(each func(at int64, payload []byte) error) error {
	if err := j.removeTemporary(); err != nil {
		return err
	}
	var err error
	if j.f, err = j.fs.Open(j.path); errors.Is(err, fs.ErrNotExist) {
		j.f = nil
		return j.rewrite(func(func([]byte, error) bool) {})
	}
	if err != nil {
		return err
	}
	size, err := j.f.Size()
	if err != nil {
		return err
	}
	// First of all: an entry that is read must not be only in memory.
	if err := errors.Join(disk.Renew(j.f, max(size-renewBytes, 0), size), j.f.Sync(), j.settleName()); err != nil {
		return err
	}
	intact := int64(headSize)
	j.salt, j.end, err = Read(j.f, size, j.format, func(_ int64, _ []byte) error {
		intact += int64(j.format.Size)
		return nil
	})
	if err != nil {
		return err
	}
	j.torn = size - intact
	j.lost = int((j.end - intact) / int64(j.format.Size))
	if err := j.mend(size, intact); err != nil {
		return err
	}
	_, _, err = Read(j.f, j.end, j.format, each)
	return err
}

// mend cuts what is torn, or leaves out what is damaged.
func (j *Journal) mend(size, intact int64) error {
	if intact == j.end {
		j.dirty = size > j.end
		return j.cut()
	}
	return j.revise(func(payload []byte) ([]byte, error) { return payload, nil }, func() []byte { return nil })
}

// removeTemporary removes what unfinished rewrites left.
func (j *Journal) removeTemporary() error {
	dir, base := filepath.Split(j.path)
	names, err := j.fs.List(filepath.Clean(dir))
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, "."+base+"-") {
			if err := j.fs.Remove(filepath.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Append adds entries, all or none of them. When it returns nil they are durable. After
// an error none of them counts; as long as they cannot be cut off, every Append fails.
func (j *Journal) Append(payloads ...[]byte) error {
	if len(payloads) == 0 {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.settle(); err != nil {
		return err
	}
	end := j.end
	j.dirty = true
	for some := range slices.Chunk(payloads, renewBytes/j.format.Size) {
		n, err := j.write(some, end)
		if err != nil {
			return errors.Join(err, j.cut())
		}
		end += n
	}
	j.end, j.dirty = end, false
	return nil
}

// write makes some entries durable.
func (j *Journal) write(payloads [][]byte, at int64) (n int64, err error) {
	b := make([]byte, 0, len(payloads)*j.format.Size)
	for _, p := range payloads {
		b = j.format.appendEntry(b, p, j.salt, at+int64(len(b)))
	}
	if err := j.f.Write([][]byte{b}, at); err != nil {
		return 0, err
	}
	return int64(len(b)), j.f.Sync()
}

// settle makes sure that entries can be appended: to the file that has the name, for good,
// and behind the last entry that counts.
func (j *Journal) settle() error {
	if j.doubt != nil {
		return fmt.Errorf("%s: a rewrite failed and nobody knows how far it came; restart: %w", j.path, j.doubt)
	}
	if err := j.settleName(); err != nil {
		return err
	}
	return j.cut()
}

func (j *Journal) settleName() error {
	if !j.unsure {
		return nil
	}
	err := j.fs.SyncDir(filepath.Dir(j.path))
	j.unsure = err != nil
	return err
}

// cut removes what lies behind the last entry that counts. It is synced, or a power
// failure could bring back what was refused.
func (j *Journal) cut() error {
	if !j.dirty {
		return nil
	}
	if err := j.f.Truncate(j.end); err != nil {
		return err
	}
	if err := j.f.Sync(); err != nil {
		return err
	}
	j.dirty = false
	return nil
}

// Entry reads the entry at a position, without its checksum, into b, which must be as long
// as that. It reports false when no intact entry is there, as when the file was written
// anew since. It waits for no Append.
func (j *Journal) Entry(at int64, b []byte) (ok bool, err error) {
	j.file.RLock()
	defer j.file.RUnlock()
	if j.f == nil {
		return false, fs.ErrClosed
	}
	whole := make([]byte, j.format.Size)
	if err := readFull(j.f, whole, at); errors.Is(err, io.ErrUnexpectedEOF) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	_, err = j.format.readBlock(whole, j.salt, at, at, func(_ int64, payload []byte) error {
		ok = true
		copy(b, payload)
		return nil
	})
	return ok, err
}

// Position is where the i-th entry of a journal begins, counted from 0.
func (f Format) Position(i int) int64 { return headSize + int64(i)*int64(f.Size) }

// End returns the position behind the last entry.
func (j *Journal) End() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.end
}

// Salt returns what tells this file from the one before the last rewrite.
func (j *Journal) Salt() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.salt
}

// Lost returns how many damaged entries before intact ones Open has left out. No crash
// leaves such: they counted once.
func (j *Journal) Lost() int { return j.lost }

// Torn returns how many bytes of damaged entries Open removed.
func (j *Journal) Torn() int64 { return j.torn }

// Close closes the file.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.f == nil {
		return nil
	}
	j.file.Lock()
	defer j.file.Unlock()
	err := j.f.Close()
	j.f = nil
	return err
}

func newSalt() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}
