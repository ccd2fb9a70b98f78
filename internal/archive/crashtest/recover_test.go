package crashtest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/disk/disktest"
	"github.com/millrace/millrace/internal/inspect"
	"github.com/millrace/millrace/internal/kvs"
)

// recovers opens an archive twice: with the index of one of its commits, and without. Both
// must give the same, and nothing wrong.
func (h *history) recovers(m *moment) error {
	bare := &moment{disk: m.disk.Copy("/"), index: empty(), truth: m.truth}
	one, err := h.start(m, h.anyCommit(m), true)
	if err != nil {
		return fmt.Errorf("with an older index: %w", err)
	}
	other, err := h.start(bare, 0, false)
	if err != nil {
		return fmt.Errorf("without index: %w", err)
	}
	if one != other {
		return errors.New(differ(one, other))
	}
	return nil
}

// empty is an index that a start has just made: making it is half the cost of a start.
var empty = sync.OnceValue(func() image {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	t := newTruth()
	a, keys, err := openBoth(dir, disktest.NewCrash(dir), t)
	if err != nil {
		panic(err)
	}
	if err := errors.Join(a.Close(), keys.Close()); err != nil {
		panic(err)
	}
	m, err := takeImage(dir)
	if err != nil {
		panic(err)
	}
	return m
})

// start opens an archive, judges and closes it, and returns what is in the index.
func (h *history) start(m *moment, commit int, check bool) (rows string, err error) {
	dir, err := h.place(m, commit)
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	a, keys, err := openBoth(dir, m.disk, m.truth)
	if err != nil {
		return "", err
	}
	_, err = m.truth.judge(a)
	if err = errors.Join(err, a.Close(), keys.Close()); err != nil {
		return "", err
	}
	if n := m.disk.Handles(); n > 0 {
		return "", fmt.Errorf("%d files are still open", n)
	}
	if check {
		if err := h.check(m, dir); err != nil {
			return "", err
		}
	}
	salt, end, err := journalOf(m.disk, filepath.Join(dir, "tombstones"))
	if err != nil {
		return "", err
	}
	return dump(filepath.Join(dir, "index.db"), salt, end)
}

// journalOf reads the salt and the end of a journal.
func journalOf(d disk.FS, name string) (salt, end int64, err error) {
	f, err := d.Open(name)
	if err != nil {
		return 0, 0, err
	}
	var b [8]byte
	_, err = f.ReadAt(b[:], 16)
	end, sizeErr := f.Size()
	return int64(binary.LittleEndian.Uint64(b[:])), end, errors.Join(err, sizeErr, f.Close())
}

// check asks millrace check, with every checksum.
func (h *history) check(m *moment, dir string) error {
	if err := m.disk.Export(dir); err != nil {
		return err
	}
	report, err := inspect.Check(context.Background(), inspect.Options{
		Dir: dir, Warm: filepath.Join(dir, "warm"), Deep: true, Streams: m.truth.existing, Unwrap: unwrap,
	})
	if err != nil {
		return fmt.Errorf("check: %w", err)
	}
	if report.Clean() {
		return nil
	}
	var found []string
	for _, f := range report.Findings[:min(3, len(report.Findings))] {
		found = append(found, fmt.Sprintf("invariant %d: segment %d, stream %d, number %d: %s", f.Invariant, f.Segment, f.Stream, f.Number, f.Text))
	}
	return fmt.Errorf("check finds %d mistakes: %s", report.Total(), strings.Join(found, "; "))
}

// existing returns the streams that are not deleted.
func (t *truth) existing(context.Context) (map[kvs.StreamID]bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	streams := map[kvs.StreamID]bool{}
	for id := range t.policies {
		streams[id] = true
	}
	return streams, nil
}
