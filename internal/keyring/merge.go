package keyring

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/journal"
)

// Merge puts the data keys of the file from, such as a backup's, among those of the file
// at path, which is made if missing and which nobody has open. What is there stays:
// fragments may have been sealed with it since. It returns how many keys came back.
func Merge(fsys disk.FS, path, from string) (added int, err error) {
	old, err := readEntries(fsys, from)
	if err != nil {
		return 0, err
	}
	all := map[uint64][]byte{}
	j, err := journal.Open(fsys, path, Format, func(_ int64, b []byte) error {
		if e, ok := ParseEntry(b); ok {
			all[e.ID] = bytes.Clone(b)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	for id, b := range old {
		there, ok := all[id]
		if !ok {
			all[id], added = b, added+1
			continue
		}
		if a, _ := ParseEntry(there); !bytes.Equal(there[8:16], b[8:16]) && a.Stream != 0 {
			return 0, fmt.Errorf("data key %d is one stream's in %s and another's in %s: they are not of the same installation", id, path, from)
		}
	}
	if added == 0 {
		return 0, nil
	}
	return added, j.Rewrite(func(yield func([]byte) bool) {
		for _, id := range slices.SortedFunc(maps.Keys(all), cmp.Compare[uint64]) {
			if !yield(all[id]) {
				return
			}
		}
	})
}

// Make makes an empty file of data keys if there is none.
func Make(fsys disk.FS, path string) error {
	j, err := journal.Open(fsys, path, Format, func(int64, []byte) error { return nil })
	if err != nil {
		return err
	}
	return j.Close()
}

// readEntries returns the intact entries of a file by id; it is not changed.
func readEntries(fsys disk.FS, path string) (all map[uint64][]byte, err error) {
	f, err := fsys.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	all = map[uint64][]byte{}
	_, _, err = journal.Read(f, size, Format, func(_ int64, b []byte) error {
		if e, ok := ParseEntry(b); ok {
			all[e.ID] = bytes.Clone(b)
		}
		return nil
	})
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return all, err
}
