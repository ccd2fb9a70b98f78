package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	chunk     = 1 << 20  // is read, hashed and written at a time
	chunks    = 16       // are in memory at most
	syncEvery = 16 << 20 // keeps the kernel from having much to write at once, which slows others
)

// sparse is a file that can have holes.
type sparse interface {
	io.Seeker
	Truncate(size int64) error
}

var zeros = make([]byte, chunk)

// copier copies bytes, at most rate of them in a second, and tells how far it is.
type copier struct {
	volume   volume
	rate     int64 // bytes in a second, 0 = as fast as it goes
	progress func(Progress)
	now      func() time.Time

	state Progress
	begun time.Time
	paced int64       // bytes since begun
	free  chan []byte // chunks that nobody uses
}

// Progress is how far a run is.
type Progress struct {
	Doing string // in a word or two
	Done  int64  // bytes
	Total int64  // bytes there are, as far as is known
}

// doing begins a part of the work.
func (c *copier) doing(what string) {
	c.state.Doing = what
	c.progress(c.state)
}

// to copies the first size bytes of r, or as many as there are, into a new file, makes
// them durable and returns their number and digest.
func (c *copier) to(ctx context.Context, name string, r io.ReaderAt, size int64) (n int64, digest string, err error) {
	f, err := c.volume.Create(name)
	if err != nil {
		return 0, "", err
	}
	n, digest, err = c.through(ctx, f, r, size)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return 0, "", fmt.Errorf("write %s: %w", name, err)
	}
	return n, digest, nil
}

// through reads, hashes and, with a file to write to, writes.
func (c *copier) through(ctx context.Context, f sink, r io.ReaderAt, size int64) (n int64, digest string, err error) {
	if c.free == nil {
		c.free = make(chan []byte, chunks)
		for range chunks {
			c.free <- make([]byte, chunk)
		}
	}
	w := &writing{full: make(chan []byte, chunks), free: c.free, failed: make(chan struct{}), ended: make(chan struct{})}
	go w.run(f)
	n, digest, err = c.pump(ctx, w, r, size)
	close(w.full)
	<-w.ended
	return n, digest, errors.Join(err, w.err)
}

// pump reads and hashes, and hands what it read to the writing.
func (c *copier) pump(ctx context.Context, w *writing, r io.ReaderAt, size int64) (n int64, digest string, err error) {
	h := sha256.New()
	for n < size {
		var b []byte
		select {
		case b = <-w.free:
		case <-w.failed:
			return n, "", nil
		case <-ctx.Done():
			return n, "", ctx.Err()
		}
		b = b[:min(chunk, size-n)]
		k, err := r.ReadAt(b, n)
		if err == nil || errors.Is(err, io.EOF) {
			_, _ = h.Write(b[:k]) // never fails
			w.full <- b[:k]       // has room for all chunks
		} else {
			w.free <- b
			return n, "", err
		}
		n += int64(k)
		c.state.Done += int64(k)
		c.progress(c.state)
		if k < len(b) {
			break
		}
		if err := c.pace(ctx, int64(k)); err != nil {
			return n, "", err
		}
	}
	return n, digestText(h.Sum(nil)), nil
}

// writing writes chunks while the next ones are read and hashed, so that nobody waits for
// the disk who could work.
type writing struct {
	full, free chan []byte
	failed     chan struct{} // closed with the first error
	ended      chan struct{} // closed behind the last chunk
	err        error         // the first; read after ended
}

func (w *writing) run(f sink) {
	defer close(w.ended)
	at := int64(0)
	for b := range w.full {
		if w.err == nil {
			if w.err = put(f, b, at); w.err != nil {
				close(w.failed)
			}
			at += int64(len(b))
		}
		w.free <- b[:cap(b)] // has room for all chunks
	}
}

// put writes b, which begins at byte at, if there is a file. A chunk of zeros is left out
// where the file can have holes, as segments do: they take no room in the copy either.
func put(f sink, b []byte, at int64) error {
	if f == nil {
		return nil
	}
	if s, ok := f.(sparse); ok && len(b) == chunk && bytes.Equal(b, zeros) {
		if err := s.Truncate(at + chunk); err != nil {
			return err
		}
		_, err := s.Seek(at+chunk, io.SeekStart)
		return err
	}
	if _, err := f.Write(b); err != nil {
		return err
	}
	if at/syncEvery != (at+int64(len(b)))/syncEvery {
		return f.Sync()
	}
	return nil
}

// pace waits until n more bytes are allowed.
func (c *copier) pace(ctx context.Context, n int64) error {
	if c.rate <= 0 {
		return nil
	}
	now := c.now()
	if c.begun.IsZero() || now.Before(c.begun) {
		c.begun, c.paced = now, 0
	}
	c.paced += n
	due := c.begun.Add(time.Duration(float64(c.paced) / float64(c.rate) * float64(time.Second)))
	wait := due.Sub(now)
	if wait < -time.Second { // there was other work: what was not used is not saved up
		c.begun, c.paced = now, 0
	}
	if wait <= 0 {
		return nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// holds says whether a file has this size and digest. One that is missing has not.
func (c *copier) holds(ctx context.Context, name string, size int64, digest string) (bool, error) {
	f, err := os.Open(filepath.Clean(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close() // only read from
	info, err := f.Stat()
	if err != nil || info.Size() != size {
		return false, err
	}
	n, found, err := c.through(ctx, nil, f, size)
	return n == size && found == digest, err
}
